"""MobileNetV2 (Sandler et al. 2018, table 2) as a feature extractor: the backbone of preset `small`.

Module names follow torchvision's state dict, so that its ImageNet checkpoint loads unchanged:
    python -m meshlam_core.nets.mobilenet mobilenet_v2-b0353104.pth mobilenet_v2.safetensors
Dims: B batch, H image side, c channels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.errors import AssetError
from meshlam_core.nets.imagenet import normalise

# expansion, output channels, blocks, stride of the first block
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM = 32
TAPS = (3, 6, 13, 17)  # last layers at strides 4, 8, 16 and 32
WIDTHS = (24, 32, 96, 320)
FEATURES = 1280
CLASSES = 1000


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow without a non-linearity."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_conv(inputs, inner, 1)]
        layers += [_conv(inner, inner, 3, stride, groups=inner), nn.Conv2d(inner, outputs, 1, bias=False)]
        self.conv = nn.Sequential(*layers, nn.BatchNorm2d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class MobileNet(nn.Module):
    """Levels at strides 4, 8, 16 and 32. Batch statistics stay those of ImageNet, in training too."""

    def __init__(self, depth: int = TAPS[-1]) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, STEM, 3, 2)]
        inputs = STEM
        for expansion, outputs, blocks, stride in BLOCKS:
            for i in range(blocks):
                layers.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion))
                inputs = outputs
        self.features = nn.Sequential(*layers[: depth + 1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # untrained features keep their size from layer to layer
                nn.init.kaiming_normal_(module.weight)
        self.train(False)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the levels."""
        return WIDTHS

    def forward(
        self,
        image: Tensor,  # [B, 3, H, H] sRGB 0..1
    ) -> list[Tensor]:  # 4 x [B, c, H / stride, H / stride]
        x = normalise(image).contiguous(memory_format=torch.channels_last)
        levels = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in TAPS:
                levels.append(x)
        return levels

    def train(self, mode: bool = True) -> MobileNet:
        """Batch norm keeps its statistics: batches of a few heads would spoil them."""
        del mode
        super().train(False)
        return self

    def load_imagenet(self, path: Path) -> None:
        """Start from ImageNet: a safetensors file made by this module's command."""
        from safetensors.torch import load_file

        try:
            values = load_file(path)
        except Exception as error:  # safetensors raises its own type, OSError and ValueError alike
            raise AssetError(f"The backbone weights {path} are not a readable safetensors file: {error}.") from error
        own = {name: value for name, value in values.items() if name in self.state_dict()}
        missing = sorted(set(self.state_dict()) - set(own))
        if missing:
            raise AssetError(f"The backbone weights {path}: expected MobileNetV2, {missing[0]} is missing.")
        self.load_state_dict(own)


class MobileNetClassifier(nn.Module):
    """The whole ImageNet classifier; used only to check a checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        trunk = MobileNet()
        self.features = nn.Sequential(*trunk.features, _conv(WIDTHS[-1], FEATURES, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(FEATURES, CLASSES))
        self.eval()

    def forward(
        self,
        image: Tensor,  # [B, 3, 224, 224] sRGB 0..1
    ) -> Tensor:  # [B, 1000] logits
        x = functional.adaptive_avg_pool2d(self.features(normalise(image)), 1).flatten(1)
        logits: Tensor = self.classifier(x)
        return logits


def convert(source: Path, target: Path) -> None:
    """torchvision's checkpoint to safetensors, read without running any code that it may carry."""
    from safetensors.torch import save_file

    values: Mapping[str, Tensor] = torch.load(source, map_location="cpu", weights_only=True)
    MobileNetClassifier().load_state_dict(values)  # refuses any other network
    kept = OrderedDict((name, value.contiguous()) for name, value in sorted(values.items()))
    save_file(kept, target, metadata={"network": "mobilenet_v2", "source": source.name})


if __name__ == "__main__":
    import sys

    convert(Path(sys.argv[1]), Path(sys.argv[2]))
