from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from meshlam_core.model.config import preset
from meshlam_core.model.describe import describe
from meshlam_core.model.network import MeshLAM
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_photo, tiny_preset


def test_the_parameters_are_those_of_the_network_itself() -> None:
    info = describe(preset("small"))
    assert info.parameters == sum(p.numel() for p in MeshLAM(preset("small")).parameters())


def test_the_flops_are_those_that_torch_counts_when_the_network_runs() -> None:
    sizes = tiny_preset()
    network = MeshLAM(sizes).eval().requires_grad_(False)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(tiny_photo(), TINY_RIG)
    info = describe(sizes, len(TINY_HEAD.template))
    parsing = next(part.flops for part in info.parts if part.name == "head parsing")
    # the rasteriser's and the skinning's few matrix products are not the network's
    assert info.flops - parsing == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_flops_of_the_loop_grow_with_vertices_and_iterations() -> None:
    small = preset("small")
    costs = {part.name: part.flops for part in describe(small, 5000).parts}
    double = {part.name: part.flops for part in describe(small, 10000).parts}
    assert double["geometry GRU"] == 2 * costs["geometry GRU"]
    assert double["backbone"] == costs["backbone"]
    one, three = (
        {part.name: part.flops for part in describe(small.with_changes(iterations=rounds), 5000).parts}
        for rounds in (1, 3)
    )
    assert three["error features"] == 3 * one["error features"]
    for name in ("texture GRU", "geometry GRU"):  # the first round has no memory yet
        assert three[name] - costs[name] == costs[name] - one[name] > one[name]


def test_the_backbones_have_their_published_costs() -> None:
    """MobileNetV2 without its head: 0.30 G multiply-adds at 224 px less the last layers; ViT-L: 304 M parameters."""
    small = describe(preset("small").with_changes(backbone_size=224)).parts[0]
    assert small.flops / 2 == pytest.approx(0.28e9, rel=0.05)
    assert describe(preset("paper")).parts[0].parameters == 304_372_736


def test_the_table_has_a_row_for_each_part_and_a_total() -> None:
    lines = describe(preset("small")).table().splitlines()
    assert len(lines) == 12
    assert lines[-1].startswith("total")
