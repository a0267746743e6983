"""The optional image-space renderer: a StyleGAN-like UNet that turns the rasterised head into a photo-like picture.

MeshLAM adds it on top of the mesh for images only (+2 dB PSNR in the paper); the avatar itself never needs it.
All that it reads can be had from a saved avatar: the rendering, and a style from the photo crop that it carries.
[ours] The style modulates every convolution as in StyleGAN2 (Karras et al. 2020, sec. 2.2); the picture starts as the
rendering itself, because the last layer is zero before training.

Image frame; colours sRGB 0..1. Dims: B batch, H image side (a multiple of 2^depth), c channels, Z style.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.errors import UsageError

BESIDE = 4  # channels beside the colours: mask, normals


@dataclass(frozen=True)
class RendererSize:
    """Widths of the UNet."""

    widths: tuple[int, ...] = (32, 64, 96, 128)  # channels per resolution, full size first
    style: int = 128
    features: int = 320  # channels of the backbone level that gives the style
    colours: int = 3  # channels of the rendering; where it has more, the first three are its colours


class ModulatedConv(nn.Module):
    """A 3x3 convolution whose input channels are scaled by the style, and whose outputs keep unit variance."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / (3 * inputs**0.5))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = nn.Linear(style, inputs)
        nn.init.zeros_(self.scale.weight)
        nn.init.ones_(self.scale.bias)

    def forward(
        self,
        x: Tensor,  # [B, inputs, H, W]
        style: Tensor,  # [B, Z]
    ) -> Tensor:  # [B, outputs, H, W]
        scale = self.scale(style)  # [B, inputs]
        # scaling inputs and dividing outputs equals modulating the weights and needs no convolution per sample
        energy = torch.einsum("oikl,bi->bo", self.weight.square(), scale.square())
        out = functional.conv2d(x * scale[:, :, None, None], self.weight, padding=1)
        return out * (energy + 1e-8).rsqrt()[:, :, None, None] + self.bias[:, None, None]


class NeuralRenderer(nn.Module):
    """UNet on [rendering, mask, normals], modulated by a style; gives the picture and its alpha."""

    def __init__(self, size: RendererSize | None = None) -> None:
        super().__init__()
        size = size or RendererSize()
        self.size = size
        widths, style = size.widths, size.style
        self.to_style = nn.Sequential(nn.Linear(size.features, style), nn.GELU(), nn.Linear(style, style))
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in zip((size.colours + BESIDE, *widths), widths, strict=False)
        )
        self.middle = ModulatedConv(widths[-1], widths[-1], style)
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(ModulatedConv(coarse + fine, fine, style) for coarse, fine in pairs)
        self.to_image = nn.Conv2d(widths[0], 4, 1)
        nn.init.zeros_(self.to_image.weight)
        nn.init.zeros_(self.to_image.bias)  # type: ignore[arg-type]

    def forward(
        self,
        rendering: Tensor,  # [B, colours, H, H] zero beside the head
        mask: Tensor,  # [B, 1, H, H] 0..1
        normals: Tensor,  # [B, 3, H, H] view frame, zero beside the head
        features: Tensor,  # [B, c, h, h] deepest backbone level of the portrait
    ) -> tuple[Tensor, Tensor]:  # picture [B, 3, H, H] 0..1, alpha [B, 1, H, H] 0..1
        step = 2 ** (len(self.size.widths) - 1)
        if rendering.shape[-1] % step or rendering.shape[-2] % step:
            raise UsageError(f"rendering: expected sides of a multiple of {step} px, got {tuple(rendering.shape)}.")
        style = self.to_style(features.mean((2, 3)))
        x = torch.cat([rendering, mask, normals], 1)
        levels = []
        for i, layer in enumerate(self.down):
            x = functional.silu(layer(x if i == 0 else functional.avg_pool2d(x, 2)))
            levels.append(x)
        x = functional.silu(self.middle(levels.pop(), style))
        for layer in self.up:
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = functional.silu(layer(torch.cat([x, levels.pop()], 1), style))
        change = self.to_image(x)
        picture = (rendering[:, :3] + change[:, :3]).clamp(0, 1)
        return picture, (mask + change[:, 3:]).clamp(0, 1)
