"""Removing triangles without area, one at a time, so that no hole opens and the surface keeps its shape.

A flat face with a short edge loses it (edge collapse under the link condition: Dey et al., "Topology preserving edge
contraction", 1999); one whose apex lies on its long edge hands the apex to the neighbour there (edge flip); one at an
open border is peeled off. No vertex moves. Flat faces are rare, so this is plain Python on sets.

Dims: B batch, V vertices, F triangles, U texture vertices.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from meshlam_core.model.topology.edges import F64, I64, Bools, flat_faces, grow_components, manifold_links
from meshlam_core.model.topology.records import Repaired

SHORT = 1e-3  # of the longest edge: what counts as the short edge of a flat face
PASSES = 8  # one removal may unlock another


def remove_flat_faces(
    mesh: Repaired,
    positions: F64,  # [B, V, 3] of the mesh before any repair
) -> Repaired:
    """Remove the faces without area. Those that hold the surface's shape together stay and are counted."""
    points = positions[:, mesh.source_vertex]
    flat = flat_faces(points, mesh.faces)
    if not flat.any():
        return mesh
    vanished = _vanished(mesh, flat)
    surgery = _Surgery(mesh, points, vanished)
    waiting = np.flatnonzero(flat & ~vanished).tolist()
    for _ in range(PASSES):
        stuck = [face for face in waiting if not surgery.remove(face)]
        progress = len(stuck) < len(waiting)
        waiting = stuck
        if not progress or not waiting:
            break
    return surgery.result(len(waiting), int(vanished.sum()))


