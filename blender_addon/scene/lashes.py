"""Lashes as painted strands: each of a head's narrow lash triangles shows a few thin hairs of a picture of its own.

The avatar gives a lash one triangle, half a millimetre wide at the lid, whose texels in the albedo are one tone. Here
it lies on one of the picture's tiles, upper lashes in its upper row: hairs that start beside each other, bend and taper
towards the tip. So one UV layer does, and every format that knows alpha takes them along.

Tile coordinates: x from one base corner 0 to the other 1, t from the lid 0 to the tip 1. Picture: rows from the bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..avatar_reader import AvatarFile
from .layers import pixels_of
from .parts import LASHES, surface_of

PICTURE = "Lashes"  # label of the texture node
TILES = 8  # in each row, all different
WIDTH, HEIGHT = 64, 256  # texels of a tile
MARGIN = 6  # texels around its triangle
SHADE = 0.4  # of the tone that the albedo has for a whole triangle: a hair by itself is darker
ROOT = 6  # texels beyond the lid through which hairs go on, so that none fades where it starts


@dataclass(frozen=True)
class Row:
    """What the hairs of one lid are like; ranges are drawn from evenly."""

    hairs: tuple[int, int]  # on a triangle
    longest: tuple[float, float]  # t where the longest one ends
    others: tuple[float, float]  # the same of the others
    thick: tuple[float, float]  # half of a hair's width at the lid, of the triangle's


LOWER = Row(hairs=(1, 2), longest=(0.8, 1.0), others=(0.35, 0.65), thick=(0.07, 0.1))
UPPER = Row(hairs=(3, 4), longest=(0.88, 1.0), others=(0.5, 0.85), thick=(0.06, 0.085))


def lash_faces(avatar: AvatarFile) -> NDArray[np.int64] | None:  # [N]
    """The head's lash triangles; None where it has none, or lashes that are sheets instead of single triangles."""
    of_lashes = np.array([surface_of(name) == LASHES for name in avatar.parts])[avatar.part]
    found = np.flatnonzero(of_lashes[avatar.faces].all(1))
    if not len(found) or np.bincount(avatar.faces.ravel())[avatar.faces[found]].max() > 1:
        return None
    return found


def lash_corners(avatar: AvatarFile, found: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where in the picture the corners of lash triangles lie, [N, 3, 2], and which are upper lashes, [N].

    A triangle's tip is the corner opposite its shortest side; upper lashes point up.
    """
    points = avatar.vertices[avatar.faces[found]].astype(float)  # [N, 3, 3]
    sides = np.linalg.norm(points - np.roll(points, -1, axis=1), axis=2)  # from each corner to the next
    first = sides.argmin(axis=1)
    order = (first[:, None] + np.arange(3)) % 3  # base, base, tip
    rows = np.arange(len(found))
    base, tip = points[rows[:, None], order[:, :2]].mean(1), points[rows, order[:, 2]]
    upper = tip[:, 1] > base[:, 1]
    size = np.array([WIDTH * TILES, 2 * HEIGHT])
    shape = np.array([[MARGIN, MARGIN], [WIDTH - MARGIN, MARGIN], [WIDTH / 2, HEIGHT - MARGIN]])
    # neighbours take different tiles, and the two eyes different ones of a pair
    tile = np.stack([(3 * rows + rows // TILES) % TILES * WIDTH, upper * HEIGHT], axis=1)
    corners = np.empty((len(found), 3, 2), np.float32)
    corners[rows[:, None], order] = (tile[:, None] + shape) / size
    return corners, upper


def lash_picture(avatar: AvatarFile, name: str, albedo: Any) -> Any:
    """A packed image of the strands in the tones that the albedo has for the lashes; None for heads without them."""
    found = lash_faces(avatar)
    if found is None:
        return None
    _, upper = lash_corners(avatar, found)
    pixels = pixels_of(albedo)
    middle = avatar.uvs[avatar.uv_faces[found]].mean(1)  # [N, 2]
    column, row = (np.clip((middle * pixels.shape[1::-1]).astype(int), 0, np.array(pixels.shape[1::-1]) - 1)).T
    tones = pixels[row, column, :3]
    painted = paint_strands([tones[upper == lid].mean(0) if (upper == lid).any() else tones.mean(0) for lid in (0, 1)])
    image = bpy.data.images.new(name, painted.shape[1], painted.shape[0], alpha=True)
    image.pixels.foreach_set(painted.ravel())
    image.filepath_raw, image.file_format = f"//{bpy.path.clean_name(name)}.png", "PNG"
    image.pack()
    return image


def lash_nodes(head: Any) -> list[Any]:
    """The texture nodes with the picture of strands in the head's materials."""
    trees = [slot.material.node_tree for slot in head.material_slots if slot.material is not None]
    nodes = [node for tree in trees if tree is not None for node in tree.nodes]
    return [node for node in nodes if node.type == "TEX_IMAGE" and node.label == PICTURE]


def paint_strands(
    tones: list[NDArray[np.float32]],  # [3] sRGB, of lower and upper lashes
) -> NDArray[np.float32]:  # [2 HEIGHT, TILES WIDTH, 4], alpha straight
    """The picture, always the same but for the tones.

    Between hairs it has the tone of a whole triangle, so that what ignores alpha sees the lashes softly.
    """
    draw = np.random.default_rng(7)
    picture = np.empty((2, HEIGHT, TILES, WIDTH, 4), np.float32)
    for lid, (row, tone) in enumerate(zip((LOWER, UPPER), tones, strict=True)):
        for tile in range(TILES):
            cover = _tile(row, draw)
            picture[lid, :, tile, :, :3] = np.asarray(tone) * (1 - (1 - SHADE) * cover[..., None])
            picture[lid, :, tile, :, 3] = cover
    return picture.reshape(2 * HEIGHT, TILES * WIDTH, 4)


def _tile(row: Row, draw: np.random.Generator) -> NDArray[np.float64]:  # [HEIGHT, WIDTH] 0..1
    """How far each texel is covered by hairs."""
    wide = WIDTH - 2 * MARGIN
    t = ((np.arange(HEIGHT) + 0.5 - MARGIN) / (HEIGHT - 2 * MARGIN))[:, None]
    x = ((np.arange(WIDTH) + 0.5 - MARGIN) / wide)[None]
    clear = np.ones((HEIGHT, WIDTH))
    count = int(draw.integers(row.hairs[0], row.hairs[1] + 1))
    # roots side by side; the longest hair is any of them
    roots = (np.arange(count) + 0.5 + draw.uniform(-0.3, 0.3, count)) / count
    ends = draw.uniform(*row.others, count)
    ends[draw.integers(count)] = draw.uniform(*row.longest)
    for root, end in zip(roots, ends, strict=True):
        bend, thick = draw.uniform(-0.5, 0.5), draw.uniform(*row.thick)
        along = np.clip(t / end, 0, 1)
        # across, from -1 to 1 of the triangle's width there, whose middle line the hair nears and may cross
        across = (1.5 * root - 0.75) * (1 - along) + bend * np.sin(np.pi * along)
        middle = 0.5 + 0.5 * (1 - np.clip(t, 0, 1)) * across
        half = wide * thick * np.where(t < end, 1 - along**2, 0)  # texels
        inside = np.clip(half - wide * np.abs(x - middle) + 0.5, 0, 1) * np.clip(2 * half, 0, 1)
        clear *= 1 - inside
    return (1 - clear) * (t > -ROOT / HEIGHT)
