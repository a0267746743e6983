"""Whether an avatar's outside is sound: needles, triangles turned inside out, hair through the face.

Frame: avatar frame, metres, neutral pose. Dims: V vertices, F triangles, E edges, P pairs.

The outside are the triangles of skin and hair; the mouth's inside, eye sockets, eyeballs, teeth, tongue and lashes are
not looked at, nor is the inside of the neck, which is open below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.avatar.record import Avatar
from meshlam_core.frames import Camera
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.project import project

INNER_PARTS = (
    "mouth_interior", "eye_sockets", "teeth_upper", "teeth_lower", "tongue", "lashes", "eyeballs", "eyeball_left",
    "eyeball_right",
)  # fmt: skip
FACE_PARTS = ("face", "eyelids", "lips")
NEEDLE = 12.0  # aspect from which on a triangle is a needle
MOVED = 0.001  # m by which hair is off the skull where it counts as hair
LOOKS = 24  # directions from which inverted triangles are looked for
LOWEST = 0.0  # height of the lowest of them on the unit sphere: from below one sees into the neck
SIZE = 384  # px of a look
SHOWN = 4  # px that a triangle must show of its back
FAR = 20.0  # m, camera distance: nearly parallel rays

F64 = NDArray[np.float64]
Faces = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MeshFaults:
    """Counted on the outside of one avatar."""

    needles: int  # triangles of an aspect above NEEDLE
    worst_aspect: float
    inverted: int  # triangles that show their back to somebody outside
    through: int  # hair triangles that cut through the face


def mesh_faults(avatar: Avatar) -> MeshFaults:
    """Look at an avatar's neutral head."""
    vertices, outside = avatar.vertices.astype(np.float64), outer_faces(avatar)
    aspect = aspects(vertices, avatar.faces[outside])
    hair = getattr(avatar, "hair", None)
    return MeshFaults(
        needles=int((aspect > NEEDLE).sum()),
        worst_aspect=float(aspect.max(initial=0)),
        inverted=int(inverted(avatar).sum()),
        through=0 if hair is None else hair_through_face(avatar, np.asarray(hair)),
    )


def outer_faces(avatar: Avatar) -> Mask:  # [F]
    """Triangles of skin and hair."""
    inner = [avatar.parts.index(name) for name in INNER_PARTS if name in avatar.parts]
    return np.asarray(~np.isin(avatar.part[avatar.faces], inner).any(axis=1))


