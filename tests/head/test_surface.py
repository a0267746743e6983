"""Closest points on a mesh, against the slow search over all triangles."""

from __future__ import annotations

import numpy as np

from meshlam_core.head.surface import closest_bary, closest_vertices, snap


def test_snapping_equals_the_search_over_every_triangle() -> None:
    rng = np.random.default_rng(4)
    vertices = rng.normal(size=(60, 3))
    faces = np.array([rng.choice(60, 3, replace=False) for _ in range(90)])
    allowed = rng.random(90) < 0.7
    points = rng.normal(size=(25, 3))
    triangle, bary = snap(points, vertices, faces, allowed)
    assert allowed[triangle].all()
    for point, index, weights in zip(points, triangle, bary, strict=True):
        every = (closest_bary(point, vertices[faces[allowed]])[..., None] * vertices[faces[allowed]]).sum(axis=1)
        found = weights @ vertices[faces[index]]
        assert np.isclose(np.linalg.norm(found - point), np.linalg.norm(every - point, axis=1).min(), atol=1e-12)
        assert (weights >= -1e-12).all()
        assert np.isclose(weights.sum(), 1)


def test_the_nearest_vertices_are_found_across_blocks() -> None:
    rng = np.random.default_rng(5)
    vertices, points = rng.normal(size=(40, 3)), rng.normal(size=(1200, 3))
    expected = ((points[:, None] - vertices[None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(closest_vertices(points, vertices), expected)
