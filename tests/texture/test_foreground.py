"""Hair along an outline keeps its own colour when the ground behind it has another hue."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from meshlam_core.texture.foreground import without_ground
from meshlam_core.tracker.parsing import Regions

F32 = NDArray[np.float32]

SIDE, SPAN = 256, 128.0
BLUE, BROWN, BLOND = (0.35, 0.5, 0.65), (0.45, 0.3, 0.2), (0.8, 0.7, 0.5)


def _disc(radius: float) -> F32:  # [H, W] distance within it, px; negative outside
    y, x = np.mgrid[0:SIDE, 0:SIDE] - (SIDE - 1) / 2
    return np.asarray(radius - np.hypot(x, y), np.float32)


def _regions(hair: F32, colour: F32) -> Regions:
    nothing = np.zeros_like(hair)
    return Regions(hair, hair, nothing, nothing, np.full(3, 0.6, np.float32), colour, 1.0)


def _cleaned(picture: F32, regions: Regions) -> F32:  # [H, W, 3]
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    return np.asarray(without_ground(image, regions, SPAN)[0].permute(1, 2, 0).numpy())


def _hue(colour: F32) -> F32:
    return np.asarray(colour / colour.sum(axis=-1, keepdims=True), np.float32)


@pytest.mark.parametrize("hair", [BROWN, BLOND])
@pytest.mark.parametrize("mixed", [0.3, 0.6])
def test_ground_between_the_outermost_strands_is_taken_off(hair: tuple[float, ...], mixed: float) -> None:
    inside = _disc(90)
    ground = (1 - (inside / 10).clip(0, 1)) * mixed + (inside < 0) * (1 - mixed)
    picture = np.asarray((1 - ground[..., None]) * np.array(hair) + ground[..., None] * np.array(BLUE), np.float32)
    cleaned = _cleaned(picture, _regions((inside > 0).astype(np.float32), np.array(hair, np.float32)))
    rim = (inside > 2) & (inside < 6)
    own = _hue(np.array(hair, np.float32))
    before, after = (abs(_hue(seen[rim]) - own).max(axis=1).mean() for seen in (picture, cleaned))
    assert after < 0.35 * before
    brighter, was = (abs(p[rim] - np.array(hair)).mean() for p in (cleaned, picture))
    assert brighter < was


def test_shade_gloss_and_dyed_tips_further_inside_stay() -> None:
    inside = _disc(90)
    tone = np.where(inside > 45, 1.4, 1 - 0.6 * np.exp(-((inside - 6) ** 2) / 18))  # gloss, and shade near the rim
    picture = np.asarray(tone[..., None] * np.array(BROWN), np.float32)
    picture[inside < 0] = BLUE
    purple = (inside > 30) & (inside < 36)
    picture[purple] = 0.4, 0.25, 0.5
    cleaned = _cleaned(picture, _regions((inside > 0).astype(np.float32), np.array(BROWN, np.float32)))
    rim = (inside > 3) & (inside < 10)
    assert np.allclose(cleaned[rim], picture[rim], atol=0.02)
    assert np.allclose(cleaned[purple], picture[purple], atol=0.02)
    assert np.allclose(cleaned[inside > 45], picture[inside > 45], atol=0.02)


@pytest.mark.parametrize("ground", [(1.0, 1.0, 1.0), (0.1, 0.1, 0.1)])
def test_hair_of_the_grounds_hue_is_left_alone(ground: tuple[float, ...]) -> None:
    inside = _disc(90)
    picture = np.where(inside[..., None] > 0, np.float32(0.6), np.array(ground, np.float32))
    picture = np.asarray(picture + np.random.default_rng(0).normal(0, 0.02, picture.shape), np.float32).clip(0, 1)
    cleaned = _cleaned(picture, _regions((inside > 0).astype(np.float32), np.full(3, 0.6, np.float32)))
    assert np.allclose(cleaned, picture, atol=0.01)


@pytest.mark.parametrize("hair", [0.0, 1.0])
def test_a_picture_without_hair_or_without_ground_is_the_very_same(hair: float) -> None:
    picture = np.random.default_rng(1).uniform(size=(SIDE, SIDE, 3)).astype(np.float32)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    regions = _regions(np.full((SIDE, SIDE), hair, np.float32), np.array(BROWN, np.float32))
    assert without_ground(image, regions, SPAN) is image
