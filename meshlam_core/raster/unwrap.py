"""Photo -> UV: which point of the head each texel shows, whether the photo saw it, and the photo's colour there.

Frames: view frame, image frame and UV (see frames.py). Texel (row, column) is centred at
        u = (column + 0.5) / size, v = 1 - (row + 0.5) / size.
Dims:  B batch, V vertices, F triangles, S texture size (square), P covered texels (islands and their margin).

    uv_map = build_uv_map(head.uvs, head.uv_faces, 1024)             # once per head model and size
    fragments = rasteriser.rasterise(project(vertices, camera), faces, photo_size)
    view = view_texels(vertices, faces, uv_map, camera, fragments)   # where each texel lies in the photo
    texture = unwrap(photo, view.pixel, view.weight, view.level)
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.frames import Camera
from meshlam_core.raster.interface import Fragments, get_rasteriser
from meshlam_core.raster.interpolate import blend, sample_pyramid
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.raster.project import project
from meshlam_core.raster.shapes import check_shape

MARGIN = 8  # texels that islands grow, so that bilinear sampling and two mip levels never read an empty texel
CACHED_MAPS = 4


@dataclass(frozen=True)
class UvMap:
    """The surface point of every covered texel. Depends only on the UV layout and the texture size."""

    size: int
    texel: Tensor  # [P] int64, row * size + column of each covered texel, ascending
    face: Tensor  # [P] int64 triangle
    bary: Tensor  # [P, 3] float32, sum to 1; extrapolated (some negative) in the margin
    inside: Tensor  # [P] bool, false in the margin
    scale: Tensor  # [F] texels each triangle covers

    @property
    def covered(self) -> Tensor:  # [S, S] bool
        """True on islands and their margin."""
        return self.scatter(torch.ones_like(self.texel, dtype=torch.bool)[None, :, None])[0, ..., 0]

    @property
    def islands(self) -> Tensor:  # [S, S] bool
        """True on islands, margin excluded."""
        return self.scatter(self.inside[None, :, None])[0, ..., 0]

    def scatter(
        self,
        values: Tensor,  # [B, P, C]
        empty: float = 0.0,
    ) -> Tensor:  # [B, S, S, C]
        """Values of covered texels to the whole texture."""
        sizes = check_shape("values", values, "B P C", P=len(self.texel))
        out = torch.full((sizes["B"], self.size**2, sizes["C"]), empty, dtype=values.dtype, device=values.device)
        return out.index_copy(1, self.texel, values).view(sizes["B"], self.size, self.size, sizes["C"])

    def attribute(
        self,
        attributes: Tensor,  # [B, V, C] per vertex
        faces: Tensor,  # [F, 3] int
    ) -> Tensor:  # [B, P, C]
        """A vertex attribute at the covered texels, e.g. positions or part weights. Differentiable."""
        sizes = check_shape("attributes", attributes, "B V C")
        corners = faces.long().index_select(0, self.face)  # [P, 3]
        picked = (corners[:, 0], corners[:, 1], corners[:, 2])
        bary = self.bary.to(attributes.dtype)
        return torch.stack([blend(attributes[i], picked, bary) for i in range(sizes["B"])])

    def to(self, device: torch.device | str) -> UvMap:
        """The same map on another device."""
        moved = (t.to(device) for t in (self.texel, self.face, self.bary, self.inside, self.scale))
        return UvMap(self.size, *moved)


@dataclass(frozen=True)
class TexelView:
    """How one photo sees the texels. Empty texels: pixel (-1, -1), everything else 0."""

    pixel: Tensor  # [B, S, S, 2] px of the camera's image
    weight: Tensor  # [B, S, S] 0..1: seen, times a smooth falloff towards grazing angles
    visible: Tensor  # [B, S, S] 0..1 share of the surrounding pixels that show this texel, angle ignored
    cosine: Tensor  # [B, S, S] between surface normal and the ray to the camera; negative on the far side
    level: Tensor  # [B, S, S] log2 of photo pixels per texel


_maps: OrderedDict[tuple[bytes, int, int], UvMap] = OrderedDict()


def build_uv_map(
    uvs: Tensor | NDArray[np.float32],  # [U, 2]
    uv_faces: Tensor | NDArray[np.int32],  # [F, 3]
    size: int,
    margin: int = MARGIN,  # texels
) -> UvMap:
    """Rasterise the UV layout, with the islands grown by `margin`. The last few maps are kept and returned again."""
    points = torch.as_tensor(uvs).detach().cpu().float().contiguous()
    faces = torch.as_tensor(uv_faces).detach().cpu().int().contiguous()
    content = hashlib.blake2b(points.numpy().tobytes() + faces.numpy().tobytes()).digest()
    key = (content, size, margin)
    if key not in _maps:
        _maps[key] = _build(points, faces, size, margin)
        while len(_maps) > CACHED_MAPS:
            _maps.popitem(last=False)
    _maps.move_to_end(key)
    return _maps[key]


def _build(uvs: Tensor, uv_faces: Tensor, size: int, margin: int) -> UvMap:
    layout = torch.stack([uvs[:, 0] * size, (1 - uvs[:, 1]) * size, torch.ones_like(uvs[:, 0])], -1)  # px
    fragments = get_rasteriser("auto").rasterise(layout[None], uv_faces, (size, size))
    face = fragments.face[0].long()  # [S, S]
    inside = face >= 0
    corners = layout[:, :2][uv_faces.long()]  # [F, 3, 2]
    scale = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).abs() / 2

    texel, nearest = _grow(inside, margin)
    owner = face.view(-1)[nearest]
    centre = torch.stack([texel % size, texel // size], -1) + 0.5
    outer = _flat_barycentrics(corners[owner], centre)

    core = inside.view(-1).nonzero()[:, 0]
    everywhere = torch.cat([core, texel])
    order = everywhere.argsort()
    return UvMap(
        size=size,
        texel=everywhere[order],
        face=torch.cat([face.view(-1)[core], owner])[order],
        bary=torch.cat([fragments.bary.view(-1, 3)[core], outer])[order],
        inside=order < len(core),
        scale=scale,
    )


def _grow(
    inside: Tensor,  # [S, S] bool
    margin: int,
) -> tuple[Tensor, Tensor]:  # [M] empty texels within `margin` of an island, [M] the nearest island texel of each
    """Exact nearest neighbours by the two-pass distance transform, limited to the margin."""
    size = len(inside)
    column = torch.arange(size)
    far = 4 * size
    # along each row: the nearest island column to the left and to the right
    left = torch.where(inside, column, -far).cummax(1).values
    right = torch.where(inside, column, far).flip(1).cummin(1).values.flip(1)
    near = torch.where(column - left <= right - column, left, right)  # [S, S]
    square = (2 * margin + 1, 2 * margin + 1)
    grown = functional.max_pool2d(inside[None, None].float(), square, stride=1, padding=margin)[0, 0] > 0
    row, col = (grown & ~inside).nonzero(as_tuple=True)
    best = torch.full_like(row, margin * margin + 1)
    nearest = torch.zeros_like(row)
    for step in range(-margin, margin + 1):
        other = row + step
        candidate = near[other.clamp(0, size - 1), col]
        distance = (candidate - col) ** 2 + step * step
        distance[(other < 0) | (other >= size)] = far
        closer = distance < best
        best = torch.where(closer, distance, best)
        nearest = torch.where(closer, other * size + candidate, nearest)
    kept = best <= margin * margin
    return (row * size + col)[kept], nearest[kept]


def _flat_barycentrics(
    corners: Tensor,  # [M, 3, 2]
    points: Tensor,  # [M, 2]
) -> Tensor:  # [M, 3]
    """Barycentrics of points outside their triangle, kept within one triangle's size of it."""
    a, b, c = (corners - points[:, None]).unbind(1)
    edges = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], -1)
    area = edges.sum(-1, keepdim=True)
    bary = (edges / torch.where(area == 0, 1.0, area)).clamp(-1, 2)
    return bary / bary.sum(-1, keepdim=True).clamp_min(1e-3)


