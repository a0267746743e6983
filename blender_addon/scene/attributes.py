"""Attributes that an artist gave a head, and materials given to single faces, on a mesh with other vertices.

What lies on vertices goes the way of every edit (retopology.py). A triangle that both meshes have takes what lies on
its face, corners and edges from its like, also out of a quad. A new triangle takes it from the old one on which its
middle lies in the texture; so nothing is mixed across the seams of the artist's own UV maps.

Dims: T triangles of the old avatar, F of the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

from ..avatar_reader import AvatarFile
from .mesh import HAIR_ATTRIBUTE, ORIGINAL_ATTRIBUTE, PART_ATTRIBUTE, UV_LAYER
from .parts import surface_of_faces
from .trust import MILLIMETRES, TRUST, UNCERTAINTY

_BUILT = {UV_LAYER, PART_ATTRIBUTE, HAIR_ATTRIBUTE, ORIGINAL_ATTRIBUTE, TRUST, UNCERTAINTY, MILLIMETRES}
_BUILT |= {"position", "material_index", "uv_seam"}
_HIDDEN = {".sculpt_mask", ".sculpt_face_set"}  # of the internal ones, those that an artist makes
_SEAMS = ("uv_seam", ".uv_seam")  # since Blender 4.5, and before
_VALUES = {  # by kind: what the value is called, and how many numbers it has
    "FLOAT": ("value", 1),
    "INT": ("value", 1),
    "INT8": ("value", 1),
    "BOOLEAN": ("value", 1),
    "FLOAT_VECTOR": ("vector", 3),
    "FLOAT2": ("vector", 2),
    "FLOAT_COLOR": ("color", 4),
    "BYTE_COLOR": ("color", 4),
}
_MIXED = ("FLOAT", "FLOAT_VECTOR", "FLOAT2", "FLOAT_COLOR", "BYTE_COLOR")  # of others, the nearest counts
_NUMBERS = {"INT": np.int32, "INT8": np.int32, "BOOLEAN": np.bool_}


def own_attributes(mesh: Any) -> list[str]:
    """The artist's own: UV maps, colours, marks of edges, the sculpt mask; of kinds that can be carried over."""
    return [
        item.name
        for item in mesh.attributes
        if item.data_type in _VALUES
        and item.name not in _BUILT
        and (not item.name.startswith(".") or item.name in _HIDDEN)
    ]


def told(mesh: Any) -> list[str]:
    """The artist's own attributes, a sentence for each sort."""
    sorts: dict[str, list[str]] = {}
    for name in own_attributes(mesh):
        item = mesh.attributes[name]
        colour = item.data_type.endswith("COLOR")
        uvs = item.data_type == "FLOAT2" and item.domain == "CORNER"
        sort = "colour attributes" if colour else "UV maps" if uvs else "attributes"
        sorts.setdefault(sort, []).append(name.lstrip("."))
    return [f"Your own {sort}: {', '.join(names[:4])}" for sort, names in sorts.items()]


@dataclass(frozen=True)
class Likes:
    """Where each triangle of the new mesh gets its data from."""

    same: NDArray[np.bool_]  # [F] both meshes have it
    triangle: NDArray[np.int64]  # [F] of the old avatar
    face: NDArray[np.int64]  # [F] of the old mesh
    corners: NDArray[np.int64]  # [F, 3] of the old mesh
    share: NDArray[np.float64]  # [F, 3, 3] for each new corner those of the old ones; rows sum to 1

    @staticmethod
    def between(mesh: Any, old: AvatarFile, new: AvatarFile, both: NDArray[np.bool_]) -> Likes:
        """`mesh` is the old head's; `both`, [N], says which of the new vertices are the old ones of that number."""
        face, corners = _in_mesh(mesh, old.faces)
        number = {tuple(ends): index for index, ends in enumerate(np.sort(old.faces, axis=1).tolist())}
        inner = both[new.faces].all(1)
        ends = np.sort(new.faces, axis=1).tolist()
        triangle = np.array([number.get(tuple(three), -1) for three in ends])
        triangle[~inner] = -1
        same = triangle >= 0
        share = np.zeros((len(new.faces), 3, 3))
        share[same] = new.faces[same][:, :, None] == old.faces[triangle[same]][:, None]
        flat, places = old.uvs[old.uv_faces], new.uvs[new.uv_faces]
        tree = BVHTree.FromPolygons(
            [(u, v, 0.0) for u, v in flat.reshape(-1, 2).tolist()], np.arange(3 * len(flat)).reshape(-1, 3).tolist()
        )
        for index in np.flatnonzero(~same):
            triangle[index] = tree.find_nearest((*places[index].mean(0), 0.0))[2]
        share[~same] = _barycentric(places[~same], flat[triangle[~same]])
        return Likes(same, triangle, face[triangle], corners[triangle], share)

    def at_corners(self, values: Any, kind: str) -> Any:
        """[corners of the old mesh, n] -> [3 F, n]"""
        if kind not in _MIXED:
            nearest = np.take_along_axis(self.corners, self.share.argmax(2), axis=1)
            return values[nearest.ravel()]
        share = self.share
        if kind != "FLOAT2":  # a UV map goes on beyond the old triangle, a colour does not
            share = np.clip(share, 0, None)
            share = share / share.sum(2, keepdims=True)
        return np.einsum("fij,fjn->fin", share, values[self.corners]).reshape(-1, values.shape[1])


