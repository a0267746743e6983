"""The open head with hairstyles that are drawn, for tests of what becomes of hair."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from meshlam_core.avatar.record import Avatar
from meshlam_core.head.hair import load_hair_model
from meshlam_core.head.io import load_head
from tests.sample_avatar import make_avatar
from training.hairstyles.procedural import draw, ground_of


@cache
def person(family: str, hidden_ears: float = 1.0, hair_part: bool = False) -> Avatar:
    """Somebody with a hairstyle of that family; `hair_part` says on the mesh what has grown more than 2 mm."""
    head = load_head()
    hair = load_hair_model(head)
    assert hair is not None
    style = draw(np.random.default_rng(3), ground_of(head, hair), family)
    hull = hair.hull(head.template, style.growth, (hidden_ears, hidden_ears))
    moved = (hull - head.template).astype(np.float32)
    parts: dict[str, Any] = {"part": head.part, "parts": head.parts}
    if hair_part:
        grown = np.linalg.norm(moved, axis=1) > 0.002
        parts = {
            "part": np.where(grown, len(head.parts), head.part).astype(np.uint8),
            "parts": (*head.parts, "hair"),
        }
    return make_avatar(
        vertices=hull,
        faces=head.faces,
        uvs=head.uvs,
        uv_faces=head.uv_faces,
        **parts,
        joints=head.joints(head.template),
        weights=head.weights,
        blendshapes=head.blendshapes,
        hair=moved,
    )
