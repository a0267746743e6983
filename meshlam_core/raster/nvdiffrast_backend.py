"""The optional nvdiffrast backend (CUDA). Its licence allows research and evaluation only, and it has no wheels.

Conventions: nvdiffrast takes clip-space positions (x, y, z, w) and puts y = -1 into row 0, so mapping our row 0 to
y = -1 needs no flip anywhere. It returns (u, v, z/w, index + 1) with u and v the perspective-correct coordinates
of corners 0 and 1. Frame, units, dims and rules: interface.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from meshlam_core.errors import DeviceError
from meshlam_core.raster.interface import MAX_PIXEL, NEAR, Cull, Fragments, check_inputs


class NvdiffrastRasteriser:
    """Rasteriser by nvdiffrast's CUDA rasteriser."""

    def __init__(self, device: torch.device | str) -> None:
        try:
            import nvdiffrast.torch as nvdiffrast
        except ImportError as cause:
            raise DeviceError(
                "The nvdiffrast rasteriser was asked for, but the package nvdiffrast is not installed.",
                "Build it from source if its research-only licence suits you, or choose the backend warp.",
            ) from cause
        if torch.device(device).type != "cuda":
            raise DeviceError(f"nvdiffrast needs a cuda device, got {device}.", "Choose the backend warp.")
        self._nvdiffrast: Any = nvdiffrast
        self._context: Any = nvdiffrast.RasterizeCudaContext(device=torch.device(device))

    def rasterise(
        self,
        vertices: Tensor,  # [B, V, 3] pixel x, pixel y, camera depth in m
        faces: Tensor,  # [F, 3] int
        size: tuple[int, int],  # (height, width)
        cull: Cull = "none",
    ) -> Fragments:
        check_inputs(vertices, faces, size, cull)
        images = [self._one(points, faces.int(), size, cull) for points in vertices.detach().float()]
        face, bary, depth = (torch.stack(column) for column in zip(*images, strict=True))
        return Fragments(face, bary, depth)

    def _one(
        self,
        vertices: Tensor,  # [V, 3]
        faces: Tensor,  # [F, 3] int32
        size: tuple[int, int],
        cull: Cull,
    ) -> tuple[Tensor, Tensor, Tensor]:  # [H, W], [H, W, 3], [H, W]
        kept = drawn_faces(vertices, faces, cull)
        face = torch.full(size, -1, dtype=torch.int32, device=vertices.device)
        bary = torch.zeros((*size, 3), device=vertices.device)
        depth = torch.full(size, torch.inf, device=vertices.device)
        if not len(kept):
            return face, bary, depth
        triangles = faces[kept].contiguous()
        clip = clip_from_image(vertices, triangles, size)
        raster, _ = self._nvdiffrast.rasterize(self._context, clip[None], triangles, size, grad_db=False)
        local = raster[0, ..., 3].long() - 1
        hit = local >= 0
        u, v = raster[0, ..., 0][hit], raster[0, ..., 1][hit]
        weights = torch.stack([u, v, 1 - u - v], -1)
        face[hit] = kept[local[hit]].int()
        bary[hit] = weights
        depth[hit] = (vertices[faces[face[hit].long()].long(), 2] * weights).sum(-1)
        return face, bary, depth


def drawn_faces(
    vertices: Tensor,  # [V, 3] image frame
    faces: Tensor,  # [F, 3] int
    cull: Cull,
) -> Tensor:  # [N] int64
    """The triangles that interface.py's rules let through; nvdiffrast would clip and never cull."""
    corners = vertices[faces.long()]  # [F, 3, 3]
    usable = torch.isfinite(corners).all(-1) & (corners[..., 2] > NEAR) & (corners[..., :2].abs() <= MAX_PIXEL).all(-1)
    kept = usable.all(-1)
    if cull == "back":
        a, b = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
        kept &= a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0
    return kept.nonzero()[:, 0]


def clip_from_image(
    vertices: Tensor,  # [V, 3] pixel x, pixel y, camera depth in m
    faces: Tensor,  # [N, 3] the triangles to be drawn: their depths set the clip range
    size: tuple[int, int],  # (height, width)
) -> Tensor:  # [V, 4] clip space
    """Clip coordinates whose perspective division gives -1..1 over the image and over the depths in use."""
    height, width = size
    depth = vertices[:, 2]
    used = depth[faces.long()]
    near, far = used.min() * 0.999, used.max() * 1.001
    x = (2 * vertices[:, 0] / width - 1) * depth
    y = (2 * vertices[:, 1] / height - 1) * depth
    z = (far + near) / (far - near) * depth - 2 * far * near / (far - near)
    return torch.stack([x, y, z, depth], -1)
