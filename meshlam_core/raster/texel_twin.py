"""The slow, obvious twins of warp_texels.py, in plain torch: for the tests, and where warp cannot be had.

Frames: frames.py. Dims: uv_map.py and unwrap.py; M texels of the margin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from meshlam_core.raster.interface import MARGIN_REACH, NEAR
from meshlam_core.raster.uv_map import UvMap


def grow_islands_slowly(
    face: Tensor,  # [S, S] int32, -1 where empty
    bary: Tensor,  # [S, S, 3]
    layout: Tensor,  # [U, 2] px
    uv_faces: Tensor,  # [F, 3] int32
    margin: int,  # texels
) -> tuple[Tensor, Tensor]:  # [S, S], [S, S, 3]
    """Try every offset within the margin, nearest first, and keep the first island texel met."""
    size = len(face)
    span = range(-margin, margin + 1)
    offsets = sorted(
        (dy * dy + dx * dx, dy, dx) for dy in span for dx in span if 0 < dy * dy + dx * dx <= margin * margin
    )
    grown, extended = face.clone(), bary.clone()
    padded = torch.nn.functional.pad(face, (margin,) * 4, value=-1)
    home = torch.arange(size * size).view(size, size)  # the texel that each texel takes its triangle from
    for _, dy, dx in offsets:
        shifted = padded[margin + dy : margin + dy + size, margin + dx : margin + dx + size]
        home = torch.where(
            (grown < 0) & (shifted >= 0), torch.arange(size * size).view(size, size) + dy * size + dx, home
        )
        grown = torch.where(grown < 0, shifted, grown)
    row, column = ((grown >= 0) & (face < 0)).nonzero(as_tuple=True)
    owner = grown[row, column].long()
    centre = torch.stack([column, row], -1) + 0.5  # [M, 2]
    a, b, c = (layout[uv_faces[owner].long()] - centre[:, None]).unbind(1)  # [M, 2]
    edges = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], -1)
    area = edges.sum(-1, keepdim=True)
    beside = bary.view(-1, 3)[home[row, column]]
    step = edges / torch.where(area == 0, 1.0, area) - beside
    extended[row, column] = beside + step * (MARGIN_REACH / step.abs().amax(-1, keepdim=True).clamp_min(MARGIN_REACH))
    return grown, extended


def view_slowly(
    vertices: Tensor,  # [B, V, 3] view frame, m
    normals: Tensor,  # [B, V, 3]
    faces: Tensor,  # [F, 3]
    face_level: Tensor,  # [B, F]
    uv_map: UvMap,
    cameras: Tensor,  # [B, 4] focal, centre x, centre y, depth-buffer pixels per photo pixel
    depth_buffer: Tensor,  # [B, h, w] m
    tolerance: float,  # m
    grazing: tuple[float, float],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # pixel [B, S, S, 2]; weight, visible, cosine, level [B, S, S]
    """What warp_texels.view computes, one step at a time over all covered texels."""
    both = uv_map.attribute(torch.cat([vertices, normals], -1), faces)  # [B, P, 6]
    points, normal = both[..., :3], both[..., 3:]
    depth = -points[..., 2]
    in_front = depth > NEAR
    focal, scale = cameras[:, None, 0:1], cameras[:, None, 3]
    flip = points.new_tensor([1.0, -1.0])
    pixel = focal * flip * points[..., :2] / depth.clamp_min(NEAR)[..., None] + cameras[:, None, 1:3]
    pixel = torch.where(in_front[..., None], pixel, -1.0)
    lengths = (points.square().sum(-1) * normal.square().sum(-1)).sqrt()
    cosine = -(points * normal).sum(-1) / lengths.clamp_min(1e-12)

    slope = (1 - cosine.square()).clamp_min(0).sqrt() / cosine.clamp_min(0.05)
    limit = depth - tolerance - 1.5 * slope * depth / (focal[..., 0] * scale)
    visible = _depth_test(pixel * scale[..., None], limit, depth_buffer) * (in_front & (cosine > 0))
    low, high = grazing
    t = ((cosine - low) / (high - low)).clamp(0, 1)
    weight = visible * t * t * (3 - 2 * t)
    level = face_level.index_select(1, uv_map.face)
    rest = uv_map.scatter(torch.stack([weight, visible, cosine, level], -1)).unbind(-1)
    return (uv_map.scatter(pixel, empty=-1.0), rest[0], rest[1], rest[2], rest[3])


def _depth_test(
    pixel: Tensor,  # [B, P, 2] px of the depth buffer
    limit: Tensor,  # [B, P] m: a surface at least this deep does not hide the texel
    depth_buffer: Tensor,  # [B, h, w] m
) -> Tensor:  # [B, P] 0..1
    """The bilinear share of the four pixels around each texel that do not hide it."""
    height, width = depth_buffer.shape[1:]
    corner = (pixel - 0.5).clamp(-2, 1e6)
    base = corner.floor()
    fx, fy = (corner - base).unbind(-1)
    column, row = base.long().unbind(-1)
    flat = depth_buffer.reshape(len(depth_buffer), -1)
    total = torch.zeros_like(limit)
    for dx, dy, share in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        x, y = column + dx, row + dy
        there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        front = flat.gather(1, y.clamp(0, height - 1) * width + x.clamp(0, width - 1))
        total += share * (there & (front >= limit) & torch.isfinite(front))
    return total


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
