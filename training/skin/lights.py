"""Lights as photos have them, as a Gaussian: drawn from environment maps as the synthetic photographs are.

Frame: avatar frame. An irradiance of 1 shows an albedo as it is. Dims: C = 9 harmonics.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.skin.fit import LightPrior
from meshlam_core.skin.harmonics import COUNT, LOBE, basis, even_directions
from training.synthetic.light import load_light, turned

F64 = NDArray[np.float64]

DRAWN = 4000
SEED = 20261125
FLASH = (0.4, 0.5)  # how often a lamp near the camera helps, and how much of the light it is
UPWARDS = np.array([0.0, 0.29, 0.957])  # where that lamp stands
LEVEL = (np.log(0.85), 0.25)  # mean and spread of the exposure, in the logarithm
BALANCE = (0.6, 1.0)  # how much of the light's colour the camera takes out
BACKLIT = 0.75  # of the mean light that must at least fall on the face: such photos are thrown away
ODD = (3, 4, 7)  # harmonics that change their sign in a mirror


def light_prior(data: Path) -> LightPrior:
    """Mean and covariance of lights, the same for left and right."""
    rng = np.random.default_rng(SEED)
    maps = [load_light(path) for path in sorted((data / "light").glob("*.npy"))]
    around = even_directions(400)
    facing = basis(around[around[:, 2] > 0.6])
    drawn: list[F64] = []
    while len(drawn) < DRAWN:
        light = turned(maps[rng.integers(len(maps))], rng.uniform(0, 2 * np.pi))
        found = light.harmonics + np.outer(_lamp(light.direction), light.sun)
        if rng.random() < FLASH[0]:
            found = (1 - FLASH[1]) * found + FLASH[1] * np.outer(_lamp(UPWARDS), np.ones(3))
        arriving = (facing @ found).mean(axis=0)
        if arriving.mean() < BACKLIT * 0.282095 * found[0].mean():
            continue
        white = arriving / arriving.mean()
        level = np.exp(rng.normal(*LEVEL)) / arriving.mean()
        drawn.append(np.asarray(found * level / white ** rng.uniform(*BALANCE)).ravel())
    return symmetric(np.stack(drawn))


def symmetric(lights: F64) -> LightPrior:  # [N, 27]
    """The moments of lights and of their mirror images."""
    sign = np.ones((COUNT, 3))
    sign[list(ODD)] = -1
    both = np.concatenate([lights, lights * sign.ravel()])
    return LightPrior(both.mean(axis=0), np.cov(both.T) + 1e-4 * np.eye(3 * COUNT))


def _lamp(direction: F64) -> F64:  # [3] -> [9]
    """The irradiance of a small light, 1 / pi of what falls on a surface that faces it."""
    return np.asarray(basis(direction[None])[0] * LOBE / np.pi)
