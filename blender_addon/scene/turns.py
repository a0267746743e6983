"""How bones turn, in whatever rotation mode the artist has them: quaternions in, quaternions out.

A turn is about the bone's own axes at rest, relative to its parent. Blender keeps it in one of three channels, as the
bone's rotation mode says, and shows only that one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mathutils import Euler, Quaternion
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_CHANNELS = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}


def turn_channel(bone: Any) -> str:
    """The property of a pose bone that turns it."""
    return _CHANNELS.get(bone.rotation_mode, "rotation_euler")


def turn_of(bone: Any) -> Quaternion:
    """How a pose bone is turned."""
    return _quaternion(getattr(bone, turn_channel(bone)), bone.rotation_mode)


def set_turn(bone: Any, turn: Any) -> None:
    """Turn a pose bone; Euler angles stay as near to what they were as they can."""
    mode = bone.rotation_mode
    before = bone.rotation_euler if turn_channel(bone) == "rotation_euler" else None
    setattr(bone, turn_channel(bone), _values(Quaternion(turn), mode, before))


def channel_values(bone: Any, turns: F64) -> F64:
    """Quaternions [T, 4] of one frame after the other -> what `turn_channel` holds [T, 3 or 4], without leaps."""
    out: list[Any] = []
    before = None
    for turn in turns:
        before = _values(Quaternion(turn), bone.rotation_mode, before)
        out.append(tuple(before))
    return np.array(out, np.float64)


def turns_of_values(bone: Any, values: F64) -> F64:
    """What `turn_channel` holds in several frames [T, 3 or 4] -> quaternions [T, 4]."""
    return np.array([tuple(_quaternion(value, bone.rotation_mode)) for value in values], np.float64)


def _quaternion(value: Any, mode: str) -> Quaternion:
    if mode == "QUATERNION":
        return Quaternion(value)
    if mode == "AXIS_ANGLE":
        return Quaternion(tuple(value)[1:], value[0])
    return Euler(value, mode).to_quaternion()


def _values(turn: Quaternion, mode: str, before: Any) -> Any:
    if mode == "QUATERNION":
        return turn
    if mode == "AXIS_ANGLE":
        axis, angle = turn.to_axis_angle()
        return (angle, *axis)
    return turn.to_euler(mode, before) if before is not None else turn.to_euler(mode)
