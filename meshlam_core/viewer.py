"""Pictures of an avatar: posed, textured or as clay, from fixed views or through the photo's camera.

Frames and units: frames.py. Dims: V vertices, K blendshapes, J joints, H rows, W columns.

The albedo holds the photo's own light, so textured pictures are not lit again: seen through the photo's camera, in the
photo's pose, they repeat the photo.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from meshlam_core.avatar import Avatar
from meshlam_core.errors import UsageError
from meshlam_core.frames import Camera
from meshlam_core.head.skinning import pose_vertices
from meshlam_core.raster.interface import Rasteriser, get_rasteriser
from meshlam_core.raster.interpolate import blend, sample_texture, triangle_areas
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.raster.project import project

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Style = Literal["texture", "clay", "normals"]
# rendering [H, W, 4], normals [H, W, 3] view frame and zero beside the head, photo [h, w, 3] -> picture [H, W, 4]
Repaint = Callable[[U8, F32, U8], U8]

# the head's turn about its vertical axis; "left" shows the subject's left side
VIEW_YAW = {"front": 0.0, "three-quarter": -35.0, "left": -90.0, "right": 90.0, "back": 180.0}  # degrees
THUMBNAIL_YAW = -15.0  # degrees: shows some depth and still both eyes
DISTANCE = 1.1  # m from the camera to the middle of the head, about that of a portrait photographer
COARSEST = 8  # texels, side of the smallest level of a texture that is drawn
MARGIN = 0.06  # of the picture's side, left free around the head
SUPERSAMPLES = 2  # samples per pixel and axis
MAX_SAMPLES = 1 << 21  # rasterised at once; larger pictures are made in strips to bound the memory

# unlit, the inside of the mouth would glow: what lies deep behind the lips gets less light
MOUTH_PARTS = ("mouth_interior", "teeth_upper", "teeth_lower", "tongue")
MOUTH_DEPTH = 0.06  # m in which the light falls to 1/e
MOUTH_DARKEST = 0.25

CLAY = (0.80, 0.78, 0.76)
# direction to the light in the view frame, strength: a soft key from the upper left, a fill, a rim
LIGHTS = (((-0.5, 0.6, 0.65), 0.62), ((0.8, 0.1, 0.5), 0.22), ((0.2, 0.5, -0.8), 0.25))
AMBIENT = 0.22


@dataclass(frozen=True)
class Pose:
    """How the head is bent."""

    expression: F32  # [K]
    rotations: F32  # [J, 3] axis-angle, rad


class AvatarRenderer:
    """An avatar ready to be drawn many times."""

    def __init__(
        self,
        avatar: Avatar,
        device: str = "cpu",
        rasteriser: Rasteriser | None = None,
        repaint: Repaint | None = None,  # makes the final picture of a textured one
    ) -> None:
        def tensor(array: NDArray[np.generic]) -> Tensor:
            return torch.tensor(array, device=device)  # a copy: the arrays may be read-only

        self.avatar = avatar
        self.device = device
        self._repaint = repaint
        self._rasteriser = rasteriser or get_rasteriser(device=device)
        self._vertices, self._faces = tensor(avatar.vertices), tensor(avatar.faces)
        self._uvs, self._uv_faces = tensor(avatar.uvs), tensor(avatar.uv_faces)
        self._blendshapes, self._joints, self._weights = map(
            tensor, (avatar.blendshapes, avatar.joints, avatar.weights)
        )
        self._correctives = None if avatar.pose_correctives is None else tensor(avatar.pose_correctives)
        self._light = tensor(mouth_light(avatar))[:, None]
        self._levels: dict[int, Tensor] = {}

    def posed(self, pose: Pose) -> Tensor:  # [V, 3] m, avatar frame's axes
        """The bent head, before any translation."""
        expression = torch.tensor(pose.expression, device=self.device)[None]
        rotations = torch.tensor(pose.rotations, device=self.device)[None]
        return pose_vertices(
            self._vertices,
            self._blendshapes,
            expression,
            rotations,
            self._joints,
            self._weights,
            self.avatar.joint_parents,
            self._correctives,
        )[0]

    def draw_pose(
        self,
        expression: F32,  # [K]
        rotations: F32,  # [J, 3] axis-angle, rad
        translation: F32,  # [3] m
        camera: Camera,
        style: Style = "texture",
    ) -> U8:  # [H, W, 4]
        """The head in a pose of the view frame, as photos and tracks give it."""
        offset = torch.tensor(translation, device=self.device)
        return self.draw(self.posed(Pose(expression, rotations)) + offset, camera, style)

    def draw(
        self,
        vertices: Tensor,  # [V, 3] m, view frame
        camera: Camera,
        style: Style = "texture",
    ) -> U8:  # [H, W, 4] sRGB and alpha; colours are zero where alpha is
        """A picture through a camera, antialiased. The style "normals" shows x, y and z as (1 + x) / 2."""
        picture = self._draw(vertices, camera, style)
        if self._repaint is None or style != "texture":
            return picture
        coded = self._draw(vertices, camera, "normals")
        normals = np.where(coded[..., 3:] > 0, coded[..., :3] / np.float32(127.5) - 1, np.float32(0))
        return self._repaint(picture, normals, self.avatar.photo_image)

    def _draw(self, vertices: Tensor, camera: Camera, style: Style) -> U8:
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
        normals = None if style == "texture" else vertex_normals(vertices[None], self._faces)[0]
        for top in range(y0, y1, rows):
            strip = camera.cropped(x0, top, x1 - x0, min(rows, y1 - top))
            picture[top : top + strip.size[1], x0:x1] = self._draw_strip(vertices, normals, strip, style)
        return picture

    def _draw_strip(self, vertices: Tensor, normals: Tensor | None, camera: Camera, style: Style) -> U8:
        fine = camera.scaled(SUPERSAMPLES)
        points = project(vertices[None], fine)
        fragments = self._rasteriser.rasterise(points, self._faces, (fine.size[1], fine.size[0]))
        mask = fragments.mask[0]
        face = fragments.face[0][mask].long()  # only what is hit is shaded: P samples
        bary = fragments.bary[0][mask]
        samples = torch.zeros(*mask.shape, 4, device=mask.device)
        if normals is None:
            colour = self._textured(points, face, bary)
        else:
            unit = torch.nn.functional.normalize(_blend(normals, self._faces, face, bary), dim=-1)
            colour = _lit(unit) if style == "clay" else (1 + unit) / 2
        samples[mask] = torch.cat([colour, torch.ones_like(colour[:, :1])], 1)
        mean = torch.nn.functional.avg_pool2d(samples.permute(2, 0, 1)[None], SUPERSAMPLES)[0].permute(1, 2, 0)
        straight = torch.cat([mean[..., :3] / mean[..., 3:].clamp_min(1e-6), mean[..., 3:]], -1)
        result: U8 = (straight * 255 + 0.5).clamp(0, 255).to(torch.uint8).cpu().numpy()
        return result

    def _textured(
        self,
        points: Tensor,  # [1, V, 3] pixels
        face: Tensor,  # [P]
        bary: Tensor,  # [P, 3]
    ) -> Tensor:  # [P, 3]
        """The texture at the level that suits the typical sample: the samples' own averaging does the rest."""
        if not len(face):
            return bary
        height, width = self.avatar.albedo.shape[:2]
        texels = triangle_areas((self._uvs * self._uvs.new_tensor([width, height]))[None], self._uv_faces)[0]
        pixels = triangle_areas(points[..., :2], self._faces)[0]
        span = (texels / pixels.clamp_min(1e-6))[face[::64]].median()
        level = round(0.5 * float(torch.log2(span.clamp_min(1e-6))))
        texture = self._level(min(max(level, 0), int(np.log2(min(height, width) / COARSEST))))
        uv = _blend(self._uvs, self._uv_faces, face, bary)
        light = _blend(self._light, self._faces, face, bary)
        return sample_texture(texture, uv[None, None])[0, :, 0].T * light

    def _level(self, level: int) -> Tensor:  # [1, 3, h, w]
        """The texture at 1 / 2^level of its size; made once."""
        if level not in self._levels:
            albedo = self.avatar.albedo
            pixels = np.array(Image.fromarray(albedo).reduce(2**level) if level else albedo)
            texture = torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)[None]
            self._levels[level] = texture.float().contiguous() / 255
        return self._levels[level]


