from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.synthetic.light import Light, Openness, load_light, turned

NORMALS = np.array([[0, 1, 0], [0, -1, 0], [0, 0, 1], [1, 0, 0]], np.float32)
OPEN = np.ones(4, np.float32)


def stored(tmp_path: Path, radiance: np.ndarray) -> Light:
    path = tmp_path / "map.npy"
    np.save(path, radiance.astype(np.float16))
    return load_light(path)


def test_even_light_shows_every_surface_as_it_is(tmp_path: Path) -> None:
    light = stored(tmp_path, np.full((32, 64, 3), 0.7))
    np.testing.assert_allclose(light.irradiance(NORMALS, OPEN, OPEN), 1.0, atol=0.02)


def test_a_bright_sky_lights_what_looks_up(tmp_path: Path) -> None:
    radiance = np.full((32, 64, 3), 0.1)
    radiance[:16] = 1.0
    up, down, *_ = stored(tmp_path, radiance).irradiance(NORMALS, OPEN, OPEN)
    assert up.mean() > 3 * down.mean()


def test_a_small_bright_spot_becomes_the_sun_and_casts_shadows(tmp_path: Path) -> None:
    radiance = np.full((64, 128, 3), 0.2)
    radiance[30:34, 30:34] = 500.0  # 85 degrees from straight ahead, towards +X
    light = stored(tmp_path, radiance)
    assert light.direction == pytest.approx([1, 0, 0], abs=0.15)
    lit = light.irradiance(NORMALS, OPEN, OPEN)
    dark = light.irradiance(NORMALS, OPEN, np.zeros(4, np.float32))
    assert lit[3].mean() > 3 * dark[3].mean()
    away = np.array([[-1, 0, 0]], np.float32)
    turned_away = [light.irradiance(away, OPEN[:1], shade) for shade in (OPEN[:1], 0 * OPEN[:1])]
    np.testing.assert_array_equal(*turned_away)


def test_turning_the_light_is_turning_the_surfaces_the_other_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    light = stored(tmp_path, rng.random((16, 32, 1)) ** 4 * np.ones(3))
    around = turned(light, np.pi / 2)  # +Z goes to +X
    before = light.irradiance(np.array([[0, 0, 1]], np.float32), OPEN[:1], 0 * OPEN[:1])
    after = around.irradiance(np.array([[1, 0, 0]], np.float32), OPEN[:1], 0 * OPEN[:1])
    np.testing.assert_allclose(before, after, rtol=1e-4)


def test_a_vertex_is_in_the_shade_when_the_directions_around_the_light_are_taken() -> None:
    directions = np.eye(3)
    free = np.array([[1, 0, 1]], np.float32)
    openness = Openness(directions, free, np.ones(1, np.float32))
    assert openness.towards(directions[0])[0] > 0.99
    assert openness.towards(directions[1])[0] < 0.01
