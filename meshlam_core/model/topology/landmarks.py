"""Carrying points that are embedded in triangles through a topology correction.

Dims: V vertices, F triangles, L landmarks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.model.topology.correct import Correction
from meshlam_core.model.topology.edges import F64, I64

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


def carry_landmarks(
    correction: Correction,
    landmark_faces: I32,  # [L] old triangles
    landmark_bary: F32,  # [L, 3]
    old_faces: I32,  # [F, 3] the triangles before the correction
    old_vertices: F32,  # [V, 3] their positions, to find the nearest place when a triangle is gone
) -> tuple[I32, F32]:  # [L], [L, 3]
    """The same points of the surface: first on the repaired triangles, then in those they were split into."""
    face, bary = _onto_repaired(
        correction, landmark_faces.astype(np.int64), landmark_bary.astype(np.float64), old_faces, old_vertices
    )
    face, bary = _into_children(correction.parent, correction.corner_bary, face, bary)
    return face.astype(np.int32), bary.astype(np.float32)


def _onto_repaired(
    correction: Correction, face: I64, bary: F64, old_faces: I32, old_vertices: F32
) -> tuple[I64, F64]:  # [L], [L, 3]
    repaired = correction.repaired
    if repaired.repairs.total == 0:
        return face, bary
    now = np.full(len(old_faces), -1)
    kept = repaired.source_face >= 0
    now[repaired.source_face[kept]] = np.flatnonzero(kept)
    new_face = now[face]
    source = repaired.source_vertex[repaired.faces]  # [F', 3] old vertices
    before = repaired.representative[old_faces[face]]  # [L, 3]
    new_bary = np.einsum("lk,lkj->lj", bary, (before[:, :, None] == source[new_face][:, None, :]).astype(np.float64))
    lost = (new_face < 0) | (np.abs(new_bary.sum(axis=1) - 1) > 1e-6)
    points = np.einsum("lk,lkd->ld", bary, old_vertices[old_faces[face]].astype(np.float64))
    triangles = old_vertices[source].astype(np.float64)  # [F', 3, 3]
    for landmark in np.flatnonzero(lost):
        new_face[landmark], new_bary[landmark] = _nearest(points[landmark], triangles)
    return new_face, new_bary


def _nearest(
    point: F64,  # [3]
    triangles: F64,  # [F, 3, 3]
) -> tuple[int, F64]:  # triangle, [3] barycentric coordinates
    """The nearest point of a triangle soup: inside a triangle or on one of its edges."""
    candidates = []
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    u, v, w = b - a, c - a, point - a
    uu, uv, vv, wu, wv = ((p * q).sum(1) for p, q in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    with np.errstate(divide="ignore", invalid="ignore"):
        s, t = (vv * wu - uv * wv) / (uu * vv - uv * uv), (uu * wv - uv * wu) / (uu * vv - uv * uv)
    inside = (s >= 0) & (t >= 0) & (s + t <= 1)
    candidates.append(np.where(inside[:, None], np.stack([1 - s - t, s, t], axis=1), np.eye(3)[0]))
    for i, j in ((0, 1), (1, 2), (2, 0)):
        edge = triangles[:, j] - triangles[:, i]
        share = ((point - triangles[:, i]) * edge).sum(1) / np.maximum((edge * edge).sum(1), 1e-300)
        share = np.clip(share, 0.0, 1.0)
        candidates.append((1 - share)[:, None] * np.eye(3)[i] + share[:, None] * np.eye(3)[j])
    bary = np.stack(candidates)  # [4, F, 3]
    distance = ((np.einsum("nfk,fkd->nfd", bary, triangles) - point) ** 2).sum(-1)
    kind, face = np.unravel_index(distance.argmin(), distance.shape)
    return int(face), bary[kind, face]


def _into_children(
    parent: I64,  # [F'] ascending
    corner_bary: F32,  # [F', 3, 3]
    face: I64,  # [L] triangles before the split
    bary: F64,  # [L, 3]
) -> tuple[I64, F64]:  # [L], [L, 3]
    """Of the triangles a face was split into, the one that holds the point most deeply."""
    start, stop = np.searchsorted(parent, face, "left"), np.searchsorted(parent, face, "right")
    count = stop - start
    owner = np.repeat(np.arange(len(face)), count)
    child = np.arange(len(owner)) + np.repeat(start - (np.cumsum(count) - count), count)
    inside = np.linalg.solve(corner_bary[child].transpose(0, 2, 1).astype(np.float64), bary[owner][:, :, None])[:, :, 0]
    depth = inside.min(axis=1)
    order = np.lexsort((child, -depth, owner))
    best = order[np.unique(owner[order], return_index=True)[1]]
    clean = np.clip(inside[best], 0.0, None)
    return child[best], clean / clean.sum(axis=1, keepdims=True)
