"""Strands: loose hair over the hull, an object of its own that goes where the spots of the head go that it lies on.

Dims: V vertices of the head, S of the strands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from mathutils.kdtree import KDTree
from numpy.typing import NDArray

from ..avatar_reader import AvatarFile, Strands
from ..axes import blender_from_avatar
from .armature import bind
from .found import armature_modifier, collections_of, link_beside
from .guard import here
from .mesh import ORIGINAL_ATTRIBUTE, UV_LAYER, give_groups, limited_weights
from .parts import HAIR, SURFACES
from .shape_keys import BALD, BASIS, bald_key, points_of
from .weights import weights_of

F64 = NDArray[np.float64]
STRANDS = "meshlam_strands"  # on the rig: the object; on its mesh: how many vertices and faces it was made with
_UNDER = 0.002  # m below the bald scalp: there a strand that is taken off lies
_STEP = 1 / 256  # of a weight: Blender takes equal ones together, and so much faster
_AROUND = 4  # vertices of the head: what becomes of them becomes of a strand's vertex
_TOUCHED = 1e-6  # m: less than this is rounding


def build_strands(avatar: AvatarFile, rig: Any, head: Any, name: str) -> Any:
    """The object, not linked to a collection yet; None where the head has no strands. `head` is whole by now."""
    if avatar.strands is None or avatar.hair is None:
        return None
    spots = _Spots(avatar, head)
    item = bpy.data.objects.new(name, _mesh(avatar.strands, spots, name))
    item.data.materials.append(_hair_material(head))
    item.visible_shadow = False  # each would draw a dark stroke on the hull below it
    _let_follow(item, spots, head)
    bind(item, rig)
    rig[STRANDS] = item
    return item


def strands_of(rig: Any) -> Any:
    """The strands that came with this head; None where there are none, or they were deleted."""
    item = rig.get(STRANDS)
    return item if item is not None and _rig_of(item) == rig and collections_of(item) else None


def foreign_strands(rig: Any) -> Any:
    """The strands of the rig that this one was copied from, where it was copied without them; else None."""
    item = rig.get(STRANDS)
    other = _rig_of(item) if item is not None and collections_of(item) else None
    return item if other is not None and other != rig else None


def shown_strands(rig: Any, head: Any) -> Any:
    """The strands, unless the artist has hidden them."""
    item = strands_of(rig)
    if item is None or item.hide_viewport:
        return None
    return item if (not item.hide_get() if here(item) else not here(head)) else None


def give_strands_to(item: Any, rig: Any, head: Any) -> None:
    """Let a copy of strands, whose mesh is its own, follow another rig and head."""
    item.parent = rig
    (armature_modifier(item) or item.modifiers.new("Armature", "ARMATURE")).object = rig
    key = bald_key(item)
    if key is not None:
        key.driver_remove("value")
        _drive(item, head)
    rig[STRANDS] = item


def renew_strands(avatar: AvatarFile, rig: Any, head: Any, name: str) -> list[str]:
    """The new head's strands in the old ones' place; what is kept instead, a sentence each.

    Strands that the artist has combed or cut stay; those that were deleted do not come back.
    """
    item = strands_of(rig)
    if item is None:
        if STRANDS not in rig:
            made = build_strands(avatar, rig, head, name)
            if made is not None:
                link_beside(made, head)
        return []
    if _edited(item.data):
        return [f"{item.name} as you edited them"]
    if avatar.strands is None or avatar.hair is None:
        put_away(rig)
        return []
    old, spots = item.data, _Spots(avatar, head)
    called, old.name = old.name, f"{old.name} (before)"
    item.data = _mesh(avatar.strands, spots, called)
    for material in old.materials:
        item.data.materials.append(material)
    _let_follow(item, spots, head)
    return []


def put_away(rig: Any) -> None:
    """Take the strands out of the scene; whoever names the object can bring it back."""
    item = rig[STRANDS]
    for collection in collections_of(item):
        collection.objects.unlink(item)
    del rig[STRANDS]


@dataclass(frozen=True)
class Carried:
    """What became of a head's vertices when it was joined to a body; scene's axes. Dims: H vertices."""

    move: Any  # of the head as a whole
    moved: F64  # [H, 3] moved so and no further
    settled: F64  # [H, 3] where they are now
    weights: dict[str, F64]  # [H] by group

    def of(self, points: F64) -> tuple[F64, dict[str, F64]]:  # [S, 3]
        """What is added to points moved as a whole, [S, 3], and their weights: those of the vertices around each."""
        tree = KDTree(len(self.moved))
        for index, vertex in enumerate(self.moved):
            tree.insert(vertex, index)
        tree.balance()
        found = [tree.find_n(point, _AROUND) for point in points]
        nearest = np.array([[index for _, index, _ in near] for near in found])
        shares = 1 / (np.array([[distance for *_, distance in near] for near in found]) + 1e-6)
        shares /= shares.sum(axis=1, keepdims=True)
        shift = np.einsum("sn,snx->sx", shares, (self.settled - self.moved)[nearest])
        rows = np.stack([(shares * weights[nearest]).sum(axis=1) for weights in self.weights.values()], axis=1)
        rows = limited_weights(rows.astype(np.float32))
        return shift, dict(zip(self.weights, rows.T, strict=True))


def carry_strands(item: Any, rig: Any, mesh: Any, carried: Carried) -> None:
    """A copy of the strands for the character that the head became: `mesh`, bent by `rig`."""
    made = item.copy()
    made.data = item.data.copy()
    made.name = made.data.name = f"{mesh.name} Strands"
    link_beside(made, mesh)
    there = np.array(carried.move @ item.matrix_world)
    back = np.array(rig.matrix_world.inverted())
    blocks = made.data.shape_keys.key_blocks if made.data.shape_keys is not None else []
    layers = [key.data for key in blocks] or [made.data.vertices]
    places = [points_of(layer) @ there[:3, :3].T + there[:3, 3] for layer in layers]
    shift, weights = carried.of(places[0])
    for layer, points in zip(layers, places, strict=True):
        _set_points(layer, (points + shift) @ back[:3, :3].T + back[:3, 3])
    _set_points(made.data.vertices, points_of(layers[0]))
    made.vertex_groups.clear()
    give_groups(made, weights)
    made.parent_type, made.matrix_parent_inverse, made.matrix_basis = "OBJECT", Matrix.Identity(4), Matrix.Identity(4)
    give_strands_to(made, rig, mesh)


class _Spots:
    """What a head is like, as it is now, where its strands are anchored; in Blender's axes."""

    def __init__(self, avatar: AvatarFile, head: Any) -> None:
        assert avatar.strands is not None
        assert avatar.hair is not None
        self._corners = avatar.faces[avatar.strands.anchor]  # [S, 3] vertices
        self._bary = avatar.strands.bary.astype(np.float64)
        keys = head.data.shape_keys
        now = points_of(keys.key_blocks[0].data if keys is not None else head.data.vertices).astype(np.float64)
        bald = now - blender_from_avatar(avatar.hair)
        normals = np.empty(len(head.data.vertices) * 3, np.float32)
        head.data.vertex_normals.foreach_get("vector", normals)
        self.normals = _unit(self.at(normals.reshape(-1, 3)))  # [S, 3]
        self.sculpted = self.at(now - blender_from_avatar(avatar.vertices))  # [S, 3] m
        self.under = self.at(bald - _UNDER * _normals(bald, avatar.faces))  # [S, 3] m, within the bald head
        self.weights = self._weights(weights_of(head), avatar.joint_names)

    def _weights(self, groups: dict[str, F64], joints: tuple[str, ...]) -> dict[str, F64]:  # [V] -> [S]
        count = max(map(len, groups.values()), default=0)
        of_head = np.stack([groups.get(name, np.zeros(count)) for name in joints], axis=1)
        of_head[of_head.sum(axis=1) == 0, 0] = 1.0  # what the artist left to no bone
        rows = limited_weights(self.at(of_head).astype(np.float32))
        steps = np.round(rows / _STEP)
        steps[np.arange(len(rows)), rows.argmax(axis=1)] += 1 / _STEP - steps.sum(axis=1)
        return dict(zip(joints, (steps * _STEP).T, strict=True))

    def at(self, field: Any) -> F64:  # [V, N] -> [S, N]
        return np.asarray(np.einsum("sc,scn->sn", self._bary, field[self._corners]))


