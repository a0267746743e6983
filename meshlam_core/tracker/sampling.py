"""Square, possibly turned regions of a picture, resampled to a network's input size.

Image frame: frames.py (pixel corners at integers). A region may reach outside the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.opencv import cv2

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
    shrink = max(1, round(region.side / size))
    low = np.floor(corners.min(axis=0) - 2 * shrink).astype(int)
    high = np.ceil(corners.max(axis=0) + 2 * shrink).astype(int)
    width, height = (high - low) // shrink
    patch = _cut(image, low, low + shrink * np.array([width, height]), outside)
    if shrink > 1:
        patch = cv2.resize(patch, (int(width), int(height)), interpolation=cv2.INTER_AREA)
    matrix[:, 2] -= low
    matrix /= shrink
    matrix[:, :2] /= size  # patch from output
    return warped(patch, matrix, (size, size), cv2.BORDER_REPLICATE)


def _cut(image: U8, low: NDArray[np.int_], high: NDArray[np.int_], outside: int | None) -> U8:
    """The axis-aligned box [low, high) of a picture, filled up where it reaches outside."""
    height, width = image.shape[:2]
    x0, y0 = np.clip(low, 0, (width - 1, height - 1))
    x1, y1 = np.clip(high, (x0 + 1, y0 + 1), (width, height))
    inside = image[y0:y1, x0:x1]
    pad = ((y0 - low[1], high[1] - y1), (x0 - low[0], high[0] - x1))
    if not any(side for axis in pad for side in axis):
        return inside
    # a region wholly outside leaves one edge pixel and a negative counterpart; it is all padding anyway
    top, bottom, left, right = (max(0, int(side)) for axis in pad for side in axis)
    kind = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    return np.asarray(cv2.copyMakeBorder(inside, top, bottom, left, right, kind, value=(outside or 0,) * 3))


def warped(
    picture: U8,  # [h, w] or [h, w, C]
    matrix: NDArray[np.floating],  # [2, 3] px, picture from output
    size: tuple[int, int],  # px, (height, width) of the output
    border: int,  # OpenCV's, what stands beyond the picture
) -> U8:  # [*size] or [*size, C]
    """Bilinear samples of a picture."""
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV's pixels have their centres at integers
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, centred, size[::-1], flags=flags, borderMode=border))


def resized(
    values: F32,  # [h, w] smooth at the size it shrinks to
    size: tuple[int, int],  # px, (height, width)
) -> F32:  # [*size]
    """The same values at other pixels, bilinear."""
    if values.shape == size:
        return values
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR))


def sample_nearest(
    mask: F32,  # [H, W]
    points: NDArray[np.floating],  # [..., 2] px
) -> F32:  # [...] 0 outside
    """The pixel that each point lies in."""
    column, row = np.floor(points[..., 0]).astype(int), np.floor(points[..., 1]).astype(int)
    height, width = mask.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(inside, mask[row.clip(0, height - 1), column.clip(0, width - 1)], np.float32(0))
