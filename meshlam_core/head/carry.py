"""What is known on the open head, carried over to another head model: parts, texture layout and landmarks.

The open head has been laid onto the model (registration.py). Vertices find their place on it group by group (skin,
each eyeball, teeth ...), by distance and orientation.

Frame: avatar frame of the model, metres. Dims: O vertices of the open head, V of the model, F triangles, U texture
vertices, L landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.correspondence import Correspondence
from meshlam_core.head.model import F32, I32, HeadModel
from meshlam_core.head.pieces import connected_labels
from meshlam_core.head.surface import Surface, closest_bary, vertex_normals

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

FIRST_IRIS = 468
OFF = 0.004  # m off the surface at which a landmark counts half
CLOSE = 0.002  # m for each unit between normals, of surfaces that have been laid on each other
STRETCH = 2.5  # of the layout's own scale, from which a corner lies across a seam
RINGS = (4, 2, 1, 0)  # of triangles around a triangle's middle in which its corners are looked for


@dataclass(frozen=True)
class Group:
    """Vertices of the model, and the triangles of the open head that they lie on."""

    vertices: NDArray[np.intp]
    on: Bools  # [F of the open head]


@dataclass(frozen=True)
class Layout:
    """Texture coordinates."""

    uvs: F32  # [U, 2]
    uv_faces: I32  # [F, 3]


def skin_triangles(source: HeadModel) -> Bools:  # [F]
    """The open head's skin: its largest piece, the mouth's inside and the eye sockets included."""
    label = connected_labels(source.faces, len(source.template))
    return np.asarray(label[source.faces[:, 0]] == np.bincount(label).argmax())


def triangles_of(source: HeadModel, part: str) -> Bools:  # [F]
    return np.asarray(source.part[source.faces[:, 0]] == source.parts.index(part))


def correspond(
    source: HeadModel,
    laid: F64,  # [O, 3] m, on the model
    template: F64,  # [V, 3] m
    faces: NDArray[np.integer],  # [F, 3]
    groups: Sequence[Group],
    shares_layout: bool = True,
) -> Correspondence:
    """The places of both heads' vertices on each other."""
    count, size = len(template), len(laid)
    on_open, on_open_bary = np.zeros((count, 3), np.int32), np.zeros((count, 3), np.float32)
    on_model, on_model_bary = np.zeros((size, 3), np.int32), np.zeros((size, 3), np.float32)
    normals, laid_normals = vertex_normals(template, faces), vertex_normals(laid, source.faces)
    done = np.zeros(size, bool)
    for group in groups:
        own = group.vertices
        triangle, bary, _ = Surface(laid, source.faces, group.on, CLOSE).nearest(template[own], normals[own])
        on_open[own], on_open_bary[own] = source.faces[triangle], bary
        # the first group, the skin, also takes what the model has no like of
        there = np.unique(source.faces[group.on]) if done.any() else np.arange(size)
        surface = Surface(template, faces, np.asarray(np.isin(faces, own).all(axis=1)), CLOSE)
        triangle, bary, _ = surface.nearest(laid[there], laid_normals[there])
        on_model[there], on_model_bary[there] = faces[triangle], bary
        done[there] = True
    return Correspondence(laid.astype(np.float32), on_open, on_open_bary, on_model, on_model_bary, shares_layout)


def carried_landmarks(
    source: HeadModel,
    laid: F64,  # [O, 3] m
    template: F64,  # [V, 3] m
    faces: NDArray[np.integer],  # [F, 3]
    skin: Bools,  # [V]
    eyeball: Bools,  # [V]
) -> tuple[I32, F32, F32]:  # [L] triangle, [L, 3], [L] trust
    """The open head's landmarks on the model's skin and eyeballs."""
    corners = laid[source.faces[source.landmark_faces]]
    at = np.einsum("lk,lkd->ld", source.landmark_bary.astype(np.float64), corners)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    triangle, bary, found = Surface(template, faces, skin[faces].all(axis=1), CLOSE).nearest(at, normals)
    if eyeball.any():
        balls = Surface(template, faces, eyeball[faces].all(axis=1), CLOSE)
        iris = slice(FIRST_IRIS, None)
        triangle[iris], bary[iris], found[iris] = balls.nearest(at[iris], normals[iris])
    off = np.linalg.norm(found - at, axis=1)
    trust = source.landmark_weight / (1 + (off / OFF) ** 2)
    return triangle.astype(np.int32), bary.astype(np.float32), trust.astype(np.float32)


