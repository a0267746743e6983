"""Small meshes and cameras for the rasteriser's tests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from meshlam_core.frames import Camera


@dataclass(frozen=True)
class Mesh:
    vertices: Tensor  # [V, 3] m
    faces: Tensor  # [F, 3] counter-clockwise from outside
    uvs: Tensor  # [V, 2] one per vertex: uv_faces are faces


def sphere(rings: int = 24, radius: float = 0.1) -> Mesh:
    """A UV sphere around the origin, its seam at the back (-Z), latitude along v."""
    polar, around = torch.meshgrid(
        torch.linspace(0, torch.pi, rings + 1), torch.linspace(-torch.pi, torch.pi, rings + 1), indexing="ij"
    )
    points = torch.stack([polar.sin() * around.sin(), polar.cos(), polar.sin() * around.cos()], -1)
    uvs = torch.stack([0.05 + 0.9 * (around / (2 * torch.pi) + 0.5), 0.95 - 0.9 * polar / torch.pi], -1)
    corner = (torch.arange(rings)[:, None] * (rings + 1) + torch.arange(rings)).reshape(-1)
    below, right = corner + rings + 1, corner + 1
    faces = torch.cat([torch.stack([corner, below, right], -1), torch.stack([right, below, below + 1], -1)])
    # the rows at the poles collapse to slivers without area: leave them out
    corners = points.view(-1, 3)[faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1)
    return Mesh(points.view(-1, 3) * radius, faces[area > 1e-6].int(), uvs.view(-1, 2))


def camera(size: int = 64, focal: float = 2.5) -> Camera:
    """A square image whose focal length is `focal` image widths."""
    return Camera(focal * size, (size / 2, size / 2), (size, size))


def sphere_before_camera(distance: float = 0.6, rings: int = 24) -> tuple[Tensor, Mesh]:
    """View-frame vertices [1, V, 3] and the mesh."""
    mesh = sphere(rings)
    return (mesh.vertices - torch.tensor([0.0, 0.0, distance]))[None], mesh


def grid_mesh(cells: int, size: float, jitter: float, seed: int) -> tuple[Tensor, Tensor]:
    """A wavy sheet over the whole image [1, V, 3] with inner vertices moved at random, and its triangles."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*(torch.linspace(-1, size + 1, cells + 1),) * 2, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1)
    moves = (torch.rand(points.shape, generator=generator) - 0.5) * jitter * size / cells
    points[1:-1, 1:-1, :2] += moves[1:-1, 1:-1, :2]
    points[..., 2] += 0.3 * torch.rand(points.shape[:2], generator=generator)
    corner = (torch.arange(cells)[:, None] * (cells + 1) + torch.arange(cells)).reshape(-1)
    below, right = corner + cells + 1, corner + 1
    faces = torch.cat([torch.stack([corner, right, below], -1), torch.stack([right, below + 1, below], -1)])
    return points.reshape(1, -1, 3), faces.int()
