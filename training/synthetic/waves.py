"""Synthetic heads whose geometry and texture are known: the ground truth of the overfitting test and of tests.

A head is a random identity, plus what an identity basis cannot say (hair volume, an odd nose): a smooth random offset
as large as the part-aware limits allow. The "tracker" hands over the identity alone, as a real one would.
Its texture is a sum of random waves in space, so that it has no seam.

Frames and units: frames.py; colours sRGB 0..1. Dims: B heads, V vertices, N views, M = B * N, D texture, H image side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.model.error_features import reproject
from meshlam_core.model.render import animate, look, shade
from meshlam_core.model.state import Photo, Rig, resize
from meshlam_core.raster.interpolate import halved
from training.views import Sample, TargetViews, face_classes, view_classes, view_normals

DISTANCE = 0.75  # m
FOCAL = 2.1  # image sides
WAVES = 24
KNOWN = 0.05  # a texel that the photo shows at this weight is half the photo's, half the spread colour


@dataclass(frozen=True)
class SyntheticSettings:
    """How heads are drawn at random."""

    image_size: int = 256  # px
    texture_size: int = 256
    views: int = 2  # target views a head
    identity: float = 0.7  # standard deviations
    offset: float = 1.2  # of the part limits of one step, at most
    yaw: float = 0.5  # rad, largest
    expression: float = 0.4  # largest coefficient


def make_sample(
    head: HeadModel,
    rig: Rig,
    count: int,  # B
    settings: SyntheticSettings,
    seed: int,
) -> Sample:
    """A batch of random heads, each with a source photo and its target views."""
    random = np.random.default_rng(seed)
    identity = settings.identity * random.standard_normal((count, len(head.identity_basis)))
    tracked = np.stack([head.shaped(row.astype(np.float32)) for row in identity])
    joints = torch.from_numpy(np.stack([head.joints(vertices) for vertices in tracked]))
    start = torch.from_numpy(tracked)
    truth = torch.stack([v + _offset(rig, settings.offset, random) for v in start])
    texture = torch.stack([_texture(rig, settings.texture_size, random) for _ in range(count)])

    source = _draw(truth, texture, joints, rig, settings, random)
    vertices, colours, hinges = (t.repeat_interleave(settings.views, 0) for t in (truth, texture, joints))
    targets = _draw(vertices, colours, hinges, rig, settings, random)
    photo = Photo(
        image=source.image,
        mask=source.mask,
        cameras=source.cameras,
        rotations=source.rotations,
        translation=source.translation,
        expression=source.expression,
        vertices=start,
        joints=joints,
        texture=torch.zeros_like(texture),
    )
    photo = replace(photo, texture=start_texture(photo, rig, settings.texture_size))
    return Sample(photo, replace(targets, views=settings.views), truth, texture)


def start_texture(photo: Photo, rig: Rig, size: int) -> Tensor:  # [B, 3, size, size]
    """A quick stand-in for the pipeline's texture: the photo where the tracked head sees it, spread over the rest.

    Pull and push (Gortler et al. 1996): coarser levels hold weighted means and fill what finer ones don't know.
    """
    view = look(animate(photo.vertices, rig, photo), rig, photo.cameras)
    unwrapped, seen = reproject(photo.image, photo, view, rig, size)
    levels = [(unwrapped * seen, seen)]
    while levels[-1][1].shape[-1] > 1:
        levels.append((halved(levels[-1][0]), halved(levels[-1][1])))
    filled = torch.zeros_like(levels[-1][0])
    for colour, weight in reversed(levels):
        coarse = resize(filled, weight.shape[-1])
        share = weight / (weight + KNOWN)
        filled = coarse + share * (colour / weight.clamp_min(1e-6) - coarse)
    return filled


def _offset(rig: Rig, amount: float, random: np.random.Generator) -> Tensor:  # [V, 3] m
    """A smooth random displacement, zero on parts that never move."""
    field = torch.zeros_like(rig.template)
    for _ in range(6):
        direction = torch.from_numpy(random.standard_normal(3)).float()
        wave = torch.from_numpy(random.standard_normal(3)).float()
        wave = wave / wave.norm() * (2 * np.pi / random.uniform(0.1, 0.3))  # wavelengths of 10 to 30 cm
        field += direction * (rig.template @ wave + random.uniform(0, 2 * np.pi)).sin()[:, None]
    # the hair limit is for hairstyles; a quarter of it is a thick one
    limits = rig.limits.clamp(max=0.02)
    offset: Tensor = amount * limits[:, None] * field / field.norm(dim=-1).max()
    return offset


def _texture(rig: Rig, size: int, random: np.random.Generator) -> Tensor:  # [3, D, D]
    """Part colours and waves of 3 to 30 cm, evaluated at the template's surface."""
    uv_map = rig.uv_map(size)
    points = uv_map.attribute(rig.template[None], rig.faces)[0]  # [P, 3]
    part = rig.part[rig.faces[uv_map.face, 0]]
    base = torch.from_numpy(random.uniform(0.25, 0.75, (len(rig.parts), 3))).float()
    colour = 0.5 * base[part] + 0.25
    for _ in range(WAVES):
        wave = torch.from_numpy(random.standard_normal(3)).float()
        wave = wave / wave.norm() * (2 * np.pi / np.exp(random.uniform(np.log(0.03), np.log(0.3))))
        tint = torch.from_numpy(random.uniform(-0.06, 0.06, 3)).float()
        colour = colour + tint * (points @ wave + random.uniform(0, 2 * np.pi)).sin()[:, None]
    return uv_map.scatter(colour.clamp(0, 1)[None])[0].permute(2, 0, 1)


