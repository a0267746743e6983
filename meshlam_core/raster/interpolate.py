"""From fragments to pictures: barycentrics, attribute interpolation and texture sampling, all differentiable.

The rasteriser itself has no gradient. Positions receive theirs through `barycentrics`, which computes the
perspective-correct coordinates of the pixel centres anew from differentiable vertices; which triangle a pixel
sees is held fixed, so silhouettes give no gradient here.

Frame: image frame and UV (see frames.py): texture row 0 is the top, v points up, texel centres at (i + 0.5) / size.
Dims:  B batch, V vertices, F triangles, H rows, W columns, C channels, P hit pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from meshlam_core.raster import quick
from meshlam_core.raster.interface import SUBPIXELS, Fragments
from meshlam_core.raster.shapes import check_shape


def barycentrics(
    vertices: Tensor,  # [B, V, 3] pixel x, pixel y, camera depth in m
    faces: Tensor,  # [F, 3] int
    fragments: Fragments,
) -> Tensor:  # [B, H, W, 3] sum to 1; zeros where nothing is hit
    """The fragments' barycentrics with a gradient to the vertices.

    Triangles thinner than the rasteriser's grid keep the fragments' values, without a gradient.
    """
    sizes = check_shape("vertices", vertices, "B V 3")
    check_shape("fragments.face", fragments.face, "B H W", B=sizes["B"])
    if quick.fits(vertices, fragments.bary):
        return quick.barycentrics(vertices, faces, fragments)
    return barycentrics_slowly(vertices, faces, fragments)


def barycentrics_slowly(
    vertices: Tensor,  # [B, V, 3] pixel x, pixel y, camera depth in m
    faces: Tensor,  # [F, 3] int
    fragments: Fragments,
) -> Tensor:  # [B, H, W, 3]
    """The twin of quick.barycentrics, for any dtype."""
    hit, corners = _hit_corners(faces, fragments, vertices.shape[1])
    _, y, x = hit
    flat = vertices.reshape(-1, 3)
    points = torch.stack([flat.index_select(0, corner) for corner in corners], 1)  # [P, 3, 3]
    # relative to the pixel centre, so that float32 keeps its digits on large images
    offset = points[..., :2] - torch.stack([x, y], -1)[:, None].to(vertices.dtype) - 0.5
    edges = torch.stack([_cross(offset[:, i - 2], offset[:, i - 1]) for i in range(3)], -1)  # [P, 3]
    area = edges.sum(-1, keepdim=True)
    longest = (offset - offset.roll(1, 1)).detach().square().sum(-1).amax(-1, keepdim=True).sqrt()
    thin = area.detach().abs() <= longest * (4 / SUBPIXELS)
    weights = edges / points[..., 2]
    total = weights.sum(-1, keepdim=True)
    exact = weights / torch.where(thin, torch.ones_like(total), total)
    given = fragments.bary[hit].to(vertices.dtype)
    out = torch.zeros((*fragments.face.shape, 3), dtype=vertices.dtype, device=vertices.device)
    return out.index_put(hit, torch.where(thin, given, exact))


def interpolate(
    attributes: Tensor,  # [B, V, C] or [V, C] per vertex; for texture coordinates pass uvs with uv_faces
    faces: Tensor,  # [F, 3] int triangles of the attributes' indices, in the order of the rasterised ones
    fragments: Fragments,
    bary: Tensor | None = None,  # [B, H, W, 3] from barycentrics(), for gradients to positions
) -> Tensor:  # [B, H, W, C] zeros where nothing is hit
    """Blend the attributes of each pixel's triangle. Differentiable in the attributes and in `bary`."""
    if attributes.ndim == 2:
        attributes = attributes[None]
    else:
        check_shape("attributes", attributes, "B V C", B=len(fragments.face))
    shape = check_shape("fragments.face", fragments.face, "B H W")
    if bary is None:
        bary = fragments.bary.to(attributes.dtype)
    check_shape("bary", bary, "B H W 3", **shape)
    if quick.fits(attributes, bary, fragments.bary):
        return quick.blend(attributes, faces, fragments.face, bary)
    return interpolate_slowly(attributes, faces, fragments, bary)


def interpolate_slowly(
    attributes: Tensor,  # [B or 1, V, C]
    faces: Tensor,  # [F, 3] int
    fragments: Fragments,
    bary: Tensor,  # [B, H, W, 3]
) -> Tensor:  # [B, H, W, C]
    """The twin of quick.blend, for any dtype."""
    attributes = attributes.expand(len(fragments.face), -1, -1)
    channels = attributes.shape[2]
    hit, corners = _hit_corners(faces, fragments, attributes.shape[1])
    blended = blend(attributes.reshape(-1, channels), corners, bary[hit])
    out = torch.zeros((*fragments.face.shape, channels), dtype=blended.dtype, device=blended.device)
    return out.index_put(hit, blended)


def blend(
    attributes: Tensor,  # [N, C]
    corners: tuple[Tensor, Tensor, Tensor],  # 3 x [P] rows of the attributes
    bary: Tensor,  # [P, 3]
) -> Tensor:  # [P, C]
    """Weighted sums of three rows each. index_select because the backward of plain indexing is slow on the CPU."""
    first, second, third = (attributes.index_select(0, corner) for corner in corners)
    return first * bary[:, 0:1] + second * bary[:, 1:2] + third * bary[:, 2:3]


