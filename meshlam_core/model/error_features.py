"""Comparing photo and rendering, and carrying the comparison to texels and vertices (MeshLAM, sec. reprojection).

F_d = unwrap(φ([photo, rendering, photo - rendering])); F_d2v is the same map sampled at the vertices.
Frames: view frame and image frame (see frames.py).
Dims:   B batch, V vertices, H compared image, S texture, G latent grid, E error channels.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.model.config import Preset
from meshlam_core.model.render import View, animate, look, shade, vertices_seen
from meshlam_core.model.state import Observation, Photo, Rig, State
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.raster.unwrap import unwrap, view_texels


class Reprojection(Protocol):
    """Looks at the photo from where the loop stands."""

    def __call__(self, state: State, photo: Photo, rig: Rig) -> Observation:
        """`photo` is at the size of the comparison."""


class Unwrap(nn.Module):
    """The paper's reprojection."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.grid = preset.latent_grid
        self.compare = nn.Sequential(  # φ
            nn.Conv2d(9, preset.error_width, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(preset.error_width, preset.error_width, 3, padding=1),
        )

    def forward(self, state: State, photo: Photo, rig: Rig) -> Observation:
        view = look(animate(state.vertices, rig, photo), rig, photo.cameras)
        rendering = shade(view, rig, state.texture)
        both = torch.cat([photo.image, rendering, photo.image - rendering], 1)
        error = self.compare(both.contiguous(memory_format=torch.channels_last)).to(photo.image.dtype).contiguous()
        reprojected = reproject(photo.image, photo, view, rig, state.texture.shape[-1])
        carried = reproject(error, photo, view, rig, self.grid)
        vertex_error, vertex_seen = sample_at_vertices(error, photo, view, rig)
        return Observation(*reprojected, *carried, vertex_error, vertex_seen)


class NoReprojection(nn.Module):
    """Ablation "no unwrapping": nothing of the photo reaches texels or vertices after the attention."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.grid = preset.latent_grid
        self.width = preset.error_width

    def forward(self, state: State, photo: Photo, rig: Rig) -> Observation:
        del photo, rig
        batch, vertices, _ = state.vertices.shape
        grid = (batch, self.width, self.grid, self.grid)
        zeros = state.texture.new_zeros
        return Observation(
            torch.zeros_like(state.texture),
            torch.zeros_like(state.texture[:, :1]),
            zeros(grid),
            zeros(batch, 1, self.grid, self.grid),
            zeros(batch, vertices, self.width),
            zeros(batch, vertices, 1),
        )


def reproject(
    image: Tensor,  # [B, C, h, h] any map over the photo
    photo: Photo,
    view: View,  # of the same cameras
    rig: Rig,
    size: int,  # texels
) -> tuple[Tensor, Tensor]:  # [B, C, size, size] zero where not seen; [B, 1, size, size] how well it is seen, 0..1
    """Photo -> UV with visibility: U_t for the photo itself, F_d for the error features."""
    texels = view_texels(view.vertices, rig.faces, rig.uv_map(size), view.cameras, view.fragments)
    side = photo.image.shape[-1]
    weight = texels.weight.to(image.dtype)
    at = texels.pixel.to(image.dtype)
    seen = weight[:, None] * _read_mask(photo.mask, at)
    carried = unwrap(image, at * (image.shape[-1] / side), weight)
    return carried * (seen > 0), seen


def sample_at_vertices(
    image: Tensor,  # [B, C, h, h]
    photo: Photo,
    view: View,
    rig: Rig,
) -> tuple[Tensor, Tensor]:  # [B, V, C] zero where not seen, [B, V, 1] 0..1
    """F_d2v: the map under each vertex that the photo sees."""
    seen = vertices_seen(view, vertex_normals(view.vertices.detach(), rig.faces)).to(image.dtype)
    pixel = view.projected[..., :2].to(image.dtype)
    grid = 2 * pixel[:, None] / photo.image.shape[-1] - 1  # [B, 1, V, 2]
    read = functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside = functional.grid_sample(photo.mask.to(image.dtype), grid, mode="bilinear", align_corners=False)
    seen = (seen * inside[:, 0, 0].detach())[..., None]
    return read[:, :, 0].transpose(1, 2) * seen, seen


def _read_mask(mask: Tensor, pixel: Tensor) -> Tensor:  # [B, 1, H, H], [B, S, S, 2] px -> [B, 1, S, S]
    grid = 2 * pixel.detach() / mask.shape[-1] - 1
    return functional.grid_sample(mask.to(pixel.dtype), grid, mode="bilinear", align_corners=False)


def make_reprojection(preset: Preset) -> nn.Module:
    """The component that preset.reprojection names."""
    return {"unwrap": Unwrap, "none": NoReprojection}[preset.reprojection](preset)
