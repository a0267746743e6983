"""What a preset costs: parameters and floating-point operations by part, without running or allocating it.

The parts are built on torch's meta device. FLOPs are those of matrix products and convolutions, a multiplication and
an addition being two; each weight of a layer works once per token or pixel, and attention adds its two products.
DINOv2 is computed from its published sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from meshlam_core.model.attention import CrossAttention
from meshlam_core.model.backbone.dinov2 import PATCH
from meshlam_core.model.backbone.interface import Fusion
from meshlam_core.model.config import Preset
from meshlam_core.model.error_features import Unwrap
from meshlam_core.model.gru import ConvGruCell, GeometryGru, TextureGru
from meshlam_core.model.parsing_head import ParsingHead
from meshlam_core.model.shape_branch import ShapeBranch
from meshlam_core.model.texture_branch import TextureBranch
from meshlam_core.nets.mobilenet import MobileNet

# ViT-L/14 with 4 registers, trained at 518 px: width, blocks, MLP ratio, extra tokens, position grid
DINO_WIDTH, DINO_BLOCKS, DINO_RATIO, DINO_EXTRA, DINO_GRID = 1024, 24, 4, 5, 37


@dataclass(frozen=True)
class PartCost:
    """One part of the network."""

    name: str
    parameters: int
    flops: int  # for one photo; loop parts over all iterations
    frozen: bool = False


@dataclass(frozen=True)
class PresetInfo:
    """The whole network."""

    preset: Preset
    vertices: int
    parts: tuple[PartCost, ...]

    @property
    def parameters(self) -> int:
        """Of all parts."""
        return sum(part.parameters for part in self.parts)

    @property
    def flops(self) -> int:
        """For one photo."""
        return sum(part.flops for part in self.parts)

    def table(self) -> str:
        """Rows for a terminal."""
        lines = [f"{'part':<18}{'parameters':>14}{'GFLOPs':>10}"]
        for part in (*self.parts, PartCost("total", self.parameters, self.flops)):
            note = "  frozen" if part.frozen else ""
            lines.append(f"{part.name:<18}{part.parameters:>14,}{part.flops / 1e9:>10.2f}{note}")
        return "\n".join(lines)


def describe(preset: Preset, vertices: int = 8000) -> PresetInfo:
    """Parameter counts and FLOPs of the full model of a preset, for a head of this many vertices."""
    with torch.device("meta"):
        return PresetInfo(preset, vertices, tuple(_parts(preset, vertices)))


def _parts(preset: Preset, vertices: int) -> list[PartCost]:
    backbone, widths, grids = _backbone(preset)
    attention = CrossAttention(preset.width, preset.heads, preset.layers, preset.mlp_ratio)
    fusion, shape, texture = Fusion(widths, preset.feature_grid, preset.width), ShapeBranch(preset), _texture(preset)
    compare, geometry, painter, parsing = Unwrap(preset), GeometryGru(preset), TextureGru(preset), ParsingHead(widths)
    projected = 2 * _weights(fusion.project) * preset.feature_grid**2
    parsed = sum(
        2 * _weights(layer) * grid**2
        for stage in (parsing.project, parsing.smooth)
        for layer, grid in zip(stage, grids, strict=True)
    )
    error, latent, rounds = (preset.error_size // 2) ** 2, preset.latent_grid**2, preset.iterations
    return [
        backbone,
        _part("fusion", fusion, projected + 2 * _weights(fusion.fuse) * preset.feature_grid**2),
        _part("attention", attention, 0),
        *_mask_tokens(preset),
        _part("shape branch", shape, 2 * _weights(shape) * vertices + _attend(preset, vertices)),
        texture,
        _part("error features", compare, rounds * 2 * _weights(compare) * error),
        _part("geometry GRU", geometry, 2 * vertices * (rounds * _weights(geometry) - geometry.cell.weight_hh.numel())),
        _part("texture GRU", painter, 2 * latent * (rounds * _weights(painter) - _at_zero(painter.cell))),
        _part("head parsing", parsing, parsed + 2 * _weights(parsing.classify) * grids[0] ** 2),
    ]


def _mask_tokens(preset: Preset) -> list[PartCost]:
    """Where the preset looks at the masks."""
    if preset.borders == "none":
        return []
    layer = nn.Conv2d(3, preset.width, 4, 4)
    return [_part("mask tokens", layer, 2 * _weights(layer) * preset.feature_grid**2)]


def _attend(preset: Preset, tokens: int) -> int:
    """FLOPs of the shared layers on this many tokens: query, output and MLP; key and value; the two products."""
    c, image = preset.width, preset.feature_grid**2
    per_layer = tokens * (2 + 2 * preset.mlp_ratio) * c * c + image * 2 * c * c + 2 * tokens * image * c
    return 2 * preset.layers * per_layer


def _texture(preset: Preset) -> PartCost:
    branch = TextureBranch(preset)
    decoder, grid = branch.decoder, preset.token_grid
    flops = _attend(preset, grid**2) + 2 * _weights(branch.to_colour) * preset.latent_grid**2
    flops += 2 * _weights(decoder.reassemble) * grid**2
    for i, unit in enumerate(decoder.units):
        flops += 2 * _weights(unit) * (grid << i) ** 2
    for i, narrow in enumerate(decoder.narrow):
        flops += 2 * _weights(narrow) * (grid << i) ** 2
    return _part("texture branch", branch, flops)


def _backbone(preset: Preset) -> tuple[PartCost, tuple[int, ...], tuple[int, ...]]:
    """The cost, and the channels and sides of the levels."""
    if preset.backbone == "mobilenet":
        network, side, flops = MobileNet(), preset.backbone_size, 0
        for module in network.modules():  # in the order of the forward pass
            if isinstance(module, nn.Conv2d):
                side = -(-side // module.stride[0])
                flops += 2 * module.weight.numel() * side**2
        grids = tuple(-(-preset.backbone_size // stride) for stride in (4, 8, 16, 32))
        return _part("backbone", network, flops, frozen=True), network.widths, grids
    grid = preset.backbone_size // PATCH
    n, c, patch = grid**2 + DINO_EXTRA, DINO_WIDTH, 3 * PATCH**2
    # a block: 4 projections, the MLP, two norms, two layer scales
    block = 4 * (c * c + c) + 2 * DINO_RATIO * c * c + (DINO_RATIO + 1) * c + 4 * c + 2 * c
    embedding = (patch + 1) * c + (DINO_GRID**2 + 1) * c + DINO_EXTRA * c + c  # patches, positions, tokens, mask token
    parameters = DINO_BLOCKS * block + embedding + 2 * c
    per_block = n * (4 + 2 * DINO_RATIO) * c * c + 2 * n * n * c
    flops = 2 * (DINO_BLOCKS * per_block + grid**2 * patch * c)
    return PartCost("backbone", parameters, flops, frozen=True), (c,) * 4, (grid,) * 4


def _weights(module: nn.Module) -> int:
    """Entries of the matrices and kernels: everything but biases and norms."""
    return sum(p.numel() for p in module.parameters() if p.ndim > 1)


def _at_zero(cell: ConvGruCell) -> int:
    """Entries that the first round does not multiply with, since the hidden state is zero: see ConvGruCell."""
    hidden, inputs = cell.candidate.out_channels, cell.candidate.in_channels - cell.candidate.out_channels
    return _weights(cell) - 2 * hidden * inputs * 9


def _part(name: str, module: nn.Module, flops: int, frozen: bool = False) -> PartCost:
    return PartCost(name, sum(p.numel() for p in module.parameters()), flops, frozen)