def _vanished(mesh: Repaired, flat: Bools) -> Bools:  # [F]
    """Faces of components that have no area at all: nothing of them can be seen or kept."""
    first, second = (side // 3 for side in manifold_links(mesh.faces, len(mesh.source_vertex)))
    both = flat[first] & flat[second]
    root, _ = grow_components(len(flat), first[both], second[both], np.zeros(int(both.sum()), dtype=bool))
    solid = ~flat
    for face, neighbour in ((first, second), (second, first)):
        solid[root[face[flat[face] & ~flat[neighbour]]]] = True
    return ~solid[root]


Number = TypeVar("Number", int, float)


class _Rows(dict[int, list[Number]]):
    """The rows of a table as lists, each read when first asked for."""

    def __init__(self, table: NDArray[np.generic]) -> None:
        super().__init__()
        self.table = table

    def __missing__(self, row: int) -> list[Number]:
        self[row] = self.table[row].tolist()
        return self[row]


class _FacesAt(dict[int, set[int]]):
    """The faces at each vertex, looked up when first asked for: an operation touches few of them."""

    def __init__(self, faces: I64, numbers: I64, vertex_count: int) -> None:
        super().__init__()
        order = np.argsort(faces.ravel(), kind="stable")
        self.faces_by_vertex = numbers[order // 3]
        self.starts = np.searchsorted(faces.ravel()[order], np.arange(vertex_count + 1))

    def __missing__(self, vertex: int) -> set[int]:
        self[vertex] = set(self.faces_by_vertex[self.starts[vertex] : self.starts[vertex + 1]].tolist())
        return self[vertex]


class _Surgery:
    """The mesh as lists and sets: faces may be removed and changed one at a time."""

    def __init__(self, mesh: Repaired, points: F64, removed: Bools) -> None:
        self.mesh, self.points = mesh, points
        self.faces: _Rows[int] = _Rows(mesh.faces)
        self.uv_faces: _Rows[int] = _Rows(mesh.uv_faces)
        self.uvs: _Rows[float] = _Rows(mesh.uvs)
        self.uv_count = len(mesh.uvs)
        self.alive = (~removed).tolist()
        self.changed: set[int] = set()  # faces with other corners than before
        self.remade: set[int] = set()  # those that are new faces rather than the old ones with merged corners
        self.merged = np.arange(len(mesh.representative))
        self.collapsed = self.reconnected = 0
        self.at = _FacesAt(mesh.faces[~removed], np.flatnonzero(~removed), len(mesh.source_vertex))

    def remove(self, face: int) -> bool:
        """Try to get rid of a flat face; True when it is gone or no longer flat."""
        return (
            not self.alive[face]
            or not self.is_flat(self.faces[face])
            or self.collapse(face)
            or self.flip(face)
            or self.peel(face)
        )

    def collapse(self, face: int) -> bool:
        """Merge the ends of a short edge, the younger vertex into the older, where the link condition allows it."""
        corners = self.faces[face]
        pairs = [(min(corners[i], corners[j]), max(corners[i], corners[j])) for i, j in _EDGES]
        edges = [(self.distance(one, two), one, two) for one, two in pairs]
        longest = max(edges)[0]
        for length, keep, gone in sorted(edges):
            if length <= SHORT * longest and self.may_merge(keep, gone):
                self.merge(keep, gone)
                return True
        return False

    def may_merge(self, keep: int, gone: int) -> bool:
        shared = self.at[keep] & self.at[gone]
        opposite = {v for f in shared for v in self.faces[f]} - {keep, gone}
        if self.neighbours(keep) & self.neighbours(gone) != opposite or len(shared) > 2:
            return False
        if self.link(keep, shared) & self.link(gone, shared):
            return False
        if len(shared) == 2 and self.on_border(keep) and self.on_border(gone):
            return False
        for face in self.at[gone] - shared:
            corners = self.faces[face]
            changed = [keep if v == gone else v for v in corners]
            if self.is_flat(corners):
                continue
            if self.is_flat(changed) or (self.normals(corners) * self.normals(changed)).sum(axis=-1).min() <= 0:
                return False
        return True

    def merge(self, keep: int, gone: int) -> None:
        shared = self.at[keep] & self.at[gone]
        same_uv: dict[int, int] = {}
        for face in sorted(shared):
            corners, uv = self.faces[face], self.uv_faces[face]
            same_uv.setdefault(uv[corners.index(gone)], uv[corners.index(keep)])
            self.kill(face)
            self.collapsed += 1
        moved = sorted(self.at[gone])
        uv_changed = [[same_uv.get(u, u) for u in self.uv_faces[face]] for face in moved]
        # texture coordinates follow the vertex, unless that would fold the texture over
        if all(self.same_side(self.uv_faces[f], uv) for f, uv in zip(moved, uv_changed, strict=True)):
            for face, uv in zip(moved, uv_changed, strict=True):
                self.uv_faces[face] = uv
        self.changed.update(moved)
        for face in moved:
            self.faces[face] = [keep if v == gone else v for v in self.faces[face]]
            self.at[keep].add(face)
        self.at[gone].clear()
        source = self.mesh.source_vertex
        self.merged[source[gone]] = source[keep]

    def flip(self, face: int) -> bool:
        """Replace the flat face and its neighbour across the long edge by two faces that share the apex."""
        turn = max(range(3), key=lambda i: self.distance(self.faces[face][i], self.faces[face][(i + 1) % 3]))
        a, b, c = self.faces[face][turn:] + self.faces[face][:turn]
        ua, ub, uc = self.uv_faces[face][turn:] + self.uv_faces[face][:turn]
        others = (self.at[a] & self.at[b]) - {face}
        if len(others) != 1:
            return False
        other = others.pop()
        start = self.faces[other].index(b)
        b_, a_, d = self.faces[other][start:] + self.faces[other][:start]
        ub_, ua_, ud = self.uv_faces[other][start:] + self.uv_faces[other][:start]
        if a_ != a or d == c or self.at[c] & self.at[d] or self.is_flat([b, c, d]) or self.is_flat([c, a, d]):
            return False
        fits = self.same_side([ub_, ua_, ud], [ub_, uc, ud]) and self.same_side([ub_, ua_, ud], [uc, ua_, ud])
        if (ua, ub) != (ua_, ub_) or not fits:
            uc = self.between(ua_, ub_, self.fraction(a, b, c))
        for vertex in (a, b):
            self.at[vertex] -= {face, other}
        self.set_face(face, [b_, c, d], [ub_, uc, ud])
        self.set_face(other, [c, a, d], [uc, ua_, ud])
        self.reconnected += 1
        return True

    def peel(self, face: int) -> bool:
        """Drop a flat face at an open border, where that neither pinches nor opens anything."""
        corners = self.faces[face]
        open_edges = [i for i, j in _EDGES if len(self.at[corners[i]] & self.at[corners[j]]) == 1]
        if not open_edges or (len(open_edges) == 1 and self.on_border(corners[open_edges[0] - 1])):
            return False
        self.kill(face)
        self.collapsed += 1
        return True

    def kill(self, face: int) -> None:
        self.alive[face] = False
        for vertex in self.faces[face]:
            self.at[vertex].discard(face)

    def set_face(self, face: int, corners: list[int], uv: list[int]) -> None:
        for vertex in self.faces[face]:
            self.at[vertex].discard(face)
        self.faces[face], self.uv_faces[face] = corners, uv
        self.changed.add(face)
        self.remade.add(face)
        for vertex in corners:
            self.at[vertex].add(face)

    def neighbours(self, vertex: int) -> set[int]:
        return {v for face in self.at[vertex] for v in self.faces[face]} - {vertex}

    def link(self, vertex: int, without: set[int]) -> set[frozenset[int]]:
        """The edges opposite a vertex, in its faces other than the given ones."""
        return {frozenset(self.faces[face]) - {vertex} for face in self.at[vertex] - without}

    def on_border(self, vertex: int) -> bool:
        return any(len(self.at[vertex] & self.at[other]) == 1 for other in self.neighbours(vertex))

    def distance(self, a: int, b: int) -> float:
        return float(np.linalg.norm(self.points[:, a] - self.points[:, b], axis=1).max())

    def normals(self, corners: list[int]) -> F64:  # [B, 3]
        a, b, c = (self.points[:, v] for v in corners)
        return np.cross(b - a, c - a)

    def is_flat(self, corners: list[int]) -> bool:
        return bool(flat_faces(self.points, np.array([corners]))[0])

    def fraction(self, a: int, b: int, c: int) -> float:
        """Where along a-b the point c lies."""
        along = self.points[0, b] - self.points[0, a]
        return float(np.clip(along @ (self.points[0, c] - self.points[0, a]) / (along @ along), 0.0, 1.0))

    def same_side(self, one: list[int], two: list[int]) -> bool:
        return _sign(self.uvs, one) in (0, _sign(self.uvs, two))

    def between(self, a: int, b: int, fraction: float) -> int:
        """A new texture vertex on the line from a to b."""
        ends = zip(self.uvs[a], self.uvs[b], strict=True)
        self.uvs[self.uv_count] = [(1 - fraction) * p + fraction * q for p, q in ends]
        self.uv_count += 1
        return self.uv_count - 1

    def result(self, left: int, vanished: int) -> Repaired:
        mesh = self.mesh
        kept, changed = np.flatnonzero(self.alive), sorted(self.changed)
        faces, uv_faces = mesh.faces.copy(), mesh.uv_faces.copy()
        faces[changed] = np.array([self.faces[face] for face in changed], dtype=np.int64).reshape(-1, 3)
        uv_faces[changed] = np.array([self.uv_faces[face] for face in changed], dtype=np.int64).reshape(-1, 3)
        source_face = mesh.source_face.copy()
        source_face[sorted(self.remade)] = -1
        merged = self.merged
        while not np.array_equal(merged, merged[merged]):
            merged = merged[merged]
        fresh = np.array([self.uvs[i] for i in range(len(mesh.uvs), self.uv_count)], dtype=mesh.uvs.dtype).reshape(
            -1, 2
        )
        repairs = replace(
            mesh.repairs,
            collapsed=self.collapsed,
            reconnected=self.reconnected,
            dropped=mesh.repairs.dropped + vanished,
            left=left,
        )
        return replace(
            mesh,
            faces=faces[kept],
            uv_faces=uv_faces[kept],
            uvs=np.concatenate([mesh.uvs, fresh]),
            source_face=source_face[kept],
            representative=merged[mesh.representative],
            repairs=repairs,
        )


_EDGES = ((0, 1), (1, 2), (2, 0))


def _sign(uvs: _Rows[float], corners: list[int]) -> int:
    (ax, ay), (bx, by), (cx, cy) = (uvs[i] for i in corners)
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    return (area > 0) - (area < 0)
