"""The key doctor's correctives in the scene: shape keys that come with others by drivers.

The drivers are what Blender calls simple expressions, so that they run with auto-run of scripts off.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..avatar_reader import AvatarFileError, read_avatar
from ..axes import avatar_from_blender, blender_from_avatar
from ..doctor.correctives import Corrective, Cure
from ..doctor.shapes import Mesh
from .found import SOURCE, BuiltAvatar
from .mesh import PART_ATTRIBUTE
from .shape_keys import FIX_PREFIX, expression_keys, points_of
from .weights import weights_of

DOCTOR = "meshlam_doctor"  # on the rig: what the doctor found before and after, JSON
PARTS = "meshlam_parts"  # on the rig: the names of the parts that the attribute counts, JSON
_NAME_BYTES = 60


class DoctorError(ValueError):
    """This head cannot be looked at; one sentence for the user."""


def mesh_of(built: BuiltAvatar) -> Mesh:
    """The head as it is now, sculpted and edited, for the doctor."""
    head = built.head
    keys = expression_keys(head)
    if not keys or PART_ATTRIBUTE not in head.data.attributes or built.pieces:
        raise DoctorError(f"{head.name} no longer has the expressions or the parts that it was made with.")
    rest = _points(head.data.shape_keys.key_blocks[0])
    number = np.empty(len(rest), np.int32)
    head.data.attributes[PART_ATTRIBUTE].data.foreach_get("value", number)
    head.data.calc_loop_triangles()
    faces = np.empty(len(head.data.loop_triangles) * 3, np.int32)
    head.data.loop_triangles.foreach_get("vertices", faces)
    moves = {key.name: _points(key) - rest for key in keys}
    part = np.array(_parts(built))[number]
    return Mesh(rest, faces.reshape(-1, 3), part, _weights(head, "jaw"), moves)


def put_on(built: BuiltAvatar, cure: Cure) -> None:
    """The correctives as driven keys, in place of earlier ones."""
    take_off(built.head)
    rest = _points(built.head.data.shape_keys.key_blocks[0])
    for corrective in cure.correctives:
        _add(built.head, corrective, rest + corrective.move)
    found = {"before": cure.before.pairs, "after": cure.after.pairs, "deepest": cure.after.deepest}
    built.rig[DOCTOR] = json.dumps(found | {"keys": len(cure.correctives)})


def take_off(head: Any) -> None:
    """Remove the correctives with their drivers."""
    keys = head.data.shape_keys
    for key in [key for key in keys.key_blocks if key.name.startswith(FIX_PREFIX)] if keys is not None else ():
        key.driver_remove("value")
        head.shape_key_remove(key)


def bake_alone(head: Any) -> None:
    """Give correctives that go with one key to that key itself, and remove all of them: for exports."""
    keys = head.data.shape_keys
    rest = _points(keys.key_blocks[0])
    for key in [key for key in keys.key_blocks if key.name.startswith(FIX_PREFIX)]:
        target = keys.key_blocks.get(key.name.removeprefix(FIX_PREFIX))
        if target is not None:
            move = blender_from_avatar(_points(target) + _points(key) - rest)
            target.data.foreach_set("co", np.ascontiguousarray(move, np.float32).ravel())
    take_off(head)


def _add(head: Any, corrective: Corrective, points: Any) -> None:
    key = head.shape_key_add(name=_name(corrective), from_mix=False)
    key.data.foreach_set("co", np.ascontiguousarray(blender_from_avatar(points), np.float32).ravel())
    key.slider_min, key.slider_max, key.value = 0.0, 1.0, 0.0
    keys = head.data.shape_keys
    driver = keys.key_blocks[key.name].driver_add("value").driver
    driver.type = "SCRIPTED"
    names = (corrective.first, *corrective.others)
    letters = [chr(ord("a") + index) for index in range(len(names))]
    for letter, name in zip(letters, names, strict=True):
        variable = driver.variables.new()
        variable.name, variable.type = letter, "SINGLE_PROP"
        target = variable.targets[0]
        target.id_type, target.id = "KEY", keys
        target.data_path = keys.key_blocks[name].path_from_id("value")
    driver.expression = _expression(letters, corrective.above)


def _expression(letters: list[str], above: bool) -> str:
    first, *others = letters
    if above:
        return f"max(0, {first} - {others[0]})"
    if not others:
        return first
    other = others[0] if len(others) == 1 else f"max({', '.join(others)})"
    return f"min({first}, {other})"


def _name(corrective: Corrective) -> str:
    """`fix` and the key's name where it goes with that key alone; `bake_alone` knows it by that."""
    others = " ".join(corrective.others)
    return f"{FIX_PREFIX}{corrective.first}{' & ' if others else ''}{others}"[:_NAME_BYTES]


def _parts(built: BuiltAvatar) -> list[str]:
    if PARTS in built.rig:
        return list(json.loads(built.rig[PARTS]))
    try:
        return list(read_avatar(built.rig.get(SOURCE, "")).parts)
    except AvatarFileError as error:
        raise DoctorError(f"The head's avatar file is needed, but it cannot be read: {error}") from error


def _points(key: Any) -> Any:  # [V, 3] avatar axes
    return np.ascontiguousarray(avatar_from_blender(points_of(key.data)))


def _weights(head: Any, bone: str) -> Any:  # [V]
    of_bone = (weights for name, weights in weights_of(head).items() if bone in name.lower())
    return next(of_bone, np.zeros(len(head.data.vertices))).astype(np.float32)
