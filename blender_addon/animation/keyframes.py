"""A performance as key frames: the expressions on the shape keys, the head's movement on the topmost bone.

Whole curves are written at once, so that a long take takes no longer than it must. Bones point to world +Z with roll 0,
so turns and places of the avatar frame go onto them unconverted (armature.py).
"""

from __future__ import annotations

import json
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .. import compat
from ..scene.action import hide_photo_pose, rest_pose
from ..scene.found import DRIVEN_BY, BuiltAvatar, turned_by
from ..scene.shape_keys import expression_keys
from ..scene.turns import channel_values, turn_channel
from .motion import F64, Motion, quaternions

_LINEAR = 1  # Blender's number of the interpolation: a recorded performance has a key in every frame


def write_motion(
    built: BuiltAvatar, motion: Motion, start: float, rate: float, name: str, told: dict[str, Any]
) -> None:
    """Animate the head from the frame `start`, at `rate` frames a second.

    What animated the head before stays in the file, unless it came from a clip, too. On a joined character the head
    turns on its neck, over what moves the body.
    """
    hide_photo_pose(built.rig, built.head)
    frames = start + motion.times * rate
    keys, turned = built.head.data.shape_keys, turned_by(built.rig)
    own = [built.rig, keys] if not turned else [keys]
    rooms = _fresh_rooms(name, [item for item in own if item is not None])
    turns = quaternions(motion.turns)
    if turned:
        write_turns(built.rig, turned["neck"], rest_axes(built.rig, turned["jaw"]), frames, turns)
    else:
        root, curves = topmost(built), rooms[built.rig].fcurves
        write_bone_turns(curves, root, frames, turns)
        write_curve(curves, root.path_from_id("location"), frames, motion.places - reference_place(motion))
    if keys is not None:
        there = {key.name: key for key in expression_keys(built.head)}
        for column, key in ((motion.names.index(key), there[key]) for key in motion.names if key in there):
            values = np.clip(motion.values[:, column, None], key.slider_min, key.slider_max)
            write_curve(rooms[keys].fcurves, key.path_from_id("value"), frames, values)
    for item, room in rooms.items():
        room.action[DRIVEN_BY] = json.dumps(told)
        compat.assign_action(item, room.action, room.slot)
    for piece in built.pieces:
        if piece.data.shape_keys is not None and keys is not None:
            compat.assign_action(piece.data.shape_keys, rooms[keys].action, rooms[keys].slot)


def _fresh_rooms(name: str, animated: list[Any]) -> dict[Any, compat.Curves]:
    """Room for new curves of these IDs, in place of what animates them."""
    for item in animated:
        _put_aside(item)
    return dict(zip(animated, compat.new_curves(name, animated) if animated else [], strict=True))


def topmost(built: BuiltAvatar) -> Any:
    """The pose bone that moves a head of its own."""
    return next(bone for bone in built.rig.pose.bones if bone.parent is None)


def reference_place(motion: Motion) -> NDArray[np.float64]:  # [3] m
    """Where the head stands in the camera's frame while its topmost bone is at rest."""
    return np.asarray(np.median(motion.places, axis=0))


def driven_by(built: BuiltAvatar) -> dict[str, Any]:
    """What the head's animation was made of; empty where it is the artist's own."""
    for item in (built.rig, built.head.data.shape_keys):
        data = item.animation_data if item is not None else None
        if data is not None and data.action is not None and DRIVEN_BY in data.action:
            return dict(json.loads(data.action[DRIVEN_BY]))
    return {}


def rest_axes(rig: Any, name: str) -> F64:  # [3, 3] columns: a bone's axes at rest, in the world
    matrix = (rig.matrix_world @ rig.data.bones[name].matrix_local).to_3x3().normalized()
    return np.array(matrix)


def write_turns(rig: Any, name: str, axes: F64, frames: F64, turns: F64, kinds: Any = None) -> None:
    """Key frames of a bone: `turns` [T, 4] about the axes [3, 3] of the world, `kinds` [T] of interpolation.

    A turn q about axes A is (w, B' A v) about a bone's own axes B.
    """
    out = np.concatenate([turns[:, :1], turns[:, 1:] @ (rest_axes(rig, name).T @ axes).T], axis=1)
    bone = rig.pose.bones[name]
    room = compat.room_for_curves(rig)
    _remove_turns(room, bone)
    write_bone_turns(room, bone, frames, out, kinds)


def _remove_turns(room: Any, bone: Any) -> None:
    start = f"{bone.path_from_id()}.rotation"
    for curve in [curve for curve in room if curve.data_path.startswith(start)]:
        room.remove(curve)


def write_bone_turns(fcurves: Any, bone: Any, frames: F64, turns: F64, kinds: Any = None) -> None:
    """Curves of what turns a bone in its rotation mode; `turns` [T, 4] are quaternions about its own axes."""
    write_curve(fcurves, bone.path_from_id(turn_channel(bone)), frames, channel_values(bone, turns), kinds)


def write_curve(
    fcurves: Any,
    path: str,
    frames: F64,  # [T]
    values: F64,  # [T, C]
    kinds: Any = None,  # [T] Blender's numbers of the interpolation; linear where they are not given
) -> None:
    """Curves of a path's C components with a key in every frame."""
    count = len(frames)
    for index in range(values.shape[1]):
        curve = fcurves.new(path, index=index)
        points = curve.keyframe_points
        points.add(count)
        points.foreach_set("co", np.stack([frames, values[:, index]], axis=1).astype(np.float32).ravel())
        points.foreach_set("interpolation", np.full(count, _LINEAR, np.int32) if kinds is None else kinds)
        curve.update()


def _put_aside(animated: Any) -> None:
    """Take off what animates an ID: what came from a clip goes, what the artist made stays."""
    data = animated.animation_data
    action = data.action if data is not None else None
    if action is None:
        return
    compat.assign_action(animated, None)
    if DRIVEN_BY not in action:
        action.use_fake_user = True
    elif action.users == 0:
        bpy.data.actions.remove(action)


def clear_motion(built: BuiltAvatar) -> None:
    """Take off what a clip made of the head; face and bones at rest."""
    keys = built.head.data.shape_keys
    for mesh in built.pieces:
        if mesh.data.shape_keys is not None:
            _put_aside(mesh.data.shape_keys)
    turned = turned_by(built.rig)
    if turned:
        _remove_turns(compat.room_for_curves(built.rig), built.rig.pose.bones[turned["neck"]])
    for item in (None if turned else built.rig, keys):
        if item is not None:
            _put_aside(item)
    rest_pose(built.rig, built.head)
