"""A mesh of the scene as arrays, in the scene's axes, and arrays as a mesh: what joining two meshes is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..joining.cut import Cut
from ..joining.tone import linear
from .layers import LIT, pixels_of
from .mesh import UV_LAYER, mark_seams
from .shape_keys import points_of
from .weights import weights_of

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class RawMesh:
    """Dims: V vertices, C corners of faces."""

    points: F64  # [V, 3]
    faces: list[tuple[int, ...]]
    uvs: F64  # [C, 2]
    material: NDArray[np.int32]  # [faces]
    materials: list[Any]
    weights: dict[str, F64]  # [V] by group
    moves: dict[str, F64]  # [V, 3] by shape key

    @property
    def edges(self) -> NDArray[np.int64]:  # [E, 2]
        return np.array([(face[i - 1], face[i]) for face in self.faces for i in range(len(face))])

    def shortened(self, made: Cut) -> RawMesh:
        """What a cut leaves of it."""
        return replace(
            self,
            points=made.vertices(self.points),
            faces=made.faces,
            uvs=made.at_corners(self.uvs),
            material=self.material[made.old_faces],
            weights={name: made.vertices(values) for name, values in self.weights.items()},
            moves={name: made.vertices(move) for name, move in self.moves.items()},
        )

    @property
    def triangles(self) -> NDArray[np.int64]:  # [T, 3]
        fans = [(face[0], face[i], face[i + 1]) for face in self.faces for i in range(1, len(face) - 1)]
        return np.array(fans)

    def colours(self, corners: dict[int, int]) -> F64:  # vertex -> one of its corners; [N, 3] linear
        """What the materials show at some vertices."""
        face_of = np.repeat(np.arange(len(self.faces)), [len(face) for face in self.faces])
        shown: dict[int, Any] = {}
        out = []
        for corner in corners.values():
            index = int(self.material[face_of[corner]])
            if index not in shown:
                shown[index] = _base_colour(self.materials[index] if index < len(self.materials) else None)
            out.append(_at(shown[index], self.uvs[corner]))
        return np.array(out)

    def corner_of(self, vertices: NDArray[np.int64]) -> dict[int, int]:
        """One corner for each of the vertices."""
        wanted, corner = set(vertices.tolist()), 0
        found: dict[int, int] = {}
        for face in self.faces:
            for vertex in face:
                if vertex in wanted:
                    found.setdefault(vertex, corner)
                corner += 1
        return {int(vertex): found[int(vertex)] for vertex in vertices}


def raw_mesh(item: Any) -> RawMesh:
    """An object's mesh without what its armature and subdivision do to it, but with its other modifiers and keys."""
    bending = [modifier for modifier in item.modifiers if modifier.type in ("ARMATURE", "SUBSURF", "MULTIRES")]
    shown = [modifier.show_viewport for modifier in bending]
    values = _keys_to_zero(item)
    for modifier in bending:
        modifier.show_viewport = False
    try:
        graph = bpy.context.evaluated_depsgraph_get()
        graph.update()
        mesh = bpy.data.meshes.new_from_object(
            item.evaluated_get(graph), preserve_all_data_layers=True, depsgraph=graph
        )
    finally:
        for modifier, was in zip(bending, shown, strict=True):
            modifier.show_viewport = was
        for key, value in values:
            key.value = value
    try:
        return _read(item, mesh)
    finally:
        bpy.data.meshes.remove(mesh)


def _keys_to_zero(item: Any) -> list[tuple[Any, float]]:
    """Put the keys to 0 where they are to stay keys: on a head. A body keeps its shape."""
    keys = item.data.shape_keys
    if keys is None or "meshlam_rig" not in item:
        return []
    values = [(key, float(key.value)) for key in keys.key_blocks[1:]]
    for key, _ in values:
        key.value = 0.0
    return values


