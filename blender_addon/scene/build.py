"""An avatar file becomes a collection: rig, head, photo camera, eye target. All of it, or nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import bpy
from mathutils import Vector

from .. import compat
from ..avatar_reader import AvatarFile
from .action import build_actions, store_photo_pose
from .armature import bind, build_armature, build_eye_target
from .camera import build_camera
from .guard import all_or_nothing, scene_as_found
from .material import build_materials
from .mesh import assign_materials, assign_weights, build_mesh
from .shape_keys import build_correctives, build_shape_keys

# Custom properties. The links are ID pointers: they survive renaming, undo and saving.
HEAD, RIG, CAMERA, EYE_TARGET = "meshlam_head", "meshlam_rig", "meshlam_camera", "meshlam_eye_target"
PROVENANCE, KIND, SOURCE, RESULT = "meshlam_provenance", "meshlam_kind", "meshlam_source", "meshlam_result"

_ROOM = 0.3  # m: two heads closer than this overlap


@dataclass(frozen=True)
class BuiltAvatar:
    """The objects of one avatar in the scene."""

    collection: Any
    rig: Any
    head: Any
    camera: Any
    eye_target: Any  # None where the avatar has no eye joints


def build_avatar(avatar: AvatarFile, name: str) -> BuiltAvatar:
    """Add the avatar to the active scene, standing at the 3D cursor or beside what already stands there.

    Mode, selection and active object stay as they are; after an error nothing is left behind.
    """
    name = compat.short_name(name)
    scene = bpy.context.scene
    with scene_as_found(), all_or_nothing():
        rig = build_armature(avatar, f"{name} Rig")
        head = build_mesh(avatar, name)
        assign_materials(avatar, head, build_materials(avatar, name))
        assign_weights(avatar, head)
        build_shape_keys(avatar, head)
        bind(head, rig)
        build_correctives(avatar, head, rig)
        camera = build_camera(avatar, rig, f"{name} Photo")
        eye_target = build_eye_target(rig, f"{name} Eye Target")
        store_photo_pose(avatar, rig)
        _link(avatar, rig, head, camera, eye_target)
        rig.location = free_spot(scene.cursor.location)
        collection = bpy.data.collections.new(name)
        for item in (rig, head, camera, eye_target):
            if item is not None:
                collection.objects.link(item)
        scene.collection.children.link(collection)
        bpy.context.view_layer.update()
        build_actions(rig, head, name)
        if eye_target is not None:
            eye_target.hide_set(True)  # until the eyes follow it
    return BuiltAvatar(collection, rig, head, camera, eye_target)


def find_avatar(item: Any) -> BuiltAvatar | None:
    """The avatar that an object belongs to, or None."""
    if item is None:
        return None
    rig = item if HEAD in item else item.get(RIG)
    head = rig.get(HEAD) if rig is not None else None
    if head is None or head.name not in bpy.data.objects or not head.users_collection:
        return None
    return BuiltAvatar(head.users_collection[0], rig, head, rig.get(CAMERA), rig.get(EYE_TARGET))


def active_avatar(context: Any) -> BuiltAvatar | None:
    """The avatar of the active object; where that is none, the last one of the scene."""
    found = find_avatar(context.view_layer.objects.active)
    if found is not None:
        return found
    rigs = [item for item in context.scene.objects if item.type == "ARMATURE" and HEAD in item]
    return find_avatar(rigs[-1]) if rigs else None


def free_spot(wanted: Any) -> Any:
    """`wanted`, or the nearest point to its right where a head does not stand inside another object."""
    boxes = [_world_box(item) for item in bpy.context.view_layer.objects if item.type == "MESH" and item.visible_get()]
    spot = Vector(wanted)
    for _ in range(200):
        if not any(_touches(spot, low, high) for low, high in boxes):
            return spot
        spot = spot + Vector((_ROOM + 0.05, 0.0, 0.0))
    return Vector(wanted)


def _world_box(item: Any) -> tuple[Any, Any]:
    corners = [item.matrix_world @ Vector(corner) for corner in item.bound_box]
    return (
        Vector(tuple(min(corner[axis] for corner in corners) for axis in range(3))),
        Vector(tuple(max(corner[axis] for corner in corners) for axis in range(3))),
    )


def _touches(spot: Any, low: Any, high: Any) -> bool:
    return all(low[axis] - _ROOM / 2 < spot[axis] < high[axis] + _ROOM / 2 for axis in range(3))


def _link(avatar: AvatarFile, rig: Any, head: Any, camera: Any, eye_target: Any) -> None:
    rig[HEAD] = head
    rig[CAMERA] = camera
    rig[KIND] = avatar.blendshape_kind
    rig[PROVENANCE] = json.dumps(avatar.provenance, ensure_ascii=False)
    rig[SOURCE] = str(avatar.path)
    if eye_target is not None:
        rig[EYE_TARGET] = eye_target
    for item in (head, camera, eye_target):
        if item is not None:
            item[RIG] = rig
