"""LPIPS: how different two pictures look (Zhang et al., "The unreasonable effectiveness of deep features", CVPR 2018).

A network trained on ImageNet sees both pictures; its features of five depths, made unit vectors at each place, are
compared channel by channel with learned weights. AlexNet is the usual yardstick, VGG16 the usual loss. Differentiable.

Dims: B batch, H, W rows and columns. Pictures are sRGB in 0..1.
Weights: an .npz of convolutions `convN.weight` [out, in, k, k], `convN.bias` and heads `linearN` [C].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures in -1..1


@dataclass(frozen=True)
class Layout:
    """Where a network pools and what it shows of itself. Numbers are those of the convolutions."""

    strides: tuple[int, ...]
    paddings: tuple[int, ...]
    pool: int  # side; always of stride 2
    pooled: tuple[int, ...]  # convolutions with a pool before them
    shown: tuple[int, ...]  # convolutions after whose ReLU the features are taken


LAYOUTS = {
    5: Layout((4, 1, 1, 1, 1), (2, 2, 1, 1, 1), 3, (1, 2), (0, 1, 2, 3, 4)),  # AlexNet
    13: Layout((1,) * 13, (1,) * 13, 2, (2, 4, 7, 10), (1, 3, 6, 9, 12)),  # VGG16
}


class Lpips(nn.Module):
    """The distance of two batches of pictures."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        count = sum(name.startswith("conv") and name.endswith(".weight") for name in weights)
        if count not in LAYOUTS:
            raise ValueError(f"LPIPS weights: expected 5 (AlexNet) or 13 (VGG16) convolutions, got {count}.")
        self._layout = LAYOUTS[count]
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "_"), value.float())
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])

    @classmethod
    def open(cls, path: Path) -> Lpips:
        """Read the weights; FileNotFoundError where there are none."""
        with np.load(path, allow_pickle=False) as stored:
            return cls({name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored.files})

    def forward(
        self,
        first: Tensor,  # [B, 3, H, W] 0..1
        second: Tensor,  # [B, 3, H, W] 0..1
    ) -> Tensor:  # [B] 0 for equal pictures
        distances = []
        for index, (a, b) in enumerate(zip(self._features(first), self._features(second), strict=True)):
            head = self.get_buffer(f"linear{index}")[:, None, None]
            distances.append(((_unit(a) - _unit(b)).square() * head).sum(1).mean((1, 2)))
        return torch.stack(distances).sum(0)

    def _features(self, picture: Tensor) -> list[Tensor]:
        x = (picture * 2 - 1 - self.get_buffer("shift")) / self.get_buffer("scale")
        layout, shown = self._layout, []
        for index in range(len(layout.strides)):
            if index in layout.pooled:
                x = functional.max_pool2d(x, layout.pool, 2)
            weight, bias = self.get_buffer(f"conv{index}_weight"), self.get_buffer(f"conv{index}_bias")
            x = functional.relu(functional.conv2d(x, weight, bias, layout.strides[index], layout.paddings[index]))
            if index in layout.shown:
                shown.append(x)
        return shown


def _unit(features: Tensor) -> Tensor:
    """Of length 1 at each place, as the reference does it: without a trap at zero for the gradient."""
    return features / (features.square().sum(1, keepdim=True).add(1e-20).sqrt() + 1e-10)
