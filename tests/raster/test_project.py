"""The torch projection equals frames.project."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from meshlam_core import frames
from meshlam_core.frames import Camera
from meshlam_core.raster.project import project

CAMERAS = [Camera(500.0, (120.0, 80.0), (256, 200)), Camera(900.0, (10.0, 300.0), (512, 512))]


def test_it_equals_the_numpy_one_for_one_camera_and_for_one_each():
    points = np.random.default_rng(0).normal(size=(2, 7, 3)) + np.array([0, 0, -6])
    ours = project(torch.tensor(points), CAMERAS)
    for i, camera in enumerate(CAMERAS):
        np.testing.assert_allclose(ours[i], frames.project(points[i], camera), rtol=1e-12)
        np.testing.assert_allclose(project(torch.tensor(points), camera)[i], ours[i], rtol=1e-12)


def test_its_gradient_is_exact():
    points = torch.randn(1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points[..., 2] -= 5
    assert torch.autograd.gradcheck(lambda p: project(p, CAMERAS[0]), (points.requires_grad_(),))


def test_a_point_on_the_camera_plane_stays_finite():
    points = torch.zeros(1, 2, 3, requires_grad=True)
    project(points, CAMERAS[0]).sum().backward()
    assert torch.isfinite(points.grad).all()


def test_a_wrong_number_of_cameras_is_named():
    with pytest.raises(ValueError, match="one camera or 3, one per image, got 2"):
        project(torch.zeros(3, 1, 3), CAMERAS)
