"""What moves a head and a body, carried over to the character that they become: key frames, drivers, constraints."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import compat
from ..animation.keyframes import rest_axes, write_turns
from .armature import EYE_AIM
from .shape_keys import CORRECTIVE_PREFIX
from .turns import turn_channel, turns_of_values

_STILL = 1e-6  # a bone whose key frames turn it less than this rests, and leaves the body's own alone
_LINEAR = 1
_KINDS = {"CONSTANT": 0, "LINEAR": _LINEAR, "BEZIER": 2}  # Blender's numbers


def copy_rig(source: Any, name: str) -> Any:
    """A rig of its own: its constraints and drivers look at itself, its key frames are its own."""
    rig = source.copy()
    rig.data = source.data.copy()
    rig.name = name
    for key in [key for key, _ in rig.items() if key.startswith("meshlam_")]:
        del rig[key]
    for bone in rig.pose.bones:
        for constraint in [item for item in bone.constraints if item.name == EYE_AIM]:
            bone.constraints.remove(constraint)
        for constraint in bone.constraints:
            for holder in (constraint, *getattr(constraint, "targets", ())):
                for end in ("target", "pole_target"):
                    if getattr(holder, end, None) == source:
                        setattr(holder, end, rig)
    for item in (rig, rig.data):
        for curve in item.animation_data.drivers if item.animation_data is not None else ():
            _aim(curve.driver, {source: rig, source.data: rig.data}, {})
    if rig.animation_data is not None and rig.animation_data.action is not None:
        compat.assign_action(rig, rig.animation_data.action.copy(), compat.slot_identifier(source))
    return rig


def turning_bones(rig: Any, head: str) -> tuple[str, str]:
    """(bone, bone) that an artist turns to turn the head and what carries it; the second is empty where there is none.

    A deforming bone that only copies another (Rigify's) is turned by that other; the one that carries it is the
    nearest above that nothing constrains.
    """
    bone = rig.pose.bones[head]
    for _ in range(8):
        copied = next((item for item in bone.constraints if item.type == "COPY_TRANSFORMS" and not item.mute), None)
        if copied is None or copied.target != rig or copied.subtarget not in rig.pose.bones:
            break
        bone = rig.pose.bones[copied.subtarget]
    above = bone.parent
    while above is not None and len(above.constraints):
        above = above.parent
    return bone.name, above.name if above is not None else ""


def carry_keys(head: Any, mesh: Any, swap: dict[Any, Any], bones: dict[str, str]) -> None:
    """Ranges, values, key frames and drivers of a head's keys onto the same keys of the character's mesh.

    `swap` says which ID takes another's place, `bones` which bone. FLAME's correctives of the neck stay behind: they
    ask for turns about the avatar's axes.
    """
    old, new = head.data.shape_keys, mesh.data.shape_keys
    if old is None or new is None:
        return
    for key in new.key_blocks[1:]:
        was = old.key_blocks[key.name]
        key.slider_min, key.slider_max, key.value, key.mute = was.slider_min, was.slider_max, was.value, was.mute
    data = old.animation_data
    if data is None:
        return
    if data.action is not None:
        compat.assign_action(new, data.action.copy(), compat.slot_identifier(old))
    for curve in data.drivers:
        targets = [target for variable in curve.driver.variables for target in variable.targets]
        turned = {target.bone_target for target in targets if target.bone_target}
        if CORRECTIVE_PREFIX in curve.data_path and any(bones.get(name, name) != name for name in turned):
            continue
        made = (new.animation_data or new.animation_data_create()).drivers.from_existing(src_driver=curve)
        _aim(made.driver, {**swap, old: new}, bones)


def carry_turns(source: Any, rig: Any, bones: dict[str, str]) -> None:
    """The key frames that turn a head's bones onto the character's; `bones` says which takes which one's place."""
    curves = compat.curves_of(source)
    for name, target in bones.items():
        bone = source.pose.bones.get(name)
        if bone is None or target not in rig.pose.bones:
            continue
        own = [curve for curve in curves if curve.data_path == bone.path_from_id(turn_channel(bone))]
        if not own:
            continue
        first = max(own, key=lambda curve: len(curve.keyframe_points))
        frames = np.array([point.co[0] for point in first.keyframe_points])
        kinds = np.array([_KINDS.get(point.interpolation, _LINEAR) for point in first.keyframe_points], np.int32)
        values = np.tile(tuple(getattr(bone, turn_channel(bone))), (len(frames), 1))
        for curve in own:
            values[:, curve.array_index] = [curve.evaluate(frame) for frame in frames]
        turns = turns_of_values(bone, values)
        if np.abs(turns[:, 1:]).max() > _STILL:
            write_turns(rig, target, rest_axes(source, name), frames, turns, kinds)


def _aim(driver: Any, swap: dict[Any, Any], bones: dict[str, str]) -> None:
    """Let a driver look at what takes the place of what it looks at."""
    for variable in driver.variables:
        for target in variable.targets:
            if target.id in swap:
                target.id = swap[target.id]
                target.bone_target = bones.get(target.bone_target, target.bone_target)
