"""A made-up portrait: the open head in a known paint before a magenta wall."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from meshlam_core.frames import Camera, rotation_from_axis_angle
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.project import project
from meshlam_core.raster.render import MeshRenderer
from meshlam_core.texture.albedo import Texture, bake_albedo
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.pose import posed_vertices
from meshlam_core.tracker.types import Detection, TrackedFace

SIZE = 512  # texels
SIDE = 640  # px
WALL = np.array([1.0, 0.0, 1.0], np.float32)
SKIN = np.array([0.78, 0.60, 0.50], np.float32)
IRIS = np.array([0.15, 0.30, 0.75], np.float32)


@dataclass(frozen=True)
class Portrait:
    """A rendering, what it was made from, and what was baked from it."""

    photo: NDArray[np.uint8]  # [SIDE, SIDE, 3]
    truth: NDArray[np.float32]  # [SIZE, SIZE, 3] sRGB 0..1
    tracked: TrackedFace
    regions: Regions
    texture: Texture

    def bake(self, model: HeadModel) -> Texture:
        return bake_albedo(self.photo, self.regions, self.tracked, self.tracked.camera, model, SIZE)


@pytest.fixture(scope="session")
def atlas(head: HeadModel) -> Atlas:
    return build_atlas(head, SIZE)


@pytest.fixture(scope="session")
def frontal(head: HeadModel, atlas: Atlas) -> Portrait:
    return make_portrait(head, atlas, yaw=0.0)


@pytest.fixture(scope="session")
def turned(head: HeadModel, atlas: Atlas) -> Portrait:
    return make_portrait(head, atlas, yaw=0.6)


def make_portrait(
    head: HeadModel,
    atlas: Atlas,
    yaw: float,
    light: float = 0.0,
    scalp: NDArray[np.float32] | None = None,  # [3] its colour; None: the skin's
) -> Portrait:
    """Mirror-symmetric paint with freckles, blue irises, and light that falls off to the right by `light`."""
    paint = paint_head(head, atlas)
    if scalp is not None:
        paint[atlas.rows_of("scalp").numpy()] = scalp
    truth = atlas.uv_map.scatter(torch.from_numpy(paint)[None])[0].numpy()
    camera = Camera(SIDE * 2.2, (SIDE / 2, SIDE / 2), (SIDE, SIDE))
    rotations = np.zeros((len(head.joint_names), 3), np.float32)
    rotations[0, 1] = yaw
    middle = rotation_from_axis_angle(np.array([0, yaw, 0])) @ np.array([0, 0.11, 0.05])
    translation = (-middle - [0, 0, 0.75]).astype(np.float32)
    neutral = np.zeros(len(head.blendshape_names), np.float32)
    unseen = Detection(np.zeros((478, 3), np.float32), np.zeros(52, np.float32), (0, 0, 1, 1), 1.0)
    identity, shape = np.zeros(len(head.identity_basis), np.float32), np.array(head.template)
    still = TrackedFace(camera, identity, shape, neutral, rotations, translation, unseen, 0.0, 1.0)
    posed = posed_vertices(still, head)
    landmarks = project(torch.from_numpy(head.landmarks(posed.numpy()))[None], camera)[0].numpy()
    faces, uvs, uv_faces = (torch.from_numpy(np.array(a)) for a in (head.faces, head.uvs, head.uv_faces))
    kept = torch.from_numpy((head.part[head.faces] != head.parts.index("lashes")).all(axis=1))
    paint_8_bit = (truth.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    renderer = MeshRenderer(faces[kept], uvs, uv_faces[kept], paint_8_bit, torch.ones(len(posed)))
    drawn = renderer.draw(posed, camera).astype(np.float32) / 255
    shade = 1 - light * np.linspace(0, 1, SIDE, dtype=np.float32)[None, :, None]
    picture = drawn[..., :3] * shade * drawn[..., 3:] + WALL * (1 - drawn[..., 3:])
    person = (drawn[..., 3] > 0.5).astype(np.float32)
    nothing = np.zeros_like(person)
    regions = Regions(person, nothing, person, nothing, SKIN, SKIN, 0.0)
    tracked = replace(still, detection=replace(unseen, landmarks=landmarks.astype(np.float32)))
    photo = (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    baked = bake_albedo(photo, regions, tracked, camera, head, SIZE)
    return Portrait(photo, truth, tracked, regions, baked)


def paint_head(head: HeadModel, atlas: Atlas) -> NDArray[np.float32]:
    """[P, 3] a known albedo at the covered texels: soft waves on the skin, white eyes with blue irises."""
    points = atlas.at_texels(torch.from_numpy(np.array(head.template))).numpy()
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    waves = np.stack([np.sin(55 * x + 40 * y), np.sin(48 * y + 30 * z), np.sin(50 * x - 35 * z)], axis=1)
    freckles = np.sin(700 * x) * np.sin(700 * y)  # finer than the mesh: only texels can carry them
    paint = SKIN * (1 + (0.06 * waves + 0.06 * freckles[:, None]).astype(np.float32))
    for side in ("left", "right"):
        rows = atlas.rows_of(f"eyeball_{side}").numpy()
        ball = head.template[head.part == head.parts.index(f"eyeball_{side}")]
        offset = points[rows] - (ball.max(axis=0) + ball.min(axis=0)) / 2
        angle = np.arccos((offset[:, 2] / np.linalg.norm(offset, axis=1)).clip(-1, 1))
        paint[rows] = np.where(angle[:, None] < 0.42, IRIS, [0.86, 0.84, 0.82])
    return paint.astype(np.float32)
