"""Edges and components of triangle meshes, on plain integer arrays.

Dims: V vertices, F triangles, H half-edges (3 F; half-edge 3 f + s runs from corner s of face f to the next corner).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEXT = np.array([1, 2, 0])
MAX_VERTICES = 2_000_000  # three vertex indices in one int64 key

# height / longest edge below which a triangle has no usable normal in float32
FLAT = 1e-6


def edge_keys(
    first: I64,  # [...]
    second: I64,  # [...]
    vertex_count: int,
) -> I64:  # [...]
    """One number per undirected edge."""
    return np.minimum(first, second) * vertex_count + np.maximum(first, second)


def face_keys(faces: I64, vertex_count: int) -> I64:  # [F]
    """One number per set of three vertices."""
    a, b, c = faces[:, 0], faces[:, 1], faces[:, 2]
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    middle = a + b + c - low - high
    keys: I64 = (low * vertex_count + middle) * vertex_count + high
    return keys


def is_sound(faces: I64, vertex_count: int) -> bool:
    """Whether the mesh is manifold at its edges, consistently oriented and free of duplicates.

    A directed edge that occurs once implies at most two faces an edge, facing the same way; so one sort tells it all.
    """
    start, end = faces.ravel(), faces[:, NEXT].ravel()
    if (start == end).any():
        return False
    directed = np.sort(start * vertex_count + end)
    if (directed[1:] == directed[:-1]).any():
        return False
    sets = np.sort(face_keys(faces, vertex_count))
    return not bool((sets[1:] == sets[:-1]).any())


def squared_edges(
    positions: F64,  # [B, V, 3]
    faces: I64,  # [F, 3]
) -> F64:  # [B, 3, F] squared lengths of the edges from corner 0, 1 and 2
    """Edge lengths, one coordinate at a time: plain columns are several times faster here than rows of three."""
    corners = [np.ascontiguousarray(faces[:, i]) for i in range(3)]
    squared = np.zeros((len(positions), 3, len(faces)))
    for lengths, points in zip(squared, positions, strict=True):
        for column in np.ascontiguousarray(points.T):
            at = [column.take(corner) for corner in corners]
            for slot in range(3):
                along = at[slot] - at[NEXT[slot]]
                along *= along
                lengths[slot] += along
    return squared


def flat_faces(
    positions: F64,  # [B, V, 3]
    faces: I64,  # [F, 3]
) -> Bools:  # [F]
    """Triangles without area, in every mesh of the batch."""
    a, b, c = squared_edges(positions, faces).transpose(1, 0, 2)  # each [B, F]
    longest = np.maximum(np.maximum(a, b), c)
    # Heron: 16 area^2; its rounding, 1e-15 of the longest edge's fourth power, is far below the threshold
    area = 4 * a * b - (a + b - c) ** 2
    flat: Bools = (area <= 4 * (FLAT * longest) ** 2).all(axis=0)
    return flat


def grow_components(
    count: int,
    first: I64,  # [E] one end of each link
    second: I64,  # [E] the other
    odd: Bools,  # [E] whether the two ends disagree
) -> tuple[I64, Bools]:  # [count] smallest member of the component, [count] disagreement with it
    """Connected components with a two-valued sign: links are followed by hooking and pointer jumping.

    Signs around a loop may contradict each other (a Möbius strip); then some link stays unsatisfied.
    """
    root = np.arange(count)
    sign = np.zeros(count, dtype=bool)
    while True:
        a, b = root[first], root[second]
        live = a != b
        if not live.any():
            return root, sign
        first, second, odd, a, b = first[live], second[live], odd[live], a[live], b[live]
        relative = sign[first] ^ sign[second] ^ odd
        high, low = np.maximum(a, b), np.minimum(a, b)
        order = np.lexsort((low, high))
        chosen = order[np.unique(high[order], return_index=True)[1]]
        parent, turn = np.arange(count), np.zeros(count, dtype=bool)
        parent[high[chosen]], turn[high[chosen]] = low[chosen], relative[chosen]
        while True:  # every vertex hooks to a smaller one, so there are no cycles
            grand = parent[parent]
            if np.array_equal(grand, parent):
                break
            turn, parent = turn ^ turn[parent], grand
        sign, root = sign ^ turn[root], parent[root]


def edge_groups(faces: I64, vertex_count: int) -> tuple[I64, I64]:  # [H] half-edges sorted by edge, [E + 1] starts
    """Half-edges grouped by undirected edge, in the order of the edges' keys and then of the faces."""
    keys = edge_keys(faces.ravel(), faces[:, NEXT].ravel(), vertex_count)
    order = np.argsort(keys, kind="stable")
    changes = np.flatnonzero(np.diff(keys[order])) + 1
    return order, np.concatenate([[0], changes, [len(order)]]).astype(np.int64)


def manifold_links(faces: I64, vertex_count: int) -> tuple[I64, I64]:  # [L], [L]
    """Pairs of half-edges that are alone with each other at their edge."""
    order, starts = edge_groups(faces, vertex_count)
    pairs = starts[:-1][np.diff(starts) == 2]
    return order[pairs], order[pairs + 1]