def sample_texture(
    texture: Tensor,  # [B, C, Ht, Wt] or [1, C, Ht, Wt] for all images
    uv: Tensor,  # [B, H, W, 2]
    level: Tensor | None = None,  # [B, H, W] log2 of texels per pixel: mip levels against aliasing
) -> Tensor:  # [B, C, H, W]
    """Bilinear texture lookup; with `level`, trilinear in a pyramid of box-filtered halvings. Edges are clamped."""
    sizes = check_shape("uv", uv, "B H W 2")
    if len(texture) == 1:
        texture = texture.expand(sizes["B"], -1, -1, -1)
    check_shape("texture", texture, "B C Ht Wt", B=sizes["B"])
    # grid_sample's -1..1 spans the outer edges of the texture when align_corners is off
    grid = torch.stack([2 * uv[..., 0] - 1, 1 - 2 * uv[..., 1]], -1)
    if level is None:
        return functional.grid_sample(texture, grid, mode="bilinear", padding_mode="border", align_corners=False)
    check_shape("level", level, "B H W", **sizes)
    return sample_pyramid(texture, grid, level)


def sample_pyramid(
    image: Tensor,  # [B, C, h, w]
    grid: Tensor,  # [B, H, W, 2] in grid_sample's -1..1
    level: Tensor,  # [B, H, W] log2 of image pixels per sample; clamped to the pyramid
) -> Tensor:  # [B, C, H, W]
    """Trilinear sampling. Levels that no sample needs are neither built nor read."""
    deepest = max(0, min(image.shape[-2:]).bit_length() - 1)
    level = level.detach().clamp(0, deepest)
    highest = int(level.max().ceil()) if level.numel() else 0
    total: Tensor | None = None
    for k in range(highest + 1):
        weight = (1 - (level - k).abs()).clamp_min(0)
        if k > 0:
            image = halved(image)
        if bool(weight.any()):
            read = functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
            part = read * weight[:, None] if highest else read
            total = part if total is None else total + part
    assert total is not None  # the weights sum to 1 everywhere
    return total


def halved(
    image: Tensor,  # [B, C, h, w]
) -> Tensor:  # [B, C, h // 2, w // 2]
    """Box-filter to half the size; odd sizes keep their outer edges in place."""
    height, width = image.shape[-2:]
    if height % 2 == 0 and width % 2 == 0:
        return functional.avg_pool2d(image, 2)
    return functional.adaptive_avg_pool2d(image, (max(1, height // 2), max(1, width // 2)))


def texture_level(
    vertices: Tensor,  # [B, V, 3] pixel x, pixel y, camera depth in m
    faces: Tensor,  # [F, 3] int
    uvs: Tensor,  # [U, 2]
    uv_faces: Tensor,  # [F, 3] int
    fragments: Fragments,
    texture_size: tuple[int, int],  # (height, width)
) -> Tensor:  # [B, H, W] log2 of texels per pixel, 0 where nothing is hit
    """How many texels each pixel spans, from the ratio of the areas of its triangle in texture and image."""
    per_face = face_levels(vertices, faces, uvs, uv_faces, texture_size)
    images = torch.arange(len(vertices), device=vertices.device)[:, None, None]
    found = per_face[images, fragments.face.long().clamp_min(0)] if per_face.shape[1] else per_face.new_zeros(())
    return torch.where(fragments.mask, found, 0.0)


def face_levels(
    vertices: Tensor,  # [B, V, 3] pixel x, pixel y, camera depth in m
    faces: Tensor,  # [F, 3] int
    uvs: Tensor,  # [U, 2]
    uv_faces: Tensor,  # [F, 3] int
    texture_size: tuple[int, int],  # (height, width)
) -> Tensor:  # [B, F] log2 of texels per pixel
    """How many texels a pixel of each triangle spans."""
    height, width = texture_size
    texels = triangle_areas(uvs[None] * uvs.new_tensor([width, height]), uv_faces)  # [1, F]
    pixels = triangle_areas(vertices.detach()[..., :2], faces)  # [B, F]
    # a triangle seen edge-on spans many texels in one direction only: a bounded blur is the better fault there
    return 0.5 * torch.log2((texels / pixels.clamp_min(1e-6)).clamp(1e-6, 1e6))


def triangle_areas(
    points: Tensor,  # [B, V, 2]
    faces: Tensor,  # [F, 3] int
) -> Tensor:  # [B, F]
    """Unsigned areas of flat triangles."""
    a, b, c = (points.index_select(1, faces[:, i].long()) for i in range(3))
    return _cross(b - a, c - a).abs() / 2


def _hit_corners(
    faces: Tensor,  # [F, 3]
    fragments: Fragments,
    count: int,  # V, rows per image
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:  # 3 x [P] (image, row, column), 3 x [P]
    """The hit pixels and the rows of their corners in attributes flattened to [B * V, C]."""
    b, y, x = torch.nonzero(fragments.mask, as_tuple=True)
    corners = faces.long().index_select(0, fragments.face[b, y, x].long()) + (b * count)[:, None]
    return (b, y, x), (corners[:, 0], corners[:, 1], corners[:, 2])


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
