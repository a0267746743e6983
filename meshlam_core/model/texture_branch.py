"""Texture branch: a grid of learnable tokens aligned with the UV layout looks at the photo, and a DPT-style decoder
(Ranftl et al. 2021) lifts it to the texture latent F_a and the first texture (MeshLAM, sec. dual branches).

Rows run from the top of the texture. Dims: B batch, M image tokens, C channels, g token grid, G latent grid, S texture.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.model.attention import CrossAttention
from meshlam_core.model.config import Preset


class ResidualUnit(nn.Module):
    """DPT's residual convolution unit: two 3x3 convolutions before the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> the same
        result: Tensor = x + self.second(functional.relu(self.first(functional.relu(x))))
        return result


class TextureDecoder(nn.Module):
    """Tokens of several depths -> latent. Deeper tokens enter first, at the coarsest resolution."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        doublings = (preset.latent_grid // preset.token_grid).bit_length() - 1
        widths = [preset.latent_width * min(2 ** (doublings - i), 4) for i in range(doublings + 1)]
        self.reassemble = nn.ModuleList(
            nn.Conv2d(preset.width, widths[min(i, doublings)], 1) for i in range(preset.layers)
        )
        self.units = nn.ModuleList(ResidualUnit(width) for width in widths)
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in itertools.pairwise(widths))

    def forward(
        self,
        depths: list[Tensor],  # layers x [B, C, g, g], shallow first
    ) -> Tensor:  # [B, latent_width, G, G]
        waiting = [layer(x) for layer, x in zip(self.reassemble, reversed(depths), strict=True)]
        x = waiting.pop(0)
        for i, unit in enumerate(self.units):
            if i > 0:
                # narrowing before the upsampling commutes with it and costs a quarter
                x = functional.interpolate(self.narrow[i - 1](x), scale_factor=2, mode="bilinear", align_corners=False)
            if waiting and (i > 0 or len(self.units) == 1):
                x = x + functional.interpolate(waiting.pop(0), size=x.shape[-2:], mode="bilinear", align_corners=False)
            x = unit(x)
        latent: Tensor = x
        return latent


class TextureBranch(nn.Module):
    """(F_a, T_0) from the learnable tokens; T_0 is a correction of the start texture, zero before training."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.grid = preset.token_grid
        self.tokens = nn.Parameter(0.02 * torch.randn(preset.token_grid**2, preset.width))
        self.decoder = TextureDecoder(preset)
        self.to_colour = nn.Conv2d(preset.latent_width, 3 * preset.latent_stride**2, 3, padding=1)
        self.stride = preset.latent_stride
        nn.init.zeros_(self.to_colour.weight)
        nn.init.zeros_(self.to_colour.bias)  # type: ignore[arg-type]

    def forward(
        self,
        image: Tensor,  # [B, M, C] tokens of F_I
        attention: CrossAttention,  # shared with the shape branch
        start: Tensor,  # [B, 3, S, S] 0..1, the tracker's texture
    ) -> tuple[Tensor, Tensor]:  # F_a [B, latent_width, G, G], T_0 [B, 3, S, S]
        depths = attention(self.tokens[None].expand(len(image), -1, -1), image)
        latent = self.decoder([t.transpose(1, 2).unflatten(2, (self.grid, self.grid)) for t in depths])
        return latent, start + functional.pixel_shuffle(self.to_colour(latent), self.stride)
