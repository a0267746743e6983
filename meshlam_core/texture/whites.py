"""The white of the eyes in a photo: a colour that is the same for all people, more or less.

Image frame of the crop (see frames.py). Colours are sRGB 0..1. Dims: L landmarks, N pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.points import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from meshlam_core.texture.mathematics import depth_inside

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

WIDE = 0.2  # height / width of the lids' opening from which its white is read
BEYOND = 1.2  # radii of the iris from its centre
INSIDE = 0.25  # of the opening's half height, to the lids: their shade and lashes
FEW = 12  # pixels
SHARP = 26.0  # px, width of an eye from which its white is more than a mixture with lids and lashes
BRIGHTNESS = (0.5, 0.9)  # quantiles between which the white is averaged: darker is shade, brighter a reflection


def white_of_eyes(
    crop: U8,  # [H, W, 3]
    landmarks: F32,  # [L, 2] px
) -> F64 | None:  # [3]
    """The mean of both eyes; None where they hardly show it."""
    found = [
        pixels
        for ring, iris in ((LEFT_EYE, LEFT_IRIS), (RIGHT_EYE, RIGHT_IRIS))
        if len(
            pixels := _white(crop, landmarks[ring].astype(np.float64), landmarks[iris : iris + 5].astype(np.float64))
        )
    ]
    pixels = np.concatenate(found) if found else np.zeros((0, 3))
    if len(pixels) < FEW:
        return None
    light = pixels.mean(axis=1)
    low, high = np.quantile(light, BRIGHTNESS)
    return np.asarray(pixels[(light >= low) & (light <= high)].mean(axis=0))


def _white(crop: U8, ring: F64, iris: F64) -> F64:  # [N, 3]
    width = float(np.linalg.norm(ring[0] - ring[8]))
    height = float(np.linalg.norm(ring[4] - ring[12]))
    if height < WIDE * width or width < SHARP:
        return np.zeros((0, 3))
    x0, y0 = np.floor(ring.min(axis=0)).astype(int).clip(0)
    x1, y1 = np.ceil(ring.max(axis=0)).astype(int) + 1
    part = crop[y0:y1, x0:x1]
    rows, columns = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] + 0.5
    at = np.stack([columns.ravel(), rows.ravel()], axis=1)
    radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
    beside = np.linalg.norm(at - iris[0], axis=1) > BEYOND * radius
    return np.asarray(part.reshape(-1, 3)[beside & (depth_inside(at, ring) > INSIDE * height / 2)] / 255.0)
