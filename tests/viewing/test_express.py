"""Pose and expression are corrected by what the frame looks like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from meshlam_core.avatar.record import Avatar, Glasses
from meshlam_core.frames import project
from meshlam_core.tracker.retarget import AvatarPose, Retargeter
from meshlam_core.tracker.rig import LandmarkRig
from meshlam_core.tracker.track import Track, TrackFrame
from meshlam_core.viewing.align import aligned
from meshlam_core.viewing.express import expressed, onto_frame
from meshlam_core.viewing.likeness import posed_in_view
from meshlam_core.viewing.viewer import AvatarRenderer, photo_camera

BAR = Glasses(  # before both eyes' brows
    np.array([[-0.05, 0.205, 0.12], [0.05, 0.205, 0.12], [0.05, 0.209, 0.12], [-0.05, 0.209, 0.12]], np.float32),
    np.array([[0, 1, 2], [0, 2, 3]], np.int32),
    np.array([0.1, 0.1, 0.1], np.float32),
    "neck",
)


def with_keys(avatar: Avatar, **keys: float) -> AvatarPose:
    photo = avatar.photo
    expression = np.zeros_like(photo.expression)
    for name, value in keys.items():
        expression[avatar.blendshape_names.index(name)] = value
    return AvatarPose(0, True, photo_camera(avatar), expression, photo.rotations, photo.translation)


def picture_of(avatar: Avatar, pose: AvatarPose) -> np.ndarray:  # [h, w, 3]
    drawn = AvatarRenderer(avatar).draw_pose(pose.expression, pose.rotations, pose.translation, pose.camera)
    alpha = drawn[..., 3:] / 255
    return np.asarray(drawn[..., :3] * alpha + 90 * (1 - alpha), np.uint8)


def off(avatar: Avatar, found: AvatarPose, true: AvatarPose) -> float:
    """How far the face is from where it belongs, rms in px of a picture of 1024."""
    renderer = AvatarRenderer(avatar)
    face = np.isin(avatar.part, [avatar.parts.index(name) for name in ("face", "lips")])
    one, other = (
        project(posed_in_view(renderer, pose).numpy()[: len(face)][face], pose.camera)[:, :2] for pose in (found, true)
    )
    return float(np.sqrt(((one - other) ** 2).sum(axis=1).mean()))


@pytest.mark.parametrize(
    "keys",
    [{"jawOpen": 0.3}, {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.2}, {"browInnerUp": 0.7}, {"mouthLeft": 0.5}],
)
def test_an_expression_that_landmarks_saw_weakly_is_what_the_frame_shows(
    avatar: Avatar, rig: LandmarkRig, keys: dict[str, float]
) -> None:
    true = with_keys(avatar, **keys)
    weak = with_keys(avatar, **{name: 0.6 * value for name, value in keys.items()})
    found = expressed(AvatarRenderer(avatar), rig, weak, picture_of(avatar, true))
    assert off(avatar, found, true) < 0.5 * off(avatar, weak, true)


def test_another_light_moves_nothing(avatar: Avatar, rig: LandmarkRig) -> None:
    true = with_keys(avatar, jawOpen=0.2)
    picture = picture_of(avatar, true)
    from_the_left = np.linspace(0.6, 1.1, picture.shape[1])[None, :, None]
    found = expressed(AvatarRenderer(avatar), rig, true, np.clip(picture * from_the_left, 0, 255).astype(np.uint8))
    assert off(avatar, found, true) < 0.8


def test_keys_stay_within_their_ranges_and_the_gaze_stays(avatar: Avatar, rig: LandmarkRig) -> None:
    start = with_keys(avatar, jawOpen=0.05, eyeLookInLeft=0.3)
    found = expressed(AvatarRenderer(avatar), rig, start, picture_of(avatar, with_keys(avatar, browInnerUp=1.0)))
    order = [rig.names.index(name) for name in avatar.blendshape_names]
    assert (found.expression >= rig.ranges[order, 0]).all()
    assert (found.expression <= rig.ranges[order, 1]).all()
    gaze = [n for n, name in enumerate(avatar.blendshape_names) if name.startswith("eyeLook")]
    np.testing.assert_array_equal(found.expression[gaze], start.expression[gaze])


def test_an_avatar_with_glasses_of_its_own_is_laid_on_too(avatar: Avatar, rig: LandmarkRig) -> None:
    wearing = replace(avatar, glasses=BAR)
    true, weak = with_keys(wearing, jawOpen=0.3), with_keys(wearing, jawOpen=0.2)
    picture, renderer = picture_of(wearing, true), AvatarRenderer(wearing)
    assert off(wearing, expressed(renderer, rig, weak, picture), true) < 0.5 * off(wearing, weak, true)
    assert off(wearing, aligned(renderer, rig, true, picture), true) < 1


def test_where_nobody_is_seen_pose_and_expression_are_the_landmarks(avatar: Avatar, rig: LandmarkRig) -> None:
    pose = with_keys(avatar, jawOpen=0.3)
    rotation, expression = pose.rotations[0], pose.expression[[avatar.blendshape_names.index(n) for n in rig.names]]
    frame = TrackFrame(0.0, True, expression, rotation, pose.translation, 0.0)
    camera = pose.camera
    landmarks, eyes = rig.neutral.T.astype(np.float32), rig.eyes.astype(np.float32)
    track = Track(
        camera.size, camera.focal, camera.centre, rig.names, np.zeros(0, np.float32), landmarks, eyes, (frame,)
    )
    laid = Retargeter.of(track, rig, len(avatar.joints), same_person=True)
    renderer, nobody = AvatarRenderer(avatar), np.full((camera.size[1], camera.size[0], 3), 128, np.uint8)
    found = onto_frame(laid, renderer, frame, pose, nobody)
    assert off(avatar, found, laid.settled(frame, pose)) == 0
