from __future__ import annotations

from dataclasses import replace

import torch

from meshlam_core.head.skinning import rotation_matrices
from meshlam_core.model.deform import DEFORM, ways_to_go
from meshlam_core.model.state import Rig
from tests.model.test_gru import make_state
from tests.model.tiny import TINY_RIG

POSED = torch.tensor([[[0.0, 0.0, -1.0], [0.3, 0.0, -1.0], [0.0, -0.2, -0.8]]])
SEEN = torch.tensor([[1.0, 1.0, 0.0]])


def three_vertices(hair: list[float]) -> Rig:
    rays = torch.tensor([[0.0, 1.0, 0.0]]).expand(3, 3)
    return replace(TINY_RIG, hair=torch.tensor(hair), hair_rays=rays)


def test_skin_that_is_seen_stays_on_its_camera_ray_and_hidden_skin_goes_anywhere() -> None:
    turn = torch.tensor([[[0.1, 0.5, -0.2]]])
    ways = ways_to_go(POSED, SEEN, turn, three_vertices([0.0] * 3))
    push = torch.tensor([0.003, -0.002, 0.001])
    went = ways @ push
    in_view = went @ rotation_matrices(turn[:, 0]).transpose(1, 2)
    torch.testing.assert_close(
        torch.linalg.cross(in_view[:, :2], POSED[:, :2]), torch.zeros(1, 2, 3), atol=1e-7, rtol=0
    )
    torch.testing.assert_close(went[0, 2], push)


def test_hair_goes_along_its_ray_and_half_hair_is_half_skin() -> None:
    ways = ways_to_go(POSED, SEEN, torch.zeros(1, 1, 3), three_vertices([1.0, 0.0, 0.5]))
    went = ways @ torch.tensor([0.002, 0.004, 0.006])
    torch.testing.assert_close(went[0, 0], torch.tensor([0.0, 0.004, 0.0]))
    torch.testing.assert_close(went[0, 2], torch.tensor([0.001, 0.004, 0.003]))


def test_the_paper_s_clip_does_not_look_at_rays() -> None:
    state = make_state()
    nowhere = replace(state, ways=torch.zeros(*state.vertices.shape, 3))
    push = torch.full_like(state.vertices, 0.001)
    assert torch.equal(DEFORM["rays"](nowhere, push, TINY_RIG), state.vertices)
    assert not torch.equal(DEFORM["part_aware"](nowhere, push, TINY_RIG), state.vertices)
    assert torch.equal(DEFORM["free"](nowhere, push, TINY_RIG), state.vertices + push)
