"""The photo's light as a sun and a world that are nowhere negative."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.light_fit import build_light, harmonics


def irradiance(radiance, count: int = 20_000) -> np.ndarray:
    """[9, 3] the harmonics of how bright white surfaces are under this light, by adding it up over all directions."""
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    normals = rng.normal(size=(400, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    bright = np.maximum(normals @ directions.T, 0) @ radiance(directions) * 4 * np.pi / count / np.pi
    return np.linalg.lstsq(harmonics(normals), bright, rcond=None)[0]


def test_an_even_light_becomes_a_world_without_a_sun():
    built = build_light(irradiance(lambda towards: np.tile([0.5, 1.0, 2.0], (len(towards), 1))))
    np.testing.assert_allclose(built.middle, [0.5, 1.0, 2.0], rtol=0.03)
    assert np.abs(built.sun).max() < 0.1
    assert built.error < 0.02


def test_a_light_from_one_side_becomes_a_sun_on_that_side_in_its_colour():
    side = np.array([0.6, 0.64, 0.48])
    cone = lambda towards: (towards @ side > 0.97)[:, None] * np.array([30.0, 20.0, 10.0]) + 0.3
    built = build_light(irradiance(cone))
    assert built.towards_sun @ side > 0.995
    np.testing.assert_allclose(built.sun / built.sun[0], [1, 2 / 3, 1 / 3], atol=0.05)
    assert built.error < 0.1


def test_the_world_is_nowhere_darker_than_black():
    rng = np.random.default_rng(5)
    for _ in range(20):
        light = rng.normal(size=(9, 3)) * 0.4
        light[0] = 2.5 + rng.random(3)
        built = build_light(light)
        assert (built.middle >= np.linalg.norm(built.slope, axis=0) - 1e-9).all()
        assert (built.sun >= 0).all()


def test_what_it_shows_of_a_white_ball_is_what_the_file_says():
    light = np.array([[2.6, 3.1, 2.8], [0.4, 0.6, 0.6], [0.6, 0.7, 0.7], [-0.4, -0.5, -0.6], *np.zeros((5, 3))])
    normals = np.eye(3)
    built = build_light(light)
    assert built.error < 0.02
    np.testing.assert_allclose(built.brightness(normals), harmonics(normals) @ light, atol=0.05)
    assert built.brightness(normals)[0, 0] == pytest.approx(2.6 * 0.282095 - 0.4 * 0.488603, abs=0.05)
