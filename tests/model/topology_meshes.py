"""Meshes with texture coordinates for the topology tests, and slow, obvious measurements of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class Mesh:
    vertices: NDArray[np.float64]  # [V, 3]
    faces: NDArray[np.int64]  # [F, 3]
    uvs: NDArray[np.float32]  # [U, 2]
    uv_faces: NDArray[np.int64]  # [F, 3]


def grid(rows: int, columns: int, wrap_rows: bool, wrap_columns: bool) -> tuple[NDArray[np.int64], Mesh]:
    """A grid of quads cut into triangles, closed in none, one or both directions; uv seams where it closes."""
    shape = (rows + 1, columns + 1)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(rows + 1), np.arange(columns + 1), indexing="ij"))
    uvs = np.stack([j / columns, i / rows], axis=1).astype(np.float32)
    n = np.arange(shape[0] * shape[1]).reshape(shape)
    a, b, c, d = (x.ravel() for x in (n[:-1, :-1], n[:-1, 1:], n[1:, 1:], n[1:, :-1]))
    uv_faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    height, width = rows + (not wrap_rows), columns + (not wrap_columns)
    vertex = (i % height) * width + j % width
    empty = Mesh(np.zeros((height * width, 3)), vertex[uv_faces], uvs, uv_faces)
    return np.stack(np.divmod(np.arange(height * width), width), axis=1), empty


def torus(rows: int = 8, columns: int = 12) -> Mesh:
    index, mesh = grid(rows, columns, wrap_rows=True, wrap_columns=True)
    v, u = 2 * np.pi * index[:, 0] / rows, 2 * np.pi * index[:, 1] / columns
    r = 2 + np.cos(v)
    mesh.vertices = np.stack([r * np.cos(u), r * np.sin(u), np.sin(v)], axis=1)
    return mesh


def tube(rows: int = 4, columns: int = 10) -> Mesh:
    """Open at both ends."""
    index, mesh = grid(rows, columns, wrap_rows=False, wrap_columns=True)
    u = 2 * np.pi * index[:, 1] / columns
    mesh.vertices = np.stack([np.cos(u), np.sin(u), index[:, 0].astype(float)], axis=1)
    return mesh


def sheet(rows: int = 3, columns: int = 4) -> Mesh:
    index, mesh = grid(rows, columns, wrap_rows=False, wrap_columns=False)
    mesh.vertices = np.stack([index[:, 1], index[:, 0], 0 * index[:, 0]], axis=1).astype(float)
    return mesh


def box() -> Mesh:
    """Eight vertices; every side is its own uv island, so every box edge is a seam."""
    vertices = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=float)
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    uvs = np.concatenate([(corner * 0.9 + [i % 3, i // 3]) / 3 for i in range(6)]).astype(np.float32)
    uv_faces = np.array([[4 * i + k for k in t] for i in range(6) for t in ((0, 1, 2), (0, 2, 3))])
    return Mesh(vertices, faces, uvs, uv_faces)


def sphere(levels: int = 1) -> Mesh:
    """An octahedron refined by slow splitting; one uv vertex a face corner (every edge a seam)."""
    points = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    triangles = [(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)]
    positions = [np.array(p, dtype=float) for p in points]
    for _ in range(levels):
        middle: dict[frozenset[int], int] = {}
        refined = []
        for t in triangles:
            mids = []
            for i in range(3):
                edge = frozenset((t[i], t[(i + 1) % 3]))
                if edge not in middle:
                    point = sum(positions[v] for v in edge)
                    middle[edge] = len(positions)
                    positions.append(point / np.linalg.norm(point))
                mids.append(middle[edge])
            refined += [(t[0], mids[0], mids[2]), (mids[0], t[1], mids[1]), (mids[2], mids[1], t[2]), tuple(mids)]
        triangles = refined
    faces = np.array(triangles)
    uvs = np.random.default_rng(0).random((faces.size, 2)).astype(np.float32)
    return Mesh(np.array(positions), faces, uvs, np.arange(faces.size).reshape(-1, 3))


def joined(*meshes: Mesh) -> Mesh:
    """Several meshes in one, not connected."""
    starts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    uv_starts = np.cumsum([0, *(len(m.uvs) for m in meshes)])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=False)]),
        np.concatenate([m.uvs for m in meshes]),
        np.concatenate([m.uv_faces + s for m, s in zip(meshes, uv_starts, strict=False)]),
    )


def with_faces(mesh: Mesh, faces: list[list[int]]) -> Mesh:
    """The mesh with more faces; their texture corners are those the vertices have elsewhere, else vertex 0's."""
    known = dict(zip(mesh.faces.ravel().tolist(), mesh.uv_faces.ravel().tolist(), strict=True))
    uv = [[known.get(v, 0) for v in face] for face in faces]
    return Mesh(mesh.vertices, np.concatenate([mesh.faces, faces]), mesh.uvs, np.concatenate([mesh.uv_faces, uv]))


