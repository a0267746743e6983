"""Hairstyles: real meshes and procedural ones, and the basis that is made from them.

`sample` and `named_styles` give hairstyles in growth space (meshlam_core/head/hair.py says what that is);
`meshes.load_mesh` gives surfaces as they are, to test against. What is held out of the basis is named in procedural.py.
"""

from training.hairstyles.families import FAMILIES
from training.hairstyles.meshes import MESHES, TrueHair, figure, load_mesh
from training.hairstyles.procedural import (
    HELD_OUT_FAMILIES,
    HELD_OUT_MESHES,
    Hairstyle,
    mirrored,
    named_styles,
    sample,
)

__all__ = [
    "FAMILIES",
    "HELD_OUT_FAMILIES",
    "HELD_OUT_MESHES",
    "MESHES",
    "Hairstyle",
    "TrueHair",
    "figure",
    "load_mesh",
    "mirrored",
    "named_styles",
    "sample",
]