def aspects(
    vertices: F64,  # [V, 3]
    faces: Faces,  # [F, 3]
) -> F64:  # [F] the longest edge over the height above it: 1.15 in an equilateral triangle
    """How slender triangles are."""
    corners = vertices[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    double_area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return np.asarray(longest**2 / np.maximum(double_area, 1e-15))


def inverted(avatar: Avatar) -> Mask:  # [F]
    """Outer triangles whose back is the first thing that somebody sees from outside."""
    neck = [avatar.parts.index("neck")] if "neck" in avatar.parts else []
    judged = outer_faces(avatar) & ~np.isin(avatar.part[avatar.faces], neck).any(axis=1)
    shown = np.zeros(len(avatar.faces), np.int64)
    for count, points in looks(avatar.vertices.astype(np.float64), avatar.faces):
        shown = np.maximum(shown, np.where(_clockwise(points, avatar.faces), count, 0))
    return np.asarray((shown >= SHOWN) & judged)


def looks(
    vertices: F64,  # [V, 3] m
    faces: Faces,  # [F, 3]
) -> Iterator[tuple[NDArray[np.int64], F64]]:  # [F] pixels of each triangle, [V, 3] px where the vertices are
    """What is seen of a mesh from all around, look by look."""
    rasteriser = get_rasteriser()
    for direction in _directions():
        placed, camera = _looked_at(vertices, direction)
        points = project(torch.from_numpy(placed)[None].float(), camera)
        seen = rasteriser.rasterise(points, torch.from_numpy(np.array(faces)), (SIZE, SIZE)).face[0]
        yield np.bincount(seen[seen >= 0].numpy().ravel(), minlength=len(faces)), points[0].numpy().astype(np.float64)


def hair_through_face(
    avatar: Avatar,
    hair: NDArray[np.floating],  # [V, 3] m, displacement from the skull
) -> int:
    """Hair triangles that cut a triangle of the bare face."""
    moved = np.linalg.norm(hair, axis=1) > MOVED
    face = np.isin(avatar.part, [avatar.parts.index(name) for name in FACE_PARTS if name in avatar.parts])
    outside = outer_faces(avatar)
    hairy = np.flatnonzero(moved[avatar.faces].all(axis=1) & outside)
    bare = np.flatnonzero((face & ~moved)[avatar.faces].all(axis=1) & outside)
    return len(np.unique(crossings(avatar.vertices.astype(np.float64), avatar.faces[hairy], avatar.faces[bare])))


def crossings(
    vertices: F64,  # [V, 3]
    first: Faces,  # [F, 3]
    second: Faces,  # [G, 3]
) -> NDArray[np.intp]:  # indices into `first`, with repetitions
    """Triangles of the first kind that cut one of the second kind with which they share no vertex."""
    a, b = vertices[first], vertices[second]
    near = np.ones((len(a), len(b)), bool)
    for axis in range(3):
        near &= a[..., axis].min(1)[:, None] <= b[..., axis].max(1)
        near &= b[..., axis].min(1) <= a[..., axis].max(1)[:, None]
    i, j = np.nonzero(near)
    strangers = ~(first[i][:, :, None] == second[j][:, None, :]).any(axis=(1, 2))
    i, j = i[strangers], j[strangers]
    return np.asarray(i[_edges_pierce(a[i], b[j]) | _edges_pierce(b[j], a[i])])


def _edges_pierce(
    edges: F64,  # [P, 3, 3] triangles whose edges are looked at
    targets: F64,  # [P, 3, 3]
) -> Mask:  # [P]
    """Whether an edge of one triangle goes through the inside of the other (Moeller and Trumbore)."""
    origin, along = edges, np.roll(edges, -1, axis=1) - edges  # [P, 3 edges, 3]
    u, v = targets[:, None, 1] - targets[:, None, 0], targets[:, None, 2] - targets[:, None, 0]
    across = np.cross(along, v)
    size = (across * u).sum(-1)
    safe = np.where(np.abs(size) < 1e-18, np.inf, size)
    start = origin - targets[:, None, 0]
    turned = np.cross(start, u)
    s, t = (start * across).sum(-1) / safe, (along * turned).sum(-1) / safe
    distance = (v * turned).sum(-1) / safe
    inside = (s > 0) & (t > 0) & (s + t < 1) & (distance > 0) & (distance < 1)
    return np.asarray((inside & np.isfinite(safe)).any(axis=1))


def _directions() -> F64:  # [LOOKS, 3] unit, from the head to who looks at it
    """Evenly spread over the sphere (Fibonacci's lattice), but for its lowest part."""
    index = np.arange(LOOKS) + 0.5
    height = LOWEST + (1 - LOWEST) * index / LOOKS
    angle = np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.sin(angle), height, radius * np.cos(angle)], axis=1)


def _looked_at(vertices: F64, direction: F64) -> tuple[F64, Camera]:  # [V, 3] m, view frame
    """The head as seen from a direction, filling the picture."""
    helper = np.array([0, 1.0, 0]) if abs(direction[1]) < 0.9 else np.array([0, 0, 1.0])
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(direction, right), direction])
    turned = (vertices - (vertices.min(0) + vertices.max(0)) / 2) @ axes.T
    spread = float(np.abs(turned[:, :2]).max())
    return turned - [0, 0, FAR], Camera(0.48 * SIZE * (FAR - spread) / spread, (SIZE / 2, SIZE / 2), (SIZE, SIZE))


def _clockwise(points: F64, faces: Faces) -> Mask:  # [F]
    """Whether triangles show their back, on an image whose y points down."""
    a, b, c = (points[faces[:, corner], :2] for corner in range(3))
    return np.asarray((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]) > 0)
