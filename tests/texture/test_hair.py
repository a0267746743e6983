"""Hair on the hull: what no photo shows of it is still hair, and skin stays skin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meshlam_core.head.model import HeadModel
from meshlam_core.texture.atlas import Atlas
from meshlam_core.tracker.types import HairHull
from tests.texture.conftest import SKIN, Portrait

DARK = np.array([0.12, 0.08, 0.06], np.float32)


def _haired(portrait: Portrait, grown: np.ndarray, head: HeadModel) -> Portrait:
    """The portrait with dark hair, all of it hidden from the camera, on the vertices `grown` [V]."""
    outwards = head.template - head.template[grown].mean(axis=0)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    displacement = (0.02 * grown[:, None] * outwards).astype(np.float32)
    hull = HairHull(displacement, np.zeros(0, np.float32), (0.0, 0.0))
    regions = replace(portrait.regions, hair_colour=DARK, hair_share=1.0)
    return replace(portrait, tracked=replace(portrait.tracked, hair=hull), regions=regions)


def _around_ears(head: HeadModel) -> np.ndarray:
    """[V] bool the vertices within 3 cm of the ears."""
    ears = head.part == head.parts.index("ears")
    distance = np.linalg.norm(head.template[:, None] - head.template[ears][None, ::7], axis=2).min(axis=1)
    return (distance < 0.03) & ~ears


def test_an_ear_amid_hair_is_hair_though_the_photo_does_not_show_it(
    turned: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    around = _around_ears(head)
    scalp = head.part == head.parts.index("scalp")
    albedo = _haired(turned, around | scalp, head).bake(head).photo.reshape(-1, 3) / 255
    rows = atlas.rows_of("ears").numpy()
    seen = turned.texture.seen.reshape(-1)[atlas.uv_map.texel.numpy()]
    unknown = (seen[rows] < 20) & (seen[atlas.mirror_texel.numpy()[rows]] < 20)  # neither it nor its mirror image
    hidden = albedo[atlas.uv_map.texel.numpy()[rows[unknown]]]
    assert len(hidden) > 200
    assert (np.abs(hidden - SKIN).max(axis=1) < 0.15).mean() < 0.05


def test_an_ear_below_short_hair_stays_skin(turned: Portrait, head: HeadModel, atlas: Atlas) -> None:
    scalp = head.part == head.parts.index("scalp")
    albedo = _haired(turned, scalp, head).bake(head).photo.reshape(-1, 3) / 255
    ears = albedo[atlas.uv_map.texel.numpy()[atlas.rows_of("ears").numpy()]]
    assert (np.abs(np.median(ears, axis=0) - SKIN) < 0.15).all()
