"""Another reconstruction onto a head that is there: what the artist did to it stays.

Sculpting is told from the reconstruction by an attribute with the original positions, edits of the keys and painted
texels by the avatar file that the head was made of; all of them are carried over to the new head. What the head was
before is kept with the rig, so that one click goes back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from ..avatar_reader import AvatarFile
from ..axes import blender_from_avatar
from . import layers
from .action import build_actions, hide_photo_pose, store_photo_pose
from .attributes import told
from .before import go_back, keep_before
from .camera import aim_camera
from .folds import build_folds, show_folds
from .found import PROVENANCE, SOURCE, BuiltAvatar
from .glasses import renew_glasses
from .guard import editing, here, scene_as_found
from .lashes import PICTURE, lash_nodes, lash_picture
from .layers import ALBEDO
from .light import store_light
from .material import pack_image
from .mesh import HAIR_ATTRIBUTE, ORIGINAL_ATTRIBUTE
from .quads import join_triangles, only_triangles
from .retopology import Carry, keys_as_they_were, own_keys, put_on_mesh
from .shape_keys import BALD, CORRECTIVE_PREFIX, FIX_PREFIX
from .strands import renew_strands, strands_of
from .trust import store_trust
from .weights import GroupEdits

KEPT = "meshlam_kept"  # on the rig: what the last renewal kept, sentences, JSON
_TOUCHED = 1e-6  # m: less than this is rounding


class RenewError(ValueError):
    """The new head cannot be put onto the old one; one sentence for the user."""


@dataclass(frozen=True)
class _Shape:
    """A head's neutral positions and movements, [V, 3] in Blender's axes."""

    basis: Any
    moved: dict[str, Any]  # by key

    @staticmethod
    def of(avatar: AvatarFile) -> _Shape:
        moved = {
            name: blender_from_avatar(avatar.blendshapes[index]) for index, name in enumerate(avatar.blendshape_names)
        }
        if avatar.hair is not None:
            moved[BALD] = blender_from_avatar(-avatar.hair)
        if avatar.pose_correctives is not None:
            for index, corrective in enumerate(avatar.pose_correctives):
                moved[f"{CORRECTIVE_PREFIX}{index:02d}"] = blender_from_avatar(corrective)
        return _Shape(blender_from_avatar(avatar.vertices), moved)


def fits(built: BuiltAvatar, avatar: AvatarFile) -> bool:
    """Whether a head has the mesh and the joints of this avatar, so that edits can be carried over vertex by vertex."""
    mesh = built.head.data
    if len(mesh.vertices) != len(avatar.vertices) or built.pieces:
        return False
    if ORIGINAL_ATTRIBUTE not in mesh.attributes or not set(avatar.joint_names) <= set(built.rig.data.bones.keys()):
        return False
    if len(mesh.loops) - 2 * len(mesh.polygons) != len(avatar.faces):  # so many triangles
        return False
    edges = np.empty(len(mesh.edges) * 2, np.int32)
    mesh.edges.foreach_get("vertices", edges)
    sides = avatar.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    known = _edge_numbers(sides, len(avatar.vertices))
    return bool(np.isin(_edge_numbers(edges.reshape(-1, 2), len(avatar.vertices)), known).all())  # quads lack some


def _edge_numbers(ends: Any, count: int) -> Any:  # [E, 2] -> [E]
    low, high = np.sort(ends, axis=1).astype(np.int64).T
    return low * count + high


def renew(built: BuiltAvatar, avatar: AvatarFile, before: AvatarFile | None) -> list[str]:
    """Turn the head into `avatar`; `before` is what it was made of, None where that file is gone.

    Returns what was kept, a sentence each.
    """
    if not here(built.rig):
        raise RenewError(f"{built.rig.name} is not in this view layer; show its collection first.")
    parts = (built.rig, built.head, *([built.camera] if built.camera is not None else []))
    if not all(part.is_editable for item in parts for part in (item, item.data)):
        raise RenewError(f"{built.head.name} is linked from another file, so the new head stands beside it.")
    carry = None if fits(built, avatar) else _carry(built, avatar, before)
    with scene_as_found():
        hide_photo_pose(built.rig, built.head)
        keep_before(built)
        try:
            kept = _renew(built, avatar, before, carry)
        except BaseException:
            go_back(built)
            raise
    built.rig[KEPT] = json.dumps(kept)
    return kept


def _carry(built: BuiltAvatar, avatar: AvatarFile, before: AvatarFile | None) -> Carry:
    """How edits get from the head's mesh to one with other vertices; RenewError where they cannot."""
    name = built.head.name
    if before is None:
        raise RenewError(f"The file that {name} was made of is gone, so the new head stands beside it.")
    if any(item.type == "MULTIRES" and item.total_levels for item in built.head.modifiers):
        raise RenewError(
            f"{name} is sculpted with Multires, which no other mesh takes, so the new head stands beside it."
        )
    if not fits(built, before):
        raise RenewError(f"{name} no longer has the mesh that it was made with, so the new head stands beside it.")
    carry = Carry.between(before, avatar) if set(avatar.joint_names) <= set(built.rig.data.bones.keys()) else None
    if carry is None:
        raise RenewError(f"The new head is of another head model than {name}, so it stands beside it.")
    return carry


