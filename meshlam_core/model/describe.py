"""What a preset costs: parameters and floating-point operations by part, without running or allocating it.

The parts run on torch's meta device under its flop counter, which counts matrix products and convolutions
(a multiplication and an addition are two operations). DINOv2 is computed from its published sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from meshlam_core.model.attention import CrossAttention
from meshlam_core.model.backbone.dinov2 import PATCH
from meshlam_core.model.backbone.interface import Fusion
from meshlam_core.model.backbone.mobilenet import MobileNet
from meshlam_core.model.config import Preset
from meshlam_core.model.error_features import Unwrap
from meshlam_core.model.gru import GeometryGru, TextureGru
from meshlam_core.model.parsing_head import ParsingHead
from meshlam_core.model.shape_branch import ShapeBranch
from meshlam_core.model.state import Observation, State
from meshlam_core.model.texture_branch import TextureBranch

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
    image = torch.empty(1, 3, preset.backbone_size, preset.backbone_size)
    tokens = torch.empty(1, preset.feature_grid**2, preset.width)
    backbone, levels = _backbone(preset, image)
    widths = tuple(level.shape[1] for level in levels)
    attention = CrossAttention(preset.width, preset.heads, preset.layers, preset.mlp_ratio)
    fusion, shape = Fusion(widths, preset.feature_grid, preset.width), ShapeBranch(preset)
    texture = TextureBranch(preset)
    start = torch.empty(1, 3, preset.texture_grid, preset.texture_grid)
    template = torch.empty(vertices, 3)
    reprojection, geometry, gru = Unwrap(preset), GeometryGru(preset), TextureGru(preset)
    parsing = ParsingHead(widths)
    state, observed = _loop_tensors(preset, vertices)
    pair = torch.empty(1, 9, preset.error_size, preset.error_size)
    rounds = preset.iterations
    shared = sum(p.numel() for p in attention.parameters())
    return [
        backbone,
        _cost("fusion", fusion, lambda: fusion(levels)),
        PartCost("attention", shared, 0),
        _cost("shape branch", shape, lambda: shape(template, tokens, attention)),
        _cost("texture branch", texture, lambda: texture(tokens, attention, start)),
        _cost("error features", reprojection, lambda: reprojection.compare(pair), rounds),
        _cost("geometry GRU", geometry, lambda: geometry(state, observed), rounds),
        _cost("texture GRU", gru, lambda: _texture_gru(gru, state, observed), rounds),
        _cost("head parsing", parsing, lambda: parsing(levels)),
    ]


def _texture_gru(gru: TextureGru, state: State, observed: Observation) -> Tensor:
    return gru(state, observed, None)[0]  # type: ignore[no-any-return]  # it does not look at the rig


def _backbone(preset: Preset, image: Tensor) -> tuple[PartCost, list[Tensor]]:
    if preset.backbone == "mobilenet":
        net = MobileNet()
        levels = net(image)
        return _cost("backbone", net, lambda: net(image), frozen=True), levels
    grid = preset.backbone_size // PATCH
    n, c, patch = grid**2 + DINO_EXTRA, DINO_WIDTH, 3 * PATCH**2
    # a block: 4 projections, the MLP, two norms, two layer scales
    block = 4 * (c * c + c) + 2 * DINO_RATIO * c * c + (DINO_RATIO + 1) * c + 4 * c + 2 * c
    embedding = (patch + 1) * c + (DINO_GRID**2 + 1) * c + DINO_EXTRA * c + c  # patches, positions, tokens, mask token
    parameters = DINO_BLOCKS * block + embedding + 2 * c
    per_block = n * (4 + 2 * DINO_RATIO) * c * c + 2 * n * n * c
    flops = 2 * (DINO_BLOCKS * per_block + grid**2 * patch * c)
    return PartCost("backbone", parameters, flops, frozen=True), [torch.empty(1, c, grid, grid) for _ in range(4)]


def _loop_tensors(preset: Preset, vertices: int) -> tuple[State, Observation]:
    s, g, e = preset.texture_grid, preset.latent_grid, preset.error_width
    state = State(
        vertices=torch.empty(1, vertices, 3),
        texture=torch.empty(1, 3, s, s),
        trust=torch.empty(1, 1, s, s),
        vertex_features=torch.empty(1, vertices, preset.width),
        latent=torch.empty(1, preset.latent_width, g, g),
        geometry_hidden=torch.empty(1, vertices, preset.geometry_hidden),
        texture_hidden=torch.empty(1, preset.texture_hidden, g, g),
    )
    observed = Observation(
        reprojection=torch.empty(1, 3, s, s),
        texel_seen=torch.empty(1, 1, s, s),
        texel_error=torch.empty(1, e, g, g),
        latent_seen=torch.empty(1, 1, g, g),
        vertex_error=torch.empty(1, vertices, e),
        vertex_seen=torch.empty(1, vertices, 1),
    )
    return state, observed


def _cost(name: str, module: nn.Module, run: Callable[[], object], rounds: int = 1, frozen: bool = False) -> PartCost:
    module.requires_grad_(False)  # the counter stumbles over parameters expanded under no_grad
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        run()
    return PartCost(name, sum(p.numel() for p in module.parameters()), rounds * counter.get_total_flops(), frozen)
