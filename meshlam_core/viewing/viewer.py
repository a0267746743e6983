"""Pictures of an avatar: posed, textured or as clay, from fixed views or through the photo's camera.

Frames and units: frames.py. Dims: V vertices, K blendshapes, J joints, H rows, W columns.

Textured pictures show the texture with the photo's own light and are not lit again: seen through the photo's camera, in
the photo's pose, they repeat the photo.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.avatar.record import Avatar, Glasses, Strands
from meshlam_core.errors import UsageError
from meshlam_core.frames import Camera
from meshlam_core.head.lay_over import similarity
from meshlam_core.head.skinning import pose_vertices
from meshlam_core.raster.interface import Rasteriser
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.raster.render import MeshRenderer, Style
from meshlam_core.skin.model import GAMMA
from meshlam_core.tracker.ramps import ramp

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
# rendering [H, W, 4], normals [H, W, 3] view frame and zero beside the head, photo [h, w, 3] -> picture [H, W, 4]
Repaint = Callable[[U8, F32, U8], U8]

# the head's turn about its vertical axis; "left" shows the subject's left side
VIEW_YAW = {"front": 0.0, "three-quarter": -35.0, "left": -90.0, "right": 90.0, "back": 180.0}  # degrees
THUMBNAIL_YAW = -15.0  # degrees: shows some depth and still both eyes
DISTANCE = 1.1  # m from the camera to the middle of the head, about that of a portrait photographer
MARGIN = 0.06  # of the picture's side, left free around the head

# unlit, the inside of the mouth would glow: what lies deep behind the lips gets less light
MOUTH_PARTS = ("mouth_interior", "teeth_upper", "teeth_lower", "tongue")
MOUTH_LIT = 0.014  # m behind the lips' front that are fully lit
MOUTH_DEPTH = 0.04  # m in which the light then falls to 1/e
MOUTH_DARKEST = 0.25
MOST_FOLDED = 1.5  # of what the photo shows of a fold, at most
ABOVE, FROM_ABOVE = (0.0, 0.8, 0.6), 0.35  # where light on glasses comes from, and how much of it
SAME_VIEW = (3.0, 10.0)  # degrees off the photo's view, between which its outline goes where it is none any more
NEAR_IT = (10.0, 20.0)  # where it was none in the photo either
LIKE_THE_PHOTOS = (10.0, 30.0)  # and everywhere
EDGE = (0.3, 0.6)  # cosine of normals to the way to the camera, between which an outline ends
ALONE = 0.99  # weight of a joint from which a vertex goes with no other
SEEN_NEAR = 0.006  # of the texture, around a vertex in the mouth, where the photo is looked for


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
        drawn, paint, light = avatar, None, mouth_light(avatar)
        if avatar.strands is not None:
            drawn = with_strands(drawn, avatar.strands)
        if avatar.glasses is not None:
            drawn, paint = with_glasses(drawn, avatar.glasses)
        light = np.concatenate([light, np.ones(len(drawn.vertices) - len(light), np.float32)])
        self._vertices = tensor(drawn.vertices)
        self._blendshapes, self._joints, self._weights = map(tensor, (drawn.blendshapes, drawn.joints, drawn.weights))
        self._correctives = None if drawn.pose_correctives is None else tensor(drawn.pose_correctives)
        faces, uvs, uv_faces, lit = map(tensor, (drawn.faces, drawn.uvs, drawn.uv_faces, light))
        texture = avatar.albedo if avatar.albedo_photo is None else avatar.albedo_photo
        folds = _stacked([tensor(fold.logarithm) for fold in avatar.folds])
        painted = None if paint is None else tensor(paint)
        self.mesh = MeshRenderer(faces, uvs, uv_faces, texture, lit, rasteriser, folds, painted, avatar.outline)
        self._skull = None if avatar.outline is None else _rigid(avatar)
        self._photo_seen_from: F64 | None = None
        self._edge_in_photo = torch.zeros(0, device=self.device)

    @property
    def blendshapes(self) -> F32:  # [K, V + S + G, 3] m
        """What each key moves; strands and glasses follow none."""
        return np.asarray(self._blendshapes.cpu().numpy(), np.float32)

    def posed(self, pose: Pose) -> Tensor:  # [V + S + G, 3] m, avatar frame's axes
        """The bent head and after it its strands and the glasses that it wears, before any translation."""
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
        return self.draw(self.posed(Pose(expression, rotations)) + offset, camera, style, self.folded(expression))

    def folded(self, expression: F32) -> Tensor:  # [K] -> [G]
        """How far an expression shows each of the texture's folds."""
        names = self.avatar.blendshape_names
        active = [np.mean([expression[names.index(key)] for key in fold.keys]) / fold.at for fold in self.avatar.folds]
        return torch.tensor(np.clip(active, 0, MOST_FOLDED), dtype=torch.float32, device=self.device)

    def draw(
        self,
        vertices: Tensor,  # [V, 3] m, view frame
        camera: Camera,
        style: Style = "texture",
        folded: Tensor | None = None,  # [G]
    ) -> U8:  # [H, W, 4] sRGB and alpha; colours are zero where alpha is
        """A picture through a camera; see MeshRenderer.draw."""
        picture = self.mesh.draw(vertices, camera, style, folded, self.outlined(vertices))
        if self._repaint is None or style != "texture":
            return picture
        coded = self.mesh.draw(vertices, camera, "normals")
        normals = np.where(coded[..., 3:] > 0, coded[..., :3] / np.float32(127.5) - 1, np.float32(0))
        return self._repaint(picture, normals, self.avatar.photo_image)

    def outlined(self, vertices: Tensor) -> Tensor | None:  # [V, 3] m, view frame -> [V] 0..1
        """How far the photo's outline shows: by how much a view is like the photo's, and where it is an outline too.

        From elsewhere what was an outline faces the viewer, and the ground that shines through it is a streak.
        """
        if self._skull is None:
            return None
        if self._photo_seen_from is None:
            pose = Pose(np.zeros(len(self._blendshapes), np.float32), self.avatar.photo.rotations)
            offset = torch.tensor(self.avatar.photo.translation, device=self.device)
            placed = self.posed(pose) + offset
            self._photo_seen_from, self._edge_in_photo = self._seen_from(placed), self._edge(placed)
        cosine = float(self._seen_from(vertices) @ self._photo_seen_from)
        angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        same, near, like = (1 - ramp(angle, *bounds) for bounds in (SAME_VIEW, NEAR_IT, LIKE_THE_PHOTOS))
        if like == 0:
            return None
        if same == 1:
            return vertices.new_ones(len(vertices))
        inside = near * (1 - self._edge_in_photo)  # hair: what shines through it stays where it is
        return like * torch.maximum(self._edge(vertices), inside).clamp_min(same)

    def _edge(self, vertices: Tensor) -> Tensor:  # [V, 3] m, view frame -> [V] 0..1
        """How far the head ends at a vertex, as the camera sees it."""
        normals = vertex_normals(vertices[None], self.mesh.faces)[0]
        facing = -(normals * functional.normalize(vertices, dim=1)).sum(1)
        return 1 - ((facing - EDGE[0]) / (EDGE[1] - EDGE[0])).clamp(0, 1)

    def _seen_from(self, vertices: Tensor) -> F64:  # [V, 3] m, view frame -> [3] unit, avatar frame
        """The way from the head to the camera, as the head has it."""
        here = vertices.cpu().numpy()[self._skull].astype(np.float64)
        _, rotation, _ = similarity(self.avatar.vertices[self._skull].astype(np.float64), here)
        way = -here.mean(axis=0) @ rotation
        return np.asarray(way / np.linalg.norm(way))


