"""The skeleton: one bone a joint, all pointing to world +Z with roll 0, and an empty the eyes can follow.

With that rest orientation a bone's own axes equal the avatar's axes, so rotations from the file go onto pose bones
unconverted, and glTF joints leave with identity rotations.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from ..avatar_reader import AvatarFile
from ..axes import blender_from_avatar

EYE_AIM = "Eye Aim"
_TARGET_DISTANCE = 0.4  # m in front of the eyes
_BONE_LENGTHS = {"root": 0.06, "neck": 0.06}
_BONE_LENGTH = 0.025


def build_armature(avatar: AvatarFile, name: str) -> Any:
    """A rig object with its bones; it must already be possible to link it to the active scene's root collection."""
    rig = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    rig.show_in_front = False  # bones drawn over the face hide it; the panel has a switch
    rig.data.display_type = "STICK"
    layer = bpy.context.view_layer
    bpy.context.scene.collection.objects.link(rig)
    layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    heads = blender_from_avatar(avatar.joints.astype(np.float64))
    bones: list[Any] = []
    for joint, joint_name in enumerate(avatar.joint_names):
        bone = rig.data.edit_bones.new(joint_name)
        bone.head = heads[joint]
        bone.tail = heads[joint] + np.array([0.0, 0.0, _BONE_LENGTHS.get(joint_name, _BONE_LENGTH)])
        bone.roll = 0.0
        parent = avatar.joint_parents[joint]
        bone.parent = bones[parent] if parent >= 0 else None
        bone.use_connect = False
        bones.append(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    for pose_bone in rig.pose.bones:
        pose_bone.rotation_mode = "QUATERNION"
    bpy.context.scene.collection.objects.unlink(rig)
    return rig


def bind(head: Any, rig: Any) -> None:
    """The mesh follows the rig: parented, so that moving one moves both, and deformed by an armature modifier."""
    head.parent = rig
    modifier = head.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig
    modifier.use_vertex_groups = True
    modifier.use_bone_envelopes = False


def eye_bones(rig: Any) -> list[Any]:
    """The pose bones of the eyes, by name."""
    return [bone for bone in rig.pose.bones if "eye" in bone.name.lower()]


def build_eye_target(rig: Any, name: str) -> Any:
    """An empty in front of the face that the eyes follow once the constraints' influence is raised from 0."""
    eyes = eye_bones(rig)
    if not eyes:
        return None
    target = bpy.data.objects.new(name, None)
    target.empty_display_type = "SPHERE"
    target.empty_display_size = 0.015
    target.parent = rig
    middle = np.mean([bone.bone.head_local for bone in eyes], axis=0)
    target.location = middle - np.array([0.0, _TARGET_DISTANCE, 0.0])
    for bone in eyes:
        constraint = bone.constraints.new("DAMPED_TRACK")
        constraint.name = EYE_AIM
        constraint.target = target
        constraint.track_axis = "TRACK_Z"  # a bone's own +Z is the avatar's +Z: out of the face
        constraint.influence = 0.0
    return target
