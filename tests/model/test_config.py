from __future__ import annotations

import json

import pytest

from meshlam_core.errors import UsageError
from meshlam_core.model.config import from_dict, preset


@pytest.mark.parametrize("name", ["small", "paper"])
def test_a_preset_survives_json(name: str) -> None:
    assert from_dict(json.loads(json.dumps(preset(name).to_dict()))) == preset(name)


def test_the_paper_preset_has_the_published_sizes() -> None:
    paper = preset("paper")
    assert (paper.width, paper.heads, paper.layers, paper.iterations, paper.texture_grid) == (1024, 16, 2, 2, 1024)
    assert paper.backbone_size // 14 == paper.feature_grid == 36


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(UsageError, match=r"small or paper, got 'large'"):
        preset("large")


def test_unknown_missing_and_mistyped_entries_raise() -> None:
    values = preset("small").to_dict()
    with pytest.raises(UsageError, match="unknown entries depth"):
        from_dict(values | {"depth": 3})
    with pytest.raises(UsageError, match="unknown entries depth"):
        preset("small").with_changes(depth=3)
    with pytest.raises(UsageError, match="expected width as int, got '128'"):
        from_dict(values | {"width": "128"})
    with pytest.raises(UsageError, match="expected iterations as int, got True"):
        from_dict(values | {"iterations": True})
    del values["heads"]
    with pytest.raises(UsageError, match="heads missing"):
        from_dict(values)


def test_an_unknown_component_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"reprojection: expected one of unwrap, none, got 'warp'"):
        preset("small").with_changes(reprojection="warp")


@pytest.mark.parametrize("changes", [{"texture_grid": 192}, {"width": 129}, {"iterations": 0}, {"step_scale": -1.0}])
def test_sizes_that_cannot_work_together_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        preset("small").with_changes(**changes)
