from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.points import CLASSIC_68
from meshlam_core.tracker.problem import Face, project_face
from meshlam_core.tracker.retarget import _locate, avatar_rig, retarget, tracking_rig
from meshlam_core.tracker.rig import landmark_rig
from meshlam_core.tracker.track import Track, TrackFrame


def avatar_of(head, vertices):
    names = ("faces", "uvs", "uv_faces", "blendshapes", "blendshape_names", "blendshape_ranges")
    return SimpleNamespace(vertices=vertices, **{name: getattr(head, name) for name in names})


@pytest.fixture
def track(head, fitter):
    rig = landmark_rig(head)
    frames = []
    for index in range(4):
        expression = np.zeros(52, np.float32)
        expression[rig.names.index("jawOpen")] = 0.1 * index
        rotation = np.array([0.05, 0.15 * index, 0], np.float32)
        frames.append(TrackFrame(index / 25, True, expression, rotation, np.array([0, -0.1, -1.2], np.float32), 0.01))
    identity = np.zeros(120, np.float32)
    return Track((800, 800), 1500.0, (400.0, 400.0), rig.names, identity, rig.neutral.T, rig.eyes, tuple(frames))


def projected(rig, pose):
    face = Face(
        np.empty(0),
        pose.expression.astype(float),
        np.asarray(rotation_from_axis_angle(pose.rotations[0])),
        pose.translation.astype(float),
        np.log(pose.camera.focal),
    )
    return project_face(rig, face, np.array(pose.camera.centre)).pixels


def test_an_avatar_with_the_clips_own_neutral_face_follows_it_exactly(head, track):
    rig = avatar_rig(avatar_of(head, head.template), head)
    for pose, frame in zip(retarget(track, rig, 5), track.frames, strict=True):
        np.testing.assert_allclose(pose.rotations[0], frame.rotation, atol=2e-3)
        np.testing.assert_allclose(pose.translation, frame.translation, atol=3e-3)
        np.testing.assert_allclose(pose.expression, frame.expression, atol=1e-3)
        assert (pose.rotations[1:] == 0).all()
        assert (pose.camera.focal, pose.camera.size) == (1500.0, (800, 800))


@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_a_larger_or_smaller_head_covers_the_same_pixels(head, track, scale):
    own = avatar_rig(avatar_of(head, head.template), head)
    other = avatar_rig(avatar_of(head, head.template * np.float32(scale)), head)
    for mine, theirs in zip(retarget(track, own, 5), retarget(track, other, 5), strict=True):
        a, b = projected(own, mine), projected(other, theirs)
        height = np.linalg.norm(a[:, 10] - a[:, 152])
        kept = CLASSIC_68[17:]
        assert np.linalg.norm(a[:, kept] - b[:, kept], axis=0).mean() < 0.03 * height


def test_another_persons_avatar_keeps_the_tracks_expression(head, track):
    vertices = head.shaped(np.r_[1.5, -1.5, 1.0, np.zeros(len(head.identity_basis) - 3)].astype(np.float32))
    rig = avatar_rig(avatar_of(head, vertices), head)
    for pose, frame in zip(retarget(track, rig, 5), track.frames, strict=True):
        np.testing.assert_allclose(pose.expression, frame.expression, atol=2e-3)


def test_an_avatar_of_the_clips_person_lies_where_the_clip_was_seen_whatever_its_own_keys_do(head, track):
    """An avatar that starts from its photo's rest has weaker keys; the clip's landmarks did not move less."""
    weaker = avatar_of(head, head.template)
    weaker.blendshapes = head.blendshapes * np.float32(0.5)
    seen = replace(tracking_rig(head), modes=0, basis=tracking_rig(head).basis[:, -len(head.blendshapes) :])
    rig = avatar_rig(weaker, head)
    gaps = []
    for fitted in (tracking_rig(head), None):
        poses = list(retarget(track, rig, 5, fitted, same_person=True))
        frame, pose = track.frames[3], poses[3]
        there = {"rotations": frame.rotation[None], "translation": frame.translation}
        posed = replace(pose, expression=frame.expression, **there)
        gaps.append(np.linalg.norm(projected(rig, pose) - projected(seen, posed), axis=0)[CLASSIC_68[48:]].mean())
    assert gaps[0] < 0.5 * gaps[1]


def test_the_same_persons_expression_may_give_a_little(head, track):
    vertices = head.template + 0.3 * head.blendshapes[head.blendshape_names.index("jawOpen")]
    rig = avatar_rig(avatar_of(head, vertices), head)
    jaw = head.blendshape_names.index("jawOpen")
    strict = [pose.expression[jaw] for pose in retarget(track, rig, 5)]
    loose = [pose.expression[jaw] for pose in retarget(track, rig, 5, same_person=True)]
    assert loose[-1] < strict[-1] - 0.02


def test_a_longer_lens_stands_further_away_and_sees_the_face_in_the_same_place(head, track):
    rig = avatar_rig(avatar_of(head, head.template), head)
    for near, far in zip(retarget(track, rig, 5), retarget(track, rig, 5, focal=2400.0), strict=True):
        assert (near.camera.focal, far.camera.focal) == (1500.0, 2400.0)
        # the face, which lies before the root joint, is as large in both pictures
        away = [-pose.translation[2] - rig.neutral[2].mean() for pose in (near, far)]
        assert away[1] == pytest.approx(away[0] * 2400 / 1500, rel=0.02)
        a, b = projected(rig, near), projected(rig, far)
        assert np.linalg.norm(a - b, axis=0).mean() < 0.02 * np.linalg.norm(a[:, 10] - a[:, 152])


