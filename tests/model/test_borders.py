from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from meshlam_core.frames import Camera
from meshlam_core.model.borders import BORDERS, REACH, border_fields, look_at_borders, signed_distance
from meshlam_core.model.network import MeshLAM
from tests.model.tiny import TINY_RIG, awake, tiny_photo, tiny_preset

SIDE = 64


def disc(radius: float, centre: tuple[float, float] = (32.0, 32.0)) -> torch.Tensor:  # [R, R]
    at = torch.arange(SIDE) + 0.5
    return ((at[:, None] - centre[1]).square() + (at - centre[0]).square() < radius**2).float()


def fields_of(hair: torch.Tensor, person: torch.Tensor) -> torch.Tensor:
    return border_fields(torch.stack([hair, person, torch.ones(SIDE, SIDE)])[None])


def test_the_distance_is_that_of_scipy_s_transform() -> None:
    random = np.random.default_rng(0)
    mask = random.random((3, 24, 24)) < 0.2
    for one in mask:
        wanted = np.where(one, distance_transform_edt(one) - 0.5, 0.5 - distance_transform_edt(~one))
        np.testing.assert_allclose(signed_distance(one.astype(np.float32)), wanted, atol=1e-5)


def test_a_mask_without_a_border_is_far_from_everything() -> None:
    assert (signed_distance(np.zeros((8, 8), np.float32)) == -8).all()
    assert (signed_distance(np.ones((8, 8), np.float32)) == 8).all()


def test_a_vertex_outside_the_hair_is_shown_the_way_to_it_in_metres() -> None:
    camera = Camera(100.0, (32.0, 32.0), (64, 64))
    # half a metre away a pixel is 5 mm; the point projects 10 px to the right of a disc of 12 px
    posed = torch.tensor([[[0.110, 0.0, -0.5]]])
    seen = look_at_borders(posed, (camera,), torch.zeros(1, 1, 3), fields_of(disc(12), torch.ones(SIDE, SIDE)))
    assert seen.shape == (1, 1, BORDERS)
    torch.testing.assert_close(seen[0, 0, 0] * REACH, torch.tensor(-0.05), rtol=0, atol=0.003)
    torch.testing.assert_close(seen[0, 0, 2:5] * REACH, torch.tensor([-0.05, 0.0, 0.0]), rtol=0, atol=0.003)


def test_ways_are_those_of_the_head_however_it_is_turned() -> None:
    camera = Camera(100.0, (32.0, 32.0), (64, 64))
    posed = torch.tensor([[[0.110, 0.0, -0.5]]])
    quarter = torch.tensor([[[0.0, torch.pi / 2, 0.0]]])  # the head's +Z looks along the view's +X
    seen = look_at_borders(posed, (camera,), quarter, fields_of(disc(12), disc(30)))
    torch.testing.assert_close(seen[0, 0, 2:5] * REACH, torch.tensor([0.0, 0.0, -0.05]), rtol=0, atol=0.003)


def test_where_the_photo_ends_nothing_is_known() -> None:
    camera = Camera(100.0, (32.0, 32.0), (64, 64))
    posed = torch.tensor([[[0.5, 0.0, -0.5]]])
    seen = look_at_borders(posed, (camera,), torch.zeros(1, 1, 3), fields_of(disc(12), disc(30)))
    assert not seen[..., 8:11].any()


def test_the_network_moves_vertices_by_what_the_masks_show() -> None:
    network = awake(MeshLAM(tiny_preset()).eval())
    photo = tiny_photo()
    assert photo.borders is not None
    wider = border_fields(torch.stack([disc(25), disc(30), torch.ones(SIDE, SIDE)])[None])
    moved = network(replace(photo, borders=wider), TINY_RIG)[-1].state.vertices
    assert (moved - network(photo, TINY_RIG)[-1].state.vertices).abs().max() > 1e-5


def test_without_borders_the_network_is_the_paper_s() -> None:
    network = awake(MeshLAM(tiny_preset(borders="none")).eval())
    photo = tiny_photo()
    with_masks = network(photo, TINY_RIG)[-1].state.vertices
    assert torch.equal(with_masks, network(replace(photo, borders=None), TINY_RIG)[-1].state.vertices)
