"""Smooth transitions over a part of a mesh: of its shape, or of whatever its vertices carry. Knows no Blender.

Dims: V vertices, T triangles, N pairs of neighbours.
"""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from .loops import F64

I64 = NDArray[np.int64]

_SHORTEST, _WIDEST = 0.02, 5.0  # of the mean edge; tan of half an angle: slivers must not outweigh all others


def way_to(points: F64, triangles: I64, start: I64, reach: float) -> F64:  # [V, 3], [T, 3], [S] -> [V]
    """How far each vertex is from the nearest of some, along edges (Dijkstra 1959); infinite beyond the reach."""
    edges = np.unique(np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    near: dict[int, list[tuple[int, float]]] = {}
    for (a, b), size in zip(edges.tolist(), lengths.tolist(), strict=True):
        near.setdefault(a, []).append((b, size))
        near.setdefault(b, []).append((a, size))
    way = np.full(len(points), np.inf)
    way[start] = 0.0
    queue = [(0.0, int(vertex)) for vertex in start]
    while queue:
        so_far, vertex = heappop(queue)
        if so_far > way[vertex]:
            continue
        for other, size in near.get(vertex, ()):
            if so_far + size < min(way[other], reach):
                way[other] = so_far + size
                heappush(queue, (so_far + size, other))
    return way


def eased(
    values: F64,  # [V, C]
    points: F64,  # [V, 3]
    triangles: I64,  # [T, 3]
    share: F64,  # [V] 0 to 1: how much of its neighbours' mean a vertex takes on in one round
    rounds: int,
) -> F64:  # [V, C]
    """The values after diffusion along the surface, with mean value weights (Floater, "Mean value coordinates", 2003):

    these are positive, so that nothing swings over and rows keep their sum, and leave what is even where it is.
    """
    here, there, pull = _neighbours(points, triangles)
    kept = share[here] > 0
    by = np.zeros(len(points), bool)
    by[here[kept]] = by[there[kept]] = True
    number = np.cumsum(by) - 1
    here, there, pull = number[here[kept]], number[there[kept]], pull[kept]
    starts = np.flatnonzero(np.diff(here, prepend=-1))
    pull = (pull / np.bincount(here, pull)[here])[:, None]
    moving = here[starts]
    field, part = values[by].astype(float), share[by][moving, None]
    for _ in range(rounds):
        mean = np.add.reduceat(pull * field[there], starts, axis=0)
        field[moving] += part * (mean - field[moving])
    out = values.astype(float)
    out[by] = field
    return out


def _neighbours(points: F64, triangles: I64) -> tuple[I64, I64, F64]:  # [N], [N], [N]
    """(here, there, weight), sorted by `here`; each pair twice where two triangles share its edge."""
    here, there, pull = [], [], []
    for turn in range(3):
        a, b, c = np.roll(triangles, -turn, axis=1).T
        one, other = points[b] - points[a], points[c] - points[a]
        sizes = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
        across = np.linalg.norm(np.cross(one, other), axis=1)
        half = across / np.maximum(sizes[0] * sizes[1] + (one * other).sum(1), 1e-12)  # tan of half the angle at a
        for to, size in ((b, sizes[0]), (c, sizes[1])):
            here.append(a)
            there.append(to)
            pull.append(np.clip(half, 1e-6, _WIDEST) / np.maximum(size, _SHORTEST * sizes[0].mean()))
    order = np.argsort(np.concatenate(here), kind="stable")
    return np.concatenate(here)[order], np.concatenate(there)[order], np.concatenate(pull)[order]
