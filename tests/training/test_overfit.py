from __future__ import annotations

import pytest

from meshlam_core.model.network import MeshLAM
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_preset
from training import overfit
from training.overfit import VARIANTS, measure, run_variant, table
from training.synthetic import SyntheticSettings, make_sample


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_and_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overfit, "small_preset", tiny_preset)
    sample = make_sample(TINY_HEAD, TINY_RIG, 2, SyntheticSettings(image_size=48, texture_size=32, views=1), 0)
    before = measure("before", MeshLAM(tiny_preset(**VARIANTS[name])), sample, TINY_RIG)
    after = run_variant(name, sample, TINY_RIG, 12)
    assert after.vertex_error < before.vertex_error or name == "no part-aware clip"
    assert (after.fixed_error > 0) == (name == "no part-aware clip")
    page = table(before, [after], 12, "python -m training.overfit")
    assert "| before | " in page
    assert f"| {name} |" in page
