"""Needles that flips leave are relaxed by a fraction of a millimetre, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from meshlam_core.model.topology.flip import aspects
from meshlam_core.model.topology.relax import FARTHEST, relax_needles


@pytest.fixture
def patch() -> tuple[np.ndarray, np.ndarray]:
    """[9, 3] m and [8, 3] a bent sheet of nine vertices 4 mm apart; the middle one lies almost on a diagonal."""
    y, x = np.mgrid[0:3, 0:3] * 0.004
    vertices = np.stack([x, y, 5 * x * y], -1).reshape(9, 3)
    faces = [[i, i + 1, i + 4] for i in (0, 1, 3, 4)] + [[i, i + 4, i + 3] for i in (0, 1, 3, 4)]
    vertices[4] = vertices[[1, 5]].mean(axis=0) - [0.0001, -0.0001, 0]  # beside the edge from 1 to 5
    return vertices, np.array(faces)


def test_a_needle_becomes_a_triangle_by_less_than_a_millimetre(patch: tuple[np.ndarray, np.ndarray]) -> None:
    vertices, faces = patch
    assert aspects(vertices[faces]).max() > 12
    relaxed = relax_needles(vertices, faces, np.ones(9, bool))
    assert aspects(relaxed[faces]).max() < 12
    assert np.linalg.norm(relaxed - vertices, axis=1).max() <= FARTHEST


def test_vertices_that_may_not_move_stay(patch: tuple[np.ndarray, np.ndarray]) -> None:
    vertices, faces = patch
    np.testing.assert_array_equal(relax_needles(vertices, faces, np.zeros(9, bool)), vertices)


def test_a_mesh_without_needles_is_left_alone(patch: tuple[np.ndarray, np.ndarray]) -> None:
    vertices, faces = patch
    vertices[4] = vertices[[0, 8]].mean(axis=0)
    np.testing.assert_array_equal(relax_needles(vertices, faces, np.ones(9, bool)), vertices)
