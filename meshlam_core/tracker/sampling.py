"""Square, possibly turned regions of a picture, resampled to a network's input size.

Image frame: frames.py (pixel corners at integers). A region may reach outside the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """A square of a picture."""

    centre: tuple[float, float]  # px, (x, y)
    side: float  # px
    roll: float = 0.0  # rad, clockwise as seen: the region's x axis points to (cos roll, sin roll) in the picture

    def moved(self, factor: float) -> Region:
        """The same region on a picture `factor` times as large."""
        return replace(self, centre=(self.centre[0] * factor, self.centre[1] * factor), side=self.side * factor)

    def picture_from_unit(self) -> F64:  # [2, 3]
        """Affine map from the unit square, (0, 0) the region's top-left corner, to the picture."""
        c, s = np.cos(self.roll) * self.side, np.sin(self.roll) * self.side
        x, y = self.centre
        return np.array([[c, -s, x - (c - s) / 2], [s, c, y - (s + c) / 2]])


def sample_region(
    image: U8,  # [H, W, 3]
    region: Region,
    size: int,  # px
    outside: int | None = None,
) -> U8:  # [size, size, 3]
    """Resample a region: area-averaged when it shrinks, bilinear when it grows.

    Outside the picture its edge pixels repeat, or the grey value `outside` stands there.
    """
    matrix = region.picture_from_unit()
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]]) @ matrix.T
    # an integer box filter first, so that the bilinear step never skips pixels
    shrink = max(1, int(region.side / size))
    low = np.floor(corners.min(axis=0) - 2 * shrink).astype(int)
    high = np.ceil(corners.max(axis=0) + 2 * shrink).astype(int)
    patch = Image.fromarray(_cut(image, low, high, outside))
    if shrink > 1:
        patch = patch.reduce(shrink)
    matrix = matrix / size  # picture_from_output pixel
    matrix[:, 2] = (matrix[:, 2] * size - low) / shrink
    matrix[:, :2] /= shrink
    data = tuple(matrix.ravel())
    return np.asarray(patch.transform((size, size), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))


def _cut(image: U8, low: NDArray[np.int_], high: NDArray[np.int_], outside: int | None) -> U8:
    """The axis-aligned box [low, high) of a picture, filled up where it reaches outside."""
    height, width = image.shape[:2]
    x0, y0 = np.clip(low, 0, (width - 1, height - 1))
    x1, y1 = np.clip(high, (x0 + 1, y0 + 1), (width, height))
    inside = image[y0:y1, x0:x1]
    pad = ((y0 - low[1], high[1] - y1), (x0 - low[0], high[0] - x1))
    if not any(side for axis in pad for side in axis):
        return np.ascontiguousarray(inside)
    # a region wholly outside leaves one edge pixel and a negative counterpart; it is all padding anyway
    widths = [(max(0, int(before)), max(0, int(after))) for before, after in pad] + [(0, 0)]
    if outside is None:
        return np.pad(inside, widths, mode="edge")
    return np.pad(inside, widths, constant_values=outside)


def sample_nearest(
    mask: F32,  # [H, W]
    points: NDArray[np.floating],  # [..., 2] px
) -> F32:  # [...] 0 outside
    """The pixel that each point lies in."""
    column, row = np.floor(points[..., 0]).astype(int), np.floor(points[..., 1]).astype(int)
    height, width = mask.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(inside, mask[row.clip(0, height - 1), column.clip(0, width - 1)], np.float32(0))