def view_texels(
    vertices: Tensor,  # [B, V, 3] view frame, m
    faces: Tensor,  # [F, 3] int
    uv_map: UvMap,
    camera: Camera | Sequence[Camera],  # of the photo; one for all images or one each
    fragments: Fragments,  # of the same vertices and view; may be coarser or finer than the photo
    grazing: tuple[float, float] = (0.1, 0.5),  # cosines between which the weight rises from 0 to 1
    tolerance: float = 2e-3,  # m by which a texel may lie behind the depth buffer
) -> TexelView:
    """Find each texel in the photo and weigh how well the photo shows it. Differentiable in `pixel`."""
    check_shape("vertices", vertices, "B V 3")
    normals = vertex_normals(vertices, faces)
    both = uv_map.attribute(torch.cat([vertices, normals], -1), faces)  # [B, P, 6]
    points, normal = both[..., :3], both[..., 3:]
    projected = project(points, camera)
    pixel, depth = projected[..., :2], projected[..., 2]
    with torch.no_grad():
        # the camera is the view frame's origin
        cosine = -(points * normal).sum(-1) / (points.norm(dim=-1) * normal.norm(dim=-1)).clamp_min(1e-12)
        first = camera if isinstance(camera, Camera) else camera[0]
        visible = _depth_test(pixel, depth, cosine, fragments, first, tolerance)
        low, high = grazing
        t = ((cosine - low) / (high - low)).clamp(0, 1)
        weight = visible * t * t * (3 - 2 * t)
        level = _pixels_per_texel(project(vertices, camera), faces, uv_map)
    rest = uv_map.scatter(torch.stack([weight, visible, cosine, level], -1)).unbind(-1)
    return TexelView(uv_map.scatter(pixel, empty=-1.0), *rest)


