"""The photo's pose and expression: kept as two actions, and shown or hidden by one switch that loses no edits.

Switching on remembers every value (and every assigned action) and sets the photo's; switching off puts the remembered
values back, except where the artist changed a value meanwhile: that edit stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import bpy
from mathutils import Matrix

from .. import compat
from ..avatar_reader import AvatarFile
from ..axes import quaternion_from_axis_angle
from .armature import EYE_AIM
from .found import bones_of_head, find_avatar
from .shape_keys import expression_keys
from .turns import set_turn, turn_channel, turn_of

PHOTO_POSE = "meshlam_photo_pose"  # on the rig: the photo's values, JSON
_REMEMBERED = "meshlam_artist_pose"  # on the rig while the photo pose shows: the artist's values, JSON
_SAME = 1e-5  # values closer than this are the same: they are stored as 32-bit floats
_TURN = "turn"  # stands for the channel that turns a bone in its rotation mode

# "bone/NAME" -> quaternion, "place/NAME" -> location of the root, "key/NAME" -> [value], "aim/NAME" -> [influence]
Pose = dict[str, list[float]]


def store_photo_pose(avatar: AvatarFile, rig: Any) -> None:
    """Keep the photo's values with the rig, so that the switch needs no file."""
    pose: Pose = {
        f"bone/{name}": quaternion_from_axis_angle(rotation).tolist()
        for name, rotation in zip(avatar.joint_names, avatar.photo_rotations, strict=True)
    }
    pose |= {
        f"key/{name}": [float(value)]
        for name, value in zip(avatar.blendshape_names, avatar.photo_expression, strict=True)
    }
    pose |= {f"aim/{bone.name}": [0.0] for bone in rig.pose.bones if EYE_AIM in bone.constraints}
    rig[PHOTO_POSE] = json.dumps(pose)


def build_actions(rig: Any, head: Any, name: str) -> list[Any]:
    """One action for the bones and one for the shape keys, one key frame each, kept by the rig, not assigned.

    The rig's pointers keep them, so that they go when the rig goes.
    """
    photo = _photo_pose(rig)
    before = _pose_now(rig, head)
    artists = _detach_animation(rig, head)
    _apply(rig, head, photo)
    for bone in rig.pose.bones:
        bone.keyframe_insert(turn_channel(bone), frame=1, group=bone.name)
    actions = [_take_action(rig, f"{name} Photo Pose", keep="rig" in artists)]
    rig["meshlam_pose_action"] = actions[0]
    keys = expression_keys(head)
    for key in keys:
        key.keyframe_insert("value", frame=1)
    if keys:
        actions.append(_take_action(head.data.shape_keys, f"{name} Photo Expression", keep="keys" in artists))
        rig["meshlam_expression_action"] = actions[1]
    _attach_animation(rig, head, artists)
    _apply(rig, head, before)
    return actions


def _photo_pose(rig: Any) -> Pose:
    """The photo's values; in the photo, the head stands at its own place."""
    stored: Pose = json.loads(rig[PHOTO_POSE])
    return {f"place/{bone.name}": [0.0, 0.0, 0.0] for bone in rig.pose.bones if bone.parent is None} | stored


def has_photo_pose(rig: Any) -> bool:
    """Whether the photo's pose is kept with the rig; a character that was joined to a body has poses of its own."""
    return PHOTO_POSE in rig


def photo_pose_shown(rig: Any) -> bool:
    return _REMEMBERED in rig


def show_photo_pose(rig: Any, head: Any) -> None:
    """Put the head into the photo's pose and expression; a second call changes nothing."""
    if photo_pose_shown(rig):
        return
    remembered = {"pose": _pose_now(rig, head), "turns": _raw_turns(rig), "animation": _detach_animation(rig, head)}
    _apply(rig, head, _photo_pose(rig))
    rig[_REMEMBERED] = json.dumps(remembered | {"photo": _pose_now(rig, head)})


def hide_photo_pose(rig: Any, head: Any) -> None:
    """Back to the artist's pose; values edited while the photo pose showed stay as edited."""
    if not photo_pose_shown(rig):
        return
    remembered = json.loads(rig[_REMEMBERED])
    photo, now = remembered.get("photo") or _photo_pose(rig), _pose_now(rig, head)
    untouched = {channel for channel in now if channel in photo and _same(now[channel], photo[channel])}
    _apply(rig, head, {channel: value for channel, value in remembered["pose"].items() if channel in untouched})
    for bone in bones_of_head(rig):
        mode, *values = remembered.get("turns", {}).get(bone.name, [""])
        if mode == bone.rotation_mode and f"bone/{bone.name}" in untouched:
            setattr(bone, turn_channel(bone), values)  # a quaternion forgets Euler angles beyond half a circle
    del rig[_REMEMBERED]
    _attach_animation(rig, head, remembered["animation"])


