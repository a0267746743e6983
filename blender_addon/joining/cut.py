"""Where a neck is narrowest, and a mesh cut there. Knows no Blender.

Dims: V vertices, F faces, C corners of faces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .loops import F64

_LEVELS = 24
_ON = 2e-4  # of the neck's width: a vertex so close to the plane lies on it


@dataclass(frozen=True)
class Cut:
    """What stays of a mesh: its vertices are mixes of two old ones, its corners are on old faces."""

    first: NDArray[np.int64]  # [V'] old vertices
    second: NDArray[np.int64]  # [V']
    share: F64  # [V'] of the second
    faces: list[tuple[int, ...]]
    old_faces: NDArray[np.int64]  # [F'] which old face each new one is or is a part of
    corners: F64  # [C', 2] the old face's corners that each new corner lies between
    corner_share: F64  # [C']

    def vertices(self, field: F64) -> F64:  # [V, ...] -> [V', ...]
        share = self.share.reshape(-1, *(1,) * (field.ndim - 1))
        return np.asarray(field[self.first] * (1 - share) + field[self.second] * share)

    def at_corners(self, field: F64) -> F64:  # [C, ...] -> [C', ...]
        share = self.corner_share[:, None]
        low, high = self.corners.astype(int).T
        return np.asarray(field[low] * (1 - share) + field[high] * share)


def narrowest(
    points: F64,  # [V, 3]
    triangles: NDArray[np.int64],  # [T, 3]
    low: F64,  # [3] the neck's axis runs from here
    high: F64,  # [3] to here
    normal: F64,  # [3] of the planes that it is looked at in
    reach: float,  # what is farther from the axis is no neck
) -> float:
    """How far along the axis, 0 to 1, the way around is shortest; 0 where it is closed nowhere."""
    levels = np.linspace(0.0, 1.0, _LEVELS)
    around = np.array([_around(points, triangles, low + (high - low) * t, normal, reach) for t in levels])
    return float(levels[around.argmin()])


def _around(points: F64, triangles: NDArray[np.int64], at: F64, normal: F64, reach: float) -> float:
    """The length of a mesh's section near the axis; infinite where it is not closed."""
    side = (points - at) @ (normal / np.linalg.norm(normal))
    corners = side[triangles]
    crossing = triangles[(corners.min(1) < 0) & (corners.max(1) >= 0)]
    total, ends = 0.0, Counter[tuple[int, int]]()
    for triangle in crossing.tolist():
        hits = []
        for a, b in zip(triangle, [*triangle[1:], triangle[0]], strict=True):
            if (side[a] < 0) != (side[b] < 0):
                t = side[a] / (side[a] - side[b])
                hits.append(((min(a, b), max(a, b)), points[a] + t * (points[b] - points[a])))
        (first, start), (second, end) = hits
        if np.linalg.norm((start + end) / 2 - at) < reach:
            total += float(np.linalg.norm(start - end))
            ends.update([first, second])
    closed = bool(ends) and all(count == 2 for count in ends.values())
    return total if closed else float("inf")


def cut(
    points: F64,  # [V, 3]
    faces: list[tuple[int, ...]],
    at: F64,  # [3] on the plane
    normal: F64,  # [3] towards what goes
    reach: float,  # only faces so near to `at` are cut
    spared: Iterable[int] = (),  # faces that stay as they are, whatever side they lie on
) -> Cut:
    """Take away what lies beyond a plane and hangs together with the cut."""
    side = (points - at) @ (normal / np.linalg.norm(normal))
    side[np.abs(side) < _ON * reach] = 0.0
    near = np.linalg.norm(points - at, axis=1) < reach
    kept = set(spared)
    beyond = [bool((side[list(face)] >= 0).all() and (side[list(face)] > 0).any()) for face in faces]
    crossing = {
        index
        for index, face in enumerate(faces)
        if index not in kept
        and (side[list(face)] > 0).any()
        and (side[list(face)] < 0).any()
        and near[list(face)].all()
    }
    gone = _hanging(faces, crossing, [away and index not in kept for index, away in enumerate(beyond)], side)
    return _rebuilt(faces, side, crossing, gone)


def _hanging(faces: list[tuple[int, ...]], crossing: set[int], beyond: list[bool], side: F64) -> set[int]:
    """The faces beyond that can be reached from the cut without crossing the plane."""
    of_vertex: dict[int, list[int]] = {}
    for index, face in enumerate(faces):
        if beyond[index]:
            for vertex in face:
                of_vertex.setdefault(vertex, []).append(index)
    open_ends = [vertex for index in crossing for vertex in faces[index] if side[vertex] > 0]
    gone: set[int] = set()
    seen = set(open_ends)
    while open_ends:
        for index in of_vertex.get(open_ends.pop(), ()):
            if index not in gone:
                gone.add(index)
                fresh = [vertex for vertex in faces[index] if vertex not in seen and side[vertex] > 0]
                seen.update(fresh)
                open_ends += fresh
    return gone


def _rebuilt(faces: list[tuple[int, ...]], side: F64, crossing: set[int], gone: set[int]) -> Cut:
    vertices: dict[tuple[int, int], int] = {}
    mixes: list[tuple[int, int, float]] = []

    def vertex(a: int, b: int) -> int:
        """The vertex between two old ones where the plane is, or an old one."""
        key = (min(a, b), max(a, b))
        if key not in vertices:
            low, high = key
            vertices[key] = len(mixes)
            mixes.append((low, high, float(side[low] / (side[low] - side[high])) if low != high else 0.0))
        return vertices[key]

    made, old, corners, shares, start = [], [], [], [], 0
    for index, face in enumerate(faces):
        if index not in gone:
            new, from_corners = _clipped(face, side) if index in crossing else ([(v, v) for v in face], None)
            places = from_corners or [(i, i, 0.0) for i in range(len(face))]
            for part in _parts(len(new), max(4, len(face))):
                made.append(tuple(vertex(*new[i]) for i in part))
                old.append(index)
                corners += [(start + places[i][0], start + places[i][1]) for i in part]
                shares += [places[i][2] for i in part]
        start += len(face)
    first, second, share = (np.array(column) for column in zip(*mixes, strict=True))
    return Cut(first, second, share.astype(float), made, np.array(old), np.array(corners, float), np.array(shares))


def _parts(count: int, most: int) -> list[list[int]]:
    """The corners of a polygon, without the last one where they are too many, and that one's triangle: what has more
    than four corners gets no tangents in Blender."""
    if count < 3:
        return []
    return [list(range(count))] if count <= most else [list(range(count - 1)), [0, count - 2, count - 1]]


def _clipped(face: tuple[int, ...], side: F64) -> tuple[list[tuple[int, int]], list[tuple[int, int, float]]]:
    """A face's part on the near side (Sutherland and Hodgman 1974): pairs of vertices, and of corners with a share."""
    new: list[tuple[int, int]] = []
    corners: list[tuple[int, int, float]] = []
    for i, vertex in enumerate(face):
        j = (i + 1) % len(face)
        following = face[j]
        if side[vertex] <= 0:
            new.append((vertex, vertex))
            corners.append((i, i, 0.0))
        if side[vertex] * side[following] < 0:
            new.append((vertex, following))
            corners.append((i, j, float(side[vertex] / (side[vertex] - side[following]))))
    return new, corners
