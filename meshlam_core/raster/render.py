"""Pictures of a posed mesh: textured, lit, as clay, with its wires.

Frames: view frame in, image frame out (see frames.py). Colours are sRGB 0..1; lighting is a plain studio: it
flatters shapes and claims no physics. Not differentiable: training shades from interpolate.py directly.
Dims:  B batch, V vertices, F triangles, H rows, W columns, P hit samples of one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from meshlam_core.frames import Camera
from meshlam_core.raster.interface import Cull, Fragments, Rasteriser, get_rasteriser
from meshlam_core.raster.interpolate import blend, sample_pyramid, triangle_areas
from meshlam_core.raster.normals import face_normals, vertex_normals
from meshlam_core.raster.project import project
from meshlam_core.raster.shapes import check_shape

Shading = Literal["none", "lambert", "clay", "flat"]

CLAY = (0.74, 0.725, 0.71)
# direction to the light in the view frame, colour: a warm key from above left, a cool fill, a rim from behind
LIGHTS = (
    ((-0.45, 0.55, 0.75), (0.66, 0.64, 0.60)),
    ((0.85, 0.05, 0.45), (0.20, 0.22, 0.26)),
    ((0.35, 0.65, -0.70), (0.26, 0.28, 0.32)),
)
SKY, GROUND = (0.34, 0.36, 0.40), (0.16, 0.145, 0.135)  # light from straight above and straight below
WRAP = 0.3  # how far diffuse light reaches round the terminator, as in skin and wax
INSIDE = 0.45  # brightness of surfaces seen from behind
CREVICE = 0.006  # m, width of the creases that get less light
DARKEST = 0.75  # light lost at the bottom of the deepest of them
GLOSS, SHARPNESS = 0.10, 24.0  # a soft highlight that shows small bumps


@dataclass(frozen=True)
class Style:
    """How a mesh is drawn."""

    shading: Shading = "none"  # none: texture as it is; lambert: texture lit; clay: grey, lit; flat: clay by facets
    wire: float = 0.0  # opacity of the triangles' edges
    wire_width: float = 0.8  # px
    wire_colour: tuple[float, float, float] = (0.10, 0.12, 0.16)
    samples: int = 2  # per pixel and axis, against jagged edges
    cull: Cull = "none"


def render(
    vertices: Tensor,  # [B, V, 3] view frame, m
    faces: Tensor,  # [F, 3] int
    camera: Camera,
    uvs: Tensor | None = None,  # [U, 2]
    uv_faces: Tensor | None = None,  # [F, 3] int
    texture: Tensor | None = None,  # [B or 1, 3, Ht, Wt]
    style: Style | Shading = "none",  # a shading's name stands for its Style
    *,
    hidden: Tensor | None = None,  # [F] or [V] bool: triangles left out, or vertices whose triangles are
    background: Tensor | None = None,  # [B or 1, 3, H, W]; without one the background is transparent
    rasteriser: Rasteriser | None = None,
) -> Tensor:  # [B, 4, H, W] RGBA, alpha straight; colours are 0 where alpha is
    """Draw the mesh through the camera."""
    sizes = check_shape("vertices", vertices, "B V 3")
    style = style if isinstance(style, Style) else Style(style)
    if style.shading in ("none", "lambert") and (uvs is None or uv_faces is None or texture is None):
        raise ValueError(f'shading "{style.shading}": expected uvs, uv_faces and texture, got None.')
    kept = _kept(faces, sizes["V"], hidden)
    faces = faces[kept]
    fine = camera.scaled(style.samples)
    with torch.no_grad():
        points = project(vertices, fine)
        raster = rasteriser or get_rasteriser("auto", vertices.device)
        fragments = raster.rasterise(points, faces, fine.size[::-1], style.cull)
        images = []
        for i in range(sizes["B"]):
            hits = _Hits.of(fragments, i, faces)
            if style.shading in ("clay", "flat"):
                colour = hits.bary.new_tensor(CLAY).expand(len(hits.face), 3)
            else:
                assert uvs is not None
                assert uv_faces is not None
                assert texture is not None
                colour = _textured(hits, points[i], uvs, uv_faces[kept], texture[min(i, len(texture) - 1)])
            if style.shading != "none":
                colour = _lit(hits, vertices[i : i + 1], faces, colour, facets=style.shading == "flat")
                colour = colour * _openness(fragments.depth[i], fine.focal).view(-1)[hits.index, None]
            if style.wire > 0:
                colour = _wired(hits, points[i], colour, style)
            images.append(_resolve(hits, fragments.mask[i], colour, style.samples))
        return _over(torch.stack(images), background)


@dataclass(frozen=True)
class _Hits:
    """The samples of one image that show a triangle."""

    index: Tensor  # [P] row * W + column
    face: Tensor  # [P] int64
    bary: Tensor  # [P, 3]
    corners: tuple[Tensor, Tensor, Tensor]  # 3 x [P] vertices
    width: int

    @staticmethod
    def of(fragments: Fragments, image: int, faces: Tensor) -> _Hits:
        """Gather them."""
        index = fragments.mask[image].view(-1).nonzero()[:, 0]
        face = fragments.face[image].view(-1).index_select(0, index).long()
        bary = fragments.bary[image].view(-1, 3).index_select(0, index)
        return _Hits(index, face, bary, _corners(faces, face), fragments.face.shape[2])


def _corners(faces: Tensor, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, b, c = faces.long().index_select(0, face).unbind(1)
    return a, b, c


def _kept(faces: Tensor, vertices: int, hidden: Tensor | None) -> Tensor:  # [N] int64 triangles to draw
    if hidden is None:
        return torch.arange(len(faces), device=faces.device)
    if len(hidden) == len(faces):
        return (~hidden).nonzero()[:, 0]
    if len(hidden) == vertices:
        return (~hidden[faces.long()].any(-1)).nonzero()[:, 0]
    raise ValueError(
        f"hidden: expected one flag per triangle ({len(faces)}) or vertex ({vertices}), got {len(hidden)}."
    )


def _textured(
    hits: _Hits,
    points: Tensor,  # [V, 3] px, m
    uvs: Tensor,  # [U, 2]
    uv_faces: Tensor,  # [F, 3]
    texture: Tensor,  # [3, Ht, Wt]
) -> Tensor:  # [P, 3]
    """Trilinear lookup at the level that each triangle's size asks for."""
    if not len(hits.face):
        return hits.bary
    height, width = texture.shape[1:]
    uv = blend(uvs, _corners(uv_faces, hits.face), hits.bary)
    texels = triangle_areas((uvs * uvs.new_tensor([width, height]))[None], uv_faces)[0]
    faces = torch.stack(hits.corners, -1)
    span = texels.index_select(0, hits.face) / _areas(points, faces).clamp_min(1e-6)
    level = 0.5 * span.clamp(1e-6, 1e6).log2()
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], -1)
    return sample_pyramid(texture[None], grid[None, None], level[None, None])[0, :, 0].T


