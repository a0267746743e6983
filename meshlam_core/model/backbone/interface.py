"""What every backbone offers, and the fusion of its depths into the one feature map F_I that the branches attend to.

Dims: B batch, H image side, c channels of a level, C token width, g feature grid.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.model.encoding import grid_encoding


class Backbone(Protocol):
    """Multi-scale features of a photo."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, fine or shallow first."""

    def __call__(
        self,
        image: Tensor,  # [B, 3, H, H] sRGB 0..1
    ) -> list[Tensor]:  # levels x [B, c, h, h]
        ...


class Fusion(nn.Module):
    """F_I: every level 1x1-projected, brought to one grid, concatenated and fused to C.

    [ours] Levels are normalised over their channels first, because their sizes differ by orders of magnitude, and
    positions are added, because convolutions hardly know them.
    """

    def __init__(self, widths: tuple[int, ...], grid: int, width: int) -> None:
        super().__init__()
        self.grid = grid
        inner = width // len(widths)
        self.project = nn.ModuleList(nn.Conv2d(c, inner, 1) for c in widths)
        self.fuse = nn.Conv2d(inner * len(widths), width, 1)
        self.widths = widths

    def pool(
        self,
        levels: list[Tensor],  # levels x [B, c, h, h]
    ) -> Tensor:  # [B, sum of c, g, g]
        """What of the levels is used; nothing here is learnt, so that training can keep it."""
        return torch.cat([_to_grid(_unit(level), self.grid) for level in levels], 1)

    def forward(
        self,
        pooled: Tensor,  # [B, sum of c, g, g]
        masks: Tensor | None = None,  # [B, C, g, g] tokens of the masks, where the preset looks at them
    ) -> Tensor:  # [B, g * g, C]
        # a 1x1 projection and averaging may change places: averaged first, it costs least
        levels = pooled.split(self.widths, 1)  # type: ignore[no-untyped-call]
        maps = [layer(level) for layer, level in zip(self.project, levels, strict=True)]
        fused = self.fuse(torch.cat(maps, 1))
        fused = (fused if masks is None else fused + masks).flatten(2).transpose(1, 2)
        tokens: Tensor = fused + grid_encoding(self.grid, self.grid, fused.shape[-1], fused)
        return tokens


def _unit(level: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the channels of each pixel."""
    return functional.layer_norm(level.permute(0, 2, 3, 1), level.shape[1:2]).permute(0, 3, 1, 2)


def _to_grid(level: Tensor, grid: int) -> Tensor:
    if level.shape[-1] >= grid:
        return functional.adaptive_avg_pool2d(level, grid)
    return functional.interpolate(level, size=(grid, grid), mode="bilinear", align_corners=False)
