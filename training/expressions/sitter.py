"""A person out of a photo who shows any expression before the camera.

Frames and units: frames.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from meshlam_core.avatar.record import Avatar
from meshlam_core.frames import Camera
from meshlam_core.viewing.viewer import AvatarRenderer

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

SIDE = 448  # px
FACE = 0.154  # m, forehead to chin of the open head
FACE_SHARE = 0.5  # of the picture's height
NOSE = np.array([0.0, 0.13, 0.1])  # m, about the middle of the face


def before_camera(
    joints: int,
    turn: Sequence[float] | NDArray[np.floating],  # rad, axis-angle; small
    distance: float,  # m
    side: int,  # px of the picture
) -> tuple[F32, F32, Camera]:  # [J, 3] rad, [3] m, view frame
    """A face in the middle of a square picture."""
    rotations = np.zeros((joints, 3), np.float32)
    rotations[0] = turn
    translation = np.array([0, 0, -distance]) - NOSE - np.cross(turn, NOSE)
    camera = Camera(FACE_SHARE * side * distance / FACE, (side / 2, side / 2), (side, side))
    return rotations, translation.astype(np.float32), camera


class Sitter:
    """An avatar, drawn from the front."""

    def __init__(self, avatar: Avatar) -> None:
        self.names = list(avatar.blendshape_names)
        self._renderer, self._joints = AvatarRenderer(avatar), len(avatar.joints)

    def picture(
        self,
        settings: Mapping[str, float],
        turn: Sequence[float] = (0.0, 0.0, 0.0),  # rad, axis-angle; small
        distance: float = 1.2,  # m
        background: Sequence[float] = (150.0, 150.0, 150.0),
    ) -> U8:  # [SIDE, SIDE, 3]
        """The person with some keys set."""
        expression = np.zeros(len(self.names), np.float32)
        for name, value in settings.items():
            expression[self.names.index(name)] = value
        rotations, translation, camera = before_camera(self._joints, turn, distance, SIDE)
        drawn = self._renderer.draw_pose(expression, rotations, translation, camera)
        alpha = drawn[..., 3:].astype(np.float32) / 255
        return np.asarray(drawn[..., :3] * alpha + np.array(background) * (1 - alpha) + 0.5, np.uint8)
