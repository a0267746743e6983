"""MeshLAM: the parts put together. Photo and tracked head in, refined heads and textures out.

Frames and units: frames.py. Dims: B batch, V vertices, M image tokens, S the loop's texture, D full texture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from meshlam_core.errors import UsageError
from meshlam_core.model.attention import CrossAttention
from meshlam_core.model.backbone.interface import Fusion
from meshlam_core.model.borders import FIELDS, about_start, look_at_borders
from meshlam_core.model.compose import compose_texture
from meshlam_core.model.config import Preset
from meshlam_core.model.correction import correct_topology, keep_topology
from meshlam_core.model.deform import DEFORM, ways_to_go
from meshlam_core.model.error_features import make_reprojection
from meshlam_core.model.gru import make_geometry_update, make_texture_update
from meshlam_core.model.loop import Components, Step, refine
from meshlam_core.model.parsing_head import ParsingHead
from meshlam_core.model.render import animate, look, vertices_seen
from meshlam_core.model.shape_branch import ShapeBranch
from meshlam_core.model.state import Observation, Photo, Rig, State, resize
from meshlam_core.model.texture_branch import TextureBranch
from meshlam_core.nets.mobilenet import MobileNet
from meshlam_core.raster.normals import vertex_normals

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
GREY = 0.5  # the start texture where the ablation "no unwrapping" forbids the photo's


@dataclass(frozen=True)
class Reconstruction:
    """One refined head."""

    rig: Rig
    vertices: Tensor  # [V, 3] neutral, m
    texture: Tensor  # [3, D, D] sRGB 0..1
    seen: Tensor  # [1, D, D] 0..1, the photo's share in each texel


class MeshLAM(nn.Module):
    """The network of a preset. `backbone` may be given (DINOv2 is loaded elsewhere); `seed` fixes the start values."""

    def __init__(self, preset: Preset, backbone: nn.Module | None = None, seed: int = 0) -> None:
        super().__init__()
        if backbone is None and preset.backbone != "mobilenet":
            raise UsageError(f"The preset {preset.name} needs its {preset.backbone} backbone, which was not given.")
        self.preset = preset
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone = (backbone if backbone is not None else MobileNet()).requires_grad_(False)
            widths = tuple(int(width) for width in self.backbone.widths)  # type: ignore[union-attr]
            self.fusion = Fusion(widths, preset.feature_grid, preset.width)
            self.attention = CrossAttention(preset.width, preset.heads, preset.layers, preset.mlp_ratio)
            self.shape_branch = ShapeBranch(preset)
            self.texture_branch = TextureBranch(preset)
            self.reprojection = make_reprojection(preset)
            self.geometry_update = make_geometry_update(preset)
            self.texture_update = make_texture_update(preset)
            self.parsing = ParsingHead(widths)
            self.mask_tokens = nn.Conv2d(3, preset.width, 4, 4) if preset.borders == "masks" else None

    def forward(
        self,
        photo: Photo,
        rig: Rig,
    ) -> list[Step]:  # one per iteration, the batch sharing a topology
        """The training path: every step, differentiable."""
        start, near = self.encode(photo, rig)
        return refine(start, near, self._components(), self.preset.iterations)

    def encode(self, photo: Photo, rig: Rig) -> tuple[Step, Photo]:
        """Both branches: the start of the loop, and the photo at the size that the loop compares."""
        preset = self.preset
        image = self.image_tokens(
            self.pooled(photo.resized(preset.backbone_size).image), photo.borders
        )  # F_I [B, M, C]
        first = resize(photo.texture, preset.texture_grid)
        if preset.reprojection == "none":
            first = torch.full_like(first, GREY)
        latent, texture = self.texture_branch(image, self.attention, first)
        dtype = photo.vertices.dtype
        about, ways = start_in_photo(photo.resized(preset.error_size), rig, preset)
        features = self.shape_branch(rig.template, image, self.attention, about).to(dtype)
        state = State(
            vertices=photo.vertices,
            texture=texture.to(dtype),
            trust=torch.ones_like(first[:, :1]),
            vertex_features=features,
            latent=latent.to(dtype),
            ways=ways,
        )
        return Step(rig, state), photo.resized(preset.error_size)

    def pooled(self, image: Tensor) -> Tensor:  # [B, 3, H, H] 0..1 -> [B, c, g, g]
        """The frozen part of F_I."""
        found: Tensor = self.fusion.pool(self.backbone(image))
        return found

    def image_tokens(
        self,
        pooled: Tensor,  # [B, c, g, g]
        borders: Tensor | None,  # [B, FIELDS, R, R]
    ) -> Tensor:  # [B, M, C]
        """F_I, to which the masks are laid where the preset looks at them. [ours]"""
        masks = None
        if self.mask_tokens is not None and borders is not None:
            known = resize(borders[:, FIELDS - 3 :], 4 * self.preset.feature_grid)
            masks = self.mask_tokens(known)
        tokens: Tensor = self.fusion(pooled, masks)
        return tokens

    def parse(self, image: Tensor) -> Tensor:  # [B, 3, H, H] 0..1 -> [B, 6, h, h] logits
        """Head parsing of square crops; see parsing_head.CLASSES."""
        side = self.preset.backbone_size
        small = nn.functional.interpolate(
            image, size=(side, side), mode="bilinear", align_corners=False, antialias=True
        )
        logits: Tensor = self.parsing(self.backbone(small))
        return logits

    @torch.no_grad()
    def reconstruct(
        self,
        photo: Photo,
        rig: Rig,
        texture_size: int = 1024,
        precision: str = "float32",
        on_step: Callable[[float], None] = lambda fraction: None,
        own_rigs: Sequence[Rig] = (),  # B, the rig with each person's own blendshapes; empty where they are the rig's
    ) -> list[Reconstruction]:
        """Refine a batch. The branches run on all photos together; each head then gets its own topology."""
        photo.check(rig)
        results = []
        with autocast(precision, photo.image.device):
            start, near = self.encode(photo, rig)
            start.state.check("before the first step")
            for i in range(len(photo)):
                first = replace(one_step(start, i), rig=own_rigs[i] if own_rigs else rig)
                steps = refine(first, near.one(i), self._components(), self.preset.iterations)
                for t, step in enumerate(steps, start=1):
                    step.state.check(f"after step {t}")
                results.append(self.finish(steps[-1], photo.one(i), texture_size))
                on_step((i + 1) / len(photo))
        return results

    def finish(self, step: Step, photo: Photo, texture_size: int) -> Reconstruction:
        """The full-size texture of one head."""
        blends = self.preset.reprojection == "unwrap" and self.preset.texture_update != "vertex_colours"
        texture, seen = compose_texture(step.state, photo, step.rig, texture_size, blends)
        return Reconstruction(step.rig, step.state.vertices[0], texture[0], seen[0])

    def _components(self) -> Components:
        preset = self.preset
        return Components(
            reproject=self.reprojection,
            look_at_borders=see_borders if preset.borders == "masks" else see_no_borders,
            update_geometry=self.geometry_update,
            update_texture=self.texture_update,
            deform=DEFORM[preset.deformation],
            correct=correct_topology if preset.correction == "topology" else keep_topology,
        )


def start_in_photo(
    photo: Photo, rig: Rig, preset: Preset
) -> tuple[Tensor | None, Tensor | None]:  # [B, V, ABOUT], [B, V, 3, 3]
    """What the vertices of the start know of their place in the photo, and where they may go from there."""
    if preset.borders == "none" and preset.deformation != "rays":
        return None, None
    with torch.no_grad():
        view = look(animate(photo.vertices, rig, photo), rig, photo.cameras)
        normals = vertex_normals(view.vertices, rig.faces)
        return about_and_ways(view.vertices, normals, vertices_seen(view, normals), photo, rig, preset)


def about_and_ways(
    posed: Tensor,  # [B, V, 3] view frame, m, the start in the photo
    normals: Tensor,  # [B, V, 3] unit, view frame
    seen: Tensor,  # [B, V] 0..1
    photo: Photo,
    rig: Rig,
    preset: Preset,
) -> tuple[Tensor | None, Tensor | None]:  # [B, V, ABOUT], [B, V, 3, 3]; where the preset looks at them
    """The same of vertices that were looked at already."""
    about = about_start(posed, normals, seen, photo.vertices - rig.template, photo.cameras)
    ways = ways_to_go(posed, seen, photo.rotations, rig)
    return about if preset.borders == "masks" else None, ways if preset.deformation == "rays" else None


def see_borders(observed: Observation, state: State, photo: Photo, rig: Rig) -> Observation:
    """The borders of the masks as the vertices see them where they are now. Where to look needs no gradient."""
    if photo.borders is None:
        return observed
    with torch.no_grad():
        posed = animate(state.vertices, rig, photo)
        seen = look_at_borders(posed, photo.cameras, photo.rotations, photo.borders)
    return replace(observed, vertex_borders=seen)


def see_no_borders(observed: Observation, state: State, photo: Photo, rig: Rig) -> Observation:
    """The paper's observation."""
    del state, photo, rig
    return observed


def one_step(step: Step, index: int) -> Step:
    """The start of one head of a batch."""
    state = step.state
    cut = {name: value[index : index + 1] for name, value in vars(state).items() if value is not None}
    return replace(step, state=replace(state, **cut))


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Matrix products in bfloat16, everything else as it is; positions and colours stay float32."""
    if precision not in PRECISIONS:
        raise UsageError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}.")
    dtype = PRECISIONS[precision]
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)
