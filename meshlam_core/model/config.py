"""Presets: every size and every exchangeable component of the network, in one frozen dataclass.

`preset("small")` runs on a laptop CPU, `preset("paper")` has the published size. The component fields name what
stands at a place of the loop; the alternatives are the rows of the paper's ablation table (MeshLAM, table 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from meshlam_core.errors import UsageError

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "backbone": ("mobilenet", "dinov2"),
    "geometry_update": ("gru", "direct"),  # direct: one offset from the attended features, no error feedback
    "texture_update": ("gru", "passthrough", "vertex_colours"),
    "reprojection": ("unwrap", "none"),
    "borders": ("masks", "none"),  # masks: vertices see where hair and person end (borders.py) [ours]
    "deformation": ("rays", "part_aware", "free"),  # rays: what the photo shows stays on its pixels (deform.py) [ours]
    "correction": ("topology", "none"),
}

# What the paper compares itself with, as changes to a preset (training/peers.py trains and draws them).
ONE_SHOT: Mapping[str, Any] = {
    "geometry_update": "direct",
    "texture_update": "passthrough",
    "reprojection": "none",
    "borders": "none",
    "deformation": "free",
    "correction": "none",
    "iterations": 1,
}
PEERS: Mapping[str, Mapping[str, Any]] = {
    "rome": ONE_SHOT,
    "lam": ONE_SHOT,
    "lam_on_mesh": {"correction": "none"},  # training/peers.py: a batch shares the topology
}


@dataclass(frozen=True)
class Preset:
    """Sizes in pixels, texels or channels; lengths in metres."""

    name: str
    backbone: str
    backbone_size: int  # px, side of the square crop the backbone reads
    feature_grid: int  # tokens along a side of the fused image features F_I
    width: int  # C, channels of tokens
    heads: int
    layers: int
    mlp_ratio: int
    frequencies: int  # octaves of the positional encoding
    token_grid: int  # H_t = W_t, learnable texture tokens along a side
    texture_grid: int  # texels along a side of T_t
    latent_stride: int  # texels of T_t per texel of F_a and of the texture GRU, along a side
    latent_width: int  # channels of F_a
    geometry_hidden: int
    texture_hidden: int
    error_size: int  # px, side of the images that are compared in each iteration
    error_width: int
    iterations: int
    step_scale: float  # m of displacement at a network output of 1, before the clip
    target_vertices: int  # edges are split until a typical head has about this many
    geometry_update: str = "gru"
    texture_update: str = "gru"
    reprojection: str = "unwrap"
    borders: str = "masks"
    deformation: str = "rays"
    correction: str = "topology"

    def __post_init__(self) -> None:
        for name, known in COMPONENTS.items():
            if getattr(self, name) not in known:
                raise UsageError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}.")
        for name, value in asdict(self).items():
            if isinstance(value, int | float) and not value > 0:
                raise UsageError(f"{name}: expected a positive number, got {value}.")
        if self.width % self.heads:
            raise UsageError(f"width: expected a multiple of the {self.heads} heads, got {self.width}.")
        ratio, rest = divmod(self.latent_grid, self.token_grid)
        if rest or self.texture_grid % self.latent_stride or ratio & (ratio - 1):
            raise UsageError(
                "texture_grid / latent_stride: expected token_grid times a power of two, got "
                f"{self.texture_grid} / {self.latent_stride} for a token_grid of {self.token_grid}."
            )

    @property
    def latent_grid(self) -> int:
        """Texels along a side of F_a."""
        return self.texture_grid // self.latent_stride

    def with_changes(self, **changes: Any) -> Preset:
        """A variant; unknown names raise."""
        _refuse_unknown(changes)
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


SMALL = Preset(
    name="small",
    backbone="mobilenet",
    backbone_size=256,
    feature_grid=16,
    width=128,
    heads=2,  # 64 channels each, as in the published size
    layers=2,
    mlp_ratio=2,
    frequencies=8,
    token_grid=32,
    texture_grid=256,
    latent_stride=4,
    latent_width=32,
    geometry_hidden=128,
    texture_hidden=32,
    error_size=256,
    error_width=24,
    iterations=2,
    step_scale=0.01,
    target_vertices=8000,
)

PAPER = Preset(
    name="paper",
    backbone="dinov2",
    backbone_size=504,  # 512 snapped to a multiple of DINOv2's 14-pixel patches
    feature_grid=36,
    width=1024,
    heads=16,
    layers=2,
    mlp_ratio=4,
    frequencies=10,
    token_grid=64,
    texture_grid=1024,
    latent_stride=2,
    latent_width=64,
    geometry_hidden=256,
    texture_hidden=64,
    error_size=512,
    error_width=64,
    iterations=2,
    step_scale=0.01,
    target_vertices=8000,
)

_PRESETS = {known.name: known for known in (SMALL, PAPER)}


def preset(name: str) -> Preset:
    """The preset of this name."""
    if name not in _PRESETS:
        raise UsageError(f"Expected a preset of {' or '.join(_PRESETS)}, got {name!r}.")
    return _PRESETS[name]


def from_dict(values: Mapping[str, Any]) -> Preset:
    """The inverse of Preset.to_dict; missing, unknown and mistyped entries raise."""
    _refuse_unknown(values)
    expected = {field.name: type(getattr(SMALL, field.name)) for field in fields(Preset)}
    missing = [name for name in expected if name not in values]
    if missing:
        raise UsageError(f"preset: {', '.join(missing)} missing.")
    for name, kind in expected.items():
        fits = isinstance(values[name], (int, float) if kind is float else kind)
        if not fits or isinstance(values[name], bool):
            raise UsageError(f"preset: expected {name} as {kind.__name__}, got {values[name]!r}.")
    return Preset(**values)


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    unknown = sorted(set(values) - {field.name for field in fields(Preset)})
    if unknown:
        raise UsageError(f"preset: unknown entries {', '.join(unknown)}.")