def carried_layout(
    source: HeadModel,
    laid: F64,  # [O, 3] m
    template: F64,  # [V, 3] m
    faces: NDArray[np.integer],  # [F, 3]
    groups: Sequence[Group],
) -> Layout:
    """The open head's texture layout on the model: each triangle lies where its middle lies.

    A corner beyond a seam is put where the triangle's own side of the seam ends, so that nothing is drawn across.
    """
    corner_uv = np.zeros((len(faces), 3, 2))
    corners = template[faces]
    middle = corners.mean(axis=1)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-20)
    own_uv, own_place = source.uvs[source.uv_faces].astype(np.float64), laid[source.faces]
    scale = np.sqrt(area(own_uv) / np.maximum(area(own_place), 1e-12))  # UV per metre
    around: list[list[int]] = [[] for _ in source.uvs]
    for i, triple in enumerate(source.uv_faces.tolist()):
        for vertex in triple:
            around[vertex].append(i)
    vertex_normal = vertex_normals(template, faces)
    for group in groups:
        rows = np.flatnonzero(np.isin(faces, group.vertices).all(axis=1))
        surface = Surface(laid, source.faces, group.on, CLOSE)
        anchor, bary, _ = surface.nearest(middle[rows], normals[rows])
        anchor_uv = np.einsum("fk,fkd->fd", bary, own_uv[anchor])
        on, bary, _ = surface.nearest(template[group.vertices], vertex_normal[group.vertices])
        vertex_uv = np.zeros((len(template), 2))
        vertex_uv[group.vertices] = np.einsum("vk,vkd->vd", bary, own_uv[on])
        corner_uv[rows] = vertex_uv[faces[rows]]
        reach = np.linalg.norm(corners[rows] - middle[rows, None], axis=2)
        local = np.maximum(scale[anchor], float(np.median(scale[group.on])))
        limit = STRETCH * reach * local[:, None]
        for i in np.flatnonzero(crosses(corner_uv[rows], anchor_uv, limit)).tolist():
            for rings in RINGS:
                near = connected_triangles(int(anchor[i]), rings, source.uv_faces, around)
                corner_uv[rows[i]] = on_triangles(corners[rows[i]], own_place[near], own_uv[near])
                if not crosses(corner_uv[rows[i]][None], anchor_uv[i][None], limit[i][None])[0]:
                    break
    return joined(corner_uv, faces)


def crosses(
    corner_uv: F64,  # [F, 3, 2]
    middle_uv: F64,  # [F, 2]
    limit: F64,  # [F, 3]
) -> Bools:  # [F]
    """Triangles with a corner too far from their middle, or turned over."""
    far = (np.linalg.norm(corner_uv - middle_uv[:, None], axis=2) > limit).any(axis=1)
    a, b = corner_uv[:, 1] - corner_uv[:, 0], corner_uv[:, 2] - corner_uv[:, 0]
    return np.asarray(far | (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0))


def on_triangles(
    points: F64,  # [3, 3] m, the corners of a triangle
    places: F64,  # [N, 3, 3] m
    uvs: F64,  # [N, 3, 2]
) -> F64:  # [3, 2]
    """The coordinates of the closest points on some triangles."""
    count = len(places)
    bary = closest_bary(np.repeat(points, count, axis=0), np.tile(places, (3, 1, 1))).reshape(3, count, 3)
    off = np.linalg.norm(np.einsum("cfk,fkd->cfd", bary, places) - points[:, None], axis=2)
    best = off.argmin(axis=1)
    return np.asarray(np.einsum("ck,ckd->cd", bary[np.arange(3), best], uvs[best]))


def connected_triangles(start: int, rings: int, uv_faces: NDArray[np.integer], around: list[list[int]]) -> I64:
    """Triangles that hang together with one in the layout, within a few rings."""
    found, edge = {start}, {start}
    for _ in range(rings):
        edge = {j for i in edge for vertex in uv_faces[i].tolist() for j in around[vertex]} - found
        found |= edge
    return np.array(sorted(found))


def joined(
    corner_uv: F64,  # [F, 3, 2]
    faces: NDArray[np.integer],  # [F, 3]
) -> Layout:
    """Corners of one vertex with the same coordinates become one texture vertex."""
    key = np.concatenate([faces.reshape(-1, 1), np.round(corner_uv.reshape(-1, 2) * 65536).astype(np.int64)], axis=1)
    _, first, place = np.unique(key, axis=0, return_index=True, return_inverse=True)
    uvs = corner_uv.reshape(-1, 2)[first].clip(0, 1)
    return Layout(uvs.astype(np.float32), place.reshape(-1, 3).astype(np.int32))


def area(corners: F64) -> F64:  # [F, 3, 2 or 3] -> [F]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    square = (a * a).sum(1) * (b * b).sum(1) - (a * b).sum(1) ** 2
    return np.asarray(np.sqrt(square.clip(0)) / 2)
