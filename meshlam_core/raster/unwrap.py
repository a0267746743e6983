"""Photo -> UV: where each texel lies in the photo, whether the photo saw it, and the photo's colour there.

Frames: view frame, image frame and UV (see frames.py).
Dims:  B batch, V vertices, F triangles, S texture size (square), C channels, h and w the photo's size.

    uv_map = build_uv_map(head.uvs, head.uv_faces, 1024)             # once per head model and size
    fragments = rasteriser.rasterise(project(vertices, camera), faces, photo_size)
    view = view_texels(vertices, faces, uv_map, camera, fragments)   # where each texel lies in the photo
    texture = unwrap(photo, view.pixel, view.weight, view.level)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from meshlam_core.frames import Camera
from meshlam_core.raster.backends import has_warp
from meshlam_core.raster.build_uv_map import build_uv_map
from meshlam_core.raster.interface import Fragments
from meshlam_core.raster.interpolate import sample_pyramid, triangle_areas
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.raster.project import intrinsics, project
from meshlam_core.raster.shapes import check_shape
from meshlam_core.raster.texel_twin import view_slowly
from meshlam_core.raster.uv_map import UvMap

__all__ = ["TexelView", "UvMap", "build_uv_map", "unwrap", "view_texels"]


@dataclass(frozen=True)
class TexelView:
    """How a photo sees the texels. Empty texels: pixel (-1, -1), everything else 0."""

    pixel: Tensor  # [B, S, S, 2] px of the camera's image
    weight: Tensor  # [B, S, S] 0..1: visible, times a smooth falloff towards grazing angles
    visible: Tensor  # [B, S, S] 0..1: share of the surrounding pixels that show the texel; 0 on the far side
    cosine: Tensor  # [B, S, S] between surface normal and the ray to the camera; negative on the far side
    level: Tensor  # [B, S, S] log2 of photo pixels per texel


def view_texels(
    vertices: Tensor,  # [B, V, 3] view frame, m
    faces: Tensor,  # [F, 3] int
    uv_map: UvMap,
    camera: Camera | Sequence[Camera],  # of the photo; one for all images or one each
    fragments: Fragments,  # of the same vertices and view; may be coarser or finer than the photo
    grazing: tuple[float, float] = (0.1, 0.5),  # cosines between which the weight rises from 0 to 1
    tolerance: float = 2e-3,  # m by which a texel may lie behind the depth buffer
) -> TexelView:
    """Find each texel in the photo and weigh how well the photo shows it. Only `pixel` carries a gradient.

    Visibility is percentage-closer filtering (Reeves et al. 1987): the bilinear share of the four depth pixels
    around the texel that do not lie in front of it. The tolerance grows with the slope, since one pixel away a
    tilted surface is deeper by tan(angle) pixel widths. Pixels without a surface count as not seen: a texel there
    lies beyond the silhouette.
    """
    sizes = check_shape("vertices", vertices, "B V 3")
    check_shape("fragments.depth", fragments.depth, "B h w", B=sizes["B"])
    with torch.no_grad():
        fixed = vertices.detach().float()
        normals = vertex_normals(fixed, faces)
        projected = project(fixed, camera)
        pixels = triangle_areas(projected[..., :2], faces)  # [B, F]
        face_level = 0.5 * (pixels / uv_map.scale.clamp_min(1e-6)).clamp(1e-6, 1e6).log2()
        cameras = _camera_rows(camera, fixed, fragments)
        inputs = (fixed, normals, faces, face_level, uv_map, cameras, fragments.depth, tolerance, grazing)
        on_warp = has_warp() and fixed.device.type in ("cpu", "cuda")
        pixel, weight, visible, cosine, level = view_quickly(*inputs) if on_warp else view_slowly(*inputs)
    if vertices.requires_grad and torch.is_grad_enabled():
        points = uv_map.spread(vertices, faces).flatten(1, 2)
        pixel = project(points, camera)[..., :2].reshape(len(vertices), uv_map.size, uv_map.size, 2)
        pixel = torch.where(uv_map.covered[..., None], pixel, -1.0)
    return TexelView(pixel, weight, visible, cosine, level)


def _camera_rows(camera: Camera | Sequence[Camera], like: Tensor, fragments: Fragments) -> Tensor:  # [B, 4]
    focal, centre = intrinsics(camera, like)
    cameras = [camera] if isinstance(camera, Camera) else list(camera)
    width = fragments.depth.shape[2]
    scale = like.new_tensor([width / one.size[0] for one in cameras])[:, None]
    return torch.cat([focal[:, 0], centre[:, 0], scale], -1).expand(len(like), 4).contiguous()


def view_quickly(
    vertices: Tensor,  # [B, V, 3] view frame, m
    normals: Tensor,  # [B, V, 3]
    faces: Tensor,  # [F, 3]
    face_level: Tensor,  # [B, F]
    uv_map: UvMap,
    cameras: Tensor,  # [B, 4]
    depth_buffer: Tensor,  # [B, h, w] m
    tolerance: float,  # m
    grazing: tuple[float, float],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # as texel_twin.view_slowly
    """One warp kernel over all texels."""
    from meshlam_core.raster.warp_runtime import TEXEL_BANDS, over_rows, warp_device

    device = warp_device(vertices)
    shape = (len(vertices), uv_map.size, uv_map.size)
    pixel = torch.empty((*shape, 2), device=device)
    rest = [torch.empty(shape, device=device) for _ in range(4)]
    mesh = [t.contiguous() for t in (vertices, normals, faces.int(), face_level)]
    fixed = [*mesh, uv_map.texel_face, uv_map.texel_bary, cameras, depth_buffer.contiguous(), tolerance, *grazing]
    over_rows("view", shape, fixed, [pixel, *rest], device, bands=TEXEL_BANDS)
    return (pixel, rest[0], rest[1], rest[2], rest[3])


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
    out = image.new_zeros(sizes["C"], shape["H"] * shape["W"])
    textures = []
    for i in range(sizes["B"]):
        seen = (visibility[i].reshape(-1) > 0).nonzero()[:, 0]
        texels = grid[i].reshape(-1, 2).index_select(0, seen)[None, None]
        levels = None if level is None else level[i].reshape(-1).index_select(0, seen)[None, None]
        textures.append(out.index_copy(1, seen, _read(image[i : i + 1], texels, levels)[0, :, 0]))
    return torch.stack(textures).view(sizes["B"], sizes["C"], shape["H"], shape["W"])


def _read(image: Tensor, grid: Tensor, level: Tensor | None) -> Tensor:
    if level is None:
        return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sample_pyramid(image, grid, level)
