from __future__ import annotations

import torch
from torch import nn

from meshlam_core.model.network import MeshLAM
from tests.model.tiny import tiny_preset
from training.backbones import folded


def test_a_folded_backbone_sees_the_same_without_batch_norms() -> None:
    network = MeshLAM(tiny_preset()).eval()
    generator = torch.Generator().manual_seed(0)
    for module in network.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    image = torch.rand(1, 3, 64, 64, generator=generator)
    with torch.no_grad():
        before = network.pooled(image)
        after = folded(network).pooled(image)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.backbone.modules())
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)
