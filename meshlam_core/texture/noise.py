"""Fine detail for texels that no photo shows: skin grain and combed hair, both fixed and seeded.

Frame: avatar frame (see frames.py), metres. Dims: P texels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.texture.hair_look import HairLook
from meshlam_core.tracker.ramps import ramp

F32 = NDArray[np.float32]

SEED = 20260422
GRAIN_TILE = 256  # texels after which the grain repeats
# strand noise: cells around the crown and along a strand of long hair, for each of a look's bands
STRAND_OCTAVES = ((620, 22), (310, 16), (150, 11), (64, 8), (30, 6))
BEND = 0.05  # m around the skull's middle, over which hair begins to fall
FALL = 0.8  # share of the way down that is no way inwards
LENGTH = 0.3  # m of it that count as half a turn over the skull
SHORT, SHORTER = (0.012, 0.03), 1.5  # m of growth between which hair is long; how many times more short strands end
COMBED, TOUSLED = 0.85, 2.5  # order from which strands keep together; how many times more they end without any
SLENDER = 3.5  # of a strand's length to its width, at least
CROWN_TILT = np.radians(32.0)  # the whorl lies behind the top of the head
WAVE = 0.04  # rad, by which strands wander sideways


def skin_grain(
    texel: Tensor,  # [P] int64, row * size + column
    size: int,
) -> Tensor:  # [P] zero mean, unit variance
    """Band-limited noise in texture space; too fine for its break at a seam to show."""
    noise = np.random.default_rng(SEED).standard_normal((GRAIN_TILE, GRAIN_TILE))
    frequency = np.hypot(np.fft.fftfreq(GRAIN_TILE)[:, None], np.fft.fftfreq(GRAIN_TILE)[None, :])
    band = np.exp(-((frequency / 0.22) ** 2)) - 0.9 * np.exp(-((frequency / 0.03) ** 2))
    tile = np.fft.ifft2(np.fft.fft2(noise) * band).real
    grain = torch.from_numpy((tile / tile.std()).astype(np.float32))
    return grain[(texel // size) % GRAIN_TILE, (texel % size) % GRAIN_TILE]


def strands(
    points: Tensor,  # [P, 3] on the surface of the hair, m
    centre: Tensor,  # [3] middle of the skull, m
    growth: float,  # m, of the hair
    look: HairLook,
) -> Tensor:  # [P] zero mean, about unit variance, without outliers
    """Noise drawn out along the lines that run from the crown and then fall, so that it reads as combed hair.

    Its coordinates are the angle around the crown's axis and the way from it, so no UV seam shows.
    """
    rng = np.random.default_rng(SEED + 1)
    around, away = around_crown(points, centre)
    sway = polar_noise(rng, around, away, 9, 7) + 0.5 * polar_noise(rng, around, away, 40, 16)
    # short and tousled strands end sooner
    sooner = (1 + SHORTER * (1 - ramp(growth, *SHORT))) * (1 + TOUSLED * (1 - ramp(look.order, 0.0, COMBED)))
    around = around + WAVE / (2 * np.pi) * sway
    total = torch.zeros(len(points))
    for (cells, rows), spread in zip(STRAND_OCTAVES, look.bands, strict=True):
        total += spread * polar_noise(rng, around, away * min(sooner, cells / rows / SLENDER), cells, rows)
    return (total / total.std().clamp_min(1e-6)).clamp(-2.2, 2.2)


def around_crown(
    points: Tensor,  # [P, 3] m
    centre: Tensor,  # [3] middle of the skull, m
) -> tuple[Tensor, Tensor]:  # [P] turns, -0.5..0.5; [P] 0 at the crown and rising
    """Coordinates of hair that is combed away from the crown: the angle around it, and the way from it and down."""
    axis = torch.tensor([0.0, np.cos(CROWN_TILT), -np.sin(CROWN_TILT)], dtype=torch.float32)
    side = torch.tensor([1.0, 0.0, 0.0])
    front = torch.linalg.cross(side, axis)
    offset = points - centre
    drop = (torch.hypot(offset[:, 1], torch.tensor(BEND)) - offset[:, 1]) / 2
    offset[:, 1] += FALL * drop  # below the middle lines hardly converge any more: hair falls
    ray = functional.normalize(offset, dim=1)
    around = torch.atan2(ray @ side, ray @ front) / (2 * np.pi)
    return around, (torch.acos((ray @ axis).clamp(-1, 1)) / np.pi + drop / LENGTH) / 2


def polar_noise(
    rng: np.random.Generator,
    around: Tensor,  # [P] turns; whole turns are the same place
    away: Tensor,  # [P] >= 0; repeats itself from 1 on
    cells: int,  # per turn
    rows: int,  # from 0 to 1
) -> Tensor:  # [P] zero mean, about unit variance at the cells' middles
    """Smooth noise on a disc or a sphere in polar coordinates, without a break where the circle closes."""
    noise = rng.standard_normal((rows, cells)).astype(np.float32)
    table = torch.from_numpy(np.pad(noise, 1, mode="wrap"))[None, None]
    column, row = (torch.remainder(x, 1.0) * n + 1.0 for x, n in ((around, cells), (away, rows)))
    grid = torch.stack([2 * column / (cells + 2) - 1, 2 * row / (rows + 2) - 1], -1)[None, None]
    return functional.grid_sample(table, grid, padding_mode="border", align_corners=False)[0, 0, 0]
