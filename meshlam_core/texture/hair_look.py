"""What the hair in a photo looks like, so that hair which it does not show can look the same.

How much its brightness varies in strands of five widths, and how well these keep together. Image frame of the crop (see
frames.py). Dims: H, W rows and columns of the crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from meshlam_core.opencv import cv2
from meshlam_core.tracker.ramps import ramp

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

STEP = 0.5e-3  # m between the pixels that are looked at
WIDTHS = (0.25e-3, 0.5e-3, 1e-3, 2e-3, 4.5e-3, 9e-3)  # m: standard deviations between which each band lies
PURE = 0.9  # of the mask, where hair is sure
EDGE = 4e-3  # m, by which its outline is kept away from
LEAST = 4e-4  # m^2 of hair that tell its look
LIFT = 0.03  # of a coded brightness, added so that the noise of dark hair counts little
STRANDS = (1.0, 1.0, 1.0, 0.85, 0.5)  # what of each band is strands: the wider, the more of it is light on the head
SOFTEST = 0.6  # of the usual spreads: a coarse or blurred photo shows less than there is
NORMAL = 1.48  # times the median of the amounts is the standard deviation
ORDERLY, SLEEK = 1.2, (0.03, 0.11)  # strength * (ORDERLY - order) of combed and of tousled hair
AROUND = 5e-3  # m, over which strands keep together or do not


@dataclass(frozen=True)
class HairLook:
    """The look of hair, fine strands first."""

    bands: tuple[float, ...] = (0.05, 0.055, 0.06, 0.065, 0.045)  # [5] standard deviations of the logarithm
    order: float = 0.65  # 0..1, coherence of the structure tensor: tousled to combed

    @property
    def strength(self) -> float:
        """Standard deviation of all of them."""
        return float(np.linalg.norm(self.bands))

    @property
    def looseness(self) -> float:  # 0..1
        """How far hair is from being sleek: strands of different brightness that run in different ways."""
        return ramp(self.strength * (ORDERLY - self.order), *SLEEK)


def look_of(
    crop: U8,  # [H, W, 3] sRGB
    hair: F32,  # [H, W] 0..1
    pixel: float,  # m on the head
) -> HairLook:
    """Measured where hair is sure; the usual look (medians of sharp portraits) where too little of it shows."""
    factor = pixel / STEP
    size = (max(1, round(crop.shape[1] * factor)), max(1, round(crop.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    sure = (np.asarray(cv2.resize(hair, size, interpolation=cv2.INTER_AREA)) > PURE).view(np.uint8)
    rows, columns = (np.flatnonzero(sure.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return HairLook()
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), size, interpolation=how)[part]
    sure = sure[part]
    inside = cv2.erode(sure, np.ones((2 * round(EDGE / STEP) + 1,) * 2, np.uint8)).view(bool)
    if inside.sum() * STEP**2 < LEAST:
        return HairLook()
    weight = sure.astype(np.float32)
    light = np.log(np.asarray(grey, np.float32) / 255 + LIFT) * weight

    def smooth(width: float) -> F32:
        blurred, share = (cv2.GaussianBlur(picture, (0, 0), width / STEP) for picture in (light, weight))
        return np.asarray(blurred / np.maximum(share, 1e-3), np.float32)

    levels = [smooth(width) for width in WIDTHS]
    bands = [(fine - coarse)[inside] for fine, coarse in pairwise(levels)]
    spreads = np.array([NORMAL * float(np.median(np.abs(band - np.median(band)))) for band in bands]) * STRANDS
    softest = SOFTEST * np.array(HairLook.bands)
    return HairLook(tuple(np.maximum(spreads, softest).tolist()), _order(levels[1], inside))


def _order(light: F32, inside: NDArray[np.bool_]) -> float:
    """Median coherence of the structure tensor: 1 where all strands run one way."""
    down, right = np.gradient(light)
    products = (right * right, right * down, down * down)
    xx, xy, yy = (cv2.GaussianBlur(np.where(inside, p, 0).astype(np.float32), (0, 0), AROUND / STEP) for p in products)
    total = np.maximum(xx + yy, 1e-9)
    return float(np.median((np.hypot(xx - yy, 2 * xy) / total)[inside]))
