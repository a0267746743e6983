"""Lay one head model over the mesh of another of any topology.

Frame: avatar frame, metres. Dims: V vertices, N identity modes.

A similarity from the joints comes first, then the identity modes and a similarity, fitted to the closest points of the
target's skin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
ROUNDS = 12
MODES = 40
RIDGE = 1e-3  # m: how far the surface may stay off for one standard deviation of identity


def lay_over(
    source: HeadModel,
    goal: F64,  # [W, 3] the target's vertices
    skin: F64,  # [S, 3] those of its skin
    goal_joints: F64,  # [5, 3] root, neck, jaw, left eye, right eye; NaN where not known, but for the eyes
) -> F64:  # [V, 3] the source head's vertices on the target
    """Alternate closest points and a ridge solution, trusting the face more than the rest."""
    moving = source.template.astype(np.float64)
    joints = source.joints(source.template).astype(np.float64)
    scale, rotation, shift = similarity(*anchors(joints[2:], goal_joints[2:]))
    face = np.isin(source.part, [source.parts.index(name) for name in ("face", "lips", "eyelids")])
    chosen = np.flatnonzero(face)
    basis = source.identity_basis[:MODES, chosen].astype(np.float64)  # [N, C, 3]
    identity = np.zeros(len(basis))
    tree = cKDTree(skin)
    for _ in range(ROUNDS):
        shaped = moving[chosen] + np.tensordot(identity, basis, axes=1)
        placed = scale * shaped @ rotation.T + shift
        _, nearest = tree.query(placed)
        distance = np.linalg.norm(skin[nearest] - placed, axis=1)
        trust = 1 / (1 + (distance / 0.006) ** 2)
        scale, rotation, shift = similarity(shaped, skin[nearest], trust)
        wanted = (skin[nearest] - shift) @ rotation / scale - moving[chosen]  # in the source's frame
        system = np.einsum("ncd,c,mcd->nm", basis, trust, basis) + RIDGE**2 * trust.sum() * np.eye(len(basis))
        identity = np.linalg.solve(system, np.einsum("ncd,c,cd->n", basis, trust, wanted))
    whole = moving + np.tensordot(identity, source.identity_basis[:MODES].astype(np.float64), axes=1)
    return np.asarray(scale * whole @ rotation.T + shift)


def anchors(joints: F64, goal: F64) -> tuple[F64, F64]:  # [3, 3] jaw and eyes -> pairs of points
    """Jaw and eyes; without a jaw the eyes and the axes, which all models here share."""
    if np.isfinite(goal).all():
        return joints, goal
    apart = [float(np.linalg.norm(eyes[1] - eyes[2])) for eyes in (joints, goal)]
    axes = np.array([[0, 1.0, 0], [0, 0, 1.0]])
    middles = [eyes[1:].mean(axis=0) for eyes in (joints, goal)]
    found = [
        np.concatenate([eyes[1:], middle + size * axes])
        for eyes, middle, size in zip((joints, goal), middles, apart, strict=True)
    ]
    return found[0], found[1]


def similarity(
    points: F64,  # [P, 3]
    onto: F64,  # [P, 3]
    weight: F64 | None = None,  # [P]
) -> tuple[float, F64, F64]:  # scale, rotation [3, 3], shift [3]: onto = scale * points @ rotation.T + shift
    """Umeyama's least-squares similarity."""
    w = np.ones(len(points)) if weight is None else weight
    w = (w / w.sum())[:, None]
    a, b = (w * points).sum(axis=0), (w * onto).sum(axis=0)
    p, q = points - a, onto - b
    u, s, vt = np.linalg.svd((w * q).T @ p)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / (w * p**2).sum())
    return scale, rotation, b - scale * rotation @ a