def _rigid(avatar: Avatar) -> NDArray[np.intp]:
    """The vertices that go with one joint alone, and that joint with most of them: the skull."""
    joint, share = avatar.weights.argmax(axis=1), avatar.weights.max(axis=1)
    alone = share > ALONE
    return np.flatnonzero(alone & (joint == np.bincount(joint[alone]).argmax()) if alone.any() else share > 0)


def _stacked(
    folds: list[Tensor],  # G of [h, w, 3] logarithms of factors on linear colours
) -> Tensor | None:  # [G, 3, h, w] of factors on coded ones, all as large as the largest
    size = max((fold.shape[:2] for fold in folds), default=None)
    grown = [functional.interpolate(f.permute(2, 0, 1)[None] / GAMMA, size, mode="bilinear") for f in folds]
    return torch.cat(grown) if grown else None


def with_strands(avatar: Avatar, strands: Strands) -> Avatar:
    """Head and strands as one mesh."""
    corners = avatar.faces[strands.anchor]  # [S, 3]
    weights = (avatar.weights[corners] * strands.bary[..., None]).sum(axis=1)
    longer = _with_mesh(avatar, strands.vertices, strands.faces, weights)
    return replace(
        longer,
        uvs=np.concatenate([avatar.uvs, strands.uvs]),
        uv_faces=np.concatenate([avatar.uv_faces, strands.faces + np.int32(len(avatar.uvs))]),
    )


