"""Light and skin told apart over all portraits at once: ridge regressions in turn.

Each round solves every portrait's light and person with the model so far (meshlam_core/skin/fit.py), takes the light
out, and makes the model anew from what is left: the mean and the strongest directions of variation over all people,
both the same on the left and on the right, so that what differs between the sides of a face is light. What a portrait
does not show takes the model's own guess. The complete skins count as people who show everything.

What would be light on the mean of all portraits - brighter foreheads, darker chins - cannot be told from skin by them
alone: it is taken from the complete skins, which were photographed in even light.

Frame: avatar frame. Colours are linear, their logarithms natural. Dims: I people, V vertices, K modes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.skin.fit import LightFit, LightPrior, Points, fit_light, shading
from meshlam_core.skin.harmonics import basis
from training.skin.lights import symmetric

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

MODES = 24
ROUNDS = 3
SHOWN = 0.1  # weight from which a vertex is used
PALE_EARS = 0.5  # of their distance to the face's tone, by which the backs of ears come closer to it
HALF = 0.15  # weight at which a vertex' colour is half the photo's, half the model's guess
SKIN_WEIGHT = 15.0  # how many portraits a complete skin is worth
DARK = -1.7  # mean logarithm of the albedo that parts light from dark skin
BIN = 0.3  # of the logarithm, width of the classes of tone that are balanced
BALANCE, MOST = 0.8, 6.0  # power of a class's rarity, and the greatest weight
EVEN = (0, 1, 2, 5, 6, 8)  # harmonics that a mirror leaves as they are
FACING = 0.6  # of a normal's z on the face, by which the exposure is told
BROAD = 0.5  # share of the lights found in portraits in the prior, beside the drawn ones


@dataclass(frozen=True)
class People:
    """What portraits show at the vertices."""

    colour: F32  # [I, V, 3] logarithm
    weight: F32  # [I, V] 0..1
    normals: F32  # [I, V, 3] in the photo's expression


@dataclass(frozen=True)
class Ground:
    """What is fixed."""

    transfer: F32  # [V, 9] of the template
    normals: F32  # [V, 3] of the template
    openness: F32  # [V] 0..1
    mirror: NDArray[np.intp]  # [V]
    skin: Mask  # [V] vertices that the model describes
    face: Mask  # [V] by which the tone is told
    clothed: Mask  # [V] neck, scalp and backs of ears, of which portraits show collars, hair and the wall
    behind_ears: Mask  # [V] the last of them
    complete: F64  # [N, V, 3] logarithm, complete skins

    def transfer_of(self, normals: F32) -> F32:  # [V, 3] -> [V, 9]
        """The template's transfer with these normals, shadowed as there."""
        turned = basis(normals.astype(np.float64)) - basis(self.normals.astype(np.float64))
        return np.asarray(self.transfer + turned * self.openness[:, None], np.float32)


@dataclass(frozen=True)
class Model:
    """The skin at the vertices."""

    mean: F64  # [V, 3]
    basis: F64  # [K, V, 3] for coefficients of unit variance
    kept: float  # share of the variance that the modes keep


def solve(people: People, index: int, model: Model, ground: Ground, prior: LightPrior) -> tuple[LightFit, F64, F64]:
    """One portrait: the fit, its colours without light [V, 3] and how far each is believed [V]."""
    weight = people.weight[index] * ground.skin
    rows = np.flatnonzero(weight > SHOWN)
    transfer = ground.transfer_of(people.normals[index])
    points = Points(
        people.colour[index, rows],
        weight[rows],
        transfer[rows],
        np.asarray(model.mean[rows], np.float32),
        np.asarray(model.basis[:, rows], np.float32),
    )
    fit = fit_light(points, prior)
    bare = people.colour[index] - np.log(shading(transfer, fit.light))
    left = np.zeros(len(weight))
    left[rows] = weight[rows] * fit.robust
    return fit, bare, left


def first_model(ground: Ground) -> Model:
    """From the complete skins alone."""
    return _moments(ground.complete, np.ones(len(ground.complete)), ground, ground.complete.mean(axis=0))


