"""A pose is corrected by what the frame looks like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meshlam_core.avatar.record import Avatar
from meshlam_core.files.images import load_photo
from meshlam_core.frames import axis_angle_from_rotation, rotation_from_axis_angle
from meshlam_core.tracker.retarget import AvatarPose
from meshlam_core.tracker.rig import LandmarkRig
from meshlam_core.viewing.align import aligned
from meshlam_core.viewing.viewer import AvatarRenderer, photo_camera


@pytest.fixture(scope="module")
def picture(portrait_file: Path) -> np.ndarray:
    return load_photo(portrait_file).pixels


def photo_pose(avatar: Avatar) -> AvatarPose:
    photo = avatar.photo
    return AvatarPose(0, True, photo_camera(avatar), photo.expression, photo.rotations, photo.translation)


def astray(pose: AvatarPose, rig: LandmarkRig, turn: list[float], nearer: float) -> AvatarPose:
    """Turned about the middle of the face, by degrees, and nearer by a share of the distance."""
    rotation = rotation_from_axis_angle(pose.rotations[0])
    turned = rotation_from_axis_angle(np.radians(turn)) @ rotation
    middle = rig.neutral.mean(axis=1)
    rotations = pose.rotations.copy()
    rotations[0] = axis_angle_from_rotation(turned)
    place = (rotation @ middle + pose.translation) * (1 - nearer)
    return replace(pose, rotations=rotations, translation=(place - turned @ middle).astype(np.float32))


def apart(one: AvatarPose, other: AvatarPose) -> float:
    """Degrees."""
    between = rotation_from_axis_angle(one.rotations[0]).T @ rotation_from_axis_angle(other.rotations[0])
    return float(np.degrees(np.linalg.norm(axis_angle_from_rotation(between))))


@pytest.mark.parametrize(("turn", "nearer"), [([5, 0, 0], 0), ([0, -5, 0], 0), ([-4, 3, 2], 0.03)])
def test_a_head_that_landmarks_turned_too_far_is_brought_back_onto_its_picture(
    avatar: Avatar, rig: LandmarkRig, picture: np.ndarray, turn: list[float], nearer: float
) -> None:
    true = photo_pose(avatar)
    start = astray(true, rig, turn, nearer)
    found = aligned(AvatarRenderer(avatar), rig, start, picture)
    assert apart(found, true) < 0.25 * apart(start, true)
    assert abs(found.translation[2] / true.translation[2] - 1) < 0.015
    np.testing.assert_array_equal(found.expression, start.expression)


def test_a_head_that_lies_right_stays(avatar: Avatar, rig: LandmarkRig, picture: np.ndarray) -> None:
    true = photo_pose(avatar)
    assert apart(aligned(AvatarRenderer(avatar), rig, true, picture), true) < 1


def test_a_frame_of_another_light_does_not_turn_the_head(avatar: Avatar, rig: LandmarkRig, picture: np.ndarray) -> None:
    true = photo_pose(avatar)
    dark = (picture * 0.75).astype(np.uint8)
    assert apart(aligned(AvatarRenderer(avatar), rig, true, dark), true) < 1.5


def test_where_nobody_is_seen_the_landmarks_hold_the_head(
    avatar: Avatar, rig: LandmarkRig, picture: np.ndarray
) -> None:
    true = photo_pose(avatar)
    assert apart(aligned(AvatarRenderer(avatar), rig, true, np.full_like(picture, 128)), true) == 0


def test_a_head_beside_the_picture_stays_as_it_is(avatar: Avatar, rig: LandmarkRig, picture: np.ndarray) -> None:
    beside = photo_pose(avatar)
    beside = replace(beside, translation=beside.translation + np.float32([5, 0, 0]))
    assert aligned(AvatarRenderer(avatar), rig, beside, picture) is beside
