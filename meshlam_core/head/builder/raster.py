"""A small z-buffer in numpy, enough to render the template for the landmark detector and to look at results.

Frame: image frame and camera frame of frames.py. Dims: V vertices, F triangles, H, W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Fragments:
    """What each pixel centre sees."""

    triangle: NDArray[np.int32]  # [H, W], -1 where nothing
    bary: F64  # [H, W, 3] perspective-correct barycentric coordinates
    depth: F64  # [H, W] m, inf where nothing


def rasterise(
    points: F64,  # [V, 3] pixel x, pixel y, depth (> 0), as frames.project returns them
    faces: NDArray[np.integer],  # [F, 3]
    size: tuple[int, int],  # px, (width, height)
) -> Fragments:
    """Nearest triangle at every pixel centre; both sides of a triangle are seen."""
    width, height = size
    triangle = np.full((height, width), -1, np.int32)
    bary = np.zeros((height, width, 3))
    depth = np.full((height, width), np.inf)
    corners = points[faces]  # [F, 3, 3]
    low = np.ceil(corners[..., :2].min(axis=1) - 0.5).astype(int).clip(0)
    high = np.floor(corners[..., :2].max(axis=1) - 0.5).astype(int)
    high = np.minimum(high, [width - 1, height - 1])
    for index in np.flatnonzero((low <= high).all(axis=1)):
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[index]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0:
            continue
        x0, y0 = low[index]
        x1, y1 = high[index] + 1
        x = np.arange(x0, x1) + 0.5
        y = np.arange(y0, y1)[:, None] + 0.5
        wa = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
        wb = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
        wc = 1 - wa - wb
        inverse = wa / az + wb / bz + wc / cz
        inside = (wa >= 0) & (wb >= 0) & (wc >= 0)
        with np.errstate(divide="ignore"):
            z = np.where(inside, 1 / inverse, np.inf)
        nearer = z < depth[y0:y1, x0:x1]
        if nearer.any():
            depth[y0:y1, x0:x1][nearer] = z[nearer]
            triangle[y0:y1, x0:x1][nearer] = index
            weights = np.stack([wa / az, wb / bz, wc / cz], axis=-1)[nearer]
            bary[y0:y1, x0:x1][nearer] = weights / weights.sum(axis=1, keepdims=True)
    return Fragments(triangle, bary, depth)
