"""The head mesh: positions, UVs, smooth shading, the part attribute, material slots and skinning groups."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..avatar_reader import AvatarFile
from ..axes import blender_from_avatar
from .lashes import lash_corners, lash_faces
from .parts import surface_of_faces
from .trust import store_trust

UV_LAYER = "UVMap"
PART_ATTRIBUTE = "part"
HAIR_ATTRIBUTE = "hair"  # m, how far the hull lifts each vertex from the skull
ORIGINAL_ATTRIBUTE = "meshlam_original"  # the positions as reconstructed, so that sculpting can be told from them
MAX_GROUPS = 4  # per vertex: what game engines take


def build_mesh(avatar: AvatarFile, name: str) -> Any:
    """An object with the neutral head, not linked to a collection yet."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(blender_from_avatar(avatar.vertices), [], avatar.faces)
    layer = mesh.uv_layers.new(name=UV_LAYER)
    corners = np.ascontiguousarray(avatar.uvs[avatar.uv_faces], dtype=np.float32)  # [F, 3, 2]
    hairs = lash_faces(avatar)
    if hairs is not None:
        corners[hairs], _ = lash_corners(avatar, hairs)  # they have a picture of their own
    layer.uv.foreach_set("vector", corners.ravel())
    attribute = mesh.attributes.new(PART_ATTRIBUTE, "INT", "POINT")
    attribute.data.foreach_set("value", avatar.part.astype(np.int32))
    _point_vectors(mesh, ORIGINAL_ATTRIBUTE, avatar.vertices)
    if avatar.hair is not None:
        _point_vectors(mesh, HAIR_ATTRIBUTE, avatar.hair)
    store_trust(avatar, mesh)
    mark_seams(mesh)
    mesh.shade_smooth()
    mesh.update()
    if mesh.validate():
        raise ValueError(f"{avatar.path.name} holds degenerate triangles that Blender had to remove.")
    return bpy.data.objects.new(name, mesh)


def mark_seams(mesh: Any) -> None:
    """Mark the edges whose two faces lie apart in the texture, as an unwrap would want them."""
    start, total = (_numbers(mesh.polygons, name) for name in ("loop_start", "loop_total"))
    follow = np.arange(len(mesh.loops)) + 1
    follow[start + total - 1] = start  # each face's last corner is followed by its first
    vertex, edge = (_numbers(mesh.loops, name) for name in ("vertex_index", "edge_index"))
    uvs = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers[UV_LAYER].uv.foreach_get("vector", uvs)
    places = np.stack([uvs.reshape(-1, 2), uvs.reshape(-1, 2)[follow]], axis=1)  # of each edge's ends, in one face
    turned = vertex > vertex[follow]
    places[turned] = places[turned, ::-1]
    order = np.argsort(edge, kind="stable")
    edge, places = edge[order], places[order]
    apart = (edge[1:] == edge[:-1]) & (places[1:] != places[:-1]).any((1, 2))
    mesh.edges.foreach_set("use_seam", np.isin(np.arange(len(mesh.edges)), edge[1:][apart]))


def _numbers(items: Any, name: str) -> NDArray[np.int32]:
    out = np.empty(len(items), np.int32)
    items.foreach_get(name, out)
    return out


def _point_vectors(mesh: Any, name: str, vectors: NDArray[np.float32]) -> None:
    """An attribute of one vector a vertex, turned to Blender's axes."""
    attribute = mesh.attributes.new(name, "FLOAT_VECTOR", "POINT")
    attribute.data.foreach_set("vector", np.ascontiguousarray(blender_from_avatar(vectors), np.float32).ravel())


def assign_materials(avatar: AvatarFile, head: Any, materials: list[Any]) -> None:
    """One slot a surface, in the order of SURFACES; surfaces that the head lacks keep their slot empty of faces."""
    for material in materials:
        head.data.materials.append(material)
    surfaces = surface_of_faces(avatar.faces, avatar.part, avatar.parts, avatar.hair)
    head.data.polygons.foreach_set("material_index", surfaces)
    head.data.update()


def limited_weights(
    weights: NDArray[np.float32],  # [V, J] rows sum to 1
) -> NDArray[np.float64]:  # [V, J] rows sum to 1, at most MAX_GROUPS entries each
    """Keep the largest weights of each vertex; among equals the earlier joint wins, so the result never varies."""
    order = np.argsort(-weights, axis=1, kind="stable")
    limited = weights.astype(np.float64)
    np.put_along_axis(limited, order[:, MAX_GROUPS:], 0.0, axis=1)
    limited /= limited.sum(axis=1, keepdims=True)
    return limited


def assign_weights(avatar: AvatarFile, head: Any) -> None:
    """Vertex groups named like the bones."""
    give_groups(head, dict(zip(avatar.joint_names, limited_weights(avatar.weights).T, strict=True)))


def give_groups(item: Any, weights: dict[str, NDArray[np.float64]]) -> None:
    """New vertex groups with these weights [V], by name."""
    for name, column in weights.items():
        group = item.vertex_groups.new(name=name)
        for weight in np.unique(column[column > 0]):
            group.add(np.flatnonzero(column == weight).tolist(), float(weight), "REPLACE")
