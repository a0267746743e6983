"""Pictures of a mesh: where it is, what colour it has, how it is lit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from meshlam_core.raster.render import MeshRenderer
from tests.raster.meshes import camera, sphere_before_camera

POINTS, MESH = sphere_before_camera(rings=20)
VIEW = camera(48)
ORANGE = np.broadcast_to(np.array([230, 128, 51], np.uint8), (32, 32, 3))


def renderer(texture: np.ndarray = ORANGE, light: float = 1.0) -> MeshRenderer:
    return MeshRenderer(MESH.faces, MESH.uvs, MESH.faces, texture, torch.full((POINTS.shape[1],), light))


def test_a_textured_picture_shows_the_texture_and_is_transparent_around_it() -> None:
    picture = renderer().draw(POINTS[0], VIEW)
    assert picture.shape == (48, 48, 4)
    assert picture[24, 24, 3] == 255
    assert (picture[0, 0] == 0).all()
    shown = picture[picture[..., 3] > 0]
    assert np.abs(shown[:, :3].astype(int) - ORANGE[0, 0]).max() <= 1  # at the soft edge too


def test_the_disc_has_the_size_that_the_camera_says() -> None:
    # a sphere seen from a distance d covers a disc of radius f * r / sqrt(d^2 - r^2)
    radius = VIEW.focal * 0.1 / (0.6**2 - 0.1**2) ** 0.5
    covered = renderer().draw(POINTS[0], VIEW)[..., 3].sum() / 255
    assert abs(covered / (np.pi * radius**2) - 1) < 0.03


def test_where_less_light_falls_the_texture_is_darker() -> None:
    picture = renderer(light=0.5).draw(POINTS[0], VIEW)
    assert np.abs(picture[24, 24, :3].astype(float) - ORANGE[0, 0] / 2).max() <= 1


def test_clay_is_lit_from_above_left() -> None:
    picture = renderer().draw(POINTS[0], VIEW, "clay")[..., :3].mean(axis=2)
    above, below = picture[16, 20], picture[32, 28]
    assert above > below + 25
    assert below > 12


def test_normals_point_at_the_camera_in_the_middle_and_outwards_at_the_sides() -> None:
    coded = renderer().draw(POINTS[0], VIEW, "normals")[..., :3] / 127.5 - 1
    np.testing.assert_allclose(coded[24, 24], [0, 0, 1], atol=0.1)
    assert coded[24, 30, 0] > 0.2
    assert coded[18, 24, 1] > 0.2


def test_a_fine_texture_drawn_small_shows_its_mean_not_noise() -> None:
    checkers = np.indices((512, 512)).sum(axis=0) % 2 * 255
    picture = renderer(np.repeat(checkers[..., None], 3, axis=2).astype(np.uint8)).draw(POINTS[0], VIEW)
    inner = picture[20:28, 20:28, 0].astype(float)
    assert np.abs(inner - 127.5).max() < 4


@pytest.mark.parametrize("style", ["texture", "clay"])
def test_a_head_outside_the_picture_gives_an_empty_one(style: str) -> None:
    assert (renderer().draw(POINTS[0] + torch.tensor([5.0, 0, 0]), VIEW, style) == 0).all()
