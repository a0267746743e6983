"""Bones for long hair: nothing moves at rest, hair below the chin moves with them, the face does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.avatar.io import read_avatar, write_avatar
from meshlam_core.avatar.record import Avatar
from meshlam_core.model.sway import with_sway_bones
from meshlam_core.viewing.viewer import AvatarRenderer, neutral_pose
from tests.model.people import person


def posed(avatar: Avatar, joint: str, degrees: float) -> NDArray[np.float32]:
    pose = neutral_pose(avatar)
    rotations = pose.rotations.copy()
    rotations[avatar.joint_names.index(joint), 2] = np.radians(degrees)
    return np.asarray(AvatarRenderer(avatar).posed(replace(pose, rotations=rotations)))


def test_long_hair_swings_with_its_bones_and_the_face_stays() -> None:
    avatar = with_sway_bones(person("long_front"))
    assert avatar.joint_names[5:] == tuple(f"hair_{side}_{n}" for side in ("left", "right", "back") for n in (1, 2))
    assert all(parent < joint for joint, parent in enumerate(avatar.joint_parents))
    moved = np.linalg.norm(posed(avatar, "hair_left_1", 20) - posed(avatar, "hair_left_1", 0), axis=1)
    low = (avatar.vertices[:, 1] < 0.02) & (np.linalg.norm(avatar.hair, axis=1) > 0.01)
    left = low & (avatar.vertices[:, 0] > 0.05) & (avatar.vertices[:, 2] > 0.0)
    assert np.median(moved[left]) > 0.01
    assert moved[low & (avatar.vertices[:, 0] < -0.03)].max() == 0
    assert moved[np.linalg.norm(avatar.hair, axis=1) == 0].max() == 0


@pytest.mark.parametrize("family", ["short", "shaved"])
def test_short_hair_gets_no_bones(family: str) -> None:
    assert with_sway_bones(person(family)) is person(family)


def test_at_rest_nothing_moves_and_the_file_is_sound(tmp_path: Path) -> None:
    avatar = with_sway_bones(person("long_back"))
    assert np.abs(avatar.weights.sum(axis=1) - 1).max() < 1e-6
    assert (avatar.weights > 0).sum(axis=1).max() <= 4
    assert np.abs(posed(avatar, "jaw", 0) - avatar.vertices).max() < 1e-6
    write_avatar(avatar, tmp_path / "a.meshlam")
    assert read_avatar(tmp_path / "a.meshlam").joint_names == avatar.joint_names
