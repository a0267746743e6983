"""Head parsing from the backbone's features: which pixel is skin, hair, neck, clothes, something worn, or background.

The texture, the silhouette and the losses need it. A light feature pyramid (Lin et al. 2017) on the levels that the
backbone computes anyway. Dims: B batch, c channels of a level, h finest level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = ("background", "skin", "hair", "neck", "clothes", "other")  # other: glasses, hats, hands, ...
WIDTH = 48


class ParsingHead(nn.Module):
    """Levels -> class logits at the resolution of the finest level."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(c, WIDTH, 1) for c in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH) for _ in widths)
        self.classify = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, len(CLASSES), 1))

    def forward(
        self,
        levels: list[Tensor],  # [B, c, h, h], fine first
    ) -> Tensor:  # [B, 6, h, h] logits
        maps = [layer(level) for layer, level in zip(self.project, levels, strict=True)]
        x = self.smooth[-1](maps[-1])
        for level, smooth in zip(maps[-2::-1], list(self.smooth)[-2::-1], strict=True):
            x = functional.interpolate(x, size=level.shape[-2:], mode="bilinear", align_corners=False)
            x = functional.relu(smooth(x + level))
        logits: Tensor = self.classify(x)
        return logits


def class_weights(
    logits: Tensor,  # [B, 6, h, h]
    size: int,
) -> Tensor:  # [B, 6, size, size] probabilities
    """Probabilities at the size of an image."""
    enlarged = functional.interpolate(logits.float(), size=(size, size), mode="bilinear", align_corners=False)
    return torch.softmax(enlarged, 1)
