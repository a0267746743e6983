from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.head.model import HeadModel
from meshlam_core.skin.model import GAMMA, SIDE, layout_hash
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.folds import (
    GROUPS,
    FoldModel,
    find_folds,
    fold_model,
    lid_folds,
    load_fold_model,
    save_fold_model,
    without_folds,
)
from meshlam_core.texture.lids import spread_by_blink
from meshlam_core.tracker.pose import posed_vertices
from tests.texture.conftest import Portrait

U8 = NDArray[np.uint8]
SIZE = 512
TONE = (200, 150, 130)


@pytest.fixture(scope="module")
def known(head: HeadModel) -> FoldModel:
    found = fold_model(head)
    assert found is not None
    return found


def _expression(head: HeadModel, **active: float) -> NDArray[np.float32]:
    values = np.zeros(len(head.blendshape_names), np.float32)
    for name, value in active.items():
        values[head.blendshape_names.index(name)] = value
    return values


def _lined(known: FoldModel, places: NDArray[np.bool_]) -> tuple[U8, NDArray[np.bool_]]:
    """Plain skin with dark lines at some of the face's texels, and where those are."""
    mask = np.zeros(SIDE * SIDE, bool)
    mask[known.texel[places]] = True
    mask = np.kron(mask.reshape(SIDE, SIDE), np.ones((2, 2), bool))
    texture = np.full((SIZE, SIZE, 3), TONE, np.uint8)
    texture[mask] = np.array(TONE) * 6 // 10
    return texture, mask


def _smile_lines(known: FoldModel) -> NDArray[np.bool_]:
    """The darkest folds of a smile."""
    smile = known.mean[list(GROUPS).index("smile")]
    return np.asarray(smile < np.quantile(smile, 0.01))


def test_the_lines_of_a_smile_leave_the_texture(head: HeadModel, known: FoldModel) -> None:
    texture, mask = _lined(known, _smile_lines(known))
    smiling = _expression(head, mouthSmileLeft=0.9, mouthSmileRight=0.9)
    rested = without_folds(texture, find_folds(texture, smiling, head))
    before, after = (np.median(picture[mask]) for picture in (texture, rested))
    plain = np.median(TONE)
    assert plain - after < 0.6 * (plain - before)


def test_what_was_taken_out_comes_back_with_the_folds(head: HeadModel, known: FoldModel) -> None:
    texture, _ = _lined(known, _smile_lines(known))
    folds = find_folds(texture, _expression(head, mouthSmileLeft=0.9, mouthSmileRight=0.5), head)
    opposite = [(256 - fold.picture.astype(int)).clip(0, 255).astype(np.uint8) for fold in folds]
    back = tuple(replace(fold, picture=picture) for fold, picture in zip(folds, opposite, strict=True))
    again = without_folds(without_folds(texture, folds), back).astype(int)
    assert np.abs(again - texture).max() <= 3
    (smile,) = folds
    assert smile.keys == ("mouthSmileLeft", "mouthSmileRight")
    assert smile.at == pytest.approx(0.7)


def test_lines_elsewhere_are_the_persons_own(head: HeadModel, known: FoldModel) -> None:
    elsewhere = (known.spread == 0).all(axis=0)
    texture, mask = _lined(known, elsewhere & (np.arange(len(known.texel)) % 40 == 0))
    smiling = _expression(head, mouthSmileLeft=0.9, mouthSmileRight=0.9, eyeSquintLeft=0.5)
    rested = without_folds(texture, find_folds(texture, smiling, head))
    assert np.abs(rested[mask].astype(int) - texture[mask]).mean() < 2


def test_a_smile_of_one_side_leaves_the_other_as_it_is(head: HeadModel, known: FoldModel) -> None:
    texture, _ = _lined(known, _smile_lines(known))
    (fold,) = find_folds(texture, _expression(head, mouthSmileLeft=0.9), head)
    side = fold.picture.shape[0] // SIDE  # its texels beside those of the model
    blocks = np.abs(fold.logarithm).max(axis=2).reshape(SIDE, side, SIDE, side)
    moved = blocks.mean(axis=(1, 3)).reshape(-1)[known.texel]
    assert moved[known.left > 0.99].max() > 0.2
    assert moved[known.left < 0.01].max() == 0