def _blend(
    attributes: Tensor,  # [N, C]
    faces: Tensor,  # [F, 3] indices of the attributes
    face: Tensor,  # [P]
    bary: Tensor,  # [P, 3]
) -> Tensor:  # [P, C]
    corners = faces.long().index_select(0, face)
    return blend(attributes, (corners[:, 0], corners[:, 1], corners[:, 2]), bary)


def mouth_light(avatar: Avatar) -> F32:  # [V] 1 but inside the mouth
    """How much of the light in the photo reaches each vertex; what the photo itself shows is as it was."""
    light = np.ones(len(avatar.vertices), np.float32)
    inside = np.isin(avatar.part, [avatar.parts.index(name) for name in MOUTH_PARTS if name in avatar.parts])
    if not inside.any():
        return light
    outside = avatar.vertices[avatar.part == avatar.parts.index("lips")] if "lips" in avatar.parts else avatar.vertices
    depth = outside[:, 2].max() - avatar.vertices[inside, 2]
    dark = np.maximum(np.exp(-np.maximum(depth, 0) / MOUTH_DEPTH), MOUTH_DARKEST)
    texture_vertex = np.zeros(len(light), np.intp)
    texture_vertex[avatar.faces] = avatar.uv_faces
    height, width = avatar.albedo_seen.shape
    uv = avatar.uvs[texture_vertex[inside]]
    row = np.clip((1 - uv[:, 1]) * height, 0, height - 1).astype(np.intp)
    column = np.clip(uv[:, 0] * width, 0, width - 1).astype(np.intp)
    seen = avatar.albedo_seen[row, column] / np.float32(255)
    light[inside] = dark + (1 - dark) * seen
    return light


