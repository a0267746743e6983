"""Light and skin of one photo, told apart: both solved together from what it shows.

    photo = albedo x shading,   log albedo = mean + coefficients x basis,   shading = transfer x light

`transfer` is nine numbers a point: the share of each spherical harmonic of the light that arrives there, shadowed by
the head itself. The light has nine coefficients a channel. Each Gauss-Newton step is one ridge regression of both,
with Gaussian priors on the person (the skin model's) and on the light, and weights that fall where photo and model
disagree: cast shadows, gloss, what is no skin.

Frame: avatar frame, for light and normals. Colours are linear, their logarithms natural.
Dims: N points, K coefficients of the skin, C = 9 coefficients of the light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.skin.harmonics import COUNT, basis, even_directions

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

LIGHT = 3 * COUNT
STEPS = 18
ENOUGH = 200.0  # independent points that a whole face is worth: neighbours err alike
NOISE = 0.13  # of the logarithm, beside shadows and gloss
ROBUST = 0.22  # difference of the logarithm from which a point counts half
HUE = 0.14  # the same for a difference of the channels
WHITE_NOISE = 0.2  # of the logarithm: how well the white of an eye is known, lids shade it
WHITE = (0.51, 0.46, 0.38)  # linear albedo of the white of an eye, as far as lids and lashes leave it
PALEST, PALE_NOISE = -1.05, 0.05  # of the mean logarithm of an albedo: the palest complete skin; how sure that is
MISJUDGED = 0.37  # of the tone's logarithm: error on 96 drawn photos beyond what the fit itself expects
EXPOSURE, TINT = 0.2, 0.1  # spread of the light's strength, and of each channel's alone
LEVELLED = 0.97  # of the strength's variance that is taken out of the harmonics', as EXPOSURE stands for it
DIMMING = 0.6  # share of its light that a place may lose in a step
TONES = 1.2  # spread of people's tones, of the mean logarithm of the albedo
DARKEST = 0.04  # of the light on the face: what always arrives
AROUND = 48  # directions in which the light is kept from being negative
LEAST, FIRM = 0.08, 0.05  # of the mean light: what comes from everywhere, and how firmly that is wanted


@dataclass(frozen=True)
class LightPrior:
    """Lights as they happen, for an exposure at which 1 shows an albedo as it is."""

    mean: F64  # [27] harmonics first, channels last: [9, 3] in one row
    covariance: F64  # [27, 27]


@dataclass(frozen=True)
class Points:
    """What a photo shows of the skin."""

    colour: F32  # [N, 3] logarithm
    weight: F32  # [N] 0..1
    transfer: F32  # [N, 9]
    mean: F32  # [N, 3] of the skin model there
    basis: F32  # [K, N, 3]
    white: F64 | None = None  # [3] logarithm of the white of the eyes in the photo
    white_transfer: F64 | None = None  # [9] of the light that falls onto it


@dataclass(frozen=True)
class LightFit:
    """The answer."""

    light: F64  # [9, 3]
    coefficients: F64  # [K]
    robust: F64  # [N] 0..1, how far each point fits
    tone_doubt: float  # standard deviation of the logarithm of the skin's tone
    paler: F64  # [3] of the logarithm, by which the person is paler than the coefficients say


def shading(
    transfer: F32,  # [N, 9]
    light: F64,  # [9, 3]
) -> F64:  # [N, 3] above 0
    """How much light arrives."""
    lit = transfer @ light
    return np.asarray(np.maximum(lit, DARKEST * max(float(lit.mean()), 1e-3)))


def fit_light(points: Points, prior: LightPrior) -> LightFit:
    """Solve for both. The unknowns are the person, the light's harmonics and the logarithm of its strength."""
    count, modes = len(points.colour), len(points.basis)
    flat = points.basis.reshape(modes, -1).astype(np.float64)  # [K, 3 N]
    mean_shift = flat.reshape(modes, count, 3).mean(axis=2)  # [K, N]
    precision = np.zeros((modes + LIGHT + 1, modes + LIGHT + 1))
    precision[:modes, :modes] = np.eye(modes)
    _widen(precision[:modes, :modes], mean_shift @ points.weight / points.weight.sum())
    precision[modes:-1, modes:-1] = np.linalg.inv(_tinted(prior))
    precision[-1, -1] = 1 / EXPOSURE**2
    wanted = np.concatenate([np.zeros(modes), prior.mean, [0.0]])
    x = wanted.copy()
    base = points.weight.astype(np.float64)
    base *= ENOUGH / max(float(base.sum()), 1e-9) / NOISE**2
    robust = np.ones(count)
    around = basis(even_directions(AROUND))
    for step in range(STEPS):
        light = x[modes:-1].reshape(COUNT, 3)
        lit = shading(points.transfer, light)
        error = points.colour - points.mean - (x[:modes] @ flat).reshape(count, 3) - np.log(lit) - x[-1]
        if step > 1:  # at first nothing fits
            robust = _agreement(error)
        weight = base * robust
        jacobian = _jacobian(points.transfer, flat, lit)  # [3 N, K + 28]
        rows = np.repeat(weight, 3)
        left = jacobian.T @ (jacobian * rows[:, None]) + precision
        right = jacobian.T @ (rows * (error.reshape(-1) + jacobian @ x)) + precision @ wanted
        if points.white is not None and points.white_transfer is not None:
            _add_white(left, right, points.white, points.white_transfer, x)
        tone = mean_shift @ weight / weight.sum()
        above = float(tone @ x[:modes] + points.mean.mean(axis=1) @ weight / weight.sum()) - PALEST
        if above > 0:
            left[:modes, :modes] += np.outer(tone, tone) / PALE_NOISE**2
            right[:modes] += tone * float(tone @ x[:modes] - above) / PALE_NOISE**2
        _lift(left[modes:-1, modes:-1], right[modes:-1], around, light, float(lit.mean()))
        change = np.linalg.solve(left, right) - x
        # a logarithm is linear over short steps only: no place may lose most of its light in one
        loss = float((-(points.transfer @ change[modes:-1].reshape(COUNT, 3)) / lit).max())
        x = x + min(1.0, DIMMING / max(loss, 1e-9)) * change
    direction = np.concatenate([tone, np.zeros(LIGHT + 1)])
    doubt = float(np.hypot(np.sqrt(direction @ np.linalg.solve(left, direction)), MISJUDGED))
    return LightFit(np.exp(x[-1]) * x[modes:-1].reshape(COUNT, 3), x[:modes], robust, doubt, np.zeros(3))


