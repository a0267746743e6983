"""Skin tones at a seam: how the head's colours become the body's. Knows no Blender.

Colours are linear Rec. 709, [..., 3]. ΔE is the distance in CIE Lab (D65, CIE 1976).
"""

from __future__ import annotations

import numpy as np

from .loops import F64

_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_MOST = 4.0  # a texture darker than a quarter of the body's is no skin to be brightened


def linear(srgb: F64) -> F64:
    """The inverse of sRGB's curve (IEC 61966-2-1)."""
    return np.asarray(np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4))


def delta_e(first: F64, second: F64) -> F64:  # [N, 3], [N, 3] -> [N]
    """How different two colours look."""
    return np.asarray(np.linalg.norm(_lab(first) - _lab(second), axis=-1))


def ratio(head: F64, body: F64) -> F64:  # [N, 3], [N, 3] -> [N, 3]
    """What the head's colours are to be multiplied by."""
    return np.asarray(np.clip(body / np.maximum(head, 1e-3), 1 / _MOST, _MOST))


def ramp(distance: F64, reach: float) -> F64:  # [N] -> [N], 1 at the seam, 0 from `reach` on
    """A smooth step."""
    t = np.clip(1 - distance / reach, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def _lab(colour: F64) -> F64:
    xyz = np.clip(colour, 0, None) @ _XYZ.T / _XYZ.sum(1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