def neutral_pose(avatar: Avatar, settings: Mapping[str, float] | None = None) -> Pose:
    """The rest pose, with some expressions set by name."""
    rotations = np.zeros((len(avatar.joints), 3), np.float32)
    return Pose(with_settings(avatar, np.zeros(len(avatar.blendshapes), np.float32), settings), rotations)


def photo_pose(avatar: Avatar, settings: Mapping[str, float] | None = None) -> Pose:
    """The photo's pose, with some expressions overridden by name."""
    return Pose(with_settings(avatar, avatar.photo.expression, settings), avatar.photo.rotations)


def with_settings(avatar: Avatar, expression: F32, settings: Mapping[str, float] | None) -> F32:
    """A copy of the coefficients with the named ones replaced; UsageError for an unknown name."""
    result = expression.astype(np.float32, copy=True)
    for name, value in (settings or {}).items():
        if name not in avatar.blendshape_names:
            close = difflib.get_close_matches(name, avatar.blendshape_names, 3, 0.5)
            hint = f"Did you mean {' or '.join(close)}?" if close else "`meshlam info --json` lists them."
            raise UsageError(f"The avatar has no expression {name!r}.", hint)
        if not np.isfinite(value) or abs(value) > 10:
            raise UsageError(f"{name}: expected a number from -10 to 10, got {value:g}.")
        result[avatar.blendshape_names.index(name)] = value
    return result


def photo_camera(avatar: Avatar, size: int | None = None) -> Camera:
    """The photo's camera; `size` scales it to that longest side in pixels."""
    photo = avatar.photo
    width, height = (int(side) for side in photo.size)
    camera = Camera(photo.focal, (float(photo.centre[0]), float(photo.centre[1])), (width, height))
    return camera if size is None else camera.scaled(size / max(width, height))


