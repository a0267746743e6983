"""What lenses, sensors and files do to a picture.

Colours sRGB. Dims: H rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

GREY = np.array([0.3, 0.59, 0.11], np.float32)


@dataclass(frozen=True)
class Grade:
    """What a picture's colours went through, without what it lost: that another view is coloured alike."""

    contrast: float  # exponent
    gain: F32  # [3]
    tint: F32 | None  # [3] of a grey picture

    def __call__(self, colours: F32) -> F32:  # [..., 3] 0..1 -> the same
        """Other colours, graded."""
        graded = colours ** np.float32(self.contrast) * self.gain
        return np.asarray(graded if self.tint is None else (graded @ GREY)[..., None] * self.tint, np.float32)


def spoiled(image: F32, rng: np.random.Generator) -> tuple[U8, Grade]:  # [H, H, 3] 0..1 -> the same in bytes
    """Contrast, colour, few pixels, blur, low light, noise, grey, JPEG: each now and then."""
    size = image.shape[0]
    contrast, tint = float(np.exp(rng.normal(0, 0.12))), None
    image = image ** np.float32(contrast)
    gain = np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    image = image * gain
    if rng.random() < 0.25:
        small = int(size * rng.uniform(0.3, 0.9))
        image = cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.8)))
    if rng.random() < 0.05:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        kernel[np.arange(length), np.arange(length) if rng.random() < 0.5 else length // 2] = 1 / length
        image = cv2.filter2D(image, -1, kernel)
    level = 0.01 * rng.exponential(1.0)
    if rng.random() < 0.1:  # low light
        dark = np.float32(rng.uniform(0.35, 0.8))
        image, gain, level = image * dark, gain * dark, level + 0.03
    if rng.random() < 0.06:
        tint = np.array([1, 1, 1] if rng.random() < 0.7 else [1.05, 0.98, 0.85], np.float32)
        image = (image @ GREY)[..., None] * tint
    noise = rng.standard_normal((size, size, 3), dtype=np.float32)
    pixels = ((image + np.float32(level) * noise) * 255 + 0.5).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(25, 92))
        packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        pixels = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(pixels), Grade(contrast, gain, tint)
