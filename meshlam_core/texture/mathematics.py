"""Formulas that several modules of texture baking use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def smooth_step(x: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high`, smooth in between."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def luminance(
    colour: Tensor,  # [..., 3] sRGB
) -> Tensor:  # [...]
    """Brightness of a gamma-coded colour, with the weights of Rec. 709."""
    return colour @ colour.new_tensor([0.2126, 0.7152, 0.0722])


def depth_inside(
    points: NDArray[np.floating],  # [N, 2] px
    ring: NDArray[np.float64],  # [K, 2] px, closed
) -> NDArray[np.float64]:  # [N] px, distance to the ring's outline, negative outside
    """Signed distance to a polygon."""
    start, end = ring, np.roll(ring, -1, axis=0)
    nearest = np.full(len(points), np.inf)
    inside = np.zeros(len(points), bool)
    for a, b in zip(start, end, strict=True):
        edge, offset = b - a, points - a
        t = np.clip(offset @ edge / max(float(edge @ edge), 1e-12), 0, 1)
        nearest = np.minimum(nearest, ((offset - t[:, None] * edge) ** 2).sum(axis=1))
        crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        rise = b[1] - a[1]
        at = a[0] + (points[:, 1] - a[1]) * edge[0] / (rise if abs(rise) > 1e-12 else 1e-12)
        inside ^= crosses & (points[:, 0] < at)
    distance = np.sqrt(nearest)
    return np.asarray(np.where(inside, distance, -distance))