def test_coefficients_are_transferred_by_name(head, track):
    shuffled = avatar_of(head, head.template)
    order = np.random.default_rng(0).permutation(52)
    shuffled.blendshapes = head.blendshapes[order]
    shuffled.blendshape_names = tuple(head.blendshape_names[i] for i in order)
    shuffled.blendshape_ranges = head.blendshape_ranges[order]
    pose = list(retarget(track, avatar_rig(shuffled, head), 5))[3]
    np.testing.assert_allclose(pose.rotations[0], track.frames[3].rotation, atol=2e-3)
    np.testing.assert_allclose(pose.expression[shuffled.blendshape_names.index("jawOpen")], 0.3, atol=2e-3)


def test_the_landmarks_of_a_mesh_with_other_vertices_are_found_by_their_texture_coordinates(head):
    order = np.random.default_rng(1).permutation(len(head.template))
    back = np.argsort(order)
    mixed = avatar_of(head, head.template[order])
    mixed.faces = back[head.faces][::-1].astype(np.int32)
    mixed.uv_faces = head.uv_faces[::-1]
    mixed.blendshapes = head.blendshapes[:, order]
    plain, found = landmark_rig(head), avatar_rig(mixed, head)
    np.testing.assert_allclose(found.neutral, plain.neutral, atol=2e-4)
    np.testing.assert_allclose(found.basis, plain.basis[:, plain.modes :], atol=1e-3)


def test_a_point_outside_all_triangles_takes_the_nearest():
    triangles = np.array([[[0, 0], [1, 0], [0, 1.0]], [[5, 5], [6, 5], [5, 6.0]]])
    found, bary = _locate(np.array([[0.25, 0.25], [5.2, 6.5]]), triangles)
    assert found.tolist() == [0, 1]
    np.testing.assert_allclose(bary[0], [0.5, 0.25, 0.25])
    np.testing.assert_allclose(bary.sum(axis=1), 1)


def other_person(head, seed: int, size: float):
    """A head of another build and size, whose keys move it as far for its size as the model's do."""
    build = np.random.default_rng(seed).normal(0, 0.8, len(head.identity_basis)).astype(np.float32)
    avatar = avatar_of(head, head.shaped(build) * np.float32(size))
    tall = [avatar_rig(each, head).face_height for each in (avatar, avatar_of(head, head.template))]
    avatar.blendshapes = head.blendshapes * np.float32(tall[0] / tall[1])
    return avatar


def relative_movement(rig, poses):
    """[F, 2, 68] the way of each point from the first frame on, over chin to root of the nose there."""
    seen = np.stack([projected(rig, pose)[:, CLASSIC_68] for pose in poses])
    return (seen - seen[0])[1:] / np.linalg.norm(seen[0, :, 8] - seen[0, :, 27])


@pytest.mark.parametrize(("seed", "size"), [(0, 1.0), (1, 0.85), (2, 1.2)])
def test_movements_land_on_another_persons_head_as_large_for_its_size_as_they_were_seen(head, track, seed, size):
    own = avatar_rig(avatar_of(head, head.template), head)
    other = avatar_rig(other_person(head, seed, size), head)
    apart = (other.neutral / other.face_height - own.neutral / own.face_height)[:, CLASSIC_68]
    assert np.linalg.norm(apart - apart.mean(1, keepdims=True), axis=0).mean() > 0.02  # another person indeed
    frames = [track.frames[0]]
    for names in (("jawOpen",), ("mouthSmileLeft", "mouthSmileRight"), ("browInnerUp", "eyeWideLeft"), ("mouthLeft",)):
        expression = np.zeros(52, np.float32)
        expression[[track.names.index(name) for name in names]] = 0.8
        frames.append(replace(track.frames[0], expression=expression))
    clip = replace(track, frames=tuple(frames))
    poses = list(retarget(clip, other, 5))
    seen = [
        replace(pose, expression=frame.expression, rotations=frame.rotation[None], translation=frame.translation)
        for pose, frame in zip(poses, frames, strict=True)
    ]
    for wanted, found in zip(relative_movement(own, seen), relative_movement(other, poses), strict=True):
        far, off = np.linalg.norm(wanted, axis=0), np.linalg.norm(found - wanted, axis=0)
        assert off.mean() < 0.2 * far.mean()


def test_another_persons_head_stands_still_while_only_the_face_moves(head, track):
    other = avatar_rig(other_person(head, 2, 1.2), head)
    still = [replace(frame, rotation=track.frames[0].rotation) for frame in track.frames]
    poses = list(retarget(replace(track, frames=tuple(still)), other, 5))
    assert poses[-1].expression[track.names.index("jawOpen")] > 0.25
    for pose in poses:
        np.testing.assert_allclose(pose.rotations[0], poses[0].rotations[0], atol=1e-3)
        np.testing.assert_allclose(pose.translation, poses[0].translation, atol=1e-3)