def studio_view(
    avatar: Avatar,
    vertices: Tensor,  # [V, 3] m, avatar frame's axes
    yaw: float,  # degrees the head is turned by
    size: int,  # px
) -> tuple[Tensor, Camera]:  # [V, 3] m, view frame
    """Put the head in front of a square picture. The framing depends on the neutral head only: views match in scale."""
    rest = avatar.vertices
    low, high = rest.min(0), rest.max(0)
    middle = torch.from_numpy((low + high) / 2).to(vertices)
    turn = np.radians(yaw)
    rotation = vertices.new_tensor([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    placed = (vertices - middle) @ rotation.T - vertices.new_tensor([0, 0, DISTANCE])
    offset = rest - (low + high) / 2
    radius = np.linalg.norm(offset[:, [0, 2]], axis=1)
    # the widest and highest that any vertex appears, per focal length, while the head turns all the way round
    spread = max((radius / np.sqrt(DISTANCE**2 - radius**2)).max(), (np.abs(offset[:, 1]) / (DISTANCE - radius)).max())
    focal = (0.5 - MARGIN) * size / spread
    return placed, Camera(float(focal), (size / 2, size / 2), (size, size))


def render_avatar(
    avatar: Avatar,
    view: str = "front",
    size: int | str = 512,
    settings: Mapping[str, float] | None = None,
    pose: str | None = None,
    style: Style = "texture",
    renderer: AvatarRenderer | None = None,
) -> U8:  # [H, W, 4] sRGB and alpha
    """One of the named views. `size` is the longest side in pixels, or "native" for the photo's.

    The view "photo" is on the photo's pixel grid, by default in its pose; the others are square pictures of the head
    turned upright, by default in the neutral pose.
    """
    pixels = None if isinstance(size, str) else size
    renderer = renderer or AvatarRenderer(avatar)
    bent = (photo_pose if (pose or ("photo" if view == "photo" else "neutral")) == "photo" else neutral_pose)(
        avatar, settings
    )
    if view == "photo":
        placed = replace(bent, rotations=_with_root(bent.rotations, avatar.photo.rotations[0]))
        camera = photo_camera(avatar, pixels)
        return renderer.draw_pose(placed.expression, placed.rotations, avatar.photo.translation, camera, style)
    if view not in VIEW_YAW:
        raise UsageError(f"Expected a view of photo, {', '.join(VIEW_YAW)}, got {view!r}.")
    return render_yaw(renderer, bent, VIEW_YAW[view], pixels or int(avatar.photo.size.max()), style)


def render_yaw(
    renderer: AvatarRenderer, pose: Pose, yaw: float, size: int, style: Style = "texture"
) -> U8:  # [size, size, 4]
    """The upright head, turned by `yaw` degrees."""
    upright = replace(pose, rotations=_with_root(pose.rotations, np.zeros(3, np.float32)))
    vertices, camera = studio_view(renderer.avatar, renderer.posed(upright), yaw, size)
    return renderer.draw(vertices, camera, style)


def render_thumbnail(avatar: Avatar, renderer: AvatarRenderer | None = None) -> Avatar:
    """The avatar with its preview drawn."""
    renderer = renderer or AvatarRenderer(avatar)
    return replace(avatar, thumbnail=render_yaw(renderer, neutral_pose(avatar), THUMBNAIL_YAW, 256))


def _with_root(rotations: F32, root: F32) -> F32:
    result = rotations.copy()
    result[0] = root
    return result


def _lit(
    normals: Tensor,  # [P, 3] unit, view frame
) -> Tensor:  # [P, 3]
    """Clay under soft lamps; wrapped diffuse light, so that no side drowns in black."""
    light = torch.full_like(normals[..., 0], AMBIENT)
    for direction, strength in LIGHTS:
        towards = torch.nn.functional.normalize(normals.new_tensor(direction), dim=0)
        light = light + strength * ((normals @ towards + 0.25) / 1.25).clamp_min(0)
    return (light[..., None] * normals.new_tensor(CLAY)).clamp(0, 1)