def _mesh(strands: Strands, spots: _Spots, name: str) -> Any:
    """The ribbons, lit as the hull below them is: with its normals, and with their fronts out."""
    points = blender_from_avatar(strands.vertices) + spots.sculpted
    a, b, c = (points[strands.faces[:, corner]] for corner in range(3))
    out = spots.normals[strands.faces].sum(axis=1)
    inward = (np.cross(b - a, c - a) * out).sum(axis=1) < 0
    faces = np.where(inward[:, None], strands.faces[:, ::-1], strands.faces)
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], faces)
    layer = mesh.uv_layers.new(name=UV_LAYER)
    layer.uv.foreach_set("vector", np.ascontiguousarray(strands.uvs[faces], np.float32).ravel())
    original = mesh.attributes.new(ORIGINAL_ATTRIBUTE, "FLOAT_VECTOR", "POINT")
    original.data.foreach_set("vector", np.ascontiguousarray(points, np.float32).ravel())
    mesh.shade_smooth()
    mesh.validate()
    mesh.normals_split_custom_set_from_vertices(spots.normals)
    mesh.update()
    mesh[STRANDS] = [len(mesh.vertices), len(mesh.polygons)]
    return mesh


def _let_follow(item: Any, spots: _Spots, head: Any) -> None:
    """Weights of the head's bones, and the key that draws the strands into the skull with the head's own."""
    give_groups(item, spots.weights)
    item.shape_key_add(name=BASIS, from_mix=False)
    key = item.shape_key_add(name=BALD, from_mix=False)
    _set_points(key.data, spots.under)
    key.slider_min, key.slider_max, key.value = 0.0, 1.0, 0.0
    item.active_shape_key_index = 0
    _drive(item, head)


