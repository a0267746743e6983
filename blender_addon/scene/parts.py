"""Which surface a part of the head has: the material slots, in the order in which every head gets them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SKIN, EYES, TEETH, MOUTH, LASHES = "Skin", "Eyes", "Teeth", "Mouth", "Lashes"
SURFACES = (SKIN, EYES, TEETH, MOUTH, LASHES)

# The first word found in a part's name decides; what matches none is skin. "eyelid" and "eyelash" come before "eye".
_WORDS = (
    ("lash", LASHES),
    ("eyelid", SKIN),
    ("socket", SKIN),
    ("brow", SKIN),
    ("tongue", MOUTH),
    ("mouth", MOUTH),
    ("gum", MOUTH),
    ("teeth", TEETH),
    ("tooth", TEETH),
    ("eye", EYES),
)


def surface_of(part: str) -> str:
    """The surface of a part by its name, e.g. "left eyeball" -> "Eyes"."""
    lowered = part.lower()
    return next((surface for word, surface in _WORDS if word in lowered), SKIN)


def surface_of_faces(
    faces: NDArray[np.int32],  # [F, 3]
    part: NDArray[np.uint8],  # [V] index into parts
    parts: tuple[str, ...],
) -> NDArray[np.int32]:  # [F] index into SURFACES
    """Each triangle's surface: that of the majority of its corners, of the first corner where all differ."""
    surface = np.array([SURFACES.index(surface_of(name)) for name in parts], dtype=np.int32)
    corners = surface[part[faces]]  # [F, 3]
    return np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0])
