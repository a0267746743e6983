"""Smooth transitions along a surface."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.joining.fair import eased, way_to

SIDE = 21


def sheet(side: int = SIDE, uneven: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(points, triangles) of a square of 1 x 1."""
    along = np.linspace(0, 1, side)
    if uneven:
        along = along**2
    x, y = np.meshgrid(along, along)
    points = np.stack([x.ravel(), y.ravel(), np.zeros(side * side)], 1)
    corner = np.arange(side * side).reshape(side, side)[:-1, :-1].ravel()
    first = np.stack([corner, corner + 1, corner + side], 1)
    second = np.stack([corner + 1, corner + side + 1, corner + side], 1)
    return points, np.concatenate([first, second])


def test_the_way_goes_along_the_surface_and_not_through_the_air():
    points, triangles = sheet()
    folded = points.copy()  # over, so that the far edge lies just above the near one
    folded[:, 2] = np.where(points[:, 0] > 0.5, 0.01, 0.0)
    folded[:, 0] = np.where(points[:, 0] > 0.5, 1 - points[:, 0], points[:, 0])
    near = np.flatnonzero(points[:, 0] == 0)
    way = way_to(folded, triangles, near, 2.0)
    far = points[:, 0] == 1
    assert way[far] == pytest.approx(1.0, abs=0.02)
    assert np.linalg.norm(folded[far] - folded[near], axis=1).max() < 0.02
    assert np.isinf(way_to(folded, triangles, near, 0.5)[far]).all()


@pytest.mark.parametrize("uneven", [False, True])
def test_what_is_even_stays_and_a_step_becomes_a_slope(uneven):
    points, triangles = sheet(uneven=uneven)
    inside = ((points[:, :2] > 0) & (points[:, :2] < 1)).all(1).astype(float)
    slope = points[:, :1] * 3 - points[:, 1:2]
    np.testing.assert_allclose(eased(slope, points, triangles, inside, 50), slope, atol=1e-9)
    step = (points[:, :1] > 0.5).astype(float)
    rows = eased(np.concatenate([step, 1 - step], 1), points, triangles, inside, 300)
    np.testing.assert_allclose(rows.sum(1), 1)
    assert rows.min() >= 0
    assert rows.max() <= 1
    middle = rows[:, 0].reshape(SIDE, SIDE)[SIDE // 2]
    assert np.diff(middle).max() < 0.35
    assert (np.diff(middle) >= -1e-9).all()


def test_nothing_changes_where_nothing_is_to():
    points, triangles = sheet()
    values = np.random.default_rng(1).random((len(points), 2))
    share = (points[:, 0] > 0.5).astype(float)
    changed = (eased(values, points, triangles, share, 5) != values).any(1)
    np.testing.assert_array_equal(changed, share > 0)
    np.testing.assert_array_equal(eased(values, points, triangles, 0 * share, 5), values)
