"""The frame of glasses that a head wears: an object of its own that hangs on the bone of the skull."""

from __future__ import annotations

from typing import Any

import bpy
from mathutils import Matrix

from .. import compat
from ..avatar_reader import AvatarFile, Glasses
from ..axes import blender_from_avatar
from .found import link_beside

GLASSES = "meshlam_glasses"  # on the rig: the frame that came with the head
_ROUGHNESS = 0.35


def build_glasses(avatar: AvatarFile, rig: Any, name: str) -> Any:
    """The object, not linked to a collection yet; None where the head wears none."""
    if avatar.glasses is None:
        return None
    mesh = _mesh(avatar.glasses, name)
    mesh.materials.append(_material(avatar.glasses, name))
    item = bpy.data.objects.new(name, mesh)
    item.parent, item.parent_type, item.parent_bone = rig, "BONE", avatar.glasses.joint
    rig[GLASSES] = item
    hang_glasses(rig)
    return item


def glasses_of(rig: Any) -> Any:
    """The frame that came with this head; None where there is none, or it was taken off."""
    item = rig.get(GLASSES)
    return item if item is not None and item.parent == rig and item.users_collection else None


def hang_glasses(rig: Any) -> None:
    """Let the frame stand in the rig's rest pose where its file says, wherever the bone has moved."""
    item = rig.get(GLASSES)
    if item is None or item.parent != rig or item.parent_bone not in rig.data.bones:
        return
    bone = rig.data.bones[item.parent_bone]
    # a child of a bone stands at the bone's tail
    item.matrix_parent_inverse = (bone.matrix_local @ Matrix.Translation((0, bone.length, 0))).inverted()


def renew_glasses(avatar: AvatarFile, rig: Any, name: str) -> None:
    """The new head's frame in the old one's place; an old one stays where the new head has none."""
    item = glasses_of(rig)
    if item is None and avatar.glasses is not None:
        link_beside(build_glasses(avatar, rig, name), rig)
    elif item is not None and avatar.glasses is not None:
        old, item.data = item.data, _mesh(avatar.glasses, name)
        for material in old.materials:
            item.data.materials.append(material)
    hang_glasses(rig)


def _mesh(glasses: Glasses, name: str) -> Any:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(blender_from_avatar(glasses.vertices), [], glasses.faces)
    mesh.shade_smooth()
    mesh.update()
    return mesh


def _material(glasses: Glasses, name: str) -> Any:
    material = bpy.data.materials.new(name)
    compat.node_tree(material)
    colour = (*(_linear(value) for value in glasses.colour), 1.0)
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = colour
    shader.inputs["Roughness"].default_value = _ROUGHNESS
    material.diffuse_color, material.roughness = colour, _ROUGHNESS
    return material


def _linear(value: float) -> float:
    """sRGB decoded (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
