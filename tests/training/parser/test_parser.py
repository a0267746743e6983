"""How the parsing network's training pictures are made and what it is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from meshlam_core.tracker.parsing_network import SIDE
from training.parser.batches import CUT, Masks, cut_off, far_below, moved_about, recoloured
from training.parser.learn import loss_of
from training.parser.portraits import STORED
from training.parser.rays import BODY, HAIR, Scene, gather

WHITE, RED = np.ones((2, 2, 3), np.float32), np.array([1.0, 0.0, 0.0])


def square(depth: float, half: float) -> np.ndarray:  # [4, 3]
    return np.array([[-half, -half, depth], [half, -half, depth], [half, half, depth], [-half, half, depth]])


def scene(opacity: float, hat_from: float | None = None) -> Scene:
    """A body of 2 x 2 behind two strands of hair of 1 x 1, seen from +Z; below y = -0.5 it is dressed."""
    card = np.full((2, 2, 4), opacity, np.float32)
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * i for i in range(3)])
    return Scene(
        points=np.concatenate([square(0.0, 1.0), square(0.1, 0.5), square(0.2, 0.5)]),
        faces=faces,
        corner_uvs=np.full((6, 3, 2), 0.5, np.float32),
        kind=np.array([BODY, BODY, HAIR, HAIR, HAIR, HAIR], np.int32),
        skin=WHITE,
        card=card,
        tint=RED,
        collar=-0.5,
        neckline=0.0,
        cloth=np.zeros((2, 3)),
        stripes=0.0,
        hat_from=hat_from,
        light=np.array([0.0, 0.0, 1.0]),
        ambient=1.0,
    )


def test_a_ray_gathers_the_strands_it_passes_and_the_skin_behind_them() -> None:
    colour, masks = gather(scene(0.5), np.array([0.0, 0.0, 10.0]), np.zeros(3), 2.5, 32)
    np.testing.assert_allclose(masks[16, 16], [0.75, 0.25, 0.0], atol=1e-5)
    np.testing.assert_allclose(masks[16, 8], [0.0, 1.0, 0.0], atol=1e-5)  # beside the hair
    np.testing.assert_allclose(masks[22, 8], [0.0, 0.0, 1.0], atol=1e-5)  # below the collar
    np.testing.assert_allclose(masks[0, 0], 0.0, atol=1e-5)  # beside the body
    assert colour[16, 16, 1] == pytest.approx(0.25, abs=1e-4)  # green comes from the skin alone


def test_a_hat_hides_the_hair_above_its_edge() -> None:
    _, masks = gather(scene(1.0, hat_from=0.0), np.array([0.0, 0.0, 10.0]), np.zeros(3), 2.5, 32)
    assert masks[12, 16, 0] == 0
    assert masks[19, 16, 0] == pytest.approx(1)


def one(mask: torch.Tensor, sure: float = 1.0) -> Masks:
    ones, zeros = torch.ones_like(mask), torch.zeros_like(mask)
    return Masks(known=ones, hair=mask, person=mask, skin=zeros, sure=sure * ones)


def test_the_loss_is_smallest_at_the_truth_and_does_not_ask_what_is_unsure() -> None:
    hair = (torch.arange(16.0).view(1, 1, 1, 16) > 8).float().expand(1, 1, 16, 16)
    right = torch.cat([1 - hair, hair, 0 * hair, 0 * hair], 1) * 20
    assert loss_of(right, one(hair)) < 1e-3 < loss_of(right.flip(3), one(hair))
    skin = torch.cat([1 - hair, 0 * hair, hair, 0 * hair], 1) * 20
    bare = one(hair)
    unsure = Masks(bare.known, 0 * hair, hair, hair, 0 * hair)
    as_skin, as_clothes = loss_of(skin, unsure), loss_of(skin[:, [0, 1, 3, 2]], unsure)
    torch.testing.assert_close(as_skin, as_clothes)
    sure = Masks(bare.known, 0 * hair, hair, hair, bare.known)
    assert loss_of(skin, sure) < 1 < loss_of(skin[:, [0, 1, 3, 2]], sure)


def test_what_lies_outside_of_the_picture_is_not_learned() -> None:
    hair = torch.ones(1, 1, 16, 16)
    known = (torch.arange(16.0).view(1, 1, 1, 16) < 8).float().expand(1, 1, 16, 16)
    logits = torch.randn(1, 4, 16, 16, requires_grad=True)
    loss_of(logits, Masks(known, hair, hair, 0 * hair, hair)).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[..., 8:].abs().max() == 0 < logits.grad[..., :8].abs().max()


def test_a_moved_sample_and_its_positions_stay_together() -> None:
    """A pattern of |x| and y in the window is found where the positions say, but for turn, zoom and shift."""
    torch.manual_seed(0)
    ramp = (torch.arange(STORED) + 0.5) / STORED * 2 - 1
    stored = torch.zeros(6, 9, STORED, STORED)
    stored[:, 0], stored[:, 1] = ramp.abs() * STORED / SIDE, (ramp * STORED / SIDE)[:, None]
    moved, where = moved_about(stored)
    assert moved.shape == (6, 9, CUT, CUT)
    assert where.shape == (6, 2, CUT, CUT)
    assert (moved[:, 1] - where[:, 1]).abs().mean() < 0.25
    assert (moved[:, 1].flip(1) - where[:, 1]).abs().mean() > 0.3


def test_pictures_end_outside_of_the_face() -> None:
    torch.manual_seed(0)
    known, face = torch.ones(64, 1, CUT, CUT), torch.zeros(64, 1, CUT, CUT)
    face[..., 60:100, 70:100] = 1
    cut = cut_off(known, face)
    assert cut[..., 60:100, 70:100].min() == 1
    for border in (cut[..., 0, 80], cut[..., -1, 80], cut[..., 80, 0], cut[..., 80, -1]):
        assert 0.02 < 1 - border.mean() < 0.5


def test_hair_is_dyed_and_nothing_else_but_clothes_changes() -> None:
    torch.manual_seed(0)
    rgb, zeros = torch.rand(40, 3, 16, 16), torch.zeros(40, 1, 16, 16)
    hair, skin, ones = zeros.clone(), zeros.clone(), zeros + 1
    hair[..., :4, :], skin[..., 4:8, :] = 1, 1
    person = zeros.clone()
    person[..., :12, :] = 1
    changed = (recoloured(rgb, Masks(ones, hair, person, skin, ones)) != rgb).any(1).any(2)
    assert 4 < int(changed[:, 0].sum()) < 30
    assert not changed[:, 4:8].any()
    assert 2 < int(changed[:, 9].sum()) < 24
    assert not changed[:, 12:].any()


def test_collars_and_ties_lie_far_below_the_face() -> None:
    face = torch.zeros(2, 1, 60, 60)
    face[0, :, 10:40, 20:40] = 1
    face[1, :, 20:50, 20:40] = 1
    below = far_below(face)
    assert below[0, 0, :50].max() == 0
    assert below[0, 0, 50:].min() == 1
    assert below[1].max() == 0
