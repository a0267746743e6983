"""Round eyeballs: closed spheres that follow shape targets as a whole and turn about their centre."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.head.builder.crop import border_loops
from meshlam_core.head.builder.eyes import Ball, eye_mesh, fit_ball, moved_with_shape, turned_by_gaze

F64 = NDArray[np.float64]
BALL = Ball(np.array([0.3, 7.3, 1.2]), 0.155)


@pytest.fixture
def helper() -> F64:
    """Points on the sphere, as MakeHuman's helper eye has them."""
    directions = np.random.default_rng(0).normal(size=(400, 3))
    return np.asarray(BALL.centre + BALL.radius * directions / np.linalg.norm(directions, axis=1, keepdims=True))


def test_the_mesh_is_a_closed_unit_sphere_facing_outwards_and_mirror_symmetric() -> None:
    eye = eye_mesh()
    np.testing.assert_allclose(np.linalg.norm(eye.directions, axis=1), 1)
    assert border_loops(eye.faces) == []
    corners = eye.directions[eye.faces]
    assert (np.linalg.det(corners) > 0).all()
    np.testing.assert_allclose(eye.directions[eye.mirror] * [-1, 1, 1], eye.directions, atol=1e-12)
    faces = {tuple(sorted(face)) for face in eye.faces.tolist()}
    assert {tuple(sorted(face)) for face in eye.mirror[eye.faces].tolist()} == faces
    np.testing.assert_allclose(eye.directions[eye.centre_vertices].mean(axis=0), 0, atol=1e-12)


def test_the_sphere_through_the_helper_is_found(helper: F64) -> None:
    ball = fit_ball(helper)
    np.testing.assert_allclose(ball.centre, BALL.centre, atol=1e-9)
    assert ball.radius == pytest.approx(BALL.radius)


def test_a_target_that_moves_and_swells_the_helper_does_the_same_to_the_ball(helper: F64) -> None:
    shift, growth = np.array([0.01, -0.02, 0.03]), 0.1
    offsets = shift + growth * (helper - BALL.centre)
    directions = eye_mesh().directions
    expected = shift + growth * BALL.radius * directions
    np.testing.assert_allclose(moved_with_shape(helper, offsets, directions, BALL), expected, atol=1e-9)


def test_a_target_that_squeezes_the_helper_leaves_the_ball_round(helper: F64) -> None:
    offsets = (helper - BALL.centre) * [0.2, -0.1, 0.0]
    eye = eye_mesh()
    moved = BALL.radius * eye.directions + moved_with_shape(helper, offsets, eye.directions, BALL)
    radius = np.linalg.norm(moved - moved[eye.centre_vertices].mean(axis=0), axis=1)
    assert np.ptp(radius) < 1e-3 * BALL.radius


@pytest.mark.parametrize("towards", [(0.04, 0.0), (0.0, -0.03), (-0.02, 0.02)])
def test_gaze_turns_the_pupil_towards_where_the_helper_goes_and_keeps_the_sphere(
    helper: F64, towards: tuple[float, float]
) -> None:
    directions = eye_mesh().directions
    offsets = np.tile([*towards, 0.0], (len(helper), 1))
    turned = BALL.radius * directions + turned_by_gaze(helper, offsets, directions, BALL)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), BALL.radius)
    np.testing.assert_allclose(turned[0, :2], towards, atol=1e-9)  # vertex 0 is the pupil
