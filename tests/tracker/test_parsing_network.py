"""The packaged parsing network and the one it is folded from."""

from __future__ import annotations

from pathlib import Path

import torch

from meshlam_core.tracker.parsing_network import (
    SIDE,
    ParsingNetwork,
    load_parsing_network,
    network_inputs,
    positions,
    predict,
)
from training.parser.learn import store


def inputs(rgb: torch.Tensor, person: float, face: float) -> torch.Tensor:
    size = (1, 1, SIDE, SIDE)
    return network_inputs(rgb, torch.full(size, person), torch.full(size, face), torch.ones(size), positions(SIDE))


def test_stored_and_loaded_again_it_answers_as_the_trained_network_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = ParsingNetwork()
    for module in trained.modules():  # statistics as after training, not the trivial initial ones
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.7, 1.4)
    trained.eval()
    store(trained, tmp_path / "network.npz")
    seen = inputs(torch.rand(1, 3, SIDE, SIDE), 0.7, 0.0)
    expected = predict(trained, seen)
    found = predict(load_parsing_network(tmp_path / "network.npz"), seen)
    assert abs(expected - found).max() < 0.002  # half-precision weights
    assert expected.std() > 0.005


def test_the_packaged_network_finds_no_hair_where_nobody_is() -> None:
    answer = predict(load_parsing_network(), inputs(torch.full((1, 3, SIDE, SIDE), 0.6), 0.0, 0.0))
    assert answer[1].mean() < 0.1


def test_what_lies_outside_of_the_picture_does_not_matter() -> None:
    known = torch.zeros(1, 1, SIDE, SIDE)
    known[..., 64:192, 64:192] = 1
    rgb, mask = torch.rand(1, 3, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE)
    other = torch.where(known > 0, rgb, torch.rand(1, 3, SIDE, SIDE))
    where = positions(SIDE)
    assert torch.equal(
        network_inputs(rgb, mask, mask, known, where), network_inputs(other, mask * known, mask, known, where)
    )
