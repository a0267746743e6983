"""Shape keys: the expressions, and FLAME's pose correctives with the drivers that run them.

A corrective's coefficient is one element of (R - I), row-major, R the rotation of a joint relative to its parent.
Bones point to world +Z with roll 0, so their local rotation is that R in avatar axes (SMPL, Loper et al. 2015, eq. 9;
FLAME, Li et al. 2017, eq. 3).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..avatar_reader import AvatarFile
from ..axes import blender_from_avatar

BASIS = "Basis"
CORRECTIVE_PREFIX = "poseCorrective"
FIX_PREFIX = "fix "  # of the key doctor's correctives (correctives.py)
BALD = "Bald"  # takes the hair's hull back to the skull; a hull of hair is 0, so that engines that start at 0 show it

# (R - I) of a unit quaternion, element by element; "simple expressions", so they run with auto-run scripts off
_ROTATION_MINUS_IDENTITY = (
    "-2*(y*y+z*z)",
    "2*(x*y-w*z)",
    "2*(x*z+w*y)",
    "2*(x*y+w*z)",
    "-2*(x*x+z*z)",
    "2*(y*z-w*x)",
    "2*(x*z-w*y)",
    "2*(y*z+w*x)",
    "-2*(x*x+y*y)",
)


def build_shape_keys(avatar: AvatarFile, head: Any) -> None:
    """The basis and one key for each blendshape, all at 0."""
    head.shape_key_add(name=BASIS, from_mix=False)
    for index, name in enumerate(avatar.blendshape_names):
        low, high = (float(end) for end in avatar.blendshape_ranges[index])
        photo = float(avatar.photo_expression[index])
        # the slider clamps the value, so a photo beyond the range must fit in or the photo pose would be off
        add_key(head, name, avatar.vertices + avatar.blendshapes[index], min(low, photo), max(high, photo))
    if avatar.hair is not None:
        add_key(head, BALD, avatar.vertices - avatar.hair, 0.0, 1.0)
    head.active_shape_key_index = 0


def build_correctives(avatar: AvatarFile, head: Any, rig: Any) -> None:
    """FLAME's pose correctives as driven keys; does nothing when the avatar has none."""
    if avatar.pose_correctives is None:
        return
    for index, displacement in enumerate(avatar.pose_correctives):
        name = f"{CORRECTIVE_PREFIX}{index:02d}"
        add_key(head, name, avatar.vertices + displacement, -10.0, 10.0)
        _drive(head, name, rig, avatar.joint_names[1 + index // 9], _ROTATION_MINUS_IDENTITY[index % 9])


def expression_keys(head: Any) -> list[Any]:
    """The keys an artist moves: all but the basis, the driven correctives and the hair's switch."""
    keys = head.data.shape_keys
    blocks = [] if keys is None else keys.key_blocks[1:]
    return [key for key in blocks if key.name != BALD and not key.name.startswith((CORRECTIVE_PREFIX, FIX_PREFIX))]


def bald_key(head: Any) -> Any:
    """The key that takes the hair away, or None where the head has no hull of hair."""
    keys = head.data.shape_keys
    return keys.key_blocks.get(BALD) if keys is not None else None


def points_of(
    layer: Any,  # of a shape key its `data`, or the vertices of a mesh
) -> NDArray[np.float32]:  # [V, 3]
    """Where points are, in Blender's axes."""
    flat = np.empty(len(layer) * 3, np.float32)
    layer.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def add_key(head: Any, name: str, vertices: NDArray[np.float32], low: float, high: float) -> None:
    """A shape key at 0 with its slider's ends."""
    key = head.shape_key_add(name=name, from_mix=False)
    key.data.foreach_set("co", np.ascontiguousarray(blender_from_avatar(vertices), dtype=np.float32).ravel())
    key.slider_min, key.slider_max = low, high
    key.value = 0.0  # new keys start at 1 since Blender 5.0


def _drive(head: Any, key: str, rig: Any, bone: str, expression: str) -> None:
    driver = head.data.shape_keys.key_blocks[key].driver_add("value").driver
    driver.type = "SCRIPTED"
    for axis in "wxyz":
        variable = driver.variables.new()
        variable.name = axis
        variable.type = "TRANSFORMS"
        target = variable.targets[0]
        target.id = rig
        target.bone_target = bone
        target.transform_type = f"ROT_{axis.upper()}"
        target.rotation_mode = "QUATERNION"
        target.transform_space = "LOCAL_SPACE"
    driver.expression = expression
