"""Small formulas of texture baking."""

from __future__ import annotations

import numpy as np
import torch

from meshlam_core.texture.mathematics import depth_inside, luminance, smooth_step


def test_the_depth_inside_a_square_is_the_distance_to_its_nearest_side() -> None:
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    points = np.array([[1.0, 2.0], [2.0, 2.0], [3.5, 1.0], [-1.0, 2.0], [7.0, 8.0]])
    np.testing.assert_allclose(depth_inside(points, square), [1.0, 2.0, 0.5, -1.0, -5.0])


def test_a_dent_in_the_outline_is_outside() -> None:
    arrow = np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 1.0], [4.0, 4.0], [0.0, 4.0]])
    assert depth_inside(np.array([[3.6, 1.4]]), arrow)[0] < 0 < depth_inside(np.array([[1.0, 2.0]]), arrow)[0]


def test_a_smooth_step_is_flat_outside_its_limits_and_half_in_the_middle() -> None:
    steps = smooth_step(torch.tensor([-1.0, 0.2, 0.5, 0.8, 2.0]), 0.2, 0.8)
    torch.testing.assert_close(steps, torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_grey_is_as_bright_as_its_value() -> None:
    torch.testing.assert_close(luminance(torch.full((2, 3), 0.3)), torch.full((2,), 0.3))
