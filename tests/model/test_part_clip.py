"""Part-aware clip: limits by part, soft borders, fixed eyes, and a gradient everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from meshlam_core.errors import UsageError
from meshlam_core.head.io import load_head
from meshlam_core.model.part_clip import STEP_LIMITS, clip_displacement, limit_of, move, part_limits


def strip(count: int) -> np.ndarray:
    """A zigzag strip of triangles: vertex i is joined to i + 1 and i + 2."""
    return np.array([[i, i + 1, i + 2] if i % 2 == 0 else [i + 1, i, i + 2] for i in range(count - 2)])


def test_the_limits_of_the_paper_stand() -> None:
    assert [limit_of(n) for n in ("hair", "neck", "face", "eyeballs", "eyelids")] == [0.08, 0.02, 0.003, 0.0, 0.0]


def test_left_right_and_singular_names_share_the_limit_of_their_kind() -> None:
    assert limit_of("left_ear") == limit_of("ears") == 0.003
    assert limit_of("Right-Eyeball") == 0.0
    assert limit_of("upper_teeth") == limit_of("eyelashes") == 0.0
    assert limit_of("mouth_interior") == 0.003


def test_an_unknown_part_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'antlers' has no displacement limit: expected one of .*scalp"):
        part_limits(np.zeros(3, np.uint8), ("antlers",), np.array([[0, 1, 2]]))


def test_an_unknown_part_that_no_vertex_uses_does_no_harm() -> None:
    limits = part_limits(np.ones(3, np.uint8), ("antlers", "face"), np.array([[0, 1, 2]]))
    torch.testing.assert_close(limits, torch.full((3,), 0.003))


def test_a_part_index_beyond_the_names_is_refused() -> None:
    with pytest.raises(UsageError, match="expected indices below 1"):
        part_limits(np.array([0, 0, 1]), ("face",), np.array([[0, 1, 2]]))


def test_limits_blend_over_one_ring_and_no_further() -> None:
    part = np.array([0] * 6 + [1] * 6)
    limits = part_limits(part, ("scalp", "face"), strip(12)).numpy()
    np.testing.assert_allclose(limits[:4], 0.08, rtol=1e-6)
    np.testing.assert_allclose(limits[8:], 0.003, rtol=1e-6)
    # vertex 5 has the neighbours 3, 4 (scalp) and 6, 7 (face)
    np.testing.assert_allclose(limits[5], (3 * 0.08 + 2 * 0.003) / 5, rtol=1e-6)
    assert (np.diff(limits) <= 0).all()


def test_a_fixed_part_stays_exactly_zero_and_brakes_its_neighbours() -> None:
    part = np.array([0] * 6 + [1] * 6)
    limits = part_limits(part, ("eyelids", "face"), strip(12)).numpy()
    assert (limits[:6] == 0).all()
    assert 0 < limits[6] < limits[7] < 0.003
    assert limits[8:] == pytest.approx(0.003)


def test_eyeballs_and_eyelids_are_bit_equal_after_a_step() -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(2, 12, 3, generator=generator)
    vertices[:, 0] = -0.0
    push = torch.randn(2, 12, 3, generator=generator)
    push[:, 1] = float("nan")
    limits = part_limits(np.array([0] * 4 + [1] * 4 + [2] * 4), ("eyeballs", "face", "eyelids"), strip(12))
    moved = move(vertices, push, limits)
    fixed = limits == 0
    assert fixed.sum() == 8
    assert torch.equal(moved[:, fixed].view(torch.int32), vertices[:, fixed].view(torch.int32))
    assert not torch.equal(moved[:, ~fixed], vertices[:, ~fixed])


def test_no_vertex_passes_its_limit_and_the_direction_stays() -> None:
    push = torch.randn(3, 50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    limits = torch.tensor([0.003, 0.02] * 25, dtype=torch.float64)
    clipped = clip_displacement(push, limits)
    assert (clipped.norm(dim=-1) <= limits).all()
    assert (clipped.norm(dim=-1) > 0.99 * limits)[push.norm(dim=-1) > 0.1].all()
    torch.testing.assert_close(clipped / clipped.norm(dim=-1, keepdim=True), push / push.norm(dim=-1, keepdim=True))


def test_small_steps_pass_almost_unchanged() -> None:
    push = torch.tensor([[[0.0, 0.0003, 0.0]]], dtype=torch.float64)  # a tenth of the limit
    clipped = clip_displacement(push, torch.tensor([0.003], dtype=torch.float64))
    torch.testing.assert_close(clipped, push, rtol=3e-5, atol=0)


def test_an_infinite_limit_switches_the_clip_off() -> None:
    push = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(2))
    assert torch.equal(clip_displacement(push, torch.full((4,), torch.inf)), push)


def test_huge_steps_still_end_at_the_limit() -> None:
    push = torch.tensor([[[1e9, 0.0, 0.0]]])
    torch.testing.assert_close(clip_displacement(push, torch.tensor([0.003])), torch.tensor([[[0.003, 0.0, 0.0]]]))


def test_the_gradient_is_right_near_at_and_beyond_the_limit() -> None:
    base = torch.randn(1, 6, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    lengths = torch.tensor([0.0, 0.1, 0.9, 1.0, 1.5, 4.0], dtype=torch.float64)
    push = base / base.norm(dim=-1, keepdim=True) * lengths[:, None]
    limits = torch.ones(6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda d: clip_displacement(d, limits), (push.requires_grad_(),))


def test_the_gradient_is_finite_at_zero_and_zero_at_fixed_vertices() -> None:
    push = torch.zeros(1, 2, 3, requires_grad=True)
    clip_displacement(push, torch.tensor([0.0, 0.003])).sum().backward()
    assert push.grad is not None
    torch.testing.assert_close(push.grad, torch.tensor([[[0.0, 0, 0], [1.0, 1, 1]]]))


def test_bfloat16_steps_respect_the_limit_within_their_precision() -> None:
    push = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(4)).bfloat16()
    clipped = clip_displacement(push, torch.full((20,), 0.02))
    assert clipped.dtype == torch.bfloat16
    assert (clipped.float().norm(dim=-1) <= 0.02 * 1.01).all()


def test_a_wrong_vertex_count_is_named() -> None:
    with pytest.raises(UsageError, match=r"limits: expected \[V\] with V=4, got \(5,\)"):
        clip_displacement(torch.zeros(1, 4, 3), torch.ones(5))


def test_every_limit_is_a_length() -> None:
    assert all(0 <= limit <= 0.08 for limit in STEP_LIMITS.values())


def test_every_part_of_the_open_head_has_a_limit_and_its_eyes_are_fixed() -> None:
    head = load_head()
    limits = part_limits(head.part, head.parts, head.faces).numpy()
    fixed = [i for i, name in enumerate(head.parts) if "eye" in name or name == "lashes"]
    assert len(fixed) >= 3
    assert (limits[np.isin(head.part, fixed)] == 0).all()
    assert limits.max() == pytest.approx(0.08)
    assert (limits[head.part == head.parts.index("lips")] <= 0.003 + 1e-9).all()