def _areas(points: Tensor, corners: Tensor) -> Tensor:  # [P] px^2
    return triangle_areas(points[None, :, :2], corners)[0]


def _lit(
    hits: _Hits,
    vertices: Tensor,  # [1, V, 3] view frame
    faces: Tensor,  # [F, 3]
    colour: Tensor,  # [P, 3]
    facets: bool,  # one normal per triangle
) -> Tensor:  # [P, 3]
    """Wrapped diffuse light, a sky, and a soft highlight."""
    flat = face_normals(vertices, faces)[0].index_select(0, hits.face)
    smooth = blend(vertex_normals(vertices, faces)[0], hits.corners, hits.bary)
    normal = flat if facets else functional.normalize(smooth, dim=-1)
    to_eye = -functional.normalize(blend(vertices[0], hits.corners, hits.bary), dim=-1)
    # an open mesh shows its inside too: lit as seen, but darker, as the inside of a mouth or a neck is
    inside = (flat * to_eye).sum(-1, keepdim=True) < 0
    normal = torch.where(inside, -normal, normal)
    colour = torch.where(inside, colour * INSIDE, colour)
    up = (normal[:, 1:2] + 1) / 2
    light = up * normal.new_tensor(SKY) + (1 - up) * normal.new_tensor(GROUND)
    shine = torch.zeros_like(up)
    for direction, strength in LIGHTS:
        towards = functional.normalize(normal.new_tensor(direction), dim=0)
        diffuse = (((normal @ towards)[:, None] + WRAP) / (1 + WRAP)).clamp_min(0)
        light = light + diffuse * normal.new_tensor(strength)
        halfway = functional.normalize(to_eye + towards, dim=-1)
        shine = shine + (normal * halfway).sum(-1, keepdim=True).clamp_min(0) ** SHARPNESS * max(strength)
    return (colour * light + GLOSS * shine).clamp(0, 1)


