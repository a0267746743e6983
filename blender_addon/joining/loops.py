"""Open edges of a mesh, in order. Knows no Blender.

Dims: V vertices, F faces of any number of corners, L vertices around a loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Loop = NDArray[np.int64]  # [L] vertices in the order in which the faces beside them run


def boundary_loops(faces: Sequence[Sequence[int]]) -> list[Loop]:
    """Every closed ring of edges that have a face on one side only; where a ring touches itself it is two."""
    sides = Counter((face[i - 1], face[i]) for face in faces for i in range(len(face)))
    follow: dict[int, list[int]] = {}
    for first, second in sides:
        if (second, first) not in sides:
            follow.setdefault(first, []).append(second)
    loops = []
    for start in list(follow):
        path, place = [start], {start: 0}
        while follow.get(path[-1]):
            vertex = follow[path[-1]].pop()
            if vertex in place:  # closed: what was walked since is a ring
                ring = path[place[vertex] :]
                for passed in ring[1:]:
                    del place[passed]
                del path[place[vertex] + 1 :]
                if len(ring) >= 3:
                    loops.append(np.array(ring))
            else:
                place[vertex] = len(path)
                path.append(vertex)
    return loops


def length(points: F64) -> float:  # [L, 3]
    """Around the loop."""
    return float(np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1).sum())


def plane(points: F64) -> tuple[F64, F64]:  # [L, 3] -> [3], [3]
    """Middle and unit normal of the plane that a loop lies in, as nearly as it does; close vertices count no more."""
    edges = np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1)
    share = edges + np.roll(edges, 1)
    middle = points.T @ share / share.sum() if share.any() else points.mean(0)
    around = points - middle
    normal = np.cross(around, np.roll(around, -1, axis=0)).sum(0)
    size = float(np.linalg.norm(normal))
    return middle, normal / size if size > 0 else np.array([0.0, 0.0, 1.0])


def angles(points: F64, middle: F64, normal: F64) -> F64:  # [L] rad, ascending around the normal
    """The direction of each point seen from the middle."""
    across = np.cross([0.0, 1.0, 0.0] if abs(normal[1]) < 0.9 else [1.0, 0.0, 0.0], normal)
    across /= np.linalg.norm(across)
    around = points - middle
    return np.asarray(np.arctan2(around @ np.cross(normal, across), around @ across))


def sampled(points: F64, at: F64, where: F64) -> F64:  # [L, C], [L] rad, [M] rad -> [M, C]
    """Values around a loop at other angles, linearly between its own."""
    order = np.argsort(at)
    ring = np.concatenate([order[-1:], order, order[:1]])
    turns = at[ring] + np.concatenate([[-2 * np.pi], np.zeros(len(order)), [2 * np.pi]])
    columns = [np.interp(where, turns, points[ring, channel]) for channel in range(points.shape[1])]
    return np.stack(columns, axis=1)
