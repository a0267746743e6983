"""The textured head in the photo: animate, rasterise, shade. The loop and the losses see the head through this file.

Frames: avatar frame in, image frame out (see frames.py). Units: metres, pixels; colours sRGB 0..1.
Dims:  B batch, V vertices, J joints, H image rows and columns, S texture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from meshlam_core.frames import Camera
from meshlam_core.head.skinning import pose_vertices
from meshlam_core.model.state import Rig
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.interface import Fragments
from meshlam_core.raster.interpolate import barycentrics, interpolate, sample_texture
from meshlam_core.raster.project import project


class Posed(Protocol):
    """Anything that says how heads are posed: a Photo, or a target view in training."""

    @property
    def rotations(self) -> Tensor:
        """[B, J, 3] axis-angle, rad."""

    @property
    def translation(self) -> Tensor:
        """[B, 3] m, view frame."""

    @property
    def expression(self) -> Tensor:
        """[B, K]."""

    @property
    def joints(self) -> Tensor:
        """[B, J, 3] m, rest joints."""


@dataclass(frozen=True)
class View:
    """A head as one camera sees it."""

    vertices: Tensor  # [B, V, 3] view frame, m
    projected: Tensor  # [B, V, 3] pixel x, pixel y, camera depth in m
    fragments: Fragments  # of H x H pixels
    bary: Tensor  # [B, H, H, 3] with a gradient to the vertices where they have one
    cameras: tuple[Camera, ...]

    @property
    def mask(self) -> Tensor:  # [B, 1, H, H] bool
        """True where the head is hit."""
        return self.fragments.mask[:, None]


def animate(
    vertices: Tensor,  # [B, V, 3] neutral heads, m
    rig: Rig,
    pose: Posed,
) -> Tensor:  # [B, V, 3] view frame, m
    """Put neutral heads into an expression and a pose, those of the photo or of any other view."""
    dtype = vertices.dtype
    with torch.autocast(vertices.device.type, enabled=False):  # bfloat16 would move a vertex by a fifth of a millimetre
        posed = pose_vertices(
            vertices,
            rig.blendshapes.to(dtype),
            pose.expression.to(dtype),
            pose.rotations.to(dtype),
            pose.joints.to(dtype),
            rig.weights.to(dtype),
            rig.parents,
            rig.pose_correctives,
        )
    return posed + pose.translation[:, None].to(dtype)


def look(
    vertices: Tensor,  # [B, V, 3] view frame, m
    rig: Rig,
    cameras: Sequence[Camera],  # B, all of the same size
) -> View:
    """Rasterise posed heads."""
    width, height = cameras[0].size
    projected = project(vertices, cameras)
    fragments = get_rasteriser("auto", vertices.device).rasterise(projected, rig.faces, (height, width))
    learning = projected.requires_grad and torch.is_grad_enabled()
    bary = barycentrics(projected, rig.faces, fragments) if learning else fragments.bary.to(projected.dtype)
    return View(vertices, projected, fragments, bary, tuple(cameras))


def shade(
    view: View,
    rig: Rig,
    texture: Tensor,  # [B, C, S, S]
) -> Tensor:  # [B, C, H, H] zero beside the head
    """The texture on the head, unlit: photos are compared with what the texture itself shows."""
    uv = interpolate(rig.uvs.to(texture.dtype), rig.uv_faces, view.fragments, view.bary.to(texture.dtype))
    return sample_texture(texture, uv) * view.mask


def vertices_seen(
    view: View,
    normals: Tensor,  # [B, V, 3] view frame
    tolerance: float = 2e-3,  # m a vertex may lie behind the surface at its pixel
) -> Tensor:  # [B, V] 0 or 1
    """Which vertices the camera sees: turned towards it, inside the image and not behind another surface."""
    height, width = view.fragments.depth.shape[1:]
    with torch.no_grad():
        column, row = (view.projected[..., i].floor().clamp(-1, max(width, height)).long() for i in (0, 1))
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        at = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
        front = view.fragments.depth.flatten(1).gather(1, at).to(view.projected.dtype)
        rays = view.vertices / view.vertices.norm(dim=-1, keepdim=True).clamp_min(1e-9)
        cosine = -(rays * normals).sum(-1)
        # a tilted surface is deeper by tan(angle) one pixel further
        slope = (1 - cosine.square()).clamp_min(0).sqrt() / cosine.clamp_min(0.3)
        pixel = view.projected[..., 2] / view.cameras[0].focal
        near = view.projected[..., 2] <= front + tolerance + slope * pixel
        seen: Tensor = inside & near & (cosine > 0.05)
        return seen.to(view.vertices.dtype)
