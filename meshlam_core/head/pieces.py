"""Pieces and symmetry of a mesh.

Frame: avatar frame, metres. Dims: V vertices, F triangles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.surface import closest_vertices

F64 = NDArray[np.float64]


def connected_labels(
    faces: NDArray[np.integer],  # [F, 3]
    count: int,
) -> NDArray[np.int64]:  # [V] smallest vertex of each vertex's component
    """Components of the mesh: spread the smallest index until nothing changes."""
    label = np.arange(count)
    while True:
        smallest = label[faces].min(axis=1)
        after = label.copy()
        for corner in range(3):
            np.minimum.at(after, faces[:, corner], smallest)
        after = after[after]
        if (after == label).all():
            return label
        label = after


def mirrored_vertices(
    places: F64,  # [V, 3] m, on a symmetric head
    tolerance: float = 0.006,  # m
) -> NDArray[np.int32]:  # [V]
    """The vertex nearest to each one's mirror image; itself where none is near."""
    flipped = places * [-1, 1, 1]
    nearest = closest_vertices(flipped, places)
    distance = np.linalg.norm(places[nearest] - flipped, axis=1)
    return np.where(distance < tolerance, nearest, np.arange(len(places))).astype(np.int32)
