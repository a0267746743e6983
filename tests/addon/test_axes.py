"""The one axis flip of the add-on."""

from __future__ import annotations

import numpy as np

from blender_addon.axes import (
    BLENDER_FROM_AVATAR,
    avatar_from_blender,
    blender_from_avatar,
    quaternion_from_axis_angle,
)
from meshlam_core.frames import rotation_from_axis_angle


def test_left_up_and_out_of_the_face_become_x_z_and_minus_y():
    np.testing.assert_array_equal(blender_from_avatar(np.eye(3)), [[1, 0, 0], [0, 0, 1], [0, -1, 0]])


def test_there_and_back_is_exact():
    points = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    np.testing.assert_array_equal(avatar_from_blender(blender_from_avatar(points)), points)
    np.testing.assert_array_equal(blender_from_avatar(avatar_from_blender(points)), points)
    assert blender_from_avatar(points).dtype == np.float32


def test_the_flip_is_a_rotation_and_equals_its_matrix():
    assert np.linalg.det(BLENDER_FROM_AVATAR) == 1
    points = np.random.default_rng(2).normal(size=(5, 3))
    np.testing.assert_array_equal(blender_from_avatar(points), points @ BLENDER_FROM_AVATAR.T)


def test_quaternions_turn_like_the_cores_rotation_matrices():
    for vector in ([0, 0, 0], [0.3, -0.2, 0.9], [1e-9, 0, 0], [0, np.pi, 0], [2, 3, -1]):
        w, x, y, z = quaternion_from_axis_angle(np.array(vector, dtype=float))
        matrix = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        np.testing.assert_allclose(matrix, rotation_from_axis_angle(np.array(vector, dtype=float)), atol=1e-12)