def test_the_thin_line_at_the_bottom_of_a_fold_goes_with_it(head: HeadModel, known: FoldModel) -> None:
    """It is finer than what is known of people's folds. Such a line elsewhere, a scar, is the person's own."""
    texture, mask = _lined(known, _smile_lines(known))
    elsewhere = (known.spread == 0).all(axis=0) & (np.arange(len(known.texel)) % 40 == 0)
    scars = _lined(known, elsewhere)[1]
    lines = np.zeros_like(mask)
    lines[::2, ::2] = True  # a fourth of each of the model's texels
    texture[mask & lines] = np.array(TONE) * 5 // 10
    texture[scars & lines] = np.array(TONE) * 8 // 10
    rested = without_folds(
        texture, find_folds(texture, _expression(head, mouthSmileLeft=0.9, mouthSmileRight=0.9), head)
    )
    before, after = (np.median(TONE) - np.median(picture[mask & lines]) for picture in (texture, rested))
    assert after < 0.6 * before
    assert np.abs(rested[scars & lines].astype(int) - texture[scars & lines]).mean() < 2


def test_a_face_at_rest_keeps_its_lines(head: HeadModel, known: FoldModel) -> None:
    texture, _ = _lined(known, _smile_lines(known))
    assert find_folds(texture, _expression(head, jawOpen=0.5), head) == ()
    assert without_folds(texture, ()) is texture


def test_a_head_with_the_open_heads_layout_loses_the_same_lines(
    head: HeadModel, flame_head: HeadModel, known: FoldModel
) -> None:
    texture, _ = _lined(known, _smile_lines(known))
    ours, other = (find_folds(texture, _expression(model, mouthSmileLeft=0.8), model) for model in (head, flame_head))
    assert [fold.name for fold in other] == ["smile"]
    np.testing.assert_array_equal(without_folds(texture, other), without_folds(texture, ours))


def test_a_head_with_another_layout_keeps_its_lines(head: HeadModel, known: FoldModel) -> None:
    other = replace(head, uvs=head.uvs * np.float32(0.5))
    texture, _ = _lined(known, _smile_lines(known))
    assert find_folds(texture, _expression(head, mouthSmileLeft=0.9), other) == ()


def test_the_model_comes_back_from_its_file(head: HeadModel, known: FoldModel, tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        save_fold_model(known, layout_hash(head), tmp_path / name, {})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    back = load_fold_model(layout_hash(head), tmp_path / "one.npz")
    assert back is not None
    np.testing.assert_allclose(back.mean, known.mean, atol=1e-6)
    np.testing.assert_allclose(back.rest_spread, known.rest_spread, rtol=1e-4)


def test_a_damaged_file_is_named(head: HeadModel, tmp_path: Path) -> None:
    path = tmp_path / "folds.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(AssetError, match=r"folds\.npz is not readable"):
        load_fold_model(layout_hash(head), path)


def test_a_blink_turns_what_shows_of_an_open_eyes_lid_into_a_bare_lid(
    frontal: Portrait, head: HeadModel, atlas: Atlas
) -> None:
    texture, lids = frontal.texture.photo.copy(), frontal.texture.lids
    assert lids is not None
    part = atlas.at_texels(lids[:, 3:])[:, 0].numpy() * atlas.skin.numpy() * (1 - atlas.lash_line.numpy())
    own = atlas.places.numpy()[part > 0.95]
    assert len(own) > 100  # an open eye hides its lid
    streaks = np.random.default_rng(0).uniform(0.3, 1, (len(own), 1))
    texture.reshape(-1, 3)[own] = texture.reshape(-1, 3)[own] * streaks
    left, right = lid_folds(texture, lids[:, :3], lids[:, 3], head, atlas)
    assert (left.keys, right.keys) == (("eyeBlinkLeft",), ("eyeBlinkRight",))
    factor = np.exp((left.logarithm + right.logarithm).reshape(-1, 3)[own] / GAMMA)
    blinking = texture.reshape(-1, 3)[own] * factor
    tone = 255 * np.median(lids[:, :3].numpy(), axis=0)
    assert np.abs(np.median(blinking, axis=0) / tone - 1).max() < 0.05
    off = [np.abs(np.log(colour.mean(axis=1) / tone.mean())) for colour in (texture.reshape(-1, 3)[own], blinking)]
    assert np.median(off[1]) < np.median(off[0]) / 5
    off_lids = np.ones(texture.size // 3, bool)
    off_lids[atlas.places.numpy()[atlas.lids.numpy() > 0]] = False
    assert (left.picture.reshape(-1, 3)[off_lids] == 128).all()


def test_lids_that_the_photo_shows_shut_need_no_fold(frontal: Portrait, head: HeadModel, atlas: Atlas) -> None:
    shut = replace(frontal.tracked, expression=_expression(head, eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    open_eyes = spread_by_blink(frontal.tracked, posed_vertices(frontal.tracked, head), atlas.lid_vertices, head)
    closed = spread_by_blink(shut, posed_vertices(shut, head), atlas.lid_vertices, head)
    lids = torch.from_numpy(head.part == head.parts.index("eyelids"))
    assert float(open_eyes[lids].mean()) > 2 * float(closed[lids].mean())
