"""Slender triangles made rounder by flipping edges: no vertex moves and none is added.

Where splitting long edges leaves fans of needles, the other diagonal of two neighbouring triangles is the shorter one.
An edge is flipped when the worse of its two triangles gets rounder, the surface stays where it is and does not fold,
and both triangles lie on one island of the texture, without folding there either. (Bern and Eppstein, "Mesh generation
and optimal triangulation", 1992, 2.3: edge flips.)

Dims: V vertices, F triangles, U texture vertices, E candidate edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.model.topology.edges import F64, I64, NEXT, edge_keys, manifold_links

SLENDER = 6.0  # aspect from which on a triangle is worth a flip
BEND = 0.3  # cosine between the normals of two triangles over which the surface may be laid anew
PASSES = 12


def flip_slender(
    vertices: F64,  # [V, 3] m
    faces: NDArray[np.integer],  # [F, 3]
    uvs: NDArray[np.floating],  # [U, 2]
    uv_faces: NDArray[np.integer],  # [F, 3]
) -> tuple[I64, I64]:  # [F, 3] faces and uv_faces
    """The same surface with rounder triangles. The same input gives the same output."""
    corners, uv_corners = faces.astype(np.int64), uv_faces.astype(np.int64)
    for _ in range(PASSES):
        quads, uv_quads, sides = _quads(corners, uv_corners, aspects(vertices[corners]), len(vertices))
        better = _worth(vertices[quads], uvs[uv_quads].astype(np.float64))
        diagonal = edge_keys(quads[:, 1], quads[:, 3], len(vertices))
        better[np.isin(diagonal, edge_keys(corners, corners[:, NEXT], len(vertices)))] = 0
        chosen = _apart(sides, better, len(corners))
        if not len(chosen):
            break
        for table, quad in ((corners, quads[chosen]), (uv_corners, uv_quads[chosen])):
            table[sides[chosen, 0]], table[sides[chosen, 1]] = quad[:, [0, 1, 3]], quad[:, [1, 2, 3]]
    return corners, uv_corners


def aspects(
    corners: F64,  # [..., 3, 3] m
) -> F64:  # [...] 1.15 in an equilateral triangle
    """The longest edge over the height above it."""
    longest = ((corners - corners[..., NEXT, :]) ** 2).sum(-1).max(-1)
    return np.asarray(longest / np.maximum(np.linalg.norm(normals(corners), axis=-1), 1e-15))


def _quads(faces: I64, uv_faces: I64, aspect: F64, count: int) -> tuple[I64, I64, I64]:  # [E, 4], [E, 4], [E, 2]
    """The two triangles on each edge of a slender one, as a quad a b c d with the edge a c: corners, their texture
    vertices, and the triangles abc and acd."""
    first, second = manifold_links(faces, count)
    slender = aspect > SLENDER
    near = slender[first // 3] | slender[second // 3]
    first, second = first[near], second[near]
    one, start = first // 3, first % 3  # the edge runs c -> a in the first triangle, and a -> c in the second
    two, back = second // 3, second % 3
    quad = [
        np.stack([t[one, NEXT[start]], t[one, NEXT[NEXT[start]]], t[one, start], t[two, NEXT[NEXT[back]]]], axis=1)
        for t in (faces, uv_faces)
    ]
    same = (uv_faces[one, NEXT[start]] == uv_faces[two, back]) & (uv_faces[one, start] == uv_faces[two, NEXT[back]])
    return quad[0][same], quad[1][same], np.stack([one, two], axis=1)[same]


def _worth(quads: F64, uv_quads: F64) -> F64:  # [E, 4, 3], [E, 4, 2] -> [E] by how much the worst aspect falls
    """What a flip gains; 0 where it may not be."""
    old, new = quads[:, [[0, 1, 2], [0, 2, 3]]], quads[:, [[0, 1, 3], [1, 2, 3]]]
    four = np.concatenate([normals(old), normals(new)], axis=1)  # [E, 4, 3]
    four /= np.maximum(np.linalg.norm(four, axis=-1, keepdims=True), 1e-15)
    level = (four[:, :, None] * four[:, None]).sum(-1).min(axis=(1, 2)) > BEND
    flat_old, flat_new = uv_quads[:, [[0, 1, 2], [0, 2, 3]]], uv_quads[:, [[0, 1, 3], [1, 2, 3]]]
    unfolded = (_areas(flat_new) * np.sign(_areas(flat_old)) > 0).all(axis=1)
    gain = aspects(old).max(axis=1) - aspects(new).max(axis=1)
    return np.where(level & unfolded & (gain > 0.01 * aspects(old).max(axis=1)), gain, 0.0)


def _apart(sides: I64, better: F64, count: int) -> I64:  # edges, no two of which share a triangle
    """The best flips of one pass."""
    order = np.argsort(-better, kind="stable")
    order = order[better[order] > 0]
    rank = np.full(count, len(order))
    for side in sides[order].T:
        np.minimum.at(rank, side, np.arange(len(order)))
    return np.asarray(order[(rank[sides[order]] == np.arange(len(order))[:, None]).all(axis=1)])


def normals(
    corners: F64,  # [..., 3, 3]
) -> F64:  # [..., 3]
    """Of triangles, twice their area long."""
    return np.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])


def _areas(corners: F64) -> F64:  # [..., 3, 2] -> [...]
    a, b = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
