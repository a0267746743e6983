"""Orientation repair and removal of invalid faces (MeshLAM, "topology correction", steps 2 and 3).

Dropping a face must not open a hole, so each kind of fault has its own remedy:
- a face that repeats a vertex has nothing but one doubled edge: it is dropped and its neighbours meet;
- copies of a face: one stays, or none where the surface is closed without it;
- an edge with more than two faces: the two most coherent stay joined, then the next two; smaller patches that are
  left over (fins, membranes) are dropped, larger ones are cut loose along the edge;
- a face without area: its short edge is collapsed or its long edge flipped (collapse.py).
Sound meshes pass after a check of about two milliseconds. Dims: B batch, V vertices, F triangles, U texture vertices.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.model.topology.collapse import remove_flat_faces
from meshlam_core.model.topology.edges import (
    F64,
    I64,
    NEXT,
    Bools,
    edge_groups,
    face_keys,
    flat_faces,
    grow_components,
    is_sound,
    manifold_links,
)
from meshlam_core.model.topology.records import Repaired, Repairs


def repair(
    positions: F64,  # [B, V, 3]
    faces: I64,  # [F, 3]
    uvs: NDArray[np.floating],  # [U, 2]
    uv_faces: I64,  # [F, 3]
) -> Repaired:
    """Make a mesh sound: coherent orientation, no invalid face, no new hole."""
    count = positions.shape[1]
    vertices, every_face = np.arange(count), np.arange(len(faces))
    mesh = Repaired(faces, uvs, uv_faces, vertices, every_face, vertices, Repairs())
    sound, flat = is_sound(faces, count), flat_faces(positions, faces).any()
    if sound and not flat:
        return mesh
    if not sound:
        mesh = _keep(mesh, (faces != faces[:, NEXT]).all(axis=1))
        mesh = _keep(mesh, _first_copies(mesh.faces, count))
        mesh = _orient(mesh, *manifold_links(mesh.faces, count))
        mesh = _untangle(mesh, positions)
    mesh = remove_flat_faces(mesh, positions)
    return _without_orphans(mesh, faces)


def _keep(mesh: Repaired, kept: Bools) -> Repaired:
    return replace(
        mesh,
        faces=mesh.faces[kept],
        uv_faces=mesh.uv_faces[kept],
        source_face=mesh.source_face[kept],
        repairs=replace(mesh.repairs, dropped=mesh.repairs.dropped + int((~kept).sum())),
    )


def _first_copies(faces: I64, count: int) -> Bools:  # [F]
    """Which faces stay when several share their three vertices: one, or none where nothing is missed."""
    _, first, group, copies = np.unique(
        face_keys(faces, count), return_index=True, return_inverse=True, return_counts=True
    )
    kept = np.zeros(len(faces), dtype=bool)
    kept[first] = True
    if (copies == 1).all():
        return kept
    order, starts = edge_groups(faces, count)
    at_edge = np.empty(faces.size, dtype=np.int64)
    at_edge[order] = np.repeat(np.diff(starts), np.diff(starts))
    others = at_edge.reshape(-1, 3) - copies[group][:, None]  # [F, 3] faces at each edge besides the copies
    # two opposite copies with nothing around them are a pillow of no thickness
    winding = np.where(_is_even(faces), 1, -1)
    turning = np.abs(np.bincount(group, weights=winding))[group]
    pillow = (others == 0).all(axis=1) & (turning < copies[group])
    needless: Bools = (copies[group] > 1) & ((others == 2).all(axis=1) | pillow)
    return kept & ~needless


def _is_even(faces: I64) -> Bools:  # [F]
    """Whether the corners are a rotation of their ascending order."""
    lowest = faces.argmin(axis=1)
    rows = np.arange(len(faces))
    even: Bools = faces[rows, (lowest + 1) % 3] < faces[rows, (lowest + 2) % 3]
    return even


def _orient(mesh: Repaired, first: I64, second: I64) -> Repaired:
    """Turn faces until linked half-edges run in opposite directions; each component keeps its majority's side."""
    faces = mesh.faces
    ends = faces.ravel()
    root, turned = grow_components(len(faces), first // 3, second // 3, ends[first] == ends[second])
    size = np.bincount(root, minlength=len(faces))
    minority = 2 * np.bincount(root, weights=turned, minlength=len(faces)) > size
    turned = turned ^ minority[root]
    if not turned.any():
        return mesh
    faces, uv_faces = faces.copy(), mesh.uv_faces.copy()
    faces[turned], uv_faces[turned] = faces[turned][:, [0, 2, 1]], uv_faces[turned][:, [0, 2, 1]]
    repairs = replace(mesh.repairs, flipped=mesh.repairs.flipped + int(turned.sum()))
    return replace(mesh, faces=faces, uv_faces=uv_faces, repairs=repairs)


def _untangle(mesh: Repaired, positions: F64) -> Repaired:
    """Resolve edges with more than two faces: join the most coherent pairs, drop leftovers, cut the rest loose."""
    count = positions.shape[1]
    if len(_crowded_edges(mesh.faces, count)) == 0:
        return mesh
    first, second, leftover = _pair_up(mesh.faces, positions)
    patch, _ = grow_components(len(mesh.faces), first // 3, second // 3, np.zeros(len(first), dtype=bool))
    size = np.bincount(patch, minlength=len(mesh.faces))
    drop = np.zeros(len(mesh.faces), dtype=bool)
    for half_edge, kept_half_edge in leftover:
        mine, theirs = patch[half_edge // 3], patch[kept_half_edge // 3]
        drop |= (patch == mine) & bool((size[mine], -mine) < (size[theirs], -theirs))
    mesh = _keep(mesh, ~drop)
    first, second, _ = _pair_up(mesh.faces, positions)
    mesh = _orient(mesh, first, second)
    return _cut_loose(mesh, count, first, second)


def _crowded_edges(faces: I64, count: int) -> list[I64]:
    """The half-edges of each edge with more than two faces."""
    order, starts = edge_groups(faces, count)
    return [order[starts[e] : starts[e + 1]] for e in np.flatnonzero(np.diff(starts) > 2)]


def _pair_up(
    faces: I64, positions: F64
) -> tuple[I64, I64, list[tuple[int, int]]]:  # [L], [L] joined half-edges, (leftover, joined at the same edge)
    """Decide which faces meet across each edge; at crowded ones the most coherent pair first."""
    count = positions.shape[1]
    first, second = (list(side) for side in manifold_links(faces, count))
    patch, _ = grow_components(
        len(faces), np.array(first) // 3, np.array(second) // 3, np.zeros(len(first), dtype=bool)
    )
    corners = positions[0][faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    ends, leftover = faces.ravel(), []
    for group in _crowded_edges(faces, count):
        free = [int(h) for h in group]
        ranked = []
        for i, one in enumerate(free):
            for two in free[i + 1 :]:
                coherent = ends[one] != ends[two]
                together = patch[one // 3] == patch[two // 3]
                if together and not coherent:
                    continue  # joining them would leave a surface with one side only
                flatness = float(normals[one // 3] @ normals[two // 3]) * (1 if coherent else -1)
                ranked.append((not (together and coherent), not coherent, -round(flatness, 6), one, two))
        joined = -1
        for *_, one, two in sorted(ranked):
            if one in free and two in free:
                first.append(one)
                second.append(two)
                free.remove(one)
                free.remove(two)
                joined = one if joined < 0 else joined
        leftover += [(one, joined) for one in free if joined >= 0]
    return np.array(first, dtype=np.int64), np.array(second, dtype=np.int64), leftover


def _cut_loose(mesh: Repaired, count: int, first: I64, second: I64) -> Repaired:
    """Give each side of a crowded edge its own vertices: one for every fan of joined faces."""
    crowded = _crowded_edges(mesh.faces, count)
    if not crowded:
        return mesh
    ends = mesh.faces.ravel()
    after = (first // 3) * 3 + (first + 1) % 3, (second // 3) * 3 + (second + 1) % 3  # corners where half-edges end
    same = ends[first] == ends[second]
    other = np.where(same, second, after[1]), np.where(same, after[1], second)
    links = np.concatenate([first, after[0]]), np.concatenate(other)
    fan, _ = grow_components(mesh.faces.size, *links, np.zeros(2 * len(first), dtype=bool))
    tangled = np.unique(
        np.concatenate([[ends[h], mesh.faces[h // 3, (h + 1) % 3]] for group in crowded for h in group])
    )
    corner = np.flatnonzero(np.isin(ends, tangled))
    pairs = np.unique(np.stack([ends[corner], fan[corner]], axis=1), axis=0)  # by vertex, then by first corner
    extra = np.flatnonzero(np.concatenate([[False], pairs[1:, 0] == pairs[:-1, 0]]))
    number = dict(zip(pairs[extra, 1].tolist(), range(count, count + len(extra)), strict=True))
    faces = np.array([number.get(int(fan[c]), int(ends[c])) for c in range(len(ends))]).reshape(-1, 3)
    return replace(
        mesh,
        faces=faces,
        source_vertex=np.concatenate([mesh.source_vertex, pairs[extra, 0]]),
        repairs=replace(mesh.repairs, cut_loose=len(extra)),
    )


def _without_orphans(mesh: Repaired, old_faces: I64) -> Repaired:
    """Remove vertices whose faces are all gone; vertices that never had a face stay."""
    used = np.zeros(len(mesh.source_vertex), dtype=bool)
    used[mesh.faces.ravel()] = True
    had_faces = np.zeros(len(mesh.representative), dtype=bool)
    had_faces[old_faces.ravel()] = True
    kept = used | ~had_faces[mesh.source_vertex]
    renumber = np.cumsum(kept) - 1
    return replace(mesh, faces=renumber[mesh.faces], source_vertex=mesh.source_vertex[kept])