def _renew(built: BuiltAvatar, avatar: AvatarFile, before: AvatarFile | None, carry: Carry | None) -> list[str]:
    kept = _renew_mesh(built, avatar, before, carry)
    kept += _renew_albedo(built, avatar, before)
    _move_bones(built.rig, avatar)
    renew_glasses(avatar, built.rig, f"{built.head.name} Glasses")
    kept += renew_strands(avatar, built.rig, built.head, f"{built.head.name} Strands")
    if built.camera is not None:
        aim_camera(built.camera, avatar)
    store_photo_pose(avatar, built.rig)
    store_light(avatar.light, built.rig)
    built.rig[PROVENANCE] = json.dumps(avatar.provenance, ensure_ascii=False)
    built.rig[SOURCE] = str(avatar.path)
    kept += _kept_as_they_are(built)
    build_actions(built.rig, built.head, built.head.name)
    return kept


@dataclass(frozen=True)
class _Edits:
    """What an artist did to a mesh: differences to the reconstruction, [V, 3] in Blender's axes."""

    sculpt: Any
    keys: dict[str, Any]  # of the reconstruction's keys, those that were edited
    own: dict[str, Any]  # the artist's own keys, from the basis

    @staticmethod
    def on(mesh: Any, old: _Shape | None) -> _Edits:
        """Told from the attribute with the original positions, and for keys from what the head was made of."""
        blocks = mesh.shape_keys.key_blocks if mesh.shape_keys is not None else []
        now = _vectors(blocks[0].data if blocks else mesh.vertices, "co")
        sculpt = now - _vectors(mesh.attributes[ORIGINAL_ATTRIBUTE].data, "vector")
        sculpt[np.abs(sculpt) < _TOUCHED] = 0.0
        keys, own = {}, {}
        for key in blocks[1:]:
            shift = _vectors(key.data, "co") - now
            if old is None or key.name not in old.moved:
                own[key.name] = shift
                continue
            edit = shift - old.moved[key.name]
            edit[np.abs(edit) < 1e-5] = 0.0
            if edit.any():
                keys[key.name] = edit
        return _Edits(sculpt, keys, own)

    def carried(self, carry: Carry) -> _Edits:
        """The same on another mesh."""
        keys, own = ({name: carry(move) for name, move in moves.items()} for moves in (self.keys, self.own))
        return _Edits(carry(self.sculpt), keys, own)

    def told(self, new: _Shape) -> list[str]:
        """What is kept on the new head, a sentence each."""
        kept = []
        touched = int(np.any(self.sculpt, axis=1).sum())
        if touched:
            kept.append(f"Sculpting on {touched} vertices")
        edited = [name for name in self.keys if name in new.moved]
        if edited:
            kept.append(f"Edits of {len(edited)} shape keys: {', '.join(edited[:4])}")
        own = self.names_of_own(new)
        if own:
            kept.append(f"Your own shape keys: {', '.join(own[:4])}")
        return kept

    def names_of_own(self, new: _Shape) -> list[str]:
        """The artist's own keys: neither the head's, nor what the doctor or the hair brought."""
        return [name for name in self.own if name not in new.moved and name != BALD and not name.startswith(FIX_PREFIX)]


