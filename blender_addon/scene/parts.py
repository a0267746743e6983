"""Which surface a part of the head has: the material slots, in the order in which every head gets them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SKIN, EYES, TEETH, MOUTH, LASHES, HAIR = "Skin", "Eyes", "Teeth", "Mouth", "Lashes", "Hair"
SURFACES = (SKIN, EYES, TEETH, MOUTH, LASHES, HAIR)
HAIR_THICKNESS = 0.002  # m: a hull closer to the skull than this is a shaved or bald scalp

# The first word found in a part's name decides; what matches none is skin. "eyelid" and "eyelash" come before "eye".
_WORDS = (
    ("hair", HAIR),
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
    hair: NDArray[np.float32] | None = None,  # [V, 3] m, the hull's displacement
) -> NDArray[np.int32]:  # [F] index into SURFACES
    """Each triangle's surface: that of the majority of its corners, of the first corner where all differ.

    Where no part is called hair, it is the scalp that the hull lifts by more than HAIR_THICKNESS.
    """
    surface = np.array([SURFACES.index(surface_of(name)) for name in parts], dtype=np.int32)
    of_vertex = surface[part]  # [V]
    if hair is not None and HAIR not in {surface_of(name) for name in parts}:
        scalp = np.array(["scalp" in name.lower() for name in parts])
        of_vertex[scalp[part] & (np.linalg.norm(hair, axis=1) > HAIR_THICKNESS)] = SURFACES.index(HAIR)
    corners = of_vertex[faces]  # [F, 3]
    return np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0])
