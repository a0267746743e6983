"""Linear blend skinning against hand-made poses, the frames module and numeric derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.head.skinning import forward_kinematics, pose_vertices, rotation_matrices, skin

PARENTS = (-1, 0, 1, 1)


@pytest.fixture
def rig() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(7, 4, generator=generator, dtype=torch.float64)
    return {
        "vertices": torch.randn(2, 7, 3, generator=generator, dtype=torch.float64),
        "joints": torch.randn(2, 4, 3, generator=generator, dtype=torch.float64),
        "rotations": rotation_matrices(torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)),
        "weights": weights / weights.sum(dim=1, keepdim=True),
        "parents": PARENTS,
    }


def test_a_quarter_turn_of_the_jaw_about_x_swings_the_chin_down() -> None:
    chin = torch.tensor([[[0.0, 0.0, 0.08]]])
    turn = rotation_matrices(torch.tensor([[[math.pi / 2, 0.0, 0.0]]]))
    posed = skin(chin, torch.zeros(1, 1, 3), turn, torch.ones(1, 1), parents=(-1,))
    torch.testing.assert_close(posed, torch.tensor([[[0.0, -0.08, 0.0]]]))


def test_a_child_joint_turns_about_its_own_centre_after_its_parent(rig: dict[str, Any]) -> None:
    rotation, position = forward_kinematics(rig["joints"], rig["rotations"], PARENTS)
    r, j = rig["rotations"], rig["joints"]
    torch.testing.assert_close(rotation[:, 2], r[:, 0] @ r[:, 1] @ r[:, 2])
    neck = j[:, 0] + (r[:, 0] @ (j[:, 1] - j[:, 0])[..., None])[..., 0]
    torch.testing.assert_close(position[:, 2], neck + (r[:, 0] @ r[:, 1] @ (j[:, 2] - j[:, 1])[..., None])[..., 0])


def test_no_rotation_leaves_every_vertex_where_it_was(rig: dict[str, Any]) -> None:
    rig["rotations"] = torch.eye(3, dtype=torch.float64).expand(2, 4, 3, 3)
    torch.testing.assert_close(skin(**rig), rig["vertices"])


def test_turning_the_root_turns_the_whole_head_rigidly(rig: dict[str, Any]) -> None:
    rig["rotations"] = torch.eye(3, dtype=torch.float64).repeat(2, 4, 1, 1)
    turn = rotation_matrices(torch.tensor([0.3, -0.8, 0.2], dtype=torch.float64))
    rig["rotations"][:, 0] = turn
    root = rig["joints"][:, :1]
    torch.testing.assert_close(skin(**rig), (rig["vertices"] - root) @ turn.T + root)


def test_skinning_equals_the_sum_over_joints_written_out(rig: dict[str, Any]) -> None:
    rotation, position = forward_kinematics(rig["joints"], rig["rotations"], PARENTS)
    expected = torch.zeros_like(rig["vertices"])
    for joint in range(4):
        moved = (rig["vertices"] - rig["joints"][:, joint, None]) @ rotation[:, joint].transpose(1, 2)
        expected += rig["weights"][:, joint, None] * (moved + position[:, joint, None])
    torch.testing.assert_close(skin(**rig), expected, rtol=0, atol=1e-12)


def test_rotations_agree_with_the_frames_module_also_near_zero() -> None:
    vectors = np.random.default_rng(1).normal(size=(20, 3)) * np.logspace(-9, 0.4, 20)[:, None]
    ours = rotation_matrices(torch.from_numpy(vectors)).numpy()
    np.testing.assert_allclose(ours, rotation_from_axis_angle(vectors), rtol=0, atol=1e-14)


@pytest.mark.parametrize("scale", [0.0, 1e-7, 0.7])
def test_gradients_of_the_whole_pose_are_exact_also_at_the_rest_pose(scale: float) -> None:
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = draw(4, 3).softmax(dim=1)
    inputs = (draw(4, 3), draw(2, 4, 3), draw(1, 2), draw(1, 3, 3) * scale, draw(3, 3))
    for tensor in inputs:
        tensor.requires_grad_()
    correctives = draw(18, 4, 3)

    def posed(*tensors: torch.Tensor) -> torch.Tensor:
        vertices, shapes, expression, rotations, joints = tensors
        return pose_vertices(vertices, shapes, expression, rotations, joints, weights, (-1, 0, 1), correctives)

    assert torch.autograd.gradcheck(posed, inputs)


def test_an_expression_is_added_before_the_pose() -> None:
    shapes = torch.tensor([[[0.0, 0.0, 0.5]]])
    posed = pose_vertices(
        torch.tensor([[0.0, 0.0, 1.0]]),
        shapes,
        torch.tensor([[1.0]]),
        torch.tensor([[[0.0, math.pi / 2, 0.0]]]),
        torch.zeros(1, 3),
        torch.ones(1, 1),
        (-1,),
    )
    torch.testing.assert_close(posed, torch.tensor([[[1.5, 0.0, 0.0]]]))


def test_a_wrong_joint_count_is_named(rig: dict[str, Any]) -> None:
    rig["weights"] = rig["weights"][:, :2]
    with pytest.raises(ValueError, match=r"weights: expected \[V J\] with V=7, J=4, got \(7, 2\)"):
        skin(**rig)


def test_parents_after_their_children_are_refused(rig: dict[str, Any]) -> None:
    rig["parents"] = (-1, 2, 0, 0)
    with pytest.raises(ValueError, match="every parent before its children"):
        skin(**rig)