def with_glasses(avatar: Avatar, glasses: Glasses) -> tuple[Avatar, F32]:  # [V + G, 4] sRGB and cover
    """Head and glasses as one mesh, and what is painted over the texture: the glasses, under a soft light from above.

    They keep the corner 0 of the texture, of which nothing shows.
    """
    count = len(glasses.vertices)
    weights = np.zeros((count, len(avatar.joints)), np.float32)
    weights[:, avatar.joint_names.index(glasses.joint)] = 1
    longer = _with_mesh(avatar, glasses.vertices, glasses.faces, weights)
    drawn = replace(longer, uv_faces=np.concatenate([avatar.uv_faces, np.zeros_like(glasses.faces)]))
    normals = vertex_normals(torch.from_numpy(glasses.vertices)[None], torch.from_numpy(glasses.faces))[0].numpy()
    shade = 1 + FROM_ABOVE * (normals @ np.array(ABOVE, np.float32))[:, None]
    paint = np.zeros((len(drawn.vertices), 4), np.float32)
    paint[-count:] = np.concatenate([(glasses.colour * shade).clip(0, 1), np.ones((count, 1), np.float32)], axis=1)
    return drawn, paint


def _with_mesh(avatar: Avatar, vertices: F32, faces: I32, weights: F32) -> Avatar:
    """The avatar with more vertices, which no blendshape moves, and with triangles that have no texture yet."""

    def longer(moved: F32) -> F32:  # [K, V, 3] -> [K, V + G, 3]
        return np.concatenate([moved, np.zeros((len(moved), len(vertices), 3), np.float32)], axis=1)

    correctives = avatar.pose_correctives
    return replace(
        avatar,
        vertices=np.concatenate([avatar.vertices, vertices]),
        faces=np.concatenate([avatar.faces, faces + np.int32(len(avatar.vertices))]),
        weights=np.concatenate([avatar.weights, weights]),
        blendshapes=longer(avatar.blendshapes),
        pose_correctives=None if correctives is None else longer(correctives),
    )


def mouth_light(avatar: Avatar) -> F32:  # [V] 1 but inside the mouth
    """How much of the light in the photo reaches each vertex; what the photo itself shows is as it was."""
    light = np.ones(len(avatar.vertices), np.float32)
    inside = np.isin(avatar.part, [avatar.parts.index(name) for name in MOUTH_PARTS if name in avatar.parts])
    if not inside.any():
        return light
    outside = avatar.vertices[avatar.part == avatar.parts.index("lips")] if "lips" in avatar.parts else avatar.vertices
    depth = outside[:, 2].max() - avatar.vertices[inside, 2]
    dark = np.maximum(np.exp(-np.maximum(depth - MOUTH_LIT, 0) / MOUTH_DEPTH), MOUTH_DARKEST)
    texture_vertex = np.zeros(len(light), np.intp)
    texture_vertex[avatar.faces] = avatar.uv_faces
    height, width = avatar.albedo_seen.shape
    uv = avatar.uvs[texture_vertex[inside]]
    row = np.clip((1 - uv[:, 1]) * height, 0, height - 1).astype(np.intp)
    column = np.clip(uv[:, 0] * width, 0, width - 1).astype(np.intp)
    # a tooth is a few texels wide, and its corners lie where the next one hides it: what shows close by counts
    reach = max(1, round(SEEN_NEAR * height))
    low, high = np.maximum([row - reach, column - reach], 0), np.array([row + reach + 1, column + reach + 1])
    near = [avatar.albedo_seen[a:b, c:d].max() for a, b, c, d in zip(low[0], high[0], low[1], high[1], strict=True)]
    light[inside] = dark + (1 - dark) * np.array(near, np.float32) / 255
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
    vertices, camera = studio_view(renderer.avatar, renderer.posed(upright(pose)), yaw, size)
    return renderer.draw(vertices, camera, style, renderer.folded(pose.expression))


def render_thumbnail(avatar: Avatar, renderer: AvatarRenderer | None = None) -> Avatar:
    """The avatar with its preview drawn."""
    # a neutral face needs neither folds nor expressions, which are most of an avatar
    still = replace(avatar, folds=(), outline=None, blendshapes=avatar.blendshapes[:0], blendshape_names=())
    shown = AvatarRenderer(still) if renderer is None else renderer
    return replace(avatar, thumbnail=render_yaw(shown, neutral_pose(shown.avatar), THUMBNAIL_YAW, 256))


def upright(pose: Pose) -> Pose:
    """The same without the turn of the whole head."""
    return replace(pose, rotations=_with_root(pose.rotations, np.zeros(3, np.float32)))


def _with_root(rotations: F32, root: F32) -> F32:
    result = rotations.copy()
    result[0] = root
    return result
