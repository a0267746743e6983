"""How the parsing network's training pictures are made and what it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from meshlam_core.head.io import load_head
from meshlam_core.points import CHIN, FOREHEAD
from meshlam_core.tracker.parsing_network import CLASSES, INPUTS, PARSING_NETWORK, SIDE
from training.parser.batches import (
    CUT,
    FACE,
    PERSON,
    SKIN,
    Masks,
    cut_off,
    far_below,
    looked_at,
    moved_about,
    recoloured,
    with_things_before,
)
from training.parser.learn import COARSE, learned_network, loss_of
from training.parser.portraits import CHANNELS, MORE, PARTS, STORED
from training.parser.rays import BODY, HAIR, Scene, gather
from training.synthetic.hands import Hand

NO_HANDS: tuple[Hand, ...] = ()
KNOWN = CHANNELS.index("known")
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


def masks(size: torch.Tensor, **known: torch.Tensor) -> Masks:
    """Labels of a batch like `size`; what is not given is nowhere, and all is told."""
    zeros, ones = torch.zeros_like(size), torch.ones_like(size)
    parts = zeros.expand(-1, len(PARTS), -1, -1)
    given = {"known": ones, "hair": zeros, "person": zeros, "skin": zeros, "sure": ones}
    return Masks(**(given | {"parts": parts, "told": ones, "clear": ones} | known))


def logits(**shares: torch.Tensor) -> torch.Tensor:  # [B, C, N, N]
    """An answer that is sure of these classes, by their names."""
    size = next(iter(shares.values()))
    return 20 * torch.cat([shares.get(name, torch.zeros_like(size)) for name in CLASSES], 1)


def test_the_loss_is_smallest_at_the_truth_and_does_not_ask_what_is_unsure() -> None:
    half = (torch.arange(16.0).view(1, 1, 1, 16) > 8).float().expand(1, 1, 16, 16)
    right = logits(background=1 - half, hair=half)
    hairy = masks(half, hair=half, person=half)
    assert loss_of(right, hairy) < 1e-3 < loss_of(right.flip(3), hairy)
    as_skin, as_clothes = logits(background=1 - half, skin=half), logits(background=1 - half, clothes=half)
    unsure = masks(half, person=half, skin=half, sure=0 * half)
    torch.testing.assert_close(loss_of(as_skin, unsure), loss_of(as_clothes, unsure))
    sure = masks(half, person=half, skin=half)
    assert loss_of(as_skin, sure) < 1 < loss_of(as_clothes, sure)


def test_photographs_say_skin_and_leave_open_whether_it_is_an_ear_or_a_neck_but_not_glasses() -> None:
    half = (torch.arange(16.0).view(1, 1, 1, 16) > 8).float().expand(1, 1, 16, 16)
    answers = {name: logits(background=1 - half, **{name: half}) for name in ("skin", "ears", "neck", "glasses")}
    clear = masks(half, person=half, skin=half, told=0 * half)
    for name, costs in (("skin", False), ("ears", False), ("neck", False), ("glasses", True)):
        assert (loss_of(answers[name], clear) > 1) == costs
    unclear = masks(half, person=half, skin=half, told=0 * half, clear=0 * half)
    assert loss_of(answers["glasses"], unclear) < 0.01
    named = masks(half, person=half, skin=half, parts=(torch.arange(6) == 0).float().view(1, -1, 1, 1) * half)
    assert loss_of(answers["ears"], named) < 0.01 < 1 < loss_of(answers["skin"], named)


def test_what_lies_outside_of_the_picture_is_not_learned() -> None:
    hair = torch.ones(1, 1, 16, 16)
    known = (torch.arange(16.0).view(1, 1, 1, 16) < 8).float().expand(1, 1, 16, 16)
    answer = torch.randn(1, len(CLASSES), 16, 16, requires_grad=True)
    loss_of(answer, masks(hair, known=known, hair=hair, person=hair)).backward()  # type: ignore[no-untyped-call]
    assert answer.grad is not None
    assert answer.grad[..., 8:].abs().max() == 0 < answer.grad[..., :8].abs().max()


def test_a_network_of_fewer_classes_is_widened_without_changing_what_it_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    wide = learned_network(PARSING_NETWORK).state_dict()
    members = [first for first, *_ in COARSE]
    narrow = {name: value.numpy() for name, value in wide.items()}
    for name in ("last.weight", "last.bias"):
        narrow[name] = wide[name].unflatten(0, (-1, 4))[members].flatten(0, 1).numpy()
    np.savez(tmp_path / "narrow.npz", **narrow)  # type: ignore[arg-type]
    widened = learned_network(tmp_path / "narrow.npz").eval()
    inputs, seen = torch.randn(1, INPUTS, 64, 64), {}
    widened.last.register_forward_hook(lambda _, given, __: seen.update(features=given[0]))
    with torch.inference_mode():
        found = widened(inputs).softmax(1)
        last = functional.conv2d(
            seen["features"], *(torch.from_numpy(narrow[f"last.{n}"]) for n in ("weight", "bias")), padding=1
        )
        expected = functional.pixel_shuffle(last, 2).softmax(1)
    for k, group in enumerate(COARSE):
        torch.testing.assert_close(found[:, list(group)].sum(1), expected[:, k], atol=1e-5, rtol=1e-4)


def test_what_is_drawn_before_a_photograph_is_labelled_and_hides_what_is_behind() -> None:
    """A grey picture of a face stays grey; under masks and hands there is no skin, under glasses there is."""
    head = sample_head()
    sample = torch.zeros(len(CHANNELS) + len(MORE), STORED, STORED)
    sample[:3], sample[[FACE, KNOWN, PERSON, SKIN]] = 0.5, 1.0
    found = dict.fromkeys(("glasses", "mask", "hand", "object"), 0)
    for seed in range(14):
        rng = np.random.default_rng((7, seed))
        drawn = with_things_before(looked_at(sample.clone(), head, False), head, False, NO_HANDS, rng)
        parts = dict(zip(PARTS, drawn[len(CHANNELS) :], strict=False))
        assert (drawn[0] == drawn[1]).all()
        assert float((drawn[SKIN] + parts["mask"] + parts["object"] - 1).abs().max()) < 0.01
        assert bool(
            ((drawn[:3] != 0.5).any(0) | (parts["glasses"] + parts["mask"] + parts["object"] < 0.5)).float().mean()
            > 0.9
        )
        for name in found:
            found[name] += int(parts[name].max() > 0.3)
        bespectacled = with_things_before(looked_at(sample.clone(), head, True), head, True, NO_HANDS, rng)
        assert float(bespectacled[len(CHANNELS) + PARTS.index("glasses")].max()) == 0
        assert float(bespectacled[-1].min()) == 0 < float(bespectacled[-1].max())  # the eyes' band is left open
    assert found["hand"] == 0  # there are no pictures of hands here
    assert min(found[name] for name in ("glasses", "mask", "object")) >= 1


def sample_head() -> np.ndarray:  # [478, 2] px of a stored sample
    head = load_head()
    found = head.landmarks(head.template)[:, :2] * [1, -1]
    height = np.linalg.norm(found[FOREHEAD] - found[CHIN])
    found = (found - found[:468].mean(0)) * (STORED / 3.6 / height) + STORED / 2
    return np.concatenate([found, np.zeros((478 - len(found), 2))]) if len(found) < 478 else found


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
    changed = (recoloured(rgb, masks(ones, hair=hair, person=person, skin=skin)) != rgb).any(1).any(2)
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
