from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from meshlam_core.frames import axis_angle_from_rotation, project, rotation_from_axis_angle
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.points import CHIN, FOREHEAD, MIRROR
from training.synthetic.camera import Shot, take
from training.synthetic.detector_errors import DetectorErrors, errors_of, gaussian, looked_at, mirrored
from training.synthetic.tracked import laid_on_face, simulate_tracker

HEAD = load_head()
SIZE = 256


def shot(seed: int, **kind: bool) -> Shot:
    return take(HEAD, HEAD.template, SIZE, np.random.default_rng(seed), **kind)


def posed(found: Shot, head: HeadModel = HEAD) -> np.ndarray:
    """[V, 3] m, the template before the camera."""
    shaped = head.template + np.tensordot(found.expression, head.blendshapes, axes=1)
    return (shaped @ rotation_from_axis_angle(found.rotation).T + found.translation).astype(np.float32)


def posed_landmarks(found: Shot) -> np.ndarray:
    return HEAD.landmarks(posed(found)).astype(np.float64)


def landmarks_of(found: Shot) -> np.ndarray:
    return project(posed_landmarks(found), found.camera)


@pytest.mark.parametrize("seed", range(12))
def test_a_photograph_shows_the_face_where_the_pipeline_would_cut_it(seed: int) -> None:
    found = shot(seed)
    points = landmarks_of(found)
    assert bool((points[:, 2] > 0.1).all())
    inside = (points[:, :2] > 0).all(axis=1) & (points[:, :2] < np.array(found.filled)).all(axis=1)
    assert inside.mean() > 0.85
    assert max(found.filled) == SIZE
    assert found.face == pytest.approx(np.linalg.norm(points[FOREHEAD, :2] - points[CHIN, :2]), rel=1e-3)


def test_photographs_reach_from_tele_to_wide_and_heads_turn_to_both_sides() -> None:
    many = [shot(seed, whole=True) for seed in range(80)]
    fov = [np.degrees(2 * np.arctan(one.filled[1] / 2 / one.camera.focal)) for one in many]
    assert min(fov) < 16
    assert max(fov) > 60
    yaw = [np.degrees(one.rotation[1]) for one in many]
    assert min(yaw) < -35
    assert max(yaw) > 35


def test_a_face_off_the_axis_is_turned_as_it_is_seen() -> None:
    point = np.array([0.4, -0.2, -1.0])
    at_the_camera = rotation_from_axis_angle(np.array([0.0, -np.arctan2(0.4, 1.0), 0.0]))  # looks back along the ray
    turn = looked_at(at_the_camera, np.array([0.4, 0.0, -1.0]))
    np.testing.assert_allclose(turn @ [0, 0, 1], [0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(looked_at(np.eye(3), np.array([0, 0, -2.0])), np.eye(3), atol=1e-12)
    ray = looked_at(np.eye(3), point) @ point
    np.testing.assert_allclose(ray / np.linalg.norm(ray), [0, 0, -1], atol=1e-9)


def test_a_head_that_is_larger_turned_and_elsewhere_is_laid_back_onto_the_tracker_s() -> None:
    found = shot(3)
    tracked = simulate_tracker(HEAD, posed(found), found, DetectorErrors.load(), np.random.default_rng(0))
    tracked = replace(tracked, vertices=HEAD.template)
    grown = (HEAD.template + np.array([0, 0, -0.02], np.float32) * (HEAD.template[:, 2:] < 0)).astype(np.float32)
    turn = rotation_from_axis_angle(np.array([0.2, -0.1, 0.3]))
    elsewhere, bald = ((1.2 * one @ turn.T + 0.1).astype(np.float32) for one in (grown, HEAD.template))
    np.testing.assert_allclose(laid_on_face(elsewhere, bald, tracked, HEAD), grown, atol=1e-5)


def test_a_mirrored_face_is_seen_mirrored_wrong() -> None:
    found, rng = shot(5), np.random.default_rng(0)
    seen = DetectorErrors.load().detect(HEAD, posed_landmarks(found), found, rng)
    once = errors_of(HEAD, posed_landmarks(found), found, seen)
    assert np.abs(once[0]).max() > 0.001
    for one, again in zip(once, mirrored(*mirrored(*once)), strict=True):
        np.testing.assert_allclose(again, one, atol=1e-12)
    other = mirrored(*once)
    assert other[3] == -once[3]
    assert other[0][2 * MIRROR[CHIN]] == -once[0][2 * CHIN]


def test_the_gaussian_gives_back_what_goes_together_and_how_faces_are_turned() -> None:
    rng, many = np.random.default_rng(2), 4000
    yaw = rng.uniform(-0.9, 0.9, many)
    turned = np.stack([np.ones(many), np.sin(yaw), np.sin(yaw) ** 2, 0 * yaw, 0 * yaw], axis=1)
    both, true = rng.standard_normal(many), rng.random((many, 1))
    errors = np.stack([0.3 * both + 0.1, 0.2 * both + 0.5 * np.sin(yaw), -0.4 * true[:, 0]], axis=1)
    fitted = gaussian(errors, true, turned, np.zeros(many))
    np.testing.assert_allclose(fitted["mean"][:3, :2], [[0.1, 0], [0, 0.5], [0, 0]], atol=0.05)
    np.testing.assert_allclose(fitted["gain"], [0.6], atol=0.05)
    size = fitted["sizes"].astype(np.float64).mean()
    together = size**2 * fitted["components"].astype(np.float64).T @ fitted["components"]
    np.testing.assert_allclose(together[:2, :2], [[0.09, 0.06], [0.06, 0.04]], rtol=0.4)


@pytest.mark.parametrize("turned", [False, True])
def test_the_simulated_fit_finds_the_face_about_as_far_off_as_the_real_one(turned: bool) -> None:
    errors, off, beside = DetectorErrors.load(), [], []
    for seed in range(12):
        found = shot(seed, portrait=not turned)
        tracked = simulate_tracker(HEAD, posed(found), found, errors, np.random.default_rng(seed))
        true = looked_at(rotation_from_axis_angle(found.rotation), posed_landmarks(found).mean(axis=0))
        turn = rotation_from_axis_angle(tracked.rotations[0]) @ true.T
        off.append(np.degrees(np.linalg.norm(axis_angle_from_rotation(turn))))
        pixels = landmarks_of(found)[:, :2]
        beside.append(np.median(np.linalg.norm(tracked.detection.landmarks[:, :2] - pixels, axis=1)) / found.face)
    assert 1 < np.median(off) < 8
    assert 0.005 < np.median(beside) < 0.04


def test_another_head_model_is_tracked_as_well(flame_head: HeadModel) -> None:
    found = take(flame_head, flame_head.template, SIZE, np.random.default_rng(1), portrait=True)
    errors, rng = DetectorErrors.load(), np.random.default_rng(1)
    tracked = simulate_tracker(flame_head, posed(found, flame_head), found, errors, rng)
    assert tracked.vertices.shape == flame_head.template.shape
    assert tracked.landmark_error < 0.03
