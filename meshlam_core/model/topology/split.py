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

from meshlam_core.model.topology.edges import F64, I64, NEXT, edge_keys, squared_edges

MAX_ROUNDS = 64
CLOSE = 0.005  # how near to the wanted number of vertices is near enough

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
_CHILDREN = np.array([(rows + ((0, 0, 0),) * 4)[:4] for rows in _TEMPLATES]).reshape(-1, 3)  # four a row, padded
_DIAGONALS = {3: (8, (0, 4), (2, 3)), 5: (9, (2, 3), (1, 5)), 6: (10, (0, 4), (1, 5))}  # other row, (corner, middle)


F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Split:
    """A mesh after splitting. The old vertices and texture vertices keep their indices; new ones follow."""

    faces: I64  # [F', 3] in the order of the faces they came from
    uvs: NDArray[np.floating]  # [U', 2]
    uv_faces: I64  # [F', 3]
    parent: I64  # [F'] the old face each face lies in, ascending
    corner_bary: F32  # [F', 3, 3] each corner in barycentric coordinates of that face
    new_parent: I64  # [V' - V] an old face that holds each new vertex
    new_bary: F32  # [V' - V, 3] its barycentric coordinates there


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


@dataclass(frozen=True)
class _Faces:
    """Faces with what belongs to each of them."""

    faces: I64  # [n, 3]
    uv_faces: I64  # [n, 3]
    parent: I64  # [n]
    bary: F32  # [n, 3, 3] corners in the parent; exact, because these are multiples of 2^-rounds

    def take(self, rows: I64) -> _Faces:
        tables = self.faces, self.uv_faces, self.parent, self.bary
        return _Faces(*(table.take(rows, axis=0) for table in tables))  # type: ignore[arg-type]

    @staticmethod
    def join(parts: list[_Faces]) -> _Faces:
        return _Faces(
            np.concatenate([part.faces for part in parts]),
            np.concatenate([part.uv_faces for part in parts]),
            np.concatenate([part.parent for part in parts]),
            np.concatenate([part.bary for part in parts]),
        )


class _Work:
    """The mesh between rounds. Faces without a long edge are set aside: nothing can touch them any more."""

    def __init__(self, positions: F64, faces: I64, uvs: NDArray[np.floating], uv_faces: I64) -> None:
        self.points = positions  # [B, V, 3]
        self.uv_points = uvs.astype(np.float64)
        self.old_uvs = uvs
        bary = np.broadcast_to(np.eye(3, dtype=np.float32), (len(faces), 3, 3))
        self.live = _Faces(faces, uv_faces, np.arange(len(faces)), bary)
        self.done: list[_Faces] = []
        self.new: list[tuple[I64, F32]] = [(np.zeros(0, np.int64), np.zeros((0, 3), np.float32))]

    def round(self, epsilon: float, max_vertices: int) -> bool:
        """Split every face that has a long edge once; False when there is nothing to split."""
        faces = self.live.faces
        lengths = squared_edges(self.points, faces).max(axis=0).ravel()  # [3 F]
        half = np.flatnonzero(lengths > epsilon * epsilon)
        room = max_vertices - self.points.shape[1]
        if not len(half) or room <= 0:
            return False
        slot, face = np.divmod(half, len(faces))
        keys = edge_keys(faces[face, slot], faces[face, NEXT[slot]], self.points.shape[1])
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

    def split(self, face: I64, slot: I64, edge: I64, start_face: I64, start_slot: I64) -> None:
        """Cut the half-edges (face, slot); edge numbers them from 0 and starts name one half-edge for each number."""
        live, start_next = self.live, NEXT[start_slot]
        low, high = live.faces[start_face, start_slot], live.faces[start_face, start_next]
        middle = (live.bary[start_face, start_slot] + live.bary[start_face, start_next]) / 2
        self.new.append((live.parent[start_face], middle))
        vertex = edge + self.points.shape[1]
        self.points = np.concatenate([self.points, (self.points[:, low] + self.points[:, high]) / 2], axis=1)

        ends = live.uv_faces[face, slot], live.uv_faces[face, NEXT[slot]]
        uv_keys = edge_keys(*ends, len(self.uv_points))
        _, first, uv_edge = np.unique(uv_keys, return_index=True, return_inverse=True)
        uv_vertex = uv_edge + len(self.uv_points)
        uv_middle = (self.uv_points[ends[0][first]] + self.uv_points[ends[1][first]]) / 2
        self.uv_points = np.concatenate([self.uv_points, uv_middle])
        self.replace(face, slot, vertex, uv_vertex)

    def replace(self, face: I64, slot: I64, vertex: I64, uv_vertex: I64) -> None:
        """Put the templates in the place of the cut faces and set the uncut ones aside."""
        marked = np.zeros(self.live.faces.shape, dtype=np.int64)
        marked[face, slot] = 1 << slot
        mask = marked[:, 0] + marked[:, 1] + marked[:, 2]
        middles, uv_middles = np.zeros_like(marked), np.zeros_like(marked)
        middles[face, slot], uv_middles[face, slot] = vertex, uv_vertex
        self.done.append(self.live.take(np.flatnonzero(mask == 0)))

        cut = np.flatnonzero(mask)
        old = self.live.take(cut)
        nodes = np.concatenate([old.faces, middles.take(cut, axis=0)], axis=1)  # [n, 6]
        uv_nodes = np.concatenate([old.uv_faces, uv_middles.take(cut, axis=0)], axis=1)
        bary = np.concatenate([old.bary, (old.bary + old.bary.take(NEXT, axis=1)) / 2], axis=1)  # [n, 6, 3]
        row = self.choose_diagonals(mask[cut], nodes)
        size = _SIZE[row]
        owner = np.repeat(np.arange(len(row)), size)
        child = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)
        corners = _CHILDREN.take(row[owner] * 4 + child, axis=0) + 6 * owner[:, None]  # [n', 3] into 6 n nodes
        self.live = _Faces(
            nodes.take(corners),
            uv_nodes.take(corners),
            old.parent.take(owner),
            bary.reshape(-1, 3).take(corners, axis=0),
        )

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
        every = _Faces.join([*self.done, self.live])
        every = every.take(np.argsort(every.parent, kind="stable"))
        uvs = np.concatenate([self.old_uvs, self.uv_points[len(self.old_uvs) :].astype(self.old_uvs.dtype)])
        new_parent, new_bary = (np.concatenate(parts) for parts in zip(*self.new, strict=True))
        return Split(every.faces, uvs, every.uv_faces, every.parent, every.bary, new_parent, new_bary)


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
        if best_distance <= CLOSE * target_vertices:
            break
        low, high = (middle, high) if count > target_vertices else (low, middle)
    return best
