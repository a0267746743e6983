"""Closest points on a triangle mesh.

Dims: P points, V vertices, F triangles. Any frame and unit, the same for all arguments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def snap(
    points: F64,  # [P, 3]
    vertices: F64,  # [V, 3]
    faces: NDArray[np.integer],  # [F, 3]
    allowed: NDArray[np.bool_],  # [F]
) -> tuple[I64, F64]:  # [P] triangle, [P, 3] barycentric coordinates
    """The closest point on the allowed triangles."""
    usable = np.flatnonzero(allowed)
    corners = np.asarray(vertices, dtype=np.float64)[faces[usable]]
    middle = corners.mean(axis=1)
    radius = np.linalg.norm(corners - middle[:, None], axis=2).max(axis=1)
    triangles, barys = np.empty(len(points), np.int64), np.empty((len(points), 3))
    for i, point in enumerate(points):
        to_middle = np.linalg.norm(middle - point, axis=1)
        near = np.flatnonzero(to_middle - radius <= to_middle.min())  # no other triangle can be closer
        bary = closest_bary(point, corners[near])
        distance = np.linalg.norm((bary[..., None] * corners[near]).sum(axis=1) - point, axis=1)
        best = int(distance.argmin())
        triangles[i], barys[i] = usable[near[best]], bary[best]
    return triangles, barys


def closest_vertices(
    points: F64,  # [P, 3]
    vertices: F64,  # [V, 3]
) -> I64:  # [P]
    """Index of the nearest vertex, in blocks to keep memory small."""
    square = (vertices**2).sum(axis=1)
    blocks = np.array_split(points, len(points) // 512 + 1)
    return np.concatenate([np.argmin(square - 2 * block @ vertices.T, axis=1) for block in blocks])


def closest_bary(
    point: F64,  # [3]
    corners: F64,  # [F, 3, 3]
) -> F64:  # [F, 3]
    """Barycentric coordinates of the point of each triangle that is closest to `point`."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    u, v, w = b - a, c - a, point - a
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    determinant = (uu * vv - uv * uv).clip(1e-30)
    s, t = (vv * wu - uv * wv) / determinant, (uu * wv - uv * wu) / determinant
    candidates = [np.stack([1 - s - t, s, t], axis=1)]
    for i, j in ((0, 1), (1, 2), (2, 0)):  # outside: the closest point of an edge
        edge = corners[:, j] - corners[:, i]
        along = (((point - corners[:, i]) * edge).sum(1) / (edge * edge).sum(1).clip(1e-30)).clip(0, 1)
        bary = np.zeros((len(corners), 3))
        bary[:, i], bary[:, j] = 1 - along, along
        candidates.append(bary)
    stacked = np.stack(candidates, axis=1)  # [F, 4, 3]
    distance = np.linalg.norm(np.einsum("fkc,fcd->fkd", stacked, corners) - point, axis=2)
    outside = (candidates[0] < 0).any(axis=1)
    distance[outside, 0] = np.inf
    return np.asarray(stacked[np.arange(len(corners)), distance.argmin(axis=1)])
