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
from ..scene.found import DRIVEN_BY, BuiltAvatar
from ..scene.shape_keys import expression_keys
from .motion import F64, Motion, quaternions

_LINEAR = 1  # Blender's number of the interpolation: a recorded performance has a key in every frame


def write_motion(built: BuiltAvatar, motion: Motion, start: float, rate: float, name: str, told: dict[str, Any]) -> Any:
    """Animate the head from the frame `start`, at `rate` frames a second; returns the action of the bones.

    What animated the head before stays in the file, unless it came from a clip, too.
    """
    hide_photo_pose(built.rig, built.head)
    frames = start + motion.times * rate
    keys = built.head.data.shape_keys
    animated = [built.rig] if keys is None else [built.rig, keys]
    for item in animated:
        _put_aside(item)
    curves = compat.new_curves(name, animated)
    root = next(bone for bone in built.rig.pose.bones if bone.parent is None)
    write_curve(curves[0].fcurves, root.path_from_id("rotation_quaternion"), frames, quaternions(motion.turns))
    write_curve(curves[0].fcurves, root.path_from_id("location"), frames, motion.places - reference_place(motion))
    if keys is not None:
        there = {key.name: key for key in expression_keys(built.head)}
        for column, key in ((motion.names.index(key), there[key]) for key in motion.names if key in there):
            values = np.clip(motion.values[:, column, None], key.slider_min, key.slider_max)
            write_curve(curves[1].fcurves, key.path_from_id("value"), frames, values)
    for item, room in zip(animated, curves, strict=True):
        room.action[DRIVEN_BY] = json.dumps(told)
        compat.assign_action(item, room.action, room.slot)
    for piece in built.pieces:
        if piece.data.shape_keys is not None and keys is not None:
            compat.assign_action(piece.data.shape_keys, curves[1].action, curves[1].slot)
    return curves[0].action


def reference_place(motion: Motion) -> NDArray[np.float64]:  # [3] m
    """Where the head stands in the camera's frame while its topmost bone is at rest."""
    return np.asarray(np.median(motion.places, axis=0))


def driven_by(built: BuiltAvatar) -> dict[str, Any]:
    """What the head's animation was made of; empty where it is the artist's own."""
    data = built.rig.animation_data
    action = data.action if data is not None else None
    return dict(json.loads(action.get(DRIVEN_BY, "{}"))) if action is not None else {}


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
    for item in (built.rig, keys):
        if item is not None:
            _put_aside(item)
    rest_pose(built.rig, built.head)
