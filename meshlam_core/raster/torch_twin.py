"""The slow, obvious rasteriser: test every pixel of every triangle's bounding box, in plain torch.

It defines the right answer for the fast backends and works on any torch device that has float64.
Frame, units, dims and rules: interface.py. P is the number of (triangle, pixel) candidates in a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor

from meshlam_core.raster.interface import MAX_PIXEL, NEAR, SUBPIXELS, Cull, Fragments, check_inputs

CANDIDATES_PER_CHUNK = 1 << 22
NO_FACE_KEY = 0x7FFFFFFF  # face indices count down from here inside a key, so that the lowest wins a tie


class TorchRasteriser:
    """Rasteriser in plain torch. See interface.Rasteriser."""

    def rasterise(
        self,
        vertices: Tensor,  # [B, V, 3] pixel x, pixel y, camera depth in m
        faces: Tensor,  # [F, 3] int
        size: tuple[int, int],  # (height, width)
        cull: Cull = "none",
    ) -> Fragments:
        check_inputs(vertices, faces, size, cull)
        images = [_rasterise_one(v, faces.long(), size, cull) for v in vertices.detach().float()]
        face, bary, depth = (torch.stack(column) for column in zip(*images, strict=True))
        return Fragments(face, bary, depth)


def _rasterise_one(
    vertices: Tensor,  # [V, 3]
    faces: Tensor,  # [F, 3]
    size: tuple[int, int],
    cull: Cull,
) -> tuple[Tensor, Tensor, Tensor]:  # [H, W], [H, W, 3], [H, W]
    height, width = size
    corners = vertices[faces]  # [F, 3, 3]
    usable = torch.isfinite(corners).all(-1) & (corners[..., 2] > NEAR) & (corners[..., :2].abs() <= MAX_PIXEL).all(-1)
    corners = torch.where(usable.all(-1)[:, None, None], corners, 0.0)
    grid = torch.floor(corners[..., :2].double() * SUBPIXELS + 0.5).long()  # [F, 3, 2]
    area = _cross(grid[:, 1] - grid[:, 0], grid[:, 2] - grid[:, 0])  # [F] > 0: clockwise on the image (y is down)
    drawn = usable.all(-1) & ((area != 0) if cull == "none" else (area < 0))

    low, high = grid.amin(1), grid.amax(1)  # [F, 2]
    half = SUBPIXELS // 2  # pixel i has its centre at i * SUBPIXELS + half
    limit = torch.tensor([width, height], device=grid.device) - 1
    first = (-torch.div(half - low, SUBPIXELS, rounding_mode="floor")).clamp_min(0)  # [F, 2] first pixel in the box
    last = torch.minimum(torch.div(high - half, SUBPIXELS, rounding_mode="floor"), limit)
    box = (last - first + 1).clamp_min(0) * drawn[:, None]  # [F, 2]

    keys = torch.zeros(height * width, dtype=torch.int64, device=grid.device)
    for chunk in _chunks(box.prod(1)):
        face, pixel = _candidates(chunk, first, box)
        edges, inverse_depth = _evaluate(face, pixel, grid, area, corners[..., 2])
        bits = inverse_depth.float().view(torch.int32).long()  # positive floats order like their bits
        key = (bits << 32) | (NO_FACE_KEY - face)
        inside = _inside(edges, face, grid, area)
        keys.scatter_reduce_(0, (pixel[:, 1] * width + pixel[:, 0])[inside], key[inside], "amax")
    return _resolve(keys, size, grid, area, corners[..., 2])


def _chunks(counts: Tensor) -> list[Tensor]:
    """Split the triangles that cover candidates into runs of bounded total size."""
    faces = counts.nonzero()[:, 0]
    if not len(faces):
        return []
    run = torch.div(counts[faces].cumsum(0), CANDIDATES_PER_CHUNK, rounding_mode="floor")
    lengths = run.bincount()
    return list(torch.split(faces, lengths[lengths > 0].tolist()))


def _candidates(
    faces: Tensor,  # [N] triangles of this chunk
    first: Tensor,  # [F, 2]
    box: Tensor,  # [F, 2]
) -> tuple[Tensor, Tensor]:  # [P] triangle, [P, 2] pixel
    """Every pixel of every bounding box."""
    counts = box[faces].prod(1)
    face = faces.repeat_interleave(counts)
    start = (counts.cumsum(0) - counts).repeat_interleave(counts)
    local = torch.arange(len(face), device=face.device) - start
    width = box[face, 0]
    return face, torch.stack([local % width, torch.div(local, width, rounding_mode="floor")], -1) + first[face]


def _evaluate(
    face: Tensor,  # [P]
    pixel: Tensor,  # [P, 2]
    grid: Tensor,  # [F, 3, 2]
    area: Tensor,  # [F]
    depth: Tensor,  # [F, 3] m
) -> tuple[Tensor, Tensor]:  # [P, 3] twice the area opposite each corner, [P] 1/m
    """Edge functions, positive inside whatever the winding, and the inverse depth, which is linear on the image."""
    to_corner = grid[face] - (pixel * SUBPIXELS + SUBPIXELS // 2)[:, None]  # [P, 3, 2]
    a, b, c = to_corner.unbind(1)
    edges = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], -1) * area[face].sign()[:, None]
    # reciprocals first, in this order, because the kernels do so: the two then agree to the last bit
    weights = edges.double() * (1 / depth[face].double())  # [P, 3]
    return edges, (weights[:, 0] + weights[:, 1] + weights[:, 2]) * (1 / area[face].abs().double())


def _inside(edges: Tensor, face: Tensor, grid: Tensor, area: Tensor) -> Tensor:  # [P] bool
    """Strictly inside, or on an edge that owns its pixels: a left edge (going up) or a flat top edge (going right)."""
    corners = grid[face]
    along = (corners.roll(-2, 1) - corners.roll(-1, 1)) * area[face].sign()[:, None, None]  # [P, 3, 2] clockwise
    owns = (along[..., 1] < 0) | ((along[..., 1] == 0) & (along[..., 0] > 0))
    return ((edges > 0) | ((edges == 0) & owns)).all(-1)


def _resolve(
    keys: Tensor,  # [H * W]
    size: tuple[int, int],
    grid: Tensor,
    area: Tensor,
    depth: Tensor,  # [F, 3]
) -> tuple[Tensor, Tensor, Tensor]:  # [H, W], [H, W, 3], [H, W]
    """From winning keys to triangle, barycentrics and depth."""
    height, width = size
    hit = (keys > 0).nonzero()[:, 0]
    face = NO_FACE_KEY - (keys[hit] & 0xFFFFFFFF)
    pixel = torch.stack([hit % width, torch.div(hit, width, rounding_mode="floor")], -1)
    edges, inverse_depth = _evaluate(face, pixel, grid, area, depth)
    weights = edges.double() / depth[face].double()

    faces = torch.full((height * width,), -1, dtype=torch.int32, device=keys.device)
    barys = torch.zeros((height * width, 3), device=keys.device)
    depths = torch.full((height * width,), torch.inf, device=keys.device)
    faces[hit] = face.int()
    barys[hit] = (weights / weights.sum(-1, keepdim=True)).float()
    depths[hit] = (1 / inverse_depth).float()
    return faces.view(height, width), barys.view(height, width, 3), depths.view(height, width)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