def rest_pose(rig: Any, head: Any) -> None:
    """Neutral face, every bone at rest, however it was turned, moved or scaled."""
    for bone in bones_of_head(rig):
        bone.matrix_basis = Matrix.Identity(4)
    _apply(rig, head, {channel: _rest_value(channel) for channel in _pose_now(rig, head)})


def _rest_value(channel: str) -> list[float]:
    kind = channel.partition("/")[0]
    return {"bone": [1.0, 0.0, 0.0, 0.0], "place": [0.0, 0.0, 0.0]}.get(kind, [0.0])


def _channels(rig: Any, head: Any) -> Iterator[tuple[str, Any, str]]:
    """(channel name, owner, attribute) of everything the switch handles."""
    for bone in bones_of_head(rig):
        yield f"bone/{bone.name}", bone, _TURN
        if bone.parent is None:  # a clip moves the head by it
            yield f"place/{bone.name}", bone, "location"
        if EYE_AIM in bone.constraints:
            yield f"aim/{bone.name}", bone.constraints[EYE_AIM], "influence"
    for key in expression_keys(head):
        yield f"key/{key.name}", key, "value"


def _pose_now(rig: Any, head: Any) -> Pose:
    pose: Pose = {}
    for channel, owner, attribute in _channels(rig, head):
        value = turn_of(owner) if attribute == _TURN else getattr(owner, attribute)
        pose[channel] = [float(value)] if isinstance(value, float) else [float(part) for part in value]
    return pose


def _raw_turns(rig: Any) -> dict[str, list[Any]]:
    """The rotation mode of each bone and what turns it in that mode."""
    return {bone.name: [bone.rotation_mode, *getattr(bone, turn_channel(bone))] for bone in bones_of_head(rig)}


def _apply(rig: Any, head: Any, pose: Pose) -> None:
    for channel, owner, attribute in _channels(rig, head):
        if channel not in pose:
            continue
        value = pose[channel]
        if attribute == _TURN:
            set_turn(owner, value)
        else:
            setattr(owner, attribute, value[0] if len(value) == 1 else value)
    found = find_avatar(head)
    for piece in found.pieces if found is not None else ():
        for key in expression_keys(piece):
            key.value = pose.get(f"key/{key.name}", [key.value])[0]
        piece.data.update_tag()
    rig.update_tag()
    head.data.update_tag()


def _same(a: list[float], b: list[float]) -> bool:
    """Whether two values of a channel are one; a quaternion and its negative are the same turn."""
    signs = (1, -1) if len(a) == 4 else (1,)
    return any(all(abs(x - sign * y) < _SAME for x, y in zip(a, b, strict=True)) for sign in signs)


def _take_action(animated: Any, name: str, keep: bool) -> Any:
    """The action keyframe_insert made, named and no longer assigned; `keep` what else is animated."""
    action = animated.animation_data.action
    action.name = name
    action.use_fake_user = False
    if keep or len(animated.animation_data.drivers):  # clearing would take the correctives' drivers along
        compat.assign_action(animated, None)
    else:
        animated.animation_data_clear()
    return action


def _detach_animation(rig: Any, head: Any) -> dict[str, list[Any]]:
    """Animation would overwrite the photo's values at the next frame: take it off and remember it by name."""
    remembered: dict[str, list[Any]] = {}
    for role, animated in (("rig", rig), ("keys", head.data.shape_keys)):
        state = compat.animation_state(animated) if animated is not None else None
        if state is None:
            continue
        action, _, use_nla = state
        remembered[role] = [action.name if action is not None else "", compat.slot_identifier(animated), use_nla]
        compat.assign_action(animated, None)
        animated.animation_data.use_nla = False
    return remembered


def _attach_animation(rig: Any, head: Any, remembered: dict[str, list[Any]]) -> None:
    for role, animated in (("rig", rig), ("keys", head.data.shape_keys)):
        if role not in remembered or animated is None or animated.animation_data is None:
            continue
        name, slot, use_nla = remembered[role]
        animated.animation_data.use_nla = use_nla
        action = bpy.data.actions.get(name)
        # an action that the artist assigned meanwhile is an edit, too, and stays
        if action is not None and animated.animation_data.action is None:
            compat.assign_action(animated, action, slot)
