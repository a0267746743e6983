"""Edits on one mesh carried over to another of the same head model: hair gives each head vertices of its own.

The template's vertices come first in every mesh, and all meshes share the texture's layout. So what both have is copied
vertex by vertex, and what only the new one has gets the mean of its neighbours in the texture.

Dims: V vertices of the old mesh, N of the new one.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils.kdtree import KDTree
from numpy.typing import NDArray

from .. import compat
from ..avatar_reader import AvatarFile
from .attributes import carry_attributes
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
    both: NDArray[np.bool_]  # [N] vertices that both meshes have, under the same number

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
        return Carry(source, share, same)

    def __call__(self, field: Any) -> Any:  # [V, ...] -> [N, ...]
        share = self.share.reshape(*self.share.shape, *(1,) * (field.ndim - 1))
        return np.asarray((field[self.source] * share).sum(1), field.dtype)


def put_on_mesh(head: Any, rig: Any, before: AvatarFile, avatar: AvatarFile, carry: Carry) -> Any:
    """Give a head the mesh of an avatar, with the old one's materials and attributes, and keys as of a new head.

    Returns the old mesh.
    """
    old = head.data
    fresh = build_mesh(avatar, old.name)
    mesh = fresh.data
    for material in old.materials:
        mesh.materials.append(material)
    surfaces = surface_of_faces(avatar.faces, avatar.part, avatar.parts, avatar.hair)
    mesh.polygons.foreach_set("material_index", np.minimum(surfaces, max(len(old.materials) - 1, 0)))
    carry_attributes(old, mesh, carry, before, avatar)
    name, old.name = old.name, f"{old.name} (old)"
    head.data, mesh.name = mesh, name
    bpy.data.objects.remove(fresh)
    head.vertex_groups.clear()
    assign_weights(avatar, head)
    build_shape_keys(avatar, head)
    build_correctives(avatar, head, rig)
    return old


def own_keys(head: Any, names: list[str], moves: dict[str, Any]) -> None:
    """Add the artist's own keys, as far away from the basis as `moves` says."""
    keys = head.data.shape_keys.key_blocks
    basis = np.empty(len(head.data.vertices) * 3, np.float32)
    keys[0].data.foreach_get("co", basis)
    for name in names:
        key = head.shape_key_add(name=name, from_mix=False)
        key.data.foreach_set("co", basis + np.ascontiguousarray(moves[name], np.float32).ravel())


def _places(avatar: AvatarFile) -> NDArray[np.float64]:  # [V, 2]
    """Where each vertex lies in the texture; of one on a seam, its first place."""
    places = np.zeros((len(avatar.vertices), 2))
    places[avatar.faces[::-1].ravel()] = avatar.uvs[avatar.uv_faces[::-1].ravel()]
    return places


def keys_as_they_were(old: Any, mesh: Any, own: list[str]) -> None:
    """Give a mesh's keys what the old mesh's of the same names have besides their shape; `own` are the artist's."""
    was, keys = old.shape_keys, mesh.shape_keys
    if was is None or keys is None:
        return
    for key in keys.key_blocks:
        earlier = was.key_blocks.get(key.name)
        if earlier is None:
            continue
        if key.name in own:  # the others' range is the new file's
            key.slider_min, key.slider_max = earlier.slider_min, earlier.slider_max
        key.value, key.mute, key.vertex_group = earlier.value, earlier.mute, earlier.vertex_group
        if earlier.relative_key.name in keys.key_blocks:
            key.relative_key = keys.key_blocks[earlier.relative_key.name]
    if was.animation_data is not None:
        _carry_animation(was, keys)


def _carry_animation(was: Any, keys: Any) -> None:
    """Action, strips and drivers of a mesh's keys for another mesh's; a driver whose key is gone goes, too."""
    data = was.animation_data
    if data.action is not None:
        compat.assign_action(keys, data.action, compat.slot_identifier(was))
    animated = keys.animation_data or keys.animation_data_create()
    for track in data.nla_tracks:
        made = animated.nla_tracks.new()
        for strip in (strip for strip in track.strips if strip.action is not None):
            _take_settings(made.strips.new(strip.name, int(strip.frame_start), strip.action), strip)
        _take_settings(made, track)
    driven = {curve.data_path for curve in animated.drivers}
    for curve in data.drivers:
        with suppress(ValueError):
            keys.path_resolve(curve.data_path)
            if curve.data_path not in driven:
                animated.drivers.from_existing(src_driver=curve)


def _take_settings(made: Any, earlier: Any) -> None:
    """Whatever can be set, of two data of one type; ends before what follows from them."""
    for setting in (item.identifier for item in made.bl_rna.properties if not item.is_readonly):
        setattr(made, setting, getattr(earlier, setting))
