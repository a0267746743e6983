"""Needles that no flip can mend made rounder by moving one corner: a fraction of a millimetre does.

Where rays of hair start close together, at the roots of ears and along the hair line, triangles are so small that the
other diagonal is no better. The corner opposite the longest edge moves away from that edge, in the triangle's plane,
as long as none of its other triangles gets as slender.

Dims: V vertices, F triangles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.model.topology.edges import F64, NEXT
from meshlam_core.model.topology.flip import aspects

NEEDLE = 10.0  # aspect from which on a triangle is one
WANTED = 8.0  # aspect that it gets
STEP = 0.5  # of the way, at a time
ROUNDS = 8
FARTHEST = 0.001  # m that a vertex may move


def relax_needles(
    vertices: F64,  # [V, 3] m
    faces: NDArray[np.integer],  # [F, 3]
    free: NDArray[np.bool_],  # [V] which may move
) -> F64:  # [V, 3] m
    """The same mesh without the needles that have a free corner. The same input gives the same output."""
    moved = vertices.copy()
    for _ in range(ROUNDS):
        aspect = aspects(moved[faces])
        before = moved.copy()
        for face in np.flatnonzero(aspect > NEEDLE):
            corners = faces[face]
            edges = moved[corners] - moved[corners[NEXT]]
            longest = int((edges**2).sum(axis=1).argmax())
            apex = int(corners[(longest + 2) % 3])
            if not free[apex]:
                continue
            along = edges[longest] / np.linalg.norm(edges[longest])
            away = moved[apex] - moved[corners[longest]]
            away -= (away @ along) * along
            height = float(np.linalg.norm(away))
            if height < 1e-9:
                continue
            step = STEP * (np.linalg.norm(edges[longest]) / WANTED - height) * away / height
            _move(moved, apex, step, vertices, faces)
        if (moved == before).all():
            break
    return moved


def _move(moved: F64, vertex: int, step: F64, start: F64, faces: NDArray[np.integer]) -> None:
    """Move a vertex, unless it goes too far or the worst of its triangles gets no better."""
    around = faces[(faces == vertex).any(axis=1)]
    old = moved[vertex].copy()
    worst = aspects(moved[around]).max()
    moved[vertex] = old + step
    if np.linalg.norm(moved[vertex] - start[vertex]) > FARTHEST or aspects(moved[around]).max() >= worst:
        moved[vertex] = old