def _openness(
    depth: Tensor,  # [H, W] m, infinity where empty
    focal: float,  # px
) -> Tensor:  # [H, W] 1 in the open, less in creases and holes
    """Depth-buffer unsharp masking (Luft et al. 2006): what lies deeper than its surroundings gets less light."""
    mask = torch.isfinite(depth)
    if not bool(mask.any()):
        return torch.ones_like(depth)
    radius = max(1, round(CREVICE * focal / float(depth[mask].median())))
    flat = torch.stack([torch.where(mask, depth, 0.0), mask.float()])[None]
    for _ in range(2):  # a box twice is a tent
        for kernel in ((2 * radius + 1, 1), (1, 2 * radius + 1)):
            padding = (kernel[0] // 2, kernel[1] // 2)
            flat = functional.avg_pool2d(flat, kernel, stride=1, padding=padding)
    around = flat[0, 0] / flat[0, 1].clamp_min(1e-6)
    sunk = torch.where(mask, depth - around, 0.0).clamp_min(0) / CREVICE
    # beside the outline only nearer surroundings count, which would draw a dark rim around everything
    sunk = sunk * ((flat[0, 1] - 0.75) * 4).clamp(0, 1)
    return 1 - DARKEST * (sunk / (sunk + 0.8))


def _wired(
    hits: _Hits,
    points: Tensor,  # [V, 3] px of the samples' grid
    colour: Tensor,  # [P, 3]
    style: Style,
) -> Tensor:  # [P, 3]
    """Edges drawn where a sample lies within half a line's width of one of its triangle's sides."""
    centre = torch.stack([hits.index % hits.width, hits.index // hits.width], -1) + 0.5
    a, b, c = (points[:, :2].index_select(0, corner) - centre for corner in hits.corners)
    nearest = torch.full_like(hits.bary[:, 0], torch.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        side = end - start
        away = (start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0]).abs() / side.norm(dim=-1).clamp_min(1e-6)
        nearest = torch.minimum(nearest, away)
    reach = style.wire_width * style.samples / 2
    ink = style.wire * (reach + 0.5 - nearest).clamp(0, 1)[:, None]
    return colour + ink * (colour.new_tensor(style.wire_colour) - colour)


def _resolve(
    hits: _Hits,
    mask: Tensor,  # [H * samples, W * samples]
    colour: Tensor,  # [P, 3]
    samples: int,
) -> Tensor:  # [4, H, W]
    """Average the samples of each pixel; the colour is that of the hit ones."""
    flat = colour.new_zeros(4, mask.numel())
    flat[:3].index_copy_(1, hits.index, colour.T)
    flat[3] = mask.view(-1)
    image = flat.view(1, 4, *mask.shape)
    if samples > 1:
        image = functional.avg_pool2d(image, samples)
    return torch.cat([image[0, :3] / image[0, 3:].clamp_min(1e-6), image[0, 3:]])


def _over(
    image: Tensor,  # [B, 4, H, W]
    background: Tensor | None,  # [B or 1, 3, H, W]
) -> Tensor:  # [B, 4, H, W]
    if background is None:
        return image
    alpha = image[:, 3:]
    colour = image[:, :3] * alpha + background * (1 - alpha)
    return torch.cat([colour, torch.ones_like(alpha)], 1)
