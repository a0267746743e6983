from __future__ import annotations

import numpy as np
import pytest

from meshlam_core.frames import Camera, project, rotation_from_axis_angle
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.points import CHIN, FOREHEAD
from training.synthetic.camera import Shot, take
from training.synthetic.tracked import Tracked, TrackerErrors, laid_on_face, load_errors, placed
from training.synthetic.tracker_errors import gaussian

HEAD = load_head()
SIZE = 256


def shot(seed: int, **kind: bool) -> Shot:
    return take(HEAD, HEAD.template, SIZE, np.random.default_rng(seed), **kind)


def landmarks_of(found: Shot) -> np.ndarray:
    shaped = HEAD.template + np.tensordot(found.expression, HEAD.blendshapes, axes=1)
    view = HEAD.landmarks(shaped.astype(np.float32)) @ rotation_from_axis_angle(found.rotation).T + found.translation
    return project(view, found.camera)


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


def test_the_pose_that_lays_points_onto_pixels_is_found_again() -> None:
    points = HEAD.landmarks(HEAD.template).astype(np.float64)
    turn, move = rotation_from_axis_angle(np.array([0.1, 0.5, -0.05])), np.array([0.03, -0.1, -0.7])
    camera = Camera(500.0, (120.0, 130.0), (SIZE, SIZE))
    pixels = project(points @ turn.T + move, camera)[:, :2]
    begin = rotation_from_axis_angle(np.array([0.0, 0.3, 0.0]))
    found_turn, found_move = placed(points, pixels, begin, camera, HEAD.landmark_weight)
    np.testing.assert_allclose(found_turn, turn, atol=1e-4)
    np.testing.assert_allclose(found_move, move, atol=1e-4)


def test_a_head_that_is_larger_turned_and_elsewhere_is_laid_back_onto_the_tracker_s() -> None:
    found = shot(3)
    same = (HEAD.template, HEAD.template, np.zeros((0, 2), np.float32))
    tracked = Tracked(found.camera, found.rotation, found.translation, found.expression, *same)
    grown = (HEAD.template + np.array([0, 0, -0.02], np.float32) * (HEAD.template[:, 2:] < 0)).astype(np.float32)
    turn = rotation_from_axis_angle(np.array([0.2, -0.1, 0.3]))
    elsewhere, bald = ((1.2 * one @ turn.T + 0.1).astype(np.float32) for one in (grown, HEAD.template))
    np.testing.assert_allclose(laid_on_face(elsewhere, bald, tracked, HEAD), grown, atol=1e-5)


def test_the_stored_errors_are_those_of_this_head() -> None:
    errors = load_errors(HEAD)
    assert len(errors.mean) == 1 + len(HEAD.blendshapes) + len(HEAD.identity_basis)
    drawn = errors.draw(0.0, np.random.default_rng(0))
    assert bool(np.isfinite(drawn).all())


def test_the_gaussian_gives_back_mean_spread_and_what_goes_together() -> None:
    rng = np.random.default_rng(2)
    both = rng.standard_normal((4000, 1))
    errors = np.concatenate([0.3 * both + 0.1, 0.2 * both, 0.05 * rng.standard_normal((4000, 1))], axis=1)
    lens = rng.normal(0, 0.4, 4000)
    fitted = gaussian(errors - np.stack([0.7 * lens, 0 * lens, 0 * lens], axis=1), np.zeros(4000), lens)
    np.testing.assert_allclose(fitted["focal_line"], [0.1, 0.3], atol=0.03)
    found = TrackerErrors(
        fitted["mean"],
        fitted["components"].astype(np.float32),
        fitted["spread"],
        float(fitted["sideways"]),
        (0.0, 1.0),
    )
    drawn = np.stack([found.draw(0.0, rng) for _ in range(4000)])
    np.testing.assert_allclose(drawn.mean(axis=0), [0, 0, 0], atol=0.03)
    np.testing.assert_allclose(drawn.std(axis=0), [0.3, 0.2, 0.05], rtol=0.1)
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] > 0.9


def test_on_another_model_the_tracker_is_wrong_about_faces_by_as_much(flame_head: HeadModel) -> None:
    ours, theirs = load_errors(HEAD), load_errors(flame_head)
    moved = []
    for errors, head, size in ((ours, HEAD, 1.0), (theirs, flame_head, 1.05)):
        rng, count = np.random.default_rng(0), len(head.blendshapes)
        drawn = np.stack([errors.draw(0.0, rng) for _ in range(300)])
        shifts = np.tensordot(drawn[:, 1 + count :], head.landmarks(head.identity_basis), axes=1) / size  # [300, L, 3]
        shifts -= shifts.mean(axis=1, keepdims=True)
        moved.append((np.linalg.norm(shifts.mean(axis=0), axis=1), np.linalg.norm(shifts.std(axis=0), axis=1)))
        np.testing.assert_allclose(drawn[:, 1 : 1 + count].std(axis=0).mean(), 0.1, atol=0.08)
    for one, other in zip(*moved, strict=True):
        assert np.median(np.abs(one - other)) < 0.1 * one.mean()