def _depth_test(
    pixel: Tensor,  # [B, P, 2] px of the photo
    depth: Tensor,  # [B, P] m
    cosine: Tensor,  # [B, P]
    fragments: Fragments,
    camera: Camera,
    tolerance: float,  # m
) -> Tensor:  # [B, P] 0..1
    """Percentage-closer filtering over the four depth pixels around each texel (Reeves et al. 1987).

    The tolerance grows with the slope: a pixel away, a tilted surface is deeper by tan(angle) pixel widths.
    Pixels without a surface count as not seen: a texel there lies beyond the silhouette.
    """
    height, width = fragments.depth.shape[1:]
    scale = width / camera.size[0]
    slope = (1 - cosine.square()).clamp_min(0).sqrt() / cosine.clamp_min(0.05)
    limit = depth - tolerance - 1.5 * slope * depth / (camera.focal * scale)
    corner = pixel * scale - 0.5
    base = corner.floor()
    fraction = corner - base
    column, row = base[..., 0].long(), base[..., 1].long()
    total = torch.zeros_like(depth)
    flat = fragments.depth.to(depth.dtype).reshape(len(depth), -1)
    for dy in (0, 1):
        for dx in (0, 1):
            x, y = column + dx, row + dy
            share = (fraction[..., 0] if dx else 1 - fraction[..., 0]) * (
                fraction[..., 1] if dy else 1 - fraction[..., 1]
            )
            there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            front = flat.gather(1, y.clamp(0, height - 1) * width + x.clamp(0, width - 1))
            total += share * (there & (front >= limit) & torch.isfinite(front))
    return total * (depth > 0)


def _pixels_per_texel(
    projected: Tensor,  # [B, V, 3] px, m
    faces: Tensor,  # [F, 3]
    uv_map: UvMap,
) -> Tensor:  # [B, P] log2
    """From the ratio of each triangle's areas in the photo and in the texture."""
    a, b, c = (projected[..., :2].index_select(1, faces[:, i].long()) for i in range(3))
    pixels = _cross(b - a, c - a).abs() / 2  # [B, F]
    ratio = (pixels / uv_map.scale.clamp_min(1e-6)).clamp(1e-6, 1e6)
    return (0.5 * ratio.log2()).index_select(1, uv_map.face)


def unwrap(
    image: Tensor,  # [B, C, h, w]
    pixel: Tensor,  # [B, S, S, 2] px of the image
    visibility: Tensor | None = None,  # [B, S, S]; texels of 0 are left out
    level: Tensor | None = None,  # [B, S, S] log2 of pixels per texel: filters where the image is finer
) -> Tensor:  # [B, C, S, S] the image at each texel, not multiplied by the visibility; 0 where left out
    """Carry an image into the texture. Differentiable in the image and in the pixel positions."""
    sizes = check_shape("image", image, "B C h w")
    shape = check_shape("pixel", pixel, "B H W 2", B=sizes["B"])
    grid = 2 * pixel / pixel.new_tensor([sizes["w"], sizes["h"]]) - 1
    if visibility is None:
        return _read(image, grid, level)
    check_shape("visibility", visibility, "B H W", B=shape["B"], H=shape["H"], W=shape["W"])
    # a photo sees less than half of a head's texels: read only those
    out = image.new_zeros(sizes["B"], sizes["C"], shape["H"] * shape["W"])
    rows = []
    for i in range(sizes["B"]):
        seen = (visibility[i].reshape(-1) > 0).nonzero()[:, 0]
        texels = grid[i].reshape(-1, 2)[seen][None, None]
        levels = None if level is None else level[i].reshape(-1)[seen][None, None]
        rows.append(out[i].index_copy(1, seen, _read(image[i : i + 1], texels, levels)[0, :, 0]))
    return torch.stack(rows).view(sizes["B"], sizes["C"], shape["H"], shape["W"])


def _read(image: Tensor, grid: Tensor, level: Tensor | None) -> Tensor:
    if level is None:
        return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sample_pyramid(image, grid, level)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
