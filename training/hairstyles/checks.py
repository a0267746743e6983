"""What must hold for every hull: no folds, and no hair through the face.

Frame: avatar frame (see frames.py), metres. Dims: V head vertices, F skin triangles, P edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.hair import HairModel
from meshlam_core.head.model import HeadModel
from training.hairstyles.field import edges_of, skin_faces

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

GROWN = 0.001  # m; an edge with an end beyond it belongs to the hair


def against_rays(
    vertices: NDArray[np.floating],  # [V, 3]
    head: HeadModel,
    hair: HairModel,
) -> NDArray[np.bool_]:  # [F] of skin_faces
    """Triangles that look against the rays of their corners."""
    rays = np.zeros((len(head.template), 3))
    rays[hair.indices] = hair.directions
    faces = skin_faces(head)
    corners = vertices[faces].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray((normal * rays[faces].sum(axis=1)).sum(axis=1) < 0)


def folds(
    bald: NDArray[np.floating],  # [V, 3]
    growth: NDArray[np.floating],  # [Q]
    hidden_ears: tuple[float, float],
    head: HeadModel,
    hair: HairModel,
) -> int:
    """Triangles that growing turns against their rays."""
    before = against_rays(hair.hull(bald, 0 * growth, hidden_ears), head, hair)
    after = against_rays(hair.hull(bald, growth, hidden_ears), head, hair)
    return int((after & ~before).sum())


def pierced(
    hull: NDArray[np.floating],  # [V, 3]
    bald: NDArray[np.floating],  # [V, 3]
    head: HeadModel,
    hair: HairModel,
) -> I64:  # [P, 2]
    """Edges of the hair that run through skin that hair never moves: face, jaw, the front of the neck."""
    faces = skin_faces(head)
    moves = np.zeros(len(hull), np.bool_)
    moves[hair.indices] = True
    still = faces[~moves[faces].any(axis=1)]
    grown = np.linalg.norm(hull - bald, axis=1) > GROWN
    edges = edges_of(faces[grown[faces].any(axis=1)])
    edges = edges[grown[edges].any(axis=1)]
    points, skin = hull.astype(np.float64), hull[still].astype(np.float64)
    blocks = np.array_split(edges, len(edges) // 200 + 1)
    through = [_crossed(points[block[:, 0]], points[block[:, 1]], skin).any(axis=1) for block in blocks]
    return np.asarray(edges[np.concatenate(through)])


def _crossed(
    start: F64,  # [P, 3]
    end: F64,  # [P, 3]
    corners: F64,  # [F, 3, 3]
) -> NDArray[np.bool_]:  # [P, F]
    """Which segments cross which triangles (Moeller and Trumbore), their ends excepted."""
    way = end - start
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    result = np.zeros((len(start), len(corners)), np.bool_)
    low, high = np.minimum(start, end), np.maximum(start, end)
    near = (low[:, None] <= corners.max(axis=1)).all(axis=2) & (high[:, None] >= corners.min(axis=1)).all(axis=2)
    p, f = np.nonzero(near)
    across = np.cross(way[p], two[f])
    determinant = (one[f] * across).sum(axis=1)
    safe = np.where(np.abs(determinant) < 1e-15, np.inf, determinant)
    offset = start[p] - corners[f, 0]
    u = (offset * across).sum(axis=1) / safe
    lifted = np.cross(offset, one[f])
    v = (way[p] * lifted).sum(axis=1) / safe
    t = (two[f] * lifted).sum(axis=1) / safe
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-6) & (t < 1 - 1e-6) & np.isfinite(safe)
    result[p, f] = hit
    return result
