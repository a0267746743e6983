"""A head's animation for export: recorded frame by frame as it is seen, and put onto the clean copy.

Recorded is what the scene shows, whatever moves it: actions, strips, drivers, constraints, the eye target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .. import compat
from ..animation.keyframes import write_curve
from ..reimport import corners
from ..scene.found import BuiltAvatar
from ..scene.shape_keys import expression_keys
from .check import Movement

F64 = NDArray[np.float64]
MOVING_SUFFIXES = (".glb", ".fbx", ".usdc", ".usda", ".usdz")
_SAMPLES = 5  # frames that the check of the file compares


@dataclass(frozen=True)
class Take:
    """Expressions and bones in every frame of the scene's range."""

    frames: F64  # [T]
    rate: float  # frames a second
    values: dict[str, F64]  # by expression, [T, 1]
    turns: dict[str, F64]  # by bone, [T, 4] w, x, y, z relative to its parent
    places: dict[str, F64]  # by bone, [T, 3] m


def is_animated(built: BuiltAvatar) -> bool:
    """Whether actions or strips move the head."""
    moved = [item.animation_data for item in (built.rig, built.head.data.shape_keys) if item is not None]
    return any(data is not None and (data.action is not None or len(data.nla_tracks)) for data in moved)


def record(built: BuiltAvatar) -> Take:
    """Go through the scene's range; the frame that was shown is shown again."""
    scene = bpy.context.scene
    shown = scene.frame_current
    frames = range(scene.frame_start, scene.frame_end + 1)
    keys, bones = expression_keys(built.head), list(built.rig.pose.bones)
    values, turns, places = [], [], []
    try:
        for frame in frames:
            scene.frame_set(frame)
            matrices = [built.rig.convert_space(pose_bone=bone, matrix=bone.matrix, to_space="LOCAL") for bone in bones]
            values.append([key.value for key in keys])
            turns.append([tuple(matrix.to_quaternion()) for matrix in matrices])
            places.append([tuple(matrix.to_translation()) for matrix in matrices])
    finally:
        scene.frame_set(shown)
    all_values, all_turns, all_places = (np.array(part, np.float64) for part in (values, turns, places))
    return Take(
        frames=np.array(frames, np.float64),
        rate=scene.render.fps / scene.render.fps_base,
        values={key.name: all_values[:, [index]] for index, key in enumerate(keys)},
        turns={bone.name: all_turns[:, index] for index, bone in enumerate(bones)},
        places={bone.name: all_places[:, index] for index, bone in enumerate(bones)},
    )


def put_on(take: Take, meshes: Sequence[Any], rig: Any, spell: Callable[[str], str]) -> list[Any]:
    """Animate the copy, whose keys `spell` names; returns the actions made."""
    names = {spell(name) for name in take.values}
    keyed = [mesh.data.shape_keys for mesh in meshes if mesh.data.shape_keys is not None]
    keyed = [keys for keys in keyed if names & set(keys.key_blocks.keys())]  # strands have none: 4.2 trips over it
    animated = [*([rig] if rig is not None else []), *keyed]
    rooms = compat.new_curves("Animation", animated)
    for item, room in zip(animated, rooms, strict=True):
        if item == rig:
            for bone in rig.pose.bones:
                bone.rotation_mode = "QUATERNION"
                write_curve(room.fcurves, bone.path_from_id("rotation_quaternion"), take.frames, take.turns[bone.name])
                write_curve(room.fcurves, bone.path_from_id("location"), take.frames, take.places[bone.name])
        else:
            for name, values in take.values.items():
                key = item.key_blocks.get(spell(name))
                if key is not None:
                    write_curve(room.fcurves, key.path_from_id("value"), take.frames, values)
        compat.assign_action(item, room.action, room.slot)
    return list({room.action.name: room.action for room in rooms}.values())


def movement(take: Take, meshes: Sequence[Any]) -> Movement:
    """Where the copy is in a few frames of its animation."""
    scene = bpy.context.scene
    shown = scene.frame_current
    offsets = np.unique(np.linspace(0, len(take.frames) - 1, _SAMPLES).round().astype(int))
    seen = []
    for offset in offsets:
        scene.frame_set(int(take.frames[offset]))
        seen.append(tuple(corners(meshes)))
    scene.frame_set(shown)
    return Movement(take.rate, tuple(int(offset) for offset in offsets), tuple(seen))
