"""A drawn head as others see it: in its own photo's view, from behind, and from all around.

Compared is in the tracker's space: the true head, laid onto the tracker's by the face, moves by the tracker's joints
and blendshapes as the network's head does, so that a target's camera, pose and expression are exact. The light stays on
the head as the photo's, whose texture is what is asked for.

Frames and units: frames.py. Dims: N views, V vertices, H side of the pictures, S texels along a side.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from meshlam_core.frames import Camera, axis_angle_from_rotation, rotation_from_axis_angle
from meshlam_core.model.render import animate, look
from meshlam_core.model.state import Photo, Rig
from meshlam_core.raster.interface import Fragments
from training.synthetic.camera import draw_expression
from training.synthetic.draw import paint
from training.synthetic.sample import SyntheticPhoto
from training.synthetic.world import TEXTURE, World, to_srgb
from training.views import TargetViews, face_classes, view_classes, view_normals

BACK = (115.0, 245.0)  # degrees of yaw from which the face is not seen
AROUND = (-100.0, 100.0)
PITCH = 12.0  # degrees, spread
DISTANCE = (0.8, 1.6)  # m
FILLED = 0.85  # of the picture's side by the head


def make_views(
    sample: SyntheticPhoto,
    photo: Photo,  # of the sample, a batch of one
    world: World,
    rig: Rig,  # without lashes
    count: int,  # N: the photo's view, the back, and others
    size: int,  # H
    rng: np.random.Generator,
) -> TargetViews:
    """The views in this order."""
    truth = torch.from_numpy(sample.truth)[None].expand(count, -1, -1)
    rotations = photo.rotations.repeat(count, 1, 1)
    expression = photo.expression.repeat(count, 1)
    for i in range(1, count):
        turn = _turn(BACK if i == 1 else AROUND, rng)
        rotations[i, 0] = torch.from_numpy(turn)
        expression[i] = torch.from_numpy(draw_expression(world.head, rng))
    blank = torch.zeros(count, 1, size, size)
    views = TargetViews(
        image=blank,
        mask=blank,
        normals=blank,
        classes=blank.byte(),
        cameras=(),
        rotations=rotations,
        translation=torch.zeros(count, 3),
        expression=expression,
        joints=photo.joints.expand(count, -1, -1),
        views=count,
    )
    views = _framed(views, photo, animate(truth, rig, views), size, rng)
    view = look(animate(truth, rig, views), rig, views.cameras)
    return replace(
        views,
        image=_colours(view.fragments, sample, world),
        mask=view.mask.float(),
        normals=view_normals(view, rig),
        classes=view_classes(view.fragments.face, face_classes(rig)),
    )


def true_texture(sample: SyntheticPhoto, world: World, rig: Rig) -> Tensor:  # [1, 3, S, S]
    """The head's colours under the photo's light, texel by texel."""
    uv_map = rig.uv_map(TEXTURE)
    face, bary = uv_map.texel_face[None], uv_map.texel_bary[None]
    return _colours(Fragments(face, bary, torch.zeros(face.shape)), sample, world)


def _turn(yaws: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    x, y, _ = np.eye(3)
    pitch, yaw = np.radians([rng.normal(0, PITCH), rng.uniform(*yaws)])
    turn = rotation_from_axis_angle(pitch * x) @ rotation_from_axis_angle(yaw * y)
    return np.asarray(axis_angle_from_rotation(turn), np.float32)


def _framed(
    views: TargetViews,
    photo: Photo,
    posed: Tensor,  # [N, V, 3] about the origin
    size: int,
    rng: np.random.Generator,
) -> TargetViews:
    """Cameras that have the whole head in the picture; the first one is the photo's own."""
    low, high = posed.amin(1), posed.amax(1)
    distance = torch.from_numpy(rng.uniform(*DISTANCE, len(posed))).float()
    translation = -(low + high) / 2
    translation[:, 2] -= distance
    translation[0] = photo.translation[0]
    extent = (high - low)[:, :2].amax(1)
    middle = (size / 2, size / 2)
    cameras = [Camera(float(f), middle, (size, size)) for f in FILLED * size * distance / extent]
    cameras[0] = photo.cameras[0].scaled(size / photo.image.shape[-1])
    return replace(views, cameras=tuple(cameras), translation=translation)


def _colours(found: Fragments, sample: SyntheticPhoto, world: World) -> Tensor:  # [N, 3, H, H]
    colour, _ = paint(sample.surface, sample.who, world, found)
    graded = sample.grade(to_srgb(colour)).clip(0, 1)
    return torch.from_numpy(graded).permute(0, 3, 1, 2) * found.mask[:, None]
