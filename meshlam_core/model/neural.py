"""`--neural`: the image-space renderer as the viewer sees it, in numpy.

    neural = PortraitRenderer.open(path, head)
    rgba = neural.repaint(rendering, normals, avatar.photo_image)

Image frame; colours sRGB. Dims: H, W rendered image, h, w the avatar's photo crop.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.errors import UsageError
from meshlam_core.head.model import HeadModel
from meshlam_core.model.config import preset
from meshlam_core.model.renderer import NeuralRenderer, RendererSize
from meshlam_core.model.weights import load_weights
from meshlam_core.nets.mobilenet import MobileNet

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

MARGIN = 16  # px around the head that the network may paint
MAX_SIDE = 2048  # px; the first level's features of a larger head would need more than a gigabyte
STYLE_SIZE = 256  # px, side of the portrait that the style is read from


class PortraitRenderer(nn.Module):
    """The UNet with the backbone that reads the style from the portrait."""

    def __init__(self, size: RendererSize | None = None, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone = MobileNet().requires_grad_(False)
            self.renderer = NeuralRenderer(size)
        self.step: int = 2 ** (len(self.renderer.size.widths) - 1)

    @classmethod
    def open(cls, weights: Path, head: HeadModel, device: str = "cpu") -> PortraitRenderer:
        """Load weights; AssetError when they don't belong to this version, preset or head model."""
        renderer = cls()
        load_weights(renderer, preset("small"), head, weights)
        return renderer.eval().to(device)

    def forward(
        self,
        rendering: Tensor,  # [B, 3, H, W] zero beside the head
        mask: Tensor,  # [B, 1, H, W]
        normals: Tensor,  # [B, 3, H, W]
        portrait: Tensor,  # [B, 3, h, w] 0..1
    ) -> tuple[Tensor, Tensor]:  # picture [B, 3, H, W], alpha [B, 1, H, W]
        small = functional.interpolate(portrait, size=(STYLE_SIZE, STYLE_SIZE), mode="bilinear", align_corners=False)
        height, width = rendering.shape[-2:]
        pad = (0, -width % self.step, 0, -height % self.step)
        padded = (functional.pad(image, pad) for image in (rendering, mask, normals))
        picture, alpha = self.renderer(*padded, self.backbone(small)[-1])
        return picture[..., :height, :width], alpha[..., :height, :width]

    @torch.no_grad()
    def repaint(
        self,
        rendering: U8,  # [H, W, 4] RGBA
        normals: F32,  # [H, W, 3] unit, view frame; zero beside the head
        portrait: U8,  # [h, w, 3]
    ) -> U8:  # [H, W, 4] RGBA
        """The picture of one rendering."""
        if rendering.shape[2:] != (4,) or normals.shape != (*rendering.shape[:2], 3):
            raise UsageError(
                f"rendering, normals: expected [H, W, 4] and [H, W, 3], got {rendering.shape} and {normals.shape}."
            )
        box = _head_box(rendering[..., 3])
        if box is None:
            return rendering.copy()
        cut = (slice(box[1], box[3]), slice(box[0], box[2]))
        painted = np.zeros_like(rendering)
        painted[cut] = self._repaint(rendering[cut], normals[cut], portrait)
        return painted

    def _repaint(self, rendering: U8, normals: F32, portrait: U8) -> U8:
        device = next(self.parameters()).device
        colour = _planes(rendering).to(device) / 255
        mask = colour[:, 3:]
        style = _planes(portrait).to(device) / 255
        picture, alpha = self(colour[:, :3] * mask, mask, _planes(normals).to(device), style)
        both = torch.cat([picture, alpha], 1)[0].permute(1, 2, 0)
        result: U8 = (both * 255).round().to(torch.uint8).cpu().numpy()
        return result


def _head_box(alpha: U8) -> tuple[int, int, int, int] | None:  # [H, W] -> px, (x0, y0, x1, y1)
    """What is computed: the head and a margin, not the empty rest of a photo's grid."""
    rows, columns = np.flatnonzero(alpha.max(1)), np.flatnonzero(alpha.max(0))
    if not len(rows):
        return None
    x0, y0 = max(int(columns[0]) - MARGIN, 0), max(int(rows[0]) - MARGIN, 0)
    x1, y1 = min(int(columns[-1]) + 1 + MARGIN, alpha.shape[1]), min(int(rows[-1]) + 1 + MARGIN, alpha.shape[0])
    if max(x1 - x0, y1 - y0) > MAX_SIDE:
        message = f"The neural renderer draws heads of at most {MAX_SIDE} pixels, this one has {max(x1 - x0, y1 - y0)}."
        raise UsageError(message, "Choose a smaller --size.")
    return x0, y0, x1, y1


def _planes(image: F32 | U8) -> Tensor:  # [H, W, C] -> [1, C, H, W]
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None]
