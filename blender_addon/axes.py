"""The one place where the add-on turns avatar axes into Blender's and back.

Avatar frame: metres, +X the subject's left, +Y up, +Z out of the face (see AVATAR_FORMAT.md).
Blender:      metres, +X the subject's left, -Y out of the face, +Z up.
The turn is a rotation by +90 degrees about X, so winding orders and handedness stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

BLENDER_FROM_AVATAR: NDArray[np.float64] = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def blender_from_avatar(
    points: Floats,  # [..., 3] avatar frame
) -> Floats:  # [..., 3] Blender's axes, same type
    """(x, y, z) -> (x, -z, y), exact."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def avatar_from_blender(
    points: Floats,  # [..., 3] Blender's axes
) -> Floats:  # [..., 3] avatar frame, same type
    """(x, y, z) -> (x, z, -y), the exact inverse of blender_from_avatar."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def quaternion_from_axis_angle(
    axis_angle: Floats,  # [3] rad; direction = axis, length = angle
) -> NDArray[np.float64]:  # [4] w, x, y, z; unit length
    """The same rotation as a quaternion, in the axes it came in.

    Bones that point to world +Z with roll 0 have rest axes equal to the avatar's axes, so no axis is turned here.
    """
    vector = np.asarray(axis_angle, dtype=np.float64)
    half = 0.5 * float(np.linalg.norm(vector))
    # sin(half) / angle without dividing by zero; numpy's sinc is sin(pi x) / (pi x)
    return np.concatenate([[np.cos(half)], 0.5 * np.sinc(half / np.pi) * vector])
