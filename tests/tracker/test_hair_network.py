"""The packaged hair network and the one it is folded from."""

from __future__ import annotations

import numpy as np
import torch

from meshlam_core.tracker.hair_network import LAYERS, SIDE, HairNetwork, load_hair_network, network_inputs
from training.hair_parser import TrainedHairNetwork, folded


def test_folding_the_batch_normalisation_changes_nothing() -> None:
    torch.manual_seed(0)
    trained = TrainedHairNetwork()
    for module in trained.modules():  # statistics as after training, not the trivial initial ones
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
    trained.eval()
    stored = folded(trained)
    network = HairNetwork(
        {name: torch.from_numpy(stored[f"{name}.weight"].astype(np.float32)) for name in LAYERS},
        {name: torch.from_numpy(stored[f"{name}.bias"]) for name in LAYERS},
    )
    rgb, person, face = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 1, SIDE, SIDE), torch.rand(1, 1, SIDE, SIDE)
    with torch.inference_mode():
        expected = torch.sigmoid(trained(network_inputs(rgb, person, face)))[0, 0].numpy()
    np.testing.assert_allclose(network.predict(rgb, person, face), expected, atol=5e-3)  # half-precision weights


def test_the_packaged_network_finds_no_hair_where_nobody_is() -> None:
    nobody, flat = torch.zeros(1, 1, SIDE, SIDE), torch.full((1, 3, SIDE, SIDE), 0.6)
    assert load_hair_network().predict(flat, nobody, nobody).mean() < 0.1