def _drive(item: Any, head: Any) -> None:
    """The key that takes the hair off goes with the head's. By the object: its mesh may be another one day."""
    if bald_key(head) is None:
        return
    driver = bald_key(item).driver_add("value").driver
    driver.type = "AVERAGE"
    variable = driver.variables.new()
    variable.name, variable.type = "bald", "SINGLE_PROP"
    target = variable.targets[0]
    target.id = head
    target.data_path = f'data.shape_keys.key_blocks["{BALD}"].value'


def _edited(mesh: Any) -> bool:
    """Whether the artist has combed strands, taken some away or added some."""
    made, original = mesh.get(STRANDS), mesh.attributes.get(ORIGINAL_ATTRIBUTE)
    if made is None or original is None or list(made) != [len(mesh.vertices), len(mesh.polygons)]:
        return True
    was = np.empty(len(mesh.vertices) * 3, np.float32)
    original.data.foreach_get("vector", was)
    now = points_of(mesh.shape_keys.key_blocks[0].data if mesh.shape_keys is not None else mesh.vertices)
    return bool(np.abs(now - was.reshape(-1, 3)).max() > _TOUCHED)


def _rig_of(item: Any) -> Any:
    modifier = armature_modifier(item)
    return modifier.object if modifier is not None else item.parent


def _hair_material(head: Any) -> Any:
    """The one that the head's hull wears."""
    number = SURFACES.index(HAIR)
    return head.material_slots[number].material if number < len(head.material_slots) else None


def _normals(points: F64, faces: Any) -> F64:  # [V, 3] unit, 0 where all faces at a vertex are
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    across, total = np.cross(b - a, c - a), np.zeros_like(points)
    for corner in range(3):
        np.add.at(total, faces[:, corner], across)
    return _unit(total)


def _unit(vectors: F64) -> F64:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _set_points(layer: Any, points: Any) -> None:
    layer.foreach_set("co", np.ascontiguousarray(points, np.float32).ravel())
