"""The square part of the photo that holds the head: hair, face and some neck.

Image frame: frames.py. The crop may reach outside the photo, where the photo's edge goes on, more and more blurred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from meshlam_core.tracker.landmarks import face_span
from meshlam_core.tracker.points import CHIN, FOREHEAD
from meshlam_core.tracker.types import Detection

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

SIDE = 2.3  # crop side / face height: long hair and the neck down to the collar
RISE = 0.06  # how far the crop's centre lies above the face's, in face heights: hair needs more room than the neck


@dataclass(frozen=True)
class Crop:
    """A square box of the photo in native pixels, on whole pixels."""

    x0: int
    y0: int
    side: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1)."""
        return self.x0, self.y0, self.x0 + self.side, self.y0 + self.side


def head_crop(detection: Detection) -> Crop:
    """The square around the whole head of a detected face."""
    points = detection.landmarks
    width = max(detection.box[2] - detection.box[0], detection.box[3] - detection.box[1])
    height = max(face_span(points), width)
    up = points[FOREHEAD, :2] - points[CHIN, :2]
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    middle = np.array([detection.box[0] + detection.box[2], detection.box[1] + detection.box[3]]) / 2
    centre = middle + up * RISE * height
    side = max(2, round(SIDE * height))
    return Crop(int(np.floor(centre[0] - side / 2)), int(np.floor(centre[1] - side / 2)), side)


def cut_crop(
    pixels: U8,  # [H, W, C] or [H, W], working pixels
    crop: Crop,  # native pixels
    scale: float,  # working pixels per native pixel
    size: int,  # px, side of the result
) -> U8:  # [size, size, C] or [size, size]
    """Resample the crop to a size; outside the photo the edge repeats, blurred towards the far side."""
    height, width = pixels.shape[:2]
    box = np.array(crop.box, dtype=np.float64) * scale
    low = np.floor(box[:2]).astype(int)
    high = np.ceil(box[2:]).astype(int)
    x0, y0 = np.clip(low, 0, (width - 1, height - 1))
    x1, y1 = np.clip(high, (x0 + 1, y0 + 1), (width, height))
    pad = [(max(0, y0 - low[1]), max(0, high[1] - y1)), (max(0, x0 - low[0]), max(0, high[0] - x1))]
    part = np.pad(pixels[y0:y1, x0:x1], pad + [(0, 0)] * (pixels.ndim - 2), mode="edge")
    window = tuple((box.reshape(2, 2) - low).ravel())
    small = Image.fromarray(part).resize((size, size), Image.Resampling.LANCZOS, window, 3.0)
    if pixels.ndim == 3 and any(side for axis in pad for side in axis):
        small = _blur_outside(small, box, (width, height))
    return np.array(small)


def _blur_outside(image: Image.Image, box: NDArray[np.float64], photo: tuple[int, int]) -> Image.Image:
    """Streaks of repeated edge pixels look like hair to a network: smooth them away from the photo's border."""
    size = image.size[0]
    grid = (np.arange(size) + 0.5) * (box[2] - box[0]) / size
    beyond = [np.maximum(np.maximum(-(grid + box[k]), grid + box[k] - photo[k]), 0) for k in (0, 1)]
    distance = np.maximum(beyond[0][None, :], beyond[1][:, None]) / (box[2] - box[0])
    strength = np.clip(distance / 0.04, 0, 1)
    mask = Image.fromarray((strength * 255 + 0.5).astype(np.uint8))
    return Image.composite(image.filter(ImageFilter.GaussianBlur(size / 40)), image, mask)
