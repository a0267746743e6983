"""Edits on one mesh carried over to another of the same head model: hair gives each head vertices of its own.

The template's vertices come first in every mesh, and all meshes share the texture's layout. So what both have is copied
vertex by vertex, and what only the new one has gets the mean of its neighbours in the texture.

Dims: V vertices of the old mesh, N of the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils.kdtree import KDTree
from numpy.typing import NDArray

from .. import compat
from ..avatar_reader import AvatarFile
from .mesh import assign_weights, build_mesh
from .parts import surface_of_faces
from .shape_keys import build_correctives, build_shape_keys

_SAME = 1e-5  # of the texture's width: vertices that lie so close in it are the same one
_NEIGHBOURS = 3


@dataclass(frozen=True)
class Carry:
    """Where each new vertex gets its edits from."""

    source: NDArray[np.int64]  # [N, k] vertices of the old mesh
    share: NDArray[np.float64]  # [N, k] rows sum to 1

    @staticmethod
    def between(old: AvatarFile, new: AvatarFile) -> Carry | None:
        """None where the two are not of one head model: too few vertices lie at the same place of the texture."""
        before, after = _places(old), _places(new)
        count = min(len(before), len(after))
        same = np.zeros(len(after), bool)
        same[:count] = (np.abs(before[:count] - after[:count]) < _SAME).all(1)
        if same.sum() < count / 2:
            return None
        source = np.tile(np.arange(len(after))[:, None], (1, _NEIGHBOURS))
        share = np.zeros(source.shape)
        share[:, 0] = 1.0
        tree = KDTree(len(before))
        for index, (u, v) in enumerate(before):
            tree.insert((u, v, 0.0), index)
        tree.balance()
        for vertex in np.flatnonzero(~same):
            found = tree.find_n((*after[vertex], 0.0), _NEIGHBOURS)
            near = 1.0 / (np.array([distance for *_, distance in found]) + 1e-6)
            source[vertex], share[vertex] = [index for _, index, _ in found], near / near.sum()
        return Carry(source, share)

    def __call__(self, field: Any) -> Any:  # [V, ...] -> [N, ...]
        share = self.share.reshape(*self.share.shape, *(1,) * (field.ndim - 1))
        return np.asarray((field[self.source] * share).sum(1), field.dtype)


def put_on_mesh(head: Any, rig: Any, avatar: AvatarFile, carry: Carry) -> None:
    """Give a head the mesh of an avatar, in the old mesh's materials, keys' values, animation and groups of its own."""
    old = head.data
    own = _own_groups(head, set(rig.data.bones.keys()))
    values, animation = _keys_as_they_are(old)
    fresh = build_mesh(avatar, old.name)
    mesh = fresh.data
    for material in old.materials:
        mesh.materials.append(material)
    surfaces = surface_of_faces(avatar.faces, avatar.part, avatar.parts, avatar.hair)
    mesh.polygons.foreach_set("material_index", np.minimum(surfaces, max(len(old.materials) - 1, 0)))
    name, old.name = old.name, f"{old.name} (old)"
    head.data, mesh.name = mesh, name
    bpy.data.objects.remove(fresh)
    head.vertex_groups.clear()
    assign_weights(avatar, head)
    for group, weights in own.items():
        _give(head.vertex_groups.new(name=group), carry(weights))
    build_shape_keys(avatar, head)
    build_correctives(avatar, head, rig)
    for key in mesh.shape_keys.key_blocks:
        key.value = values.get(key.name, 0.0)
    if animation is not None:
        action, slot = animation
        compat.assign_action(mesh.shape_keys, action, slot)
    if not old.users:
        bpy.data.meshes.remove(old)


def own_keys(head: Any, names: list[str], moves: dict[str, Any]) -> None:
    """Add the artist's own keys, as far away from the basis as `moves` says."""
    keys = head.data.shape_keys.key_blocks
    basis = np.empty(len(head.data.vertices) * 3, np.float32)
    keys[0].data.foreach_get("co", basis)
    for name in names:
        key = head.shape_key_add(name=name, from_mix=False)
        key.data.foreach_set("co", basis + np.ascontiguousarray(moves[name], np.float32).ravel())
        key.value = 0.0


def _places(avatar: AvatarFile) -> NDArray[np.float64]:  # [V, 2]
    """Where each vertex lies in the texture; of one on a seam, its first place."""
    places = np.zeros((len(avatar.vertices), 2))
    places[avatar.faces[::-1].ravel()] = avatar.uvs[avatar.uv_faces[::-1].ravel()]
    return places


def _own_groups(head: Any, bones: set[str]) -> dict[str, Any]:
    """[V] weights of the groups that are no bones'."""
    groups = {group.index: group.name for group in head.vertex_groups if group.name not in bones}
    found = {name: np.zeros(len(head.data.vertices)) for name in groups.values()}
    for vertex in head.data.vertices if groups else ():
        for entry in vertex.groups:
            if entry.group in groups:
                found[groups[entry.group]][vertex.index] = entry.weight
    return found


def _give(group: Any, weights: Any) -> None:
    for vertex in np.flatnonzero(weights > 0):
        group.add([int(vertex)], float(weights[vertex]), "REPLACE")


def _keys_as_they_are(mesh: Any) -> tuple[dict[str, float], tuple[Any, str] | None]:
    """The values of a mesh's keys, and (action, slot identifier) that moves them."""
    keys = mesh.shape_keys
    if keys is None:
        return {}, None
    values = {key.name: float(key.value) for key in keys.key_blocks}
    data = keys.animation_data
    moved = (data.action, compat.slot_identifier(keys)) if data is not None and data.action is not None else None
    return values, moved