def edge_faces(faces: NDArray[np.integer]) -> dict[tuple[int, int], list[int]]:
    """The faces at each undirected edge."""
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, face in enumerate(faces.tolist()):
        for i in range(3):
            found[min(face[i], face[i - 1]), max(face[i], face[i - 1])].append(number)
    return found


@dataclass(frozen=True)
class Shape:
    """What topology correction must not change."""

    components: tuple[tuple[int, int], ...]  # (Euler characteristic, border loops) of each, sorted
    crowded: int  # edges with more than two faces
    disagreeing: int  # directed edges used twice


def shape_of(faces: NDArray[np.integer]) -> Shape:
    """Components over shared edges, by breadth-first search."""
    at = edge_faces(faces)
    rows = faces.tolist()
    unseen, components = set(range(len(rows))), []
    while unseen:
        queue = [min(unseen)]
        unseen.discard(queue[0])
        for face in queue:
            for i in range(3):
                for other in at[min(rows[face][i], rows[face][i - 1]), max(rows[face][i], rows[face][i - 1])]:
                    if other in unseen:
                        unseen.discard(other)
                        queue.append(other)
        inside = set(queue)
        mine = {e: f for e, f in at.items() if f[0] in inside}
        vertices = {v for f in queue for v in rows[f]}
        border = [e for e, f in mine.items() if len(f) == 1]
        components.append((len(vertices) - len(mine) + len(queue), loops(border)))
    directed = Counter((r[i - 1], r[i]) for r in rows for i in range(3))
    return Shape(
        tuple(sorted(components)),
        sum(len(f) > 2 for f in at.values()),
        sum(n > 1 for n in directed.values()),
    )


def loops(edges: list[tuple[int, int]]) -> int:
    """How many connected loops the border edges make."""
    parent = {v: v for e in edges for v in e}

    def root(v: int) -> int:
        while parent[v] != v:
            v = parent[v]
        return v

    for a, b in edges:
        parent[root(a)] = root(b)
    return sum(v == root(v) for v in parent)


def areas(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def uv_areas(uvs: NDArray[np.floating], uv_faces: NDArray[np.integer]) -> NDArray[np.float64]:
    a, b, c = (uvs[uv_faces[:, i]].astype(np.float64) for i in range(3))
    u, v = b - a, c - a
    return (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2


def seam_length(vertices: NDArray[np.floating], faces: NDArray[np.integer], uv_faces: NDArray[np.integer]) -> float:
    """Total length of the edges whose two faces disagree about the texture coordinates."""
    uv_at: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for face, uv in zip(faces.tolist(), uv_faces.tolist(), strict=True):
        for i in range(3):
            ends = sorted([(face[i - 1], uv[i - 1]), (face[i], uv[i])])
            uv_at[ends[0][0], ends[1][0]].append((ends[0][1], ends[1][1]))
    return sum(
        float(np.linalg.norm(vertices[a] - vertices[b])) for (a, b), pairs in uv_at.items() if len(set(pairs)) > 1
    )


def slow_split(mesh: Mesh, epsilon: float) -> tuple[list[tuple[float, ...]], list[tuple[int, int, int]]]:
    """Split long edges the obvious way: dictionaries, one face at a time."""
    points = [tuple(p) for p in mesh.vertices.tolist()]
    triangles = [tuple(f) for f in mesh.faces.tolist()]

    def square(a: int, b: int) -> float:
        return sum((x - y) ** 2 for x, y in zip(points[a], points[b], strict=True))

    while True:
        long = sorted({tuple(sorted((t[i], t[i - 1]))) for t in triangles for i in range(3)})
        long = [e for e in long if square(*e) > epsilon * epsilon]
        if not long:
            return points, triangles
        middle = {}
        for a, b in long:
            middle[a, b] = middle[b, a] = len(points)
            points.append(tuple((x + y) / 2 for x, y in zip(points[a], points[b], strict=True)))
        refined: list[tuple[int, ...]] = []
        for t in triangles:
            cut = [(t[i], t[(i + 1) % 3]) in middle for i in range(3)]
            while cut not in ([0, 0, 0], [1, 0, 0], [1, 0, 1], [1, 1, 1]):  # turn it into a standard position
                t, cut = t[1:] + t[:1], cut[1:] + cut[:1]
            a, b, c = t
            if sum(cut) == 0:
                refined.append(t)
            elif sum(cut) == 1:
                m = middle[a, b]
                refined += [(a, m, c), (m, b, c)]
            elif sum(cut) == 3:
                m, n, o = middle[a, b], middle[b, c], middle[c, a]
                refined += [(a, m, o), (m, b, n), (o, n, c), (m, n, o)]
            else:
                m, o = middle[a, b], middle[c, a]
                to_b, to_c = square(b, o), square(c, m)
                if (to_b, b) < (to_c, c):
                    refined += [(a, m, o), (m, b, o), (b, c, o)]
                else:
                    refined += [(a, m, o), (m, b, c), (m, c, o)]
        triangles = refined