def _renew_mesh(built: BuiltAvatar, avatar: AvatarFile, before: AvatarFile | None, carry: Carry | None) -> list[str]:
    """Positions and keys: the new head's, and on them what was sculpted."""
    head, new = built.head, _Shape.of(avatar)
    edits = _Edits.on(head.data, _Shape.of(before) if before is not None else None)
    groups, attributes = GroupEdits.on(head, before, avatar.joint_names), told(head.data)
    if carry is not None and before is not None:
        edits, groups, quads = edits.carried(carry), groups.carried(carry), not only_triangles(head.data)
        old, own = put_on_mesh(head, built.rig, before, avatar, carry), edits.names_of_own(new)
        if quads:
            join_triangles(head.data)
        own_keys(head, own, edits.own)
        keys_as_they_were(old, head.data, own)
        if not old.users:
            bpy.data.meshes.remove(old)
    if before is not None:
        groups.put_on(head, avatar)
    mesh = head.data
    basis = new.basis + edits.sculpt
    blocks = mesh.shape_keys.key_blocks if mesh.shape_keys is not None else []
    for key in blocks[1:]:
        if key.name in new.moved:
            shift = new.moved[key.name] + edits.keys.get(key.name, 0.0)
        else:
            shift = edits.own.get(key.name, np.zeros_like(basis))
        _set_vectors(key.data, "co", basis + shift)
    if blocks:
        _set_vectors(blocks[0].data, "co", basis)
    _set_vectors(mesh.vertices, "co", basis)
    _set_vectors(mesh.attributes[ORIGINAL_ATTRIBUTE].data, "vector", new.basis)
    if HAIR_ATTRIBUTE in mesh.attributes and BALD in new.moved:
        _set_vectors(mesh.attributes[HAIR_ATTRIBUTE].data, "vector", -new.moved[BALD])
    store_trust(avatar, mesh)
    mesh.update()
    return [*edits.told(new), *groups.told(), *attributes]


def _renew_albedo(built: BuiltAvatar, avatar: AvatarFile, before: AvatarFile | None) -> list[str]:
    """The new texture in the place of the old one, and over it what was painted."""
    nodes = layers.albedo_nodes(built.head)
    if not nodes:
        return ["Your own materials: the new texture is not used by them"]
    image = nodes[0][1].image
    painted = layers.painted_pixels(image, before.albedo.data) if before is not None else None
    name = image.name
    image.name = f"{name} (before)"
    fresh = pack_image(avatar.albedo, name)
    lit_texture = pack_image(avatar.albedo_photo, f"{name} Lit") if avatar.albedo_photo is not None else None
    layer = layers.paint_layer(f"{name} Paint", painted, layers.layer_of(nodes)) if painted is not None else None
    for lit in layers.lit_images(built.head):  # without one of its own, the new texture is all there is
        lit.image = lit_texture or fresh
    strands = lash_nodes(built.head)
    picture = lash_picture(avatar, f"{name.removesuffix(' Albedo')} Lashes", fresh) if strands else None
    for lashes in strands if picture is not None else ():
        lashes.image = picture
    show_folds(built.head, build_folds(avatar, name.removesuffix(" Albedo")))
    for tree, node in nodes:
        node.image = fresh
        if layer is not None:
            layers.lay_over(tree, node, layer)
    return ["Painted texels, as the image layer " + layer.name] if layer is not None else []


def _move_bones(rig: Any, avatar: AvatarFile) -> None:
    """The avatar's joints go to their new places with the bones' own directions and lengths; other bones stay."""
    heads = blender_from_avatar(avatar.joints.astype(np.float64))
    with editing(rig):
        for joint, name in enumerate(avatar.joint_names):
            bone = rig.data.edit_bones[name]
            reach = bone.tail - bone.head
            bone.head = heads[joint]
            bone.tail = bone.head + reach


def _kept_as_they_are(built: BuiltAvatar) -> list[str]:
    """What a renewal does not touch, where there is any of it."""
    kept = []
    if _animated(built.rig):
        kept.append("Animation of the bones")
    keys = built.head.data.shape_keys
    if keys is not None and _animated(keys):
        kept.append("Animation of the expressions")
    others = [item.name for item in built.head.modifiers if item.type != "ARMATURE"]
    if others:
        kept.append(f"Modifiers: {', '.join(others[:4])}")
    own = [slot.material.name for slot in built.head.material_slots if slot.material and not _of_file(slot.material)]
    if own:
        kept.append(f"Materials: {', '.join(own[:4])}")
    mine = {built.head, built.camera, built.eye_target, strands_of(built.rig)}
    worn = [item.name for item in built.rig.children_recursive if item not in mine and item.users_collection]
    if worn:
        kept.append(f"Objects on the head: {', '.join(worn[:4])}")
    return kept


def _animated(item: Any) -> bool:
    data = item.animation_data
    return data is not None and (data.action is not None or len(data.nla_tracks) > 0)


def _of_file(material: Any) -> bool:
    """Whether a material shows a picture of the head's file."""
    nodes = material.node_tree.nodes if material.node_tree is not None else ()
    return any(node.label in (ALBEDO, PICTURE) for node in nodes)


def _vectors(items: Any, attribute: str) -> Any:
    flat = np.empty(len(items) * 3, np.float32)
    items.foreach_get(attribute, flat)
    return flat.reshape(-1, 3)


def _set_vectors(items: Any, attribute: str, vectors: Any) -> None:
    items.foreach_set(attribute, np.ascontiguousarray(vectors, np.float32).ravel())