def _tinted(prior: LightPrior) -> F64:  # [27, 27]
    """The prior's covariance for photos that are more tinted than those it was learnt from, at a known strength.

    The harmonics' spread is absolute: with the strength left in it, a photo of strong contrasts would ask for more
    light in all, whatever its skin.
    """
    mean = prior.mean.reshape(COUNT, 3)
    strength = np.zeros(LIGHT)
    strength[:3] = 1 / mean[0] / 3  # the change of its logarithm with each number
    moved = prior.covariance @ strength
    level = prior.covariance - LEVELLED * np.outer(moved, moved) / (strength @ moved)
    channels = np.tile(np.eye(3, dtype=bool), (COUNT, COUNT))
    tinted = TINT**2 * np.where(channels, np.outer(prior.mean, prior.mean), 0)
    return np.asarray(level + tinted)


def _widen(
    precision: F64,  # [K, K] of the coefficients, written to
    tone: F64,  # [K] what each adds to the tone
) -> None:
    """All tones are about as likely as each other: dark skin must stay dark though few have it in the portraits."""
    spread = float(np.linalg.norm(tone))
    if 0 < spread < TONES:
        along = tone / spread
        precision -= (1 - (spread / TONES) ** 2) * np.outer(along, along)


def _agreement(
    error: F64,  # [N, 3] photo beside model
) -> F64:  # [N] 0..1
    """How far each point is believed: what is wrong everywhere alike is no shadow and no gloss."""
    off = error - np.median(error, axis=0)
    grey = off.mean(axis=1)
    hue = (off - grey[:, None]).std(axis=1)
    return np.asarray(1 / (1 + (grey / ROBUST) ** 2 + (hue / HUE) ** 2))


def _jacobian(transfer: F32, flat: F64, lit: F64) -> F64:
    """[3 N, K + 28] of the logarithm that the model predicts."""
    count, modes = len(transfer), len(flat)
    jacobian = np.zeros((count, 3, modes + LIGHT + 1))
    jacobian[..., :modes] = flat.reshape(modes, count, 3).transpose(1, 2, 0)
    jacobian[..., -1] = 1
    for channel in range(3):
        jacobian[:, channel, modes + channel : -1 : 3] = transfer / lit[:, channel, None]
    return jacobian.reshape(3 * count, -1)


def _add_white(
    left: F64,  # [K + 28, K + 28] written to
    right: F64,  # [K + 28] written to
    white: F64,  # [3] logarithm
    transfer: F64,  # [9]
    x: F64,  # [K + 28]
) -> None:
    """The white of the eyes: an albedo that is known, more or less."""
    modes = len(x) - LIGHT - 1
    lit = shading(transfer[None].astype(np.float32), x[modes:-1].reshape(COUNT, 3))[0]
    for channel in range(3):
        row = np.zeros(len(x))
        row[modes + channel : -1 : 3] = transfer / lit[channel]
        row[-1] = 1
        target = white[channel] - np.log(WHITE[channel]) - np.log(lit[channel]) - x[-1] + row @ x
        left += np.outer(row, row) / WHITE_NOISE**2
        right += row * target / WHITE_NOISE**2


def _lift(
    left: F64,  # [27, 27] written to
    right: F64,  # [27] written to
    around: F64,  # [D, 9]
    light: F64,  # [9, 3]
    level: float,
) -> None:
    """No light is negative: where it would be, a little of it is wanted."""
    for channel in range(3):
        rows = around[around @ light[:, channel] < LEAST * level]
        wish = 1 / (FIRM * level) ** 2
        own = slice(channel, None, 3)
        left[own, own] += wish * rows.T @ rows
        right[own] += wish * LEAST * level * rows.sum(axis=0)