def _read(item: Any, mesh: Any) -> RawMesh:
    place = np.array(item.matrix_world)
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", points)
    faces = [tuple(polygon.vertices) for polygon in mesh.polygons]
    uvs = np.zeros((len(mesh.loops), 2), np.float32)
    if mesh.uv_layers.active is not None:
        flat = uvs.ravel()
        mesh.uv_layers.active.uv.foreach_get("vector", flat)
        uvs = flat.reshape(-1, 2)
    material = np.zeros(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", material)
    weights = weights_of(item, mesh)
    moves: dict[str, F64] = {}
    keys = item.data.shape_keys
    if keys is not None and "meshlam_rig" in item and len(item.data.vertices) == len(mesh.vertices):
        rest = _key_points(keys.key_blocks[0])
        moves = {key.name: (_key_points(key) - rest) @ place[:3, :3].T for key in keys.key_blocks[1:]}
    return RawMesh(
        points.reshape(-1, 3).astype(float) @ place[:3, :3].T + place[:3, 3],
        faces, uvs.astype(float), material, [slot.material for slot in item.material_slots], weights, moves,
    )  # fmt: skip


def build_raw(raw: RawMesh, name: str, place: Any, attributes: dict[str, F64]) -> Any:
    """An object of these arrays, not linked yet; its points are told in the axes of `place`.

    `attributes` are colours [C, 3 or 4] of corners.
    """
    inverse = np.array(place.inverted())
    local = raw.points @ inverse[:3, :3].T + inverse[:3, 3]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(local, [], raw.faces)
    layer = mesh.uv_layers.new(name=UV_LAYER)
    layer.uv.foreach_set("vector", np.ascontiguousarray(raw.uvs, np.float32).ravel())
    for material in raw.materials:
        mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", raw.material)
    for attribute, values in attributes.items():
        colours = values if values.shape[1] == 4 else np.concatenate([values, np.ones((len(values), 1))], axis=1)
        made = mesh.color_attributes.new(attribute, "FLOAT_COLOR", "CORNER")
        made.data.foreach_set("color", np.ascontiguousarray(colours, np.float32).ravel())
    mark_seams(mesh)
    mesh.shade_smooth()
    mesh.update()
    item = bpy.data.objects.new(name, mesh)
    item.matrix_world = place
    for group, weights in raw.weights.items():
        made = item.vertex_groups.new(name=group)
        for vertex in np.flatnonzero(weights > 1e-5):
            made.add([int(vertex)], float(weights[vertex]), "REPLACE")
    if raw.moves:
        item.shape_key_add(name="Basis", from_mix=False)
    for key_name, move in raw.moves.items():
        key = item.shape_key_add(name=key_name, from_mix=False)
        moved = local + move @ inverse[:3, :3].T
        key.data.foreach_set("co", np.ascontiguousarray(moved, np.float32).ravel())
        key.value = 0.0
    return item


def base_socket(material: Any) -> Any:
    """The Base Color of a material's Principled BSDF, or None."""
    tree = material.node_tree if material is not None else None
    nodes = tree.nodes if tree is not None else ()
    shader = next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)
    return shader.inputs["Base Color"] if shader is not None else None


def _base_colour(material: Any) -> Any:
    """[3] linear, or [H, W, 3] linear of the texture that goes into it."""
    socket = base_socket(material)
    if socket is None:
        return np.array(material.diffuse_color[:3] if material is not None else (0.8, 0.8, 0.8))
    node = socket.links[0].from_node if socket.is_linked else None
    for _ in range(8):
        if node is None or node.type == "TEX_IMAGE":
            break
        node = _under(node)
    if node is None or node.image is None or not len(node.image.pixels):
        return np.array(socket.default_value[:3])
    pixels = pixels_of(node.image)[..., :3].astype(float)
    return pixels if node.image.is_float or node.image.colorspace_settings.name != "sRGB" else linear(pixels)


def _under(node: Any) -> Any:
    """The node whose colour a node passes on: of mixes the one below, of the photo's light what is shown more."""
    inputs = [socket for socket in node.inputs if socket.type == "RGBA" and socket.is_linked]
    if not inputs:
        return None
    upper = node.label == LIT and node.inputs[0].default_value > 0.5
    return inputs[-1 if upper else 0].links[0].from_node


def _at(colour: Any, uv: F64) -> F64:
    if colour.ndim == 1:
        return np.asarray(colour)
    height, width = colour.shape[:2]
    column, row = int(uv[0] % 1.0 * width), int(uv[1] % 1.0 * height)
    return np.asarray(colour[min(row, height - 1), min(column, width - 1)])


def _key_points(key: Any) -> F64:
    return points_of(key.data).astype(float)
