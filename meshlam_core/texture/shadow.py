"""Shadows that something casts onto a face: a brim, the nose, a branch, the head itself in the sun.

Their borders are finer than any smooth light, and skin may be dark by itself. But beards, brows and lips are about the
same on both sides of a face, and moles are small: what is darker than the model's person *and* than all that lies
around the same place of the other side, on more than a few millimetres, is a shadow. A Wiener filter whose noise is the
person's own lopsidedness says how far.

Layout: the skin's texels, whose columns are mirrored about the middle one. Differences are logarithms of coded colours.
Dims: h rows, w columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.opencv import cv2

F32 = NDArray[np.float32]

MOLE = 7  # texels of about 1.3 mm: what is smaller and dark is the person's
ASTRAY = 3  # of these texels: how far the two sides may lie apart from being mirrored
LOPSIDED = 0.06  # of the logarithm: how far the sides of a face differ by themselves
WINDOW, SHARP = 5, 0.002  # texels, and variance of the logarithm, from which a border follows the photo's
FAR = np.float32(9.0)  # of the logarithm: beyond all differences


def cast_shadow(
    grey: F32,  # [h, w] how much brighter than the model has it
    known: NDArray[np.bool_],  # [h, w] where that is
) -> F32:  # [h, w] at most 0
    """The light that is missing in shadows."""
    calm = _closed(grey, known)
    other = np.where(known, calm, FAR)[:, ::-1]
    other = cv2.erode(np.ascontiguousarray(other), np.ones((ASTRAY, ASTRAY), np.uint8))
    beside = np.where(other < FAR / 2, calm - other, 0)
    dark = np.minimum(np.maximum(calm, beside), 0) * known
    return np.asarray(dark**3 / (dark**2 + LOPSIDED**2), np.float32)


def _closed(grey: F32, known: NDArray[np.bool_]) -> F32:
    """Without dark spots."""
    spot = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (MOLE, MOLE))
    bright = cv2.dilate(np.where(known, grey, -FAR).astype(np.float32), spot)
    return np.asarray(cv2.erode(np.where(bright > -FAR / 2, bright, FAR).astype(np.float32), spot), np.float32)


def along_borders(
    light: F32,  # [h, w]
    guide: F32,  # [h, w] logarithm of the photo's brightness
    weight: F32,  # [h, w] where that is known
) -> F32:  # [h, w, 2] factor of the guide and what is added to it
    """The light as a function of the photo's brightness around every place (guided filter, He et al. 2010)."""
    size = (WINDOW, WINDOW)
    parts = np.stack([guide, light, guide * light, guide * guide], axis=2) * weight[..., None]
    total = cv2.blur(weight, size)[..., None]
    g, p, gp, gg = np.moveaxis(cv2.blur(parts, size) / np.maximum(total, 1e-4), 2, 0)
    factor = (gp - g * p) / (gg - g * g + SHARP)
    both = np.stack([factor, p - factor * g], axis=2) * weight[..., None]
    return np.asarray(cv2.blur(both, size) / np.maximum(total, 1e-4), np.float32)
