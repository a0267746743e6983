"""The 52 ARKit keys of another head: what of the open head's shapes the model's own parameters can say.

Each shape of the open head is carried over by deformation transfer, then expression coefficients (all keys), the jaw's
rotation (keys of the jaw) and the eyes' rotations (keys of the gaze) are fitted to it through the model's own
function, by Gauss-Newton with a ridge. What is left over is measured and told.

Frame: the model's axes, metres, radians. Dims: V vertices, E expression directions, K keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import axis_angle_from_rotation
from meshlam_core.head.lay_over import similarity
from meshlam_core.head.model import HeadModel
from meshlam_core.head.parametric import Parametric

F64 = NDArray[np.float64]

RIDGE = 1e-4  # m: how far the surface may stay off for one standard deviation of an expression
ROUNDS = 4
TURN = 1e-4  # rad, of the jaw's numeric derivative
MOVES = 0.0005  # m from which a vertex takes part in a key
GOOD, PARTLY = 0.25, 0.6  # share of a key's movement left over
JAW, EYES = 2, (3, 4)
TOTAL = 9  # parameters after the expressions: jaw, left eye, right eye


@dataclass(frozen=True)
class KeyFit:
    """How well one key is said."""

    name: str
    moves: float  # mm, rms of the wanted movement over the vertices that take part
    rms: float  # mm left over there
    most: float  # mm
    says: str  # "good", "partly", "hardly" or "not"


def fit_keys(
    model: Parametric,
    source: HeadModel,  # the open head
    wanted: F64,  # [K, V, 3] m, its shapes on the model
    skin: NDArray[np.intp],  # vertices that are looked at
    counts: F64,  # [V] how much a vertex counts
    jaw: bool = True,  # whether the model's jaw is a joint, or an expression like others
) -> tuple[F64, F64, list[KeyFit]]:  # [K, E + 9] parameters, [K, V, 3] m displacements, errors
    """The model's parameters for each key, and what they give at coefficient 1."""
    count = len(model.expressions)
    rows = model.expressions[:, skin].reshape(count, -1)
    weight = np.repeat(counts[skin] / counts[skin].sum(), 3)
    normal = (rows * weight) @ rows.T
    parameters = np.zeros((len(wanted), count + TOTAL))
    displacements = np.zeros_like(wanted)
    errors = []
    eyes = np.setdiff1d(np.flatnonzero(model.weights[:, list(EYES)].sum(axis=1) > 0.5), skin)
    for k, name in enumerate(source.blendshape_names):
        goal = wanted[k, skin].ravel()
        turns = eye_turns(source, k)
        use_jaw = jaw and name.startswith("jaw")
        # where little moves, little pulls: the ridge is shared out by how much of the head takes part
        taking = np.linalg.norm(wanted[k, skin], axis=1) > MOVES
        own_ridge = RIDGE**2 * max(float(weight[::3][taking].sum()), 1e-3)
        found = np.zeros(count + TOTAL)
        found[count + 3 :] = turns.ravel()
        for _ in range(ROUNDS if use_jaw else 1):
            left = goal - at(model, found)[skin].ravel()
            columns, ridge = rows, np.full(count, own_ridge)
            system = normal
            if use_jaw:
                columns = np.concatenate([rows, jaw_slopes(model, found)[:, skin].reshape(3, -1)])
                system = (columns * weight) @ columns.T
                ridge = np.concatenate([ridge, np.zeros(3)])
            now = found[: len(columns)]
            pulled = (columns * weight) @ left - ridge * now
            found[: len(columns)] += np.linalg.solve(system + np.diag(ridge + 1e-14), pulled)
        parameters[k] = found
        displacements[k] = at(model, found)
        told = wanted[k].copy()
        told[eyes] = displacements[k, eyes]  # eyeballs are said exactly, by their rotation
        judged = np.concatenate([skin, eyes])
        errors.append(key_error(name, told[judged], displacements[k, judged]))
    return parameters, displacements, errors


def at(model: Parametric, parameters: F64) -> F64:  # [E + 9] -> [V, 3] m
    """The displacement that parameters give on the mean head."""
    count = len(model.expressions)
    rotations = np.zeros((5, 3))
    rotations[JAW] = parameters[count : count + 3]
    rotations[list(EYES)] = parameters[count + 3 :].reshape(2, 3)
    return model.vertices(np.zeros(0), parameters[:count], rotations) - model.template


def jaw_slopes(model: Parametric, parameters: F64) -> F64:  # [3, V, 3] m per rad
    count = len(model.expressions)
    slopes = []
    for axis in range(3):
        step = np.zeros_like(parameters)
        step[count + axis] = TURN
        slopes.append((at(model, parameters + step) - at(model, parameters - step)) / (2 * TURN))
    return np.array(slopes)


def eye_turns(source: HeadModel, key: int) -> F64:  # [2, 3] rad, left and right
    """How a key turns the open head's eyeballs."""
    turns = np.zeros((2, 3))
    for side, name in enumerate(("eyeball_left", "eyeball_right")):
        ball = source.part == source.parts.index(name)
        moved = source.blendshapes[key, ball].astype(np.float64)
        if np.abs(moved).max() > MOVES:
            rest = source.template[ball].astype(np.float64)
            turns[side] = axis_angle_from_rotation(similarity(rest, rest + moved)[1])
    return turns


def key_error(name: str, wanted: F64, found: F64) -> KeyFit:
    """What is left of a key over the vertices that it moves."""
    size = np.linalg.norm(wanted, axis=1)
    taking = size > MOVES
    if not taking.any():
        return KeyFit(name, 0.0, 0.0, 0.0, "not")
    off = np.linalg.norm(wanted - found, axis=1)[taking]
    moves, left = (float(np.sqrt((values**2).mean()) * 1000) for values in (size[taking], off))
    share = left / moves
    says = "good" if share < GOOD else "partly" if share < PARTLY else "hardly"
    return KeyFit(name, moves, left, float(off.max() * 1000), says)
