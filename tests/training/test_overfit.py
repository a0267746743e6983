from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meshlam_core.model.network import MeshLAM
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_preset
from training import overfit
from training.overfit import VARIANTS, Outcome, measure, remembered, run_variant, table
from training.synthetic.waves import SyntheticSettings, make_sample


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_and_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overfit, "small_preset", tiny_preset)
    sample = make_sample(TINY_HEAD, TINY_RIG, 2, SyntheticSettings(image_size=48, texture_size=32, views=1), 0)
    before = measure("before", MeshLAM(tiny_preset(**VARIANTS[name])), sample, TINY_RIG)
    after = run_variant(name, sample, TINY_RIG, 12)
    assert after.vertex_error < before.vertex_error or name == "no part-aware clip"
    assert (after.fixed_error > 0) == (name == "no part-aware clip")
    assert after.head_psnr < after.photo_psnr  # the background, which nobody has to learn, dilutes it
    page = table(before, [after], 12, "python -m training.overfit")
    assert "| before | " in page
    assert f"| {name} |" in page


def test_a_wrong_outline_costs_decibels_although_the_shared_pixels_agree() -> None:
    settings = SyntheticSettings(image_size=48, texture_size=32, views=1)
    sample = make_sample(TINY_HEAD, TINY_RIG, 1, settings, 0)
    assert sample.vertices is not None
    assert sample.texture is not None
    network = MeshLAM(tiny_preset())
    right = replace(sample, photo=replace(sample.photo, vertices=sample.vertices, texture=sample.texture))
    wrong = replace(right, photo=replace(right.photo, vertices=right.photo.vertices * 1.05))
    good, bad = measure("right", network, right, TINY_RIG), measure("wrong", network, wrong, TINY_RIG)
    assert good.overlap == 1 > bad.overlap
    assert bad.head_psnr < bad.photo_psnr < good.photo_psnr
    assert bad.head_psnr < bad.shared_psnr


def test_what_a_former_run_has_learnt_is_not_learnt_again(tmp_path: Path) -> None:
    outcome = Outcome("full", 31.0, 26.0, 40.0, 30.0, 0.99, 0.5, 0.0, 600.0)
    assert remembered(tmp_path / "new", "full", 3, 2, lambda: outcome) == outcome

    def again() -> Outcome:
        raise AssertionError

    assert remembered(tmp_path / "new", "full", 3, 2, again) == outcome
    with pytest.raises(AssertionError):  # other steps are another result
        remembered(tmp_path / "new", "full", 4, 2, again)
