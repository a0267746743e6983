"""Rendering for the detector, and rays cast back: a detector that knows the truth must get it back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import Camera, project
from meshlam_core.head.builder.embedding import cast, mean_of_views, render_view
from meshlam_core.head.builder.raster import rasterise
from meshlam_core.head.surface import snap

F64 = NDArray[np.float64]
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def test_pixels_see_the_nearest_triangle_with_perspective_correct_weights() -> None:
    near = np.array([[-1, -1, -4], [1, -1, -2.0], [1, 1, -2], [-1, 1, -4]])
    far = near - [0, 0, 5]
    camera = Camera(20.0, (10.0, 10.0), (20, 20))
    points = project(np.concatenate([far, near]), camera).astype(np.float64)
    faces = np.concatenate([FACES, FACES + 4])
    seen = rasterise(points, faces, (20, 20))
    y, x = np.argwhere(seen.triangle >= 2)[7]
    vertices = np.concatenate([far, near])
    hit = seen.bary[y, x] @ vertices[faces[seen.triangle[y, x]]]
    again = project(hit, camera)
    np.testing.assert_allclose(again, np.array([float(x) + 0.5, float(y) + 0.5, float(seen.depth[y, x])]), atol=1e-9)
    assert not (seen.triangle[3:17, 8:14] == 0).any()


def test_rays_cast_through_projected_surface_points_come_back_to_them() -> None:
    bumpy = np.array([[-0.05, -0.05, 0.0], [0.05, -0.05, 0.01], [0.05, 0.05, 0.0], [-0.05, 0.05, 0.02]])
    view = render_view(bumpy, FACES, lambda f: np.ones((*f.triangle.shape, 3)), 20.0, bumpy.mean(axis=0))
    bary = np.random.default_rng(2).dirichlet([2, 2, 2], 12)
    triangle = np.arange(12) % 2
    truth = (bary[..., None] * bumpy[FACES[triangle]]).sum(axis=1)
    corner = view.points[FACES[triangle]]  # perspective: weights by inverse depth
    weight = bary * corner[..., 2]
    depth = weight.sum(axis=1)
    pixels = (bary[..., None] * corner[..., :2] * corner[..., 2:]).sum(axis=1) / depth[:, None]
    hit, back, facing = cast(view, pixels, FACES, np.ones(2, bool), bumpy)
    np.testing.assert_array_equal(hit, triangle)
    np.testing.assert_allclose((back[..., None] * bumpy[FACES[hit]]).sum(axis=1), truth, atol=1e-9)
    assert (facing > 0.8).all()


def test_beside_the_silhouette_the_nearest_visible_point_is_taken_with_little_trust() -> None:
    square = np.array([[-0.05, -0.05, 0.0], [0.05, -0.05, 0.0], [0.05, 0.05, 0.0], [-0.05, 0.05, 0.0]])
    view = render_view(square, FACES, lambda f: np.ones((*f.triangle.shape, 3)), 0.0, np.zeros(3))
    right_edge = view.points[1, 0]
    triangle, bary, facing = cast(view, np.array([[right_edge + 30, 320.0]]), FACES, np.ones(2, bool), square)
    point = bary[0] @ square[FACES[triangle[0]]]
    assert abs(point[0] - 0.05) < 0.001
    assert facing[0] < 0.2


def test_the_mean_of_views_follows_the_squarely_seen_ones() -> None:
    positions = np.zeros((3, 1, 3))
    positions[2, 0, 0] = 0.02
    mean, spread = mean_of_views(positions, np.array([[1.0], [1.0], [0.05]]))
    assert abs(mean[0, 0]) < 0.0005
    assert 0 < spread[0] < 0.01


def test_snapping_finds_inner_edge_and_corner_points() -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]])
    points = np.array([[0.7, 0.2, 0.3], [0.5, -0.4, 0.1], [2.0, 2.0, 0.0]])
    triangle, bary = snap(points, square, FACES, np.ones(2, bool))
    snapped = (bary[..., None] * square[FACES[triangle]]).sum(axis=1)
    np.testing.assert_allclose(snapped, [[0.7, 0.2, 0.0], [0.5, 0.0, 0.0], [1.0, 1.0, 0.0]], atol=1e-12)
