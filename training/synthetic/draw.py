"""The picture of a person and its label map.

Frames: view frame and image frame (frames.py); colours linear until the end.
Dims: V vertices, H canvas side at which is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.head.skinning import pose_vertices
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.interface import Fragments
from meshlam_core.raster.interpolate import blend
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.raster.project import project
from training.synthetic.camera import Shot
from training.synthetic.light import turned
from training.synthetic.people import Person
from training.synthetic.world import CLOTHES, HAIR, STRANDS, TEXTURE, World, looked_up

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

HAIR_EDGE = (0.42, 0.58)  # of the cover with its noise, between which skin becomes hair
SKULL = np.array([0.0, 0.14, 0.02], np.float32)  # m, about the middle of the template's skull
FLOW = np.array([[1.0, 0, 0], [0, 0.9, -0.44], [0, 0.44, 0.9]], np.float32)  # rows: left, up to the crown, front


@dataclass(frozen=True)
class Drawing:
    """A head before any background."""

    colour: F32  # [H, H, 3] linear
    label: U8  # [H, H]
    posed: Tensor  # [V, 3] view frame
    pixels: F32  # [V, 3] px of the canvas of H, depth in m
    surface: F32  # [V, 10] lit_surface


def pose_person(person: Person, shot: Shot, world: World, vertices: F32 | None = None) -> Tensor:  # [V, 3] view frame
    """The head as it stands before the camera."""
    rig = world.rig
    rotations = torch.zeros(1, len(rig.parents), 3)
    rotations[0, 0] = torch.from_numpy(shot.rotation)
    joints = torch.from_numpy(world.head.joints(person.bald))[None]
    neutral = torch.from_numpy(person.vertices if vertices is None else vertices)[None]
    posed = pose_vertices(
        neutral, rig.blendshapes, torch.from_numpy(shot.expression)[None], rotations, joints, rig.weights, rig.parents
    )
    return posed[0] + torch.from_numpy(shot.translation)


def draw_head(person: Person, shot: Shot, world: World, size: int, rng: np.random.Generator) -> Drawing:
    """Rasterise, colour and light a head; only the pixels that show it are worked on."""
    posed = pose_person(person, shot, world)
    pixels = project(posed[None], (shot.camera.scaled(size / shot.camera.size[0]),))
    found = get_rasteriser().rasterise(pixels, world.drawn_faces, (size, size))
    surface = lit_surface(person, posed, shot, world, rng)
    colour, label = paint(surface, person, world, found)
    return Drawing(colour[0], label[0], posed, pixels[0].numpy(), surface)


def lit_surface(person: Person, posed: Tensor, shot: Shot, world: World, rng: np.random.Generator) -> F32:  # [V, 10]
    """Light, normals, places and cover of hair at the vertices, as one photograph's light makes them."""
    normals = vertex_normals(posed[None], world.drawn_faces)[0].numpy()
    light = _irradiance(normals, shot, world, rng)
    return np.concatenate([light, normals, world.places, person.hair.cover[:, None]], axis=1).astype(np.float32)


def paint(
    surface: F32,  # [V, 10]
    person: Person,
    world: World,
    found: Fragments,  # of N views onto the faces that are drawn
) -> tuple[F32, U8]:  # [N, H, H, 3] linear, [N, H, H]
    """The colours and labels of the pixels that show the head; zero beside it."""
    where = (found.face.reshape(-1) >= 0).nonzero()[:, 0]  # [P]
    face, bary = found.face.reshape(-1)[where].long(), found.bary.reshape(-1, 3)[where]
    values = _blend(torch.from_numpy(surface), world.drawn_faces, face, bary).numpy()  # [P, 10]
    uv = _blend(world.rig.uvs, world.drawn_uv_faces, face, bary).numpy()
    skin = looked_up(person.texture, uv[:, 0] * TEXTURE - 0.5, (1 - uv[:, 1]) * TEXTURE - 0.5)
    parts = world.face_part[face.numpy()]

    strand, along = _strands(values[:, 6:9], person, world)
    if person.hair.cloth:
        strand = 0.5 + 0.25 * (strand - 0.5)
    cover = values[:, 9] + 0.5 * (strand - 0.5)
    share = ((cover - HAIR_EDGE[0]) / (HAIR_EDGE[1] - HAIR_EDGE[0])).clip(0, 1) * world.hairy[parts]
    hair = person.hair_colour + along[:, None] * (person.tip_colour - person.hair_colour)
    hair = hair * (0.35 + 1.3 * strand)[:, None] + _gloss(values[:, 3:6], strand, person)[:, None]
    colour = np.zeros((found.face.numel(), 3), np.float32)
    colour[where] = (skin + share[:, None] * (hair - skin)) * values[:, :3]
    label = np.zeros(found.face.numel(), np.uint8)
    label[where] = np.where(share > 0.5, CLOTHES if person.hair.cloth else HAIR, world.part_labels[parts])
    return colour.reshape(*found.face.shape, 3), label.reshape(found.face.shape)


def _blend(attributes: Tensor, faces: Tensor, face: Tensor, bary: Tensor) -> Tensor:  # [N, C] -> [P, C]
    corners = faces.index_select(0, face)
    return blend(attributes, (corners[:, 0], corners[:, 1], corners[:, 2]), bary)


def _irradiance(normals: F32, shot: Shot, world: World, rng: np.random.Generator) -> F32:  # [V, 3]
    light = turned(world.lights[rng.integers(len(world.lights))], rng.uniform(0, 2 * np.pi))
    avatar_from_view = rotation_from_axis_angle(shot.rotation).T
    sunlit = world.openness.towards(avatar_from_view @ light.direction)
    found = light.irradiance(normals, world.openness.ambient, sunlit)
    if rng.random() < 0.3:  # a lamp or flash near the camera
        found = np.asarray(found * 0.6 + 0.5 * normals[:, 2:].clip(0), np.float32)
    facing = found[(normals[:, 2] > 0.6)].mean(axis=0)
    target = np.exp(rng.normal(np.log(0.85), 0.25))
    white = facing / facing.mean()
    balance = white ** rng.uniform(0.6, 1.0)  # cameras take most of the light's colour out
    return np.asarray(found * (target / facing.mean()) / balance, np.float32)


def _strands(template: F32, person: Person, world: World) -> tuple[F32, F32]:  # [P, 3] m -> [P], [P] 0..1
    """The strand picture along the flow of hair, down from the crown, and how far down."""
    axes = (template - SKULL) @ FLOW.T
    length = np.sqrt((axes * axes).sum(axis=1)).clip(1e-6)
    theta = np.arccos((axes[:, 1] / length).clip(-1, 1))
    phi = np.arctan2(axes[:, 0], axes[:, 2])
    number, amplitude, often = person.waves
    bent = phi + amplitude * np.sin(often * theta + 3 * np.sin(2 * phi))
    height, width = STRANDS
    x = np.mod((bent / (2 * np.pi) + 0.5) * number * width, width - 1).astype(np.float32)
    y = (theta / np.pi * (height - 1)).astype(np.float32)
    strand = looked_up(world.strands[person.strand], x, y)
    return strand, (theta / 2.2).clip(0, 1).astype(np.float32)


def _gloss(normals: F32, strand: F32, person: Person) -> F32:  # [P, 3], [P] -> [P]
    """A band of light across the hair."""
    band = np.exp(-(((normals[:, 1] - 0.55) / 0.18) ** 2)) * normals[:, 2].clip(0)
    return np.asarray(0.10 * band * strand * (0.4 + person.hair_colour.mean()), np.float32)
