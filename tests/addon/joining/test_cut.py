"""Necks cut where they are narrowest."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.joining.cut import cut, narrowest
from blender_addon.joining.loops import boundary_loops, length

COUNT = 16
UP = np.array([0.0, 0.0, 1.0])


def tube(*rings: tuple[float, float]) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Quads around rings of (height, radius)."""
    angle = np.arange(COUNT) * 2 * np.pi / COUNT
    points = np.concatenate(
        [np.stack([r * np.cos(angle), r * np.sin(angle), np.full(COUNT, float(z))], 1) for z, r in rings]
    )
    faces = [
        (row * COUNT + i, row * COUNT + (i + 1) % COUNT, (row + 1) * COUNT + (i + 1) % COUNT, (row + 1) * COUNT + i)
        for row in range(len(rings) - 1)
        for i in range(COUNT)
    ]
    return points, faces


def triangles(faces) -> np.ndarray:
    return np.array([part for a, b, c, d in faces for part in ((a, b, c), (a, c, d))])


def test_the_narrowest_place_is_found_and_open_sections_do_not_count():
    points, faces = tube((0, 2.0), (1, 1.0), (2, 1.6), (3, 0.1))
    share = narrowest(points, triangles(faces[: 2 * COUNT]), np.zeros(3), 3 * UP, UP, 9.0)
    assert share == pytest.approx(1 / 3, abs=0.05)
    half = [face for face in faces if not {0, 1, COUNT, COUNT + 1, 2 * COUNT} & set(face)]
    assert narrowest(points, triangles(half[:COUNT]), np.zeros(3), UP, UP, 9.0) == 0


def test_what_lies_beyond_goes_and_the_new_edge_lies_on_the_plane():
    points, faces = tube((0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0))
    made = cut(points, faces, np.array([0, 0, 1.25]), UP, 9.0)
    kept = made.vertices(points)
    assert kept[:, 2].max() == pytest.approx(1.25)
    top = max(boundary_loops(made.faces), key=lambda loop: kept[loop][:, 2].mean())
    np.testing.assert_allclose(kept[top][:, 2], 1.25)
    assert length(kept[top]) == pytest.approx(2 * np.pi, rel=0.02)


def test_fields_of_vertices_and_corners_are_mixed_as_the_edges_are_cut():
    points, faces = tube((0, 1.0), (1, 1.0), (2, 1.0))
    made = cut(points, faces, np.array([0, 0, 1.25]), UP, 9.0)
    heights = made.vertices(points[:, 2])
    np.testing.assert_allclose(heights, made.vertices(points)[:, 2])
    corners = np.concatenate([points[list(face)] for face in faces])
    flat = np.concatenate([np.array(face) for face in made.faces])
    np.testing.assert_allclose(made.at_corners(corners), made.vertices(points)[flat], atol=1e-12)
    assert (made.old_faces < 2 * COUNT).all()


def test_no_face_gets_more_than_four_corners_and_none_is_lost():
    points, faces = tube((0, 1.0), (1, 1.0), (2, 1.0))
    slanted = np.array([0.3, 0.1, 1.0])
    made = cut(points, faces, np.array([0, 0, 1.25]), slanted, 9.0)
    assert {len(face) for face in made.faces} <= {3, 4}
    (low, high) = boundary_loops(made.faces)
    assert {len(low), len(high)} > {COUNT}  # the old end, and the cut through all faces around
    corners = np.concatenate([points[list(face)] for face in faces])
    flat = np.concatenate([np.array(face) for face in made.faces])
    np.testing.assert_allclose(made.at_corners(corners), made.vertices(points)[flat], atol=1e-12)


def test_what_does_not_hang_on_the_cut_stays_though_it_lies_beyond():
    points, faces = tube((0, 1.0), (1, 1.0), (2, 1.0))
    arm, more = tube((1.5, 0.3), (2.5, 0.3))
    whole = np.concatenate([points, arm + np.array([9, 0, 0])])
    both = [*faces, *(tuple(vertex + len(points) for vertex in face) for face in more)]
    made = cut(whole, both, np.array([0, 0, 1.25]), UP, 3.0)
    assert made.vertices(whole)[:, 2].max() == 2.5
    spared = cut(points, faces, np.array([0, 0, 1.25]), UP, 9.0, spared=range(len(faces)))
    assert len(spared.faces) == len(faces)