def _draw(
    vertices: Tensor,  # [M, V, 3]
    texture: Tensor,  # [M, 3, D, D]
    joints: Tensor,  # [M, J, 3]
    rig: Rig,
    settings: SyntheticSettings,
    random: np.random.Generator,
) -> TargetViews:
    """Random cameras, poses and expressions, rendered."""
    count, size = len(vertices), settings.image_size
    rotations = torch.zeros(count, len(rig.parents), 3)
    limits = np.array([0.4 * settings.yaw, settings.yaw, 0.2 * settings.yaw])
    rotations[:, 0] = torch.from_numpy(random.uniform(-limits, limits, (count, 3))).float()
    shown = random.uniform(0, settings.expression, (count, len(rig.blendshapes)))
    expression = torch.from_numpy(shown * (random.random(shown.shape) < 0.15)).float()
    focal = FOCAL * size * random.uniform(0.9, 1.1, count)
    cameras = tuple(Camera(float(f), (size / 2, size / 2), (size, size)) for f in focal)
    views = TargetViews(
        image=vertices.new_zeros(count, 3, size, size),
        mask=vertices.new_zeros(count, 1, size, size),
        normals=vertices.new_zeros(count, 3, size, size),
        classes=torch.zeros(count, size, size, dtype=torch.uint8),
        cameras=cameras,
        rotations=rotations,
        translation=torch.zeros(count, 3),
        expression=expression,
        joints=joints,
        views=1,
    )
    posed = animate(vertices, rig, views)
    centre = (posed.amax(1) + posed.amin(1)) / 2
    views = replace(views, translation=-centre - torch.tensor([0.0, 0.0, DISTANCE]))
    view = look(animate(vertices, rig, views), rig, cameras)
    background = torch.from_numpy(random.uniform(0, 1, (count, 3, 1, 1))).float()
    fine = shade(view, rig, texture)
    mask = view.mask.to(fine.dtype)
    return replace(
        views,
        image=fine + (1 - mask) * background,
        mask=mask,
        normals=view_normals(view, rig),
        classes=view_classes(view.fragments.face, face_classes(rig)),
    )
