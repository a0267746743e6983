"""The head as the doctor sees it, and points on it. Knows no Blender.

Frame: the neutral head, metres, avatar axes. Dims: V vertices, F triangles, N points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
Mask = NDArray[np.bool_]
Place = tuple[F32, F32, F32]  # each [...]: two coordinates along an obstacle and the height over it, m
Chart = Callable[[F32], Place]  # of points [..., 3]

_ALONG = 0.001  # m, between the points that stand for an obstacle's triangles


@dataclass(frozen=True)
class Mesh:
    """The head as the doctor needs it."""

    vertices: F32  # [V, 3]
    faces: I32  # [F, 3]
    part: NDArray[np.str_]  # [V] the name of each vertex's part
    jaw: F32  # [V] how much of each vertex goes with the lower jaw, 0 to 1
    moves: Mapping[str, F32]  # [V, 3] m, what each key does


@dataclass(frozen=True)
class Points:
    """Points on triangles, each a mix of three vertices."""

    corners: I32  # [N, 3]
    mix: F32  # [N, 3] rows sum to 1

    def of(self, vertices: F32) -> F32:  # [..., V, 3] -> [..., N, 3]
        first, *others = (vertices[..., self.corners[:, corner], :] * self.mix[:, corner, None] for corner in range(3))
        for other in others:
            first += other
        return np.asarray(first)


def within(points: F32, others: F32, reach: float) -> Mask:  # [N]
    """Which of the points are no further than that from one of the others."""
    found = ((points > others.min(0) - reach) & (points < others.max(0) + reach)).all(1)
    found[found] = np.linalg.norm(points[found][:, None] - others[None], axis=2).min(1) < reach
    return np.asarray(found)


def triangles(faces: I32, chosen: Mask) -> I32:
    """Those of which all corners are chosen."""
    return np.asarray(faces[chosen[faces].all(1)])


def dense(mesh: Mesh, chosen: Mask) -> Points:
    """Points all over the triangles of the chosen vertices, close enough to leave no cell between them empty."""
    faces = triangles(mesh.faces, chosen)
    corners = mesh.vertices[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
    steps = np.ceil(longest / _ALONG).astype(int)
    rows, mixes = [np.empty((0, 3), np.int32)], [np.empty((0, 3), np.float32)]
    for step in np.unique(steps):
        i, j = np.mgrid[0 : step + 1, 0 : step + 1].reshape(2, -1)
        inside = i + j <= step
        mix = np.stack([i[inside], j[inside], step - i[inside] - j[inside]], 1).astype(np.float32) / step
        these = faces[steps == step]
        rows.append(np.repeat(these, len(mix), axis=0))
        mixes.append(np.tile(mix, (len(these), 1)))
    return Points(np.concatenate(rows), np.concatenate(mixes))


def spread(mesh: Mesh, chosen: Mask, sides: bool = False) -> Points:
    """The chosen vertices, and the middles of the triangles between them and, if asked for, of their sides."""
    alone, faces = np.flatnonzero(chosen).astype(np.int32), triangles(mesh.faces, chosen)
    corners = [np.repeat(alone[:, None], 3, axis=1), faces]
    mixes = [np.eye(3)[[0] * len(alone)], np.full((len(faces), 3), 1 / 3)]
    if sides:
        ends = np.unique(
            np.sort(np.concatenate([np.roll(faces, turn, axis=1)[:, :2] for turn in range(3)]), axis=1), axis=0
        )
        corners.append(ends[:, [0, 1, 1]])
        mixes.append(np.tile([0.5, 0.5, 0.0], (len(ends), 1)))
    return Points(np.concatenate(corners), np.concatenate(mixes).astype(np.float32))


def nearness(points: F32, sources: F32, reach: float) -> F32:
    """[N, M] 1 at a source, smoothly 0 from `reach` on."""
    apart = np.linalg.norm(points[:, None] - sources[None], axis=2)
    return np.asarray(np.clip(1 - (apart / reach) ** 2, 0, 1) ** 2)
