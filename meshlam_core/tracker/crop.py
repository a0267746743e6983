"""The part of the photo that holds the head: hair, face and some neck.

Image frame: frames.py. A crop never reaches outside the photo, so it need not be square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from meshlam_core.files.images import Photo
from meshlam_core.frames import Camera
from meshlam_core.points import CHIN, FOREHEAD
from meshlam_core.tracker.landmarks import face_span
from meshlam_core.tracker.types import Detection, TrackedFace

U8 = NDArray[np.uint8]

SIDE = 3.0  # crop side / face height: hair down to the shoulders, and hair two heads wide
RISE = 0.06  # how far the crop's centre lies above the face's, in face heights: hair needs more room than the neck
MAX_SIDE = 2000  # px; a head that fills it gives the face about one photo pixel a texel of a 1024 texture


@dataclass(frozen=True)
class Crop:
    """A box of the photo in native pixels, on whole pixels."""

    x0: int
    y0: int
    width: int
    height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1)."""
        return self.x0, self.y0, self.x0 + self.width, self.y0 + self.height


@dataclass(frozen=True)
class HeadPicture:
    """The crop's pixels and the camera that sees just them."""

    crop: Crop
    pixels: U8  # [H, W, 3] sRGB
    alpha: U8 | None  # [H, W] 255 where the photo is opaque
    camera: Camera


def cut_head(photo: Photo, tracked: TrackedFace) -> HeadPicture:
    """The part of the photo around a tracked head, at no more than the photo's resolution."""
    crop = head_crop(tracked.detection, photo.native_size)
    factor = min(photo.scale, MAX_SIDE / max(crop.width, crop.height))
    size = (max(1, round(crop.width * factor)), max(1, round(crop.height * factor)))
    alpha = None if photo.alpha is None else cut_crop(photo.alpha, crop, photo.scale, size)
    seen = tracked.camera.cropped(crop.x0, crop.y0, crop.width, crop.height).scaled(factor)
    camera = Camera(seen.focal, seen.centre, size)
    return HeadPicture(crop, cut_crop(photo.pixels, crop, photo.scale, size), alpha, camera)


def head_crop(
    detection: Detection,
    photo: tuple[int, int],  # px, (width, height) of the native photo
) -> Crop:
    """A square around the whole head of a detected face, as far as the photo reaches."""
    points = detection.landmarks
    width = max(detection.box[2] - detection.box[0], detection.box[3] - detection.box[1])
    height = max(face_span(points), width)
    up = points[FOREHEAD, :2] - points[CHIN, :2]
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    middle = np.array([detection.box[0] + detection.box[2], detection.box[1] + detection.box[3]]) / 2
    centre = middle + up * RISE * height
    side = max(2, round(SIDE * height))
    low = np.floor(centre - side / 2).astype(int)
    x0, y0 = np.clip(low, 0, np.array(photo) - 1)
    x1, y1 = np.clip(low + side, (x0 + 1, y0 + 1), photo)
    return Crop(int(x0), int(y0), int(x1 - x0), int(y1 - y0))


def cut_crop(
    pixels: U8,  # [H, W, C] or [H, W], working pixels
    crop: Crop,  # native pixels
    scale: float,  # working pixels per native pixel
    size: tuple[int, int],  # px, (width, height) of the result
) -> U8:  # [height, width, C] or [height, width]
    """Resample the crop to a size."""
    box = tuple(side * scale for side in crop.box)
    whole = (round(box[2] - box[0]), round(box[3] - box[1]))
    if whole == size and all(side == round(side) for side in box):
        x0, y0 = int(box[0]), int(box[1])
        return np.ascontiguousarray(pixels[y0 : y0 + size[1], x0 : x0 + size[0]])
    # OpenCV's averages are faster, but keep 0.78 of the squared gradient (docs/benchmarks/opencv.md)
    bounds = (max(box[0], 0), max(box[1], 0), min(box[2], pixels.shape[1]), min(box[3], pixels.shape[0]))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, bounds, 3.0))
