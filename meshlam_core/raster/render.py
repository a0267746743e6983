"""Pictures of a posed mesh: textured, as clay, or its normals.

Frames: view frame in, image frame out (see frames.py). Dims: V vertices, F triangles, U texture coordinates, H rows,
W columns, P samples that show the mesh.

Textures are not lit: a photo's texture holds the photo's own light. Not differentiable: the network shades from
interpolate.py directly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from meshlam_core.frames import Camera
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.interface import Rasteriser
from meshlam_core.raster.interpolate import blend, face_levels, sample_texture, triangle_areas
from meshlam_core.raster.normals import face_normals, vertex_normals
from meshlam_core.raster.project import project

U8 = NDArray[np.uint8]
Style = Literal["texture", "clay", "normals"]

SUPERSAMPLES = 2  # samples per pixel and axis
MAX_SAMPLES = 1 << 21  # rasterised at once; larger pictures are made in strips to bound the memory
COARSEST = 8  # texels, side of the smallest level of a texture that is drawn

CLAY = (0.80, 0.78, 0.76)
# direction to the light in the view frame, strength: a soft key from the upper left, a fill, a rim
LIGHTS = (((-0.5, 0.6, 0.65), 0.62), ((0.8, 0.1, 0.5), 0.22), ((0.2, 0.5, -0.8), 0.25))
AMBIENT = 0.22


@dataclass(frozen=True)
class Samples:
    """What a camera sees at the middle of each pixel, without antialiasing."""

    mask: Tensor  # [H, W] bool
    face: Tensor  # [P] triangles
    bary: Tensor  # [P, 3] where on them
    points: Tensor  # [P, 3] m, view frame
    colours: Tensor  # [P, 3] sRGB, 0..1


class MeshRenderer:
    """A textured mesh ready to be drawn in many poses."""

    def __init__(
        self,
        faces: Tensor,  # [F, 3] int
        uvs: Tensor,  # [U, 2]
        uv_faces: Tensor,  # [F, 3] int
        texture: U8,  # [h, w, 3] sRGB
        light: Tensor,  # [V] 0..1, what the texture is multiplied with
        rasteriser: Rasteriser | None = None,
        folds: Tensor | None = None,  # [G, 3, h', w'] logarithms of factors on the texture
        paint: Tensor | None = None,  # [V, 4] sRGB and cover 0..1, over the texture
        outline: U8 | None = None,  # [h', w', 4] sRGB and share, over the texture where a view asks for it
    ) -> None:
        self._folds, self._paint, self._outline = folds, paint, outline
        self.faces, self._uvs, self._uv_faces = faces, uvs, uv_faces
        self._texture, self.light = texture, light[:, None]  # [V, 1], or [V, 3] of coloured light
        self._rasteriser = rasteriser or get_rasteriser(device=faces.device)
        self._levels: dict[int, Tensor] = {}
        self._outline_levels: dict[int, Tensor] = {}

    def draw(
        self,
        vertices: Tensor,  # [V, 3] m, view frame
        camera: Camera,
        style: Style = "texture",
        folded: Tensor | None = None,  # [G] how far each of the folds shows
        outlined: Tensor | None = None,  # [V] how far the outline shows
    ) -> U8:  # [H, W, 4] sRGB and alpha; colours are zero where alpha is
        """A picture through a camera, antialiased. The style "normals" shows x, y and z as (1 + x) / 2."""
        fold = self._fold(folded)
        width, height = camera.size
        picture = np.zeros((height, width, 4), np.uint8)
        pixels = project(vertices[None], camera)[0]
        lowest = pixels[:, :2].amin(0).floor().clamp_min(0).int().tolist()
        highest = pixels[:, :2].amax(0).ceil().int().tolist()
        x0, x1 = lowest[0], min(highest[0] + 1, width)
        y0, y1 = lowest[1], min(highest[1] + 1, height)
        if x0 >= x1 or y0 >= y1:
            return picture
        rows = max(1, MAX_SAMPLES // ((x1 - x0) * SUPERSAMPLES**2))
        normals = None if style == "texture" else vertex_normals(vertices[None], self.faces)[0]
        for top in range(y0, y1, rows):
            strip = camera.cropped(x0, top, x1 - x0, min(rows, y1 - top))
            drawn = self._draw_strip(vertices, normals, strip, style, fold, outlined)
            picture[top : top + strip.size[1], x0:x1] = drawn
        return picture

    def surface_colours(
        self,
        vertices: Tensor,  # [V, 3] m
        face: Tensor,  # [P] triangles
        bary: Tensor,  # [P, 3]
        spots: Tensor,  # [P] m^2 of surface that each colour stands for
        folded: Tensor | None = None,  # [G]
        outlined: Tensor | None = None,  # [V]
    ) -> Tensor:  # [P, 3] sRGB, 0..1
        """The colours of spots on the surface, each the mean of the texels that lie in it."""
        area = face_normals(vertices[None], self.faces, unit=False)[0].norm(dim=1) / 2
        level = 0.5 * torch.log2((self.texels() / area.clamp_min(1e-12))[face] * spots).clamp(-20, 20)
        uv = _blend(self._uvs, self._uv_faces, face, bary)[None, None]
        colour = sample_texture(self._level(0), uv, level[None, None])[0, :, 0].T
        colour = self._outlined(colour, uv, face, bary, outlined, 0, level[None, None])
        colour = colour * _blend(self.light, self.faces, face, bary)
        fold = self._fold(folded)
        colour = colour if fold is None else colour * sample_texture(fold, uv)[0, :, 0].T.exp()
        return self._painted(colour, face, bary).clamp(0, 1)

    def samples(
        self,
        vertices: Tensor,  # [V, 3] m, view frame
        camera: Camera,
        folded: Tensor | None = None,  # [G]
        outlined: Tensor | None = None,  # [V]
    ) -> Samples:
        """The surface that lies in the middle of each pixel."""
        points = project(vertices[None], camera)
        fragments = self._rasteriser.rasterise(points, self.faces, (camera.size[1], camera.size[0]))
        mask = fragments.mask[0]
        face, bary = fragments.face[0][mask].long(), fragments.bary[0][mask]
        colours = self._textured(points, face, bary, self._fold(folded), outlined)
        return Samples(mask, face, bary, _blend(vertices, self.faces, face, bary), colours)

    def texels(self) -> Tensor:  # [F]
        """How many texels lie in each triangle."""
        height, width = self._texture.shape[:2]
        return triangle_areas(self._uvs[None] * self._uvs.new_tensor([width, height]), self._uv_faces)[0]

    def _fold(self, folded: Tensor | None) -> Tensor | None:  # [G] -> [1, 3, h', w']
        """The logarithm of the factor on the texture; None where no fold shows."""
        if self._folds is None or folded is None or not bool(folded.any()):
            return None
        fold: Tensor = torch.tensordot(folded, self._folds, 1)[None]
        return fold

    def _draw_strip(
        self,
        vertices: Tensor,
        normals: Tensor | None,
        camera: Camera,
        style: Style,
        fold: Tensor | None,
        outlined: Tensor | None,
    ) -> U8:
        fine = camera.scaled(SUPERSAMPLES)
        points = project(vertices[None], fine)
        fragments = self._rasteriser.rasterise(points, self.faces, (fine.size[1], fine.size[0]))
        mask = fragments.mask[0]
        face = fragments.face[0][mask].long()  # only what is hit is shaded
        bary = fragments.bary[0][mask]
        samples = torch.zeros(*mask.shape, 4, device=mask.device)
        if normals is None:
            colour = self._textured(points, face, bary, fold, outlined)
        else:
            unit = functional.normalize(_blend(normals, self.faces, face, bary), dim=-1)
            colour = _lit(unit) if style == "clay" else (1 + unit) / 2
        samples[mask] = torch.cat([colour, torch.ones_like(colour[:, :1])], 1)
        mean = functional.avg_pool2d(samples.permute(2, 0, 1)[None], SUPERSAMPLES)[0].permute(1, 2, 0)
        straight = torch.cat([mean[..., :3] / mean[..., 3:].clamp_min(1e-6), mean[..., 3:]], -1)
        result: U8 = (straight * 255 + 0.5).clamp(0, 255).to(torch.uint8).cpu().numpy()
        return result

    def _textured(
        self,
        points: Tensor,  # [1, V, 3] pixels
        face: Tensor,  # [P]
        bary: Tensor,  # [P, 3]
        fold: Tensor | None,  # [1, 3, h', w']
        outlined: Tensor | None,  # [V]
    ) -> Tensor:  # [P, 3]
        """The texture at the level that suits the typical sample: the samples' own averaging does the rest."""
        if not len(face):
            return bary
        height, width = self._texture.shape[:2]
        levels = face_levels(points, self.faces, self._uvs, self._uv_faces, (height, width))[0]
        level = min(max(round(float(levels[face[::64]].median())), 0), _coarsest(height, width))
        texture = self._level(level)
        uv = _blend(self._uvs, self._uv_faces, face, bary)
        light = _blend(self.light, self.faces, face, bary)
        colour = sample_texture(texture, uv[None, None])[0, :, 0].T
        colour = self._outlined(colour, uv[None, None], face, bary, outlined, level) * light
        colour = colour if fold is None else colour * sample_texture(fold, uv[None, None])[0, :, 0].T.exp()
        return self._painted(colour, face, bary)

    def _outlined(
        self,
        colour: Tensor,  # [P, 3]
        uv: Tensor,  # [1, 1, P, 2]
        face: Tensor,  # [P]
        bary: Tensor,  # [P, 3]
        outlined: Tensor | None,  # [V]
        level: int,  # of the texture that is read
        detail: Tensor | None = None,  # [1, 1, P] levels above that one
    ) -> Tensor:  # [P, 3]
        if self._outline is None or outlined is None:
            return colour
        shown = _blend(outlined[:, None], self.faces, face, bary)
        over = sample_texture(self._outline_level(level), uv, detail)[0, :, 0].T * shown
        return over[:, :3] + (1 - over[:, 3:]) * colour

    def _painted(
        self,
        colour: Tensor,  # [P, 3]
        face: Tensor,  # [P]
        bary: Tensor,  # [P, 3]
    ) -> Tensor:  # [P, 3]
        if self._paint is None:
            return colour
        paint = _blend(self._paint, self.faces, face, bary)
        return colour + paint[:, 3:] * (paint[:, :3] - colour)

    def _level(self, level: int) -> Tensor:  # [1, 3, h, w]
        """The texture at 1 / 2^level of its size; made once."""
        if level not in self._levels:
            pixels = np.array(Image.fromarray(self._texture).reduce(2**level) if level else self._texture)
            texture = torch.from_numpy(pixels).to(self.faces.device).permute(2, 0, 1)[None]
            self._levels[level] = texture.float().contiguous() / 255
        return self._levels[level]

    def _outline_level(self, level: int) -> Tensor:  # [1, 4, h, w] colours times their share, and the share
        """The outline at that level of the texture, or at its own finest; made once."""
        assert self._outline is not None
        (height, width), side = self._outline.shape[:2], max(self._texture.shape[:2])
        level = min(max(level - round(float(np.log2(side / max(height, width)))), 0), _coarsest(height, width))
        if level not in self._outline_levels:
            straight = torch.from_numpy(self._outline).to(self.faces.device).permute(2, 0, 1)[None].float() / 255
            scaled = torch.cat([straight[:, :3] * straight[:, 3:], straight[:, 3:]], 1)
            self._outline_levels[level] = functional.avg_pool2d(scaled, 2**level).contiguous()
        return self._outline_levels[level]


def _coarsest(height: int, width: int) -> int:
    """The last level of a texture that is drawn."""
    return int(np.log2(max(min(height, width) / COARSEST, 1)))


def _blend(
    attributes: Tensor,  # [N, C]
    faces: Tensor,  # [F, 3] indices of the attributes
    face: Tensor,  # [P]
    bary: Tensor,  # [P, 3]
) -> Tensor:  # [P, C]
    corners = faces.long().index_select(0, face)
    return blend(attributes, (corners[:, 0], corners[:, 1], corners[:, 2]), bary)


def _lit(
    normals: Tensor,  # [P, 3] unit, view frame
) -> Tensor:  # [P, 3]
    """Clay under soft lamps; wrapped diffuse light, so that no side drowns in black."""
    light = torch.full_like(normals[..., 0], AMBIENT)
    for direction, strength in LIGHTS:
        towards = functional.normalize(normals.new_tensor(direction), dim=0)
        light = light + strength * ((normals @ towards + 0.25) / 1.25).clamp_min(0)
    return (light[..., None] * normals.new_tensor(CLAY)).clamp(0, 1)
