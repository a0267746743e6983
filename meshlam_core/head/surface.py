"""Closest points on a triangle mesh.

Dims: P points, V vertices, F triangles, C candidates. Any frame and unit, the same for all arguments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

NORMAL = 0.015  # m for each unit between normals: so lips and lids do not take each other's points
CANDIDATES = 8


class Surface:
    """A mesh whose closest points are asked for with normals: a point of the upper lip finds the upper lip."""

    def __init__(
        self,
        vertices: F64,  # [V, 3] m
        faces: NDArray[np.integer],  # [F, 3]
        allowed: NDArray[np.bool_],  # [F]
        normal: float = NORMAL,  # m; less where the surfaces lie on each other already
    ) -> None:
        self.normal = normal
        self.usable = np.flatnonzero(allowed)
        self.corners = np.asarray(vertices, np.float64)[faces[self.usable]]  # [F', 3, 3]
        cross = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        self.normals: F64 = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-20)
        self.tree = cKDTree(np.concatenate([self.corners.mean(1), normal * self.normals], axis=1))

    def nearest(
        self,
        points: F64,  # [P, 3] m
        normals: F64,  # [P, 3] unit
    ) -> tuple[I64, F64, F64]:  # [P] triangle, [P, 3] barycentric coordinates, [P, 3] position
        """The closest point of similar orientation, among the triangles whose middles are nearest."""
        count = min(CANDIDATES, len(self.usable))
        _, found = self.tree.query(np.concatenate([points, self.normal * normals], axis=1), count)
        found = np.asarray(found).reshape(len(points), count)
        flat = self.corners[found.ravel()]
        bary = closest_bary(np.repeat(points, count, axis=0), flat)
        at = np.einsum("pk,pkd->pd", bary, flat).reshape(len(points), count, 3)
        off = ((at - points[:, None]) ** 2).sum(2)
        off += self.normal**2 * ((self.normals[found] - normals[:, None]) ** 2).sum(2)
        best = off.argmin(1)
        row = np.arange(len(points))
        return self.usable[found[row, best]], bary.reshape(-1, count, 3)[row, best], at[row, best]


def vertex_normals(
    vertices: F64,  # [V, 3]
    faces: NDArray[np.integer],  # [F, 3]
) -> F64:  # [V, 3] unit, area-weighted
    """Outward normals of a mesh."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for axis in range(3):
        summed = sum(np.bincount(faces[:, k], cross[:, axis], minlength=len(vertices)) for k in range(3))
        normals[:, axis] = summed
    unit: F64 = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    return unit


def triangle_areas(
    corners: F64,  # [F, 3, 3] m
) -> F64:  # [F] m^2
    """Areas of triangles in space."""
    return np.asarray(
        np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    )


def vertex_areas(
    points: NDArray[np.floating],  # [V, 3] m
    faces: NDArray[np.integer],  # [F, 3]
) -> F64:  # [V] m^2
    """The surface that each vertex stands for: a third of its triangles."""
    area = triangle_areas(points[faces].astype(np.float64))
    return np.asarray(np.bincount(faces.ravel(), np.repeat(area / 3, 3), len(points)), np.float64)


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
    point: F64,  # [3], or [F, 3] one for each triangle
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
    distance = np.linalg.norm(np.einsum("fkc,fcd->fkd", stacked, corners) - point[..., None, :], axis=2)
    outside = (candidates[0] < 0).any(axis=1)
    distance[outside, 0] = np.inf
    return np.asarray(stacked[np.arange(len(corners)), distance.argmin(axis=1)])
