"""A sequence of a head model's parameters as key frames, and the head's animation as such a sequence.

The expressions go onto the model's own shape keys, the rotations onto the bones, which stand where the model has its
joints. Back: what the ARKit keys are made of is added to what the own keys show, and the bones' turns to theirs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Quaternion, Vector
from numpy.typing import NDArray

from .. import compat
from ..axes import quaternion_from_axis_angle
from ..scene.action import hide_photo_pose
from ..scene.found import DRIVEN_BY, BuiltAvatar
from ..scene.raw_keys import TURNS, HeadParameters
from ..scene.shape_keys import expression_keys
from .keyframes import clear_motion, write_bone_turns, write_curve
from .motion import F64, quaternions
from .parameters import Parameters

BONES = ("neck", "jaw", "left_eye", "right_eye")


def write_sequence(
    built: BuiltAvatar, parameters: Parameters, known: HeadParameters, start: float, name: str, in_place: bool
) -> int:
    """Animate the head from the frame `start`, a key in every frame; returns how many expressions have no key.

    `in_place` leaves out where the head stands on the median, so that it moves about where it is.
    """
    hide_photo_pose(built.rig, built.head)
    clear_motion(built)
    frames = start + np.arange(len(parameters), dtype=np.float64)
    keys = built.head.data.shape_keys
    for key in expression_keys(built.head):
        key.value = 0.0
    curves = compat.new_curves(Path(name).stem, [built.rig, keys])
    bones = {bone.name: bone for bone in built.rig.pose.bones}
    root = next(bone for bone in built.rig.pose.bones if bone.parent is None)
    places = parameters.translation
    if in_place:
        places = places - np.median(places, axis=0)
    write_curve(curves[0].fcurves, root.path_from_id("location"), frames, places)
    turns = {
        root.name: parameters.rotation,
        "neck": parameters.neck,
        "jaw": parameters.jaw,
        "left_eye": parameters.eyes[:, :3],
        "right_eye": parameters.eyes[:, 3:],
    }
    for bone, turn in turns.items():
        if bone in bones:
            write_bone_turns(curves[0].fcurves, bones[bone], frames, quaternions(turn))
    missing = 0
    for column, expression in enumerate(known.expressions[: parameters.expression.shape[1]]):
        block = keys.key_blocks.get(expression)
        values = parameters.expression[:, column, None]
        if block is None:
            missing += bool(values.any())
            continue
        block.slider_min = min(block.slider_min, float(values.min()))
        block.slider_max = max(block.slider_max, float(values.max()))
        write_curve(curves[1].fcurves, block.path_from_id("value"), frames, values)
    for item, room in zip((built.rig, keys), curves, strict=True):
        room.action[DRIVEN_BY] = json.dumps({"parameters": name})
        compat.assign_action(item, room.action, room.slot)
    return missing


def read_sequence(built: BuiltAvatar, known: HeadParameters, first: int, last: int) -> Parameters:
    """What the head does from one frame to another, in the head model's parameters. The scene's frame is put back."""
    scene = bpy.context.scene
    before = scene.frame_current
    rows = []
    try:
        for frame in range(first, last + 1):
            scene.frame_set(frame)
            rows.append(_now(built, known))
    finally:
        scene.frame_set(before)
    values = np.array(rows)
    count = len(known.expressions)
    expression, neck, jaw, eyes, rotation, translation = np.split(values, np.cumsum([count, 3, 3, 6, 3]), axis=1)
    return Parameters(expression, neck, jaw, eyes, rotation, translation, known.identity)


def _now(
    built: BuiltAvatar, known: HeadParameters
) -> F64:  # [E + 18] expression, neck, jaw, eyes, rotation, translation
    own = np.zeros(len(known.names))
    place = {name: column for column, name in enumerate(known.expressions)}
    for key in expression_keys(built.head):
        if key.name in place:
            own[place[key.name]] += key.value
        elif key.name in known.keys:
            own += key.value * known.keys[key.name]
    turns = own[-TURNS:].reshape(3, 3)
    root = next(bone for bone in built.rig.pose.bones if bone.parent is None)
    by_keys = dict(zip(("jaw", "left_eye", "right_eye"), turns, strict=True))
    bones = [turn_of(built.rig.pose.bones.get(name), by_keys.get(name)) for name in BONES]
    return np.concatenate([own[:-TURNS], *bones, turn_of(root, None), np.array(Vector(root.location))])


def turn_of(bone: Any, by_keys: NDArray[np.float64] | None) -> F64:  # [3] rad, axis-angle
    """A bone's own turn after that of the keys."""
    turn = Quaternion((1, 0, 0, 0)) if bone is None else Quaternion(bone.matrix_basis.to_quaternion())
    if by_keys is not None and by_keys.any():
        turn = turn @ Quaternion(quaternion_from_axis_angle(by_keys).tolist())
    axis, angle = turn.to_axis_angle()
    angle = angle - 2 * np.pi if angle > np.pi else angle
    return np.asarray(np.array(axis) * angle, np.float64)