def learn(
    people: People, ground: Ground, prior: LightPrior, report: Callable[[str], None], rounds: int = ROUNDS
) -> tuple[Model, LightPrior, list[LightFit]]:
    """The model, the lights as they were found, and what each portrait came to."""
    model, drawn = first_model(ground), prior
    fits: list[LightFit] = []
    for number in range(rounds):
        filled, fits = [], []
        for index in range(len(people.colour)):
            fit, bare, sure = solve(people, index, model, ground, prior)
            guess = model.mean + np.tensordot(fit.coefficients, model.basis, 1)
            filled.append(_symmetric(bare, sure, guess, ground))
            fits.append(fit)
        # all photos a little darker and all people a little paler is the same: the complete skins say which
        people_rows = np.stack(filled)
        tone = people_rows[:, ground.face].mean(axis=(1, 2))
        shift = float(np.median(tone[tone > DARK]) - np.median(_light_tones(ground)))
        rows = np.concatenate([people_rows - shift * ground.skin[:, None], ground.complete])
        share = np.concatenate([balance(tone), np.full(len(ground.complete), SKIN_WEIGHT)])
        model = _moments(rows, share, ground, None)
        found = np.exp(shift) * np.stack([fit.light.ravel() for fit in fits])
        own = symmetric(found)
        prior = LightPrior(
            BROAD * own.mean + (1 - BROAD) * drawn.mean, BROAD * own.covariance + (1 - BROAD) * drawn.covariance
        )
        facing = ground.face & (ground.normals[:, 2] > FACING)
        level = np.log([shading(ground.transfer[facing], fit.light).mean() for fit in fits])
        report(
            f"round {number + 1}: kept {model.kept:.3f}, tone {np.median(tone):.3f}, shift {shift:.3f}, "
            f"level {np.median(level):.3f}"
        )
    return model, prior, fits


def _light_tones(ground: Ground) -> F64:  # [N']
    """Of the complete skins that are light."""
    tone = ground.complete[:, ground.face].mean(axis=(1, 2))
    return np.asarray(tone[tone > DARK])


def balance(tone: F64) -> F64:  # [I] -> [I]
    """Weights that make rare tones count more, 1 on the mean."""
    place = np.floor((tone - tone.min()) / BIN).astype(int)
    weight = (1 / np.bincount(place)[place]) ** BALANCE
    weight = weight / np.median(weight)
    return np.asarray(weight.clip(None, MOST))


def _symmetric(bare: F64, sure: F64, guess: F64, ground: Ground) -> F64:  # [V, 3]
    """Both sides of a face as one, with the guess where neither is seen."""
    both = sure + sure[ground.mirror]
    seen = (bare * sure[:, None] + (bare * sure[:, None])[ground.mirror]) / np.maximum(both, 1e-6)[:, None]
    share = (both / (both + HALF))[:, None]
    return np.asarray(share * seen + (1 - share) * guess)


def _moments(rows: F64, share: F64, ground: Ground, mean: F64 | None) -> Model:
    """Weighted mean and principal components."""
    share = share / share.sum()
    if mean is None:
        mean = np.tensordot(share, rows, 1)
        complete = ground.complete.mean(axis=0)
        mean = mean - _light_like(mean - complete, ground)
        # portraits say nothing of neck and scalp: there the complete skins stand, in the face's tone
        paler = mean[ground.face].mean(axis=0) - complete[ground.face].mean(axis=0)
        mean[ground.clothed] = complete[ground.clothed] + paler
        # the backs of painted ears are redder than any photo shows
        mean[ground.behind_ears] += PALE_EARS * (mean[ground.face].mean(axis=0) - mean[ground.behind_ears])
    off = ((rows - np.tensordot(share, rows, 1)) * ground.skin[:, None]).reshape(len(rows), -1)
    off = off * np.sqrt(share)[:, None]
    values, vectors = np.linalg.eigh(off @ off.T)
    order = np.argsort(-values)[: min(MODES, len(rows) - 1)]
    modes = (vectors[:, order].T @ off).reshape(len(order), -1, 3)
    # too few people show these parts to say how they vary: their tone goes with the face's
    modes[:, ground.clothed] = modes[:, ground.face].mean(axis=1, keepdims=True)
    return Model(mean, modes, float(values[order].sum() / values.sum()))


def _light_like(difference: F64, ground: Ground) -> F64:  # [V, 3]
    """What of a difference could be light, the constant left out."""
    system = ground.transfer[:, EVEN]
    rows = ground.face
    found = np.linalg.lstsq(system[rows].astype(np.float64), difference[rows], rcond=None)[0]
    found[0] = 0
    like = system @ found
    like = (like + like[ground.mirror]) / 2
    return np.asarray((like - like[rows].mean(axis=0)) * ground.skin[:, None])
