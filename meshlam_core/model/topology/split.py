"""Splitting long edges: red-green templates, so that no crack, T-junction or new UV seam can appear.

An edge is cut at its middle for all of its faces at once, and each face is replaced by the template that fits the
number of its cut edges (MeshLAM, "topology correction": split triangles with an edge longer than epsilon).
Every triangle stays inside the triangle it came from, so three weights describe each new vertex exactly.

Frame: any. Units: those of epsilon. Dims: B batch, V vertices, F triangles, U texture vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.model.topology.edges import F64, I64, NEXT, edge_keys

MAX_ROUNDS = 64

# Nodes 0, 1, 2 are the corners; 3, 4, 5 the middles of the edges 0-1, 1-2, 2-0. The row is the bit mask of cut edges;
# rows 8, 9, 10 are the masks 3, 5, 6 with the other diagonal of the quadrangle.
_TEMPLATES: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((0, 1, 2),),
    ((0, 3, 2), (3, 1, 2)),
    ((0, 1, 4), (0, 4, 2)),
    ((3, 1, 4), (0, 3, 4), (0, 4, 2)),
    ((0, 1, 5), (5, 1, 2)),
    ((0, 3, 5), (3, 1, 2), (3, 2, 5)),
    ((4, 2, 5), (0, 1, 4), (0, 4, 5)),
    ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)),
    ((3, 1, 4), (0, 3, 2), (3, 4, 2)),
    ((0, 3, 5), (3, 1, 5), (1, 2, 5)),
    ((4, 2, 5), (0, 1, 5), (1, 4, 5)),
)
_SIZE = np.array([len(rows) for rows in _TEMPLATES])
_CHILDREN = np.array([(rows + ((0, 0, 0),) * 4)[:4] for rows in _TEMPLATES])  # [11, 4, 3], padded
_DIAGONALS = {3: (8, (0, 4), (2, 3)), 5: (9, (2, 3), (1, 5)), 6: (10, (0, 4), (1, 5))}  # other row, (corner, middle)


@dataclass(frozen=True)
class Split:
    """A mesh after splitting. The old vertices and texture vertices keep their indices; new ones follow."""

    faces: I64  # [F', 3] in the order of the faces they came from
    uvs: NDArray[np.floating]  # [U', 2]
    uv_faces: I64  # [F', 3]
    parent: I64  # [F'] the old face each face lies in, ascending
    corner_bary: F64  # [F', 3, 3] each corner in barycentric coordinates of that face
    new_parent: I64  # [V' - V] an old face that holds each new vertex
    new_bary: F64  # [V' - V, 3] its barycentric coordinates there


def split_long_edges(
    positions: F64,  # [B, V, 3]
    faces: I64,  # [F, 3]
    uvs: NDArray[np.floating],  # [U, 2]
    uv_faces: I64,  # [F, 3]
    epsilon: float,
    max_vertices: int,
) -> Split:
    """Halve edges longer than epsilon in any mesh of the batch until none is left or max_vertices are reached.

    Near the cap the longest edges are split first. The result does not depend on which corner of a face comes first.
    """
    work = _Work(positions, faces, uvs, uv_faces)
    for _ in range(MAX_ROUNDS):
        if not work.round(epsilon, max_vertices):
            break
    return work.finish()


class _Work:
    """The mesh between rounds. Faces without a long edge are set aside: nothing can touch them any more."""

    def __init__(self, positions: F64, faces: I64, uvs: NDArray[np.floating], uv_faces: I64) -> None:
        self.points = positions  # [B, V, 3]
        self.uv_points = uvs.astype(np.float64)
        self.uv_type, self.old_uvs = uvs.dtype, uvs
        self.faces, self.uv_faces = faces, uv_faces
        self.parent = np.arange(len(faces))
        self.bary: F64 = np.broadcast_to(np.eye(3), (len(faces), 3, 3))
        self.done: list[tuple[I64, I64, I64, F64]] = []
        self.new: list[tuple[I64, F64]] = [(np.zeros(0, np.int64), np.zeros((0, 3)))]

    def round(self, epsilon: float, max_vertices: int) -> bool:
        """Split every face that has a long edge once; False when there is nothing to split."""
        lengths = self.edge_lengths()
        half = np.flatnonzero(lengths > epsilon * epsilon)
        room = max_vertices - self.points.shape[1]
        if not len(half) or room <= 0:
            return False
        face, slot = half // 3, half % 3
        keys = edge_keys(self.faces[face, slot], self.faces[face, NEXT[slot]], self.points.shape[1])
        unique, first, edge = np.unique(keys, return_index=True, return_inverse=True)
        starts = face[first], slot[first]
        if len(unique) > room:
            longest = np.sort(np.lexsort((unique, -lengths[half[first]]))[:room])
            rank = np.full(len(unique), -1)
            rank[longest] = np.arange(room)
            kept = rank[edge] >= 0
            face, slot, edge = face[kept], slot[kept], rank[edge][kept]
            starts = starts[0][longest], starts[1][longest]
        self.split(face, slot, edge, *starts)
        return True

    def edge_lengths(self) -> F64:  # [3 F] squared, the longest of the batch
        longest = np.zeros(self.faces.shape)
        for points in self.points:
            corners = points[self.faces]  # [F, 3, 3]
            along = corners[:, NEXT] - corners
            along *= along
            np.maximum(longest, along[..., 0] + along[..., 1] + along[..., 2], out=longest)
        return longest.ravel()

    def split(self, face: I64, slot: I64, edge: I64, start_face: I64, start_slot: I64) -> None:
        """Cut the half-edges (face, slot); edge numbers them from 0 and starts name one half-edge for each number."""
        low, high = self.faces[start_face, start_slot], self.faces[start_face, NEXT[start_slot]]
        middle = (self.bary[start_face, start_slot] + self.bary[start_face, NEXT[start_slot]]) / 2
        self.new.append((self.parent[start_face], middle))
        vertex = edge + self.points.shape[1]
        self.points = np.concatenate([self.points, (self.points[:, low] + self.points[:, high]) / 2], axis=1)

        ends = self.uv_faces[face, slot], self.uv_faces[face, NEXT[slot]]
        uv_keys = edge_keys(*ends, len(self.uv_points))
        _, first, uv_edge = np.unique(uv_keys, return_index=True, return_inverse=True)
        uv_vertex = uv_edge + len(self.uv_points)
        uv_middle = (self.uv_points[ends[0][first]] + self.uv_points[ends[1][first]]) / 2
        self.uv_points = np.concatenate([self.uv_points, uv_middle])
        self.replace(face, slot, vertex, uv_vertex)

    def replace(self, face: I64, slot: I64, vertex: I64, uv_vertex: I64) -> None:
        """Put the templates in the place of the cut faces and set the uncut ones aside."""
        marked = np.zeros(self.faces.shape, dtype=np.int64)
        marked[face, slot] = 1 << slot
        mask = marked[:, 0] + marked[:, 1] + marked[:, 2]
        middles, uv_middles = np.zeros((2, len(self.faces), 3), dtype=np.int64)
        middles[face, slot], uv_middles[face, slot] = vertex, uv_vertex
        whole = mask == 0
        self.done.append((self.faces[whole], self.uv_faces[whole], self.parent[whole], self.bary[whole]))

        cut = ~whole
        nodes = np.concatenate([self.faces[cut], middles[cut]], axis=1)  # [n, 6]
        uv_nodes = np.concatenate([self.uv_faces[cut], uv_middles[cut]], axis=1)
        row = self.choose_diagonals(mask[cut], nodes)
        owner = np.repeat(np.arange(len(row)), _SIZE[row])
        child = np.arange(len(owner)) - np.repeat(np.cumsum(_SIZE[row]) - _SIZE[row], _SIZE[row])
        corners = _CHILDREN[row[owner], child]  # [n', 3]
        self.faces = np.take_along_axis(nodes[owner], corners, axis=1)
        self.uv_faces = np.take_along_axis(uv_nodes[owner], corners, axis=1)
        bary = self.bary[cut]
        node_bary = np.concatenate([bary, (bary + bary[:, NEXT]) / 2], axis=1)  # [n, 6, 3]
        self.bary = node_bary[owner[:, None], corners]
        self.parent = self.parent[cut][owner]

    def choose_diagonals(self, mask: I64, nodes: I64) -> I64:  # [n] row of _TEMPLATES
        """Faces with two cut edges leave a quadrangle: cut it along the shorter diagonal.

        Equal lengths go to the corner with the smaller index, so that turning a face changes nothing.
        """
        row = mask.copy()
        for pattern, (other, one, two) in _DIAGONALS.items():
            here = np.flatnonzero(mask == pattern)
            a, b = (
                np.square(self.points[:, nodes[here, c]] - self.points[:, nodes[here, m]]).sum(axis=2).max(axis=0)
                for c, m in (one, two)
            )
            prefer_two = (b < a) | ((a == b) & (nodes[here, two[0]] < nodes[here, one[0]]))
            row[here[prefer_two]] = other
        return row

    def finish(self) -> Split:
        parts = [*self.done, (self.faces, self.uv_faces, self.parent, self.bary)]
        faces, uv_faces, parent, bary = (np.concatenate([part[i] for part in parts]) for i in range(4))
        order = np.argsort(parent, kind="stable")
        uvs = np.concatenate([self.old_uvs, self.uv_points[len(self.old_uvs) :].astype(self.uv_type)])
        new_parent, new_bary = (np.concatenate([part[i] for part in self.new]) for i in range(2))
        return Split(faces[order], uvs, uv_faces[order], parent[order], bary[order], new_parent, new_bary)


def epsilon_for(
    vertices: NDArray[np.floating],  # [V, 3]
    faces: NDArray[np.integer],  # [F, 3]
    target_vertices: int,
) -> float:
    """The edge length at which splitting this mesh ends nearest to target_vertices; once per head model."""
    positions = np.asarray(vertices, dtype=np.float64)[None]
    corners = np.asarray(faces).astype(np.int64)
    along = positions[0][corners[:, NEXT]] - positions[0][corners]
    lengths = np.sqrt((along**2).sum(-1))
    longest = float(lengths.max(initial=0.0))
    if target_vertices <= positions.shape[1] or longest == 0:
        return longest

    flat_uvs = np.zeros((positions.shape[1], 2))
    low, high = 0.0, longest
    best, best_distance = longest, target_vertices - positions.shape[1]
    for _ in range(24):
        middle = (low + high) / 2
        count = positions.shape[1] + len(
            split_long_edges(positions, corners, flat_uvs, corners, middle, 2 * target_vertices).new_parent
        )
        if abs(count - target_vertices) < best_distance:
            best, best_distance = middle, abs(count - target_vertices)
        if count == target_vertices:
            break
        low, high = (middle, high) if count > target_vertices else (low, middle)
    return best
