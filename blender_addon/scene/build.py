"""An avatar file becomes a collection: rig, head, photo camera, eye target. All of it, or nothing."""

from __future__ import annotations

import json
from typing import Any

import bpy
from mathutils import Vector

from .. import compat
from ..avatar_reader import AvatarFile
from .action import build_actions, store_photo_pose
from .armature import bind, build_armature, build_eye_target
from .camera import build_camera
from .correctives import PARTS
from .folds import build_folds, show_folds
from .found import CAMERA, EYE_TARGET, HEAD, KIND, PROVENANCE, RIG, SOURCE, BuiltAvatar, find_avatar
from .glasses import build_glasses
from .guard import all_or_nothing, objects_in_view, scene_as_found
from .light import store_light
from .material import build_materials
from .mesh import assign_materials, assign_weights, build_mesh
from .raw_keys import store_parameters
from .shape_keys import build_correctives, build_shape_keys
from .strands import build_strands

_ROOM = 0.3  # m: two heads closer than this overlap


def build_avatar(avatar: AvatarFile, name: str) -> BuiltAvatar:
    """Add the avatar to the active scene, standing at the 3D cursor or beside what already stands there.

    Mode, selection and active object stay as they are; after an error nothing is left behind.
    """
    name = compat.short_name(name)
    scene = bpy.context.scene
    unit = metre(scene)
    with scene_as_found(), all_or_nothing():
        rig = build_armature(avatar, f"{name} Rig")
        head = build_mesh(avatar, name)
        assign_materials(avatar, head, build_materials(avatar, name, unit))
        show_folds(head, build_folds(avatar, name))
        assign_weights(avatar, head)
        build_shape_keys(avatar, head)
        bind(head, rig)
        build_correctives(avatar, head, rig)
        camera = build_camera(avatar, rig, f"{name} Photo", unit)
        eye_target = build_eye_target(rig, f"{name} Eye Target")
        glasses = build_glasses(avatar, rig, f"{name} Glasses")
        strands = build_strands(avatar, rig, head, f"{name} Strands")
        store_photo_pose(avatar, rig)
        store_light(avatar.light, rig)
        _link(avatar, rig, head, camera, eye_target)
        rig.scale = (unit, unit, unit)
        rig.location = free_spot(scene.cursor.location, unit)
        collection = bpy.data.collections.new(name)
        for item in (rig, head, strands, camera, eye_target, glasses):
            if item is not None:
                collection.objects.link(item)
        scene.collection.children.link(collection)
        bpy.context.view_layer.update()
        build_actions(rig, head, name)
        if eye_target is not None:
            eye_target.hide_set(True)  # until the eyes follow it
    return BuiltAvatar(collection, rig, head, camera, eye_target)


def metre(scene: Any) -> float:
    """How many of the scene's units make a metre."""
    return 1.0 / (scene.unit_settings.scale_length or 1.0)


def free_spot(wanted: Any, unit: float = 1.0) -> Any:
    """`wanted`, or a point near it where a head stands beside other heads and in front of everything else.

    In front, because an object between the head and whoever looks at it would hide it.
    """
    room = _ROOM * unit
    items = [item for item in objects_in_view() if item.type == "MESH" and item.visible_get()]
    boxes = [(_world_box(item), find_avatar(item) is not None) for item in items]
    spot = Vector(wanted)
    for _ in range(200):
        hit = next(((box, is_head) for box, is_head in boxes if _touches(spot, *box, room)), None)
        if hit is None:
            return spot
        (low, _high), is_head = hit
        beside, before = spot + Vector((room + 0.05 * unit, 0.0, 0.0)), Vector((spot.x, low.y - room, spot.z))
        spot = beside if is_head else before
    return Vector(wanted)


def _world_box(item: Any) -> tuple[Any, Any]:
    corners = [item.matrix_world @ Vector(corner) for corner in item.bound_box]
    return (
        Vector(tuple(min(corner[axis] for corner in corners) for axis in range(3))),
        Vector(tuple(max(corner[axis] for corner in corners) for axis in range(3))),
    )


def _touches(spot: Any, low: Any, high: Any, room: float) -> bool:
    return all(low[axis] - room / 2 < spot[axis] < high[axis] + room / 2 for axis in range(3))


def _link(avatar: AvatarFile, rig: Any, head: Any, camera: Any, eye_target: Any) -> None:
    rig[HEAD] = head
    rig[CAMERA] = camera
    rig[KIND] = avatar.blendshape_kind
    rig[PROVENANCE] = json.dumps(avatar.provenance, ensure_ascii=False)
    rig[SOURCE] = str(avatar.path)
    store_parameters(avatar, rig)
    rig[PARTS] = json.dumps(avatar.parts)
    if eye_target is not None:
        rig[EYE_TARGET] = eye_target
    for item in (head, camera, eye_target):
        if item is not None:
            item[RIG] = rig