def _in_mesh(mesh: Any, faces: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The face [T] and its corners [T, 3] of a mesh in which each triangle lies, by itself or in a quad."""
    places = {}
    for polygon in mesh.polygons:
        corners = sorted(zip(polygon.vertices, polygon.loop_indices, strict=True))
        for three in combinations(corners, 3):
            places[tuple(vertex for vertex, _ in three)] = polygon.index, dict(three)
    found = [places[tuple(sorted(face))] for face in faces.tolist()]
    loops = [[loop[vertex] for vertex in face] for face, (_, loop) in zip(faces.tolist(), found, strict=True)]
    return np.array([index for index, _ in found]), np.array(loops)


def _barycentric(points: Any, triangles: Any) -> Any:  # [F, 3, 2], [F, 3, 2] -> [F, 3, 3]
    """Of each point in the triangle's corners; thirds where it has no area."""
    first, sides = triangles[:, :1].astype(float), (triangles[:, 1:] - triangles[:, :1]).astype(float)
    area = np.linalg.det(sides)
    flat = np.abs(area) < 1e-12
    sides[flat] = np.eye(2)
    rest = (points - first) @ np.linalg.inv(sides)
    share = np.concatenate([1 - rest.sum(2, keepdims=True), rest], axis=2)
    share[flat] = 1 / 3
    return share


def carry_attributes(mesh: Any, fresh: Any, carry: Any, old: AvatarFile, new: AvatarFile) -> None:
    """Give the new avatar's mesh `fresh`, still of triangles, what the artist put onto the old one's `mesh`."""
    likes = Likes.between(mesh, old, new, carry.both)
    seams = [name for name in _SEAMS if name in mesh.attributes]
    for name in (*own_attributes(mesh), *seams, UV_LAYER):
        source = mesh.attributes.get(name)
        if source is not None:
            _carry_one(source, fresh, carry, likes)
    _carry_materials(mesh, fresh, likes, surface_of_faces(old.faces, old.part, old.parts, old.hair))
    _choose(mesh, fresh)
    for key, value in mesh.items():
        fresh[key] = value


def _carry_one(source: Any, fresh: Any, carry: Any, likes: Likes) -> None:
    name, kind, domain = source.name, source.data_type, source.domain
    target = fresh.attributes.get(name) or fresh.attributes.new(name, kind, domain)
    values, wanted = _read(source), _read(target)
    if domain == "POINT":
        wanted = carry(values) if kind in _MIXED else values[carry.source[:, 0]]
    elif domain == "FACE":
        wanted = values[likes.face]
    elif domain == "CORNER":
        chosen = np.repeat(likes.same | (name != UV_LAYER), 3)  # of the texture's own map, new triangles have the new
        wanted[chosen] = likes.at_corners(values, kind)[chosen]
    elif domain == "EDGE":
        here, there = _same_edges(source.id_data, fresh, carry.both)
        wanted[here] = values[there]
    target = fresh.attributes[name]
    target.data.foreach_set(_VALUES[kind][0], np.ascontiguousarray(wanted).ravel())


def _carry_materials(mesh: Any, fresh: Any, likes: Likes, built: Any) -> None:
    """Faces that the artist gave another slot than `built`, [T], keep it; slots beyond the last are the last."""
    now, wanted = (np.empty(len(item.polygons), np.int32) for item in (mesh, fresh))
    mesh.polygons.foreach_get("material_index", now)
    fresh.polygons.foreach_get("material_index", wanted)
    here = now[likes.face]
    own = here != np.minimum(built, max(len(mesh.materials) - 1, 0))[likes.triangle]
    wanted[own] = here[own]
    fresh.polygons.foreach_set("material_index", wanted)


def _choose(mesh: Any, fresh: Any) -> None:
    """The same UV map and colours are edited, rendered and exported."""
    for layer in mesh.uv_layers:
        fresh.uv_layers[layer.name].active_render = layer.active_render
    if mesh.uv_layers.active is not None:
        fresh.uv_layers.active = fresh.uv_layers[mesh.uv_layers.active.name]
    for key in ("active_color_name", "default_color_name"):
        setattr(fresh.color_attributes, key, getattr(mesh.color_attributes, key))


def _same_edges(mesh: Any, fresh: Any, both: NDArray[np.bool_]) -> tuple[Any, Any]:
    """The edges of `fresh` that `mesh` has, and those of `mesh`."""
    numbers = {tuple(sorted(edge.vertices)): edge.index for edge in mesh.edges}
    pairs = [
        (edge.index, numbers.get(tuple(sorted(edge.vertices))))
        for edge in fresh.edges
        if both[list(edge.vertices)].all()
    ]
    found = np.array([pair for pair in pairs if pair[1] is not None], np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _read(attribute: Any) -> Any:  # [items, n]
    word, size = _VALUES[attribute.data_type]
    values: Any = np.empty(len(attribute.data) * size, _NUMBERS.get(attribute.data_type, np.float32))
    attribute.data.foreach_get(word, values)
    return values.reshape(-1, size)
