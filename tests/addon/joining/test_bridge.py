"""Rings of skin between two open necks, and their tones."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from blender_addon.joining.bridge import bridge, down_at
from blender_addon.joining.loops import boundary_loops, length, plane
from blender_addon.joining.tone import delta_e, linear, ramp, ratio

DOWN = np.array([0.0, 0.0, -1.0])


def ring(count: int, radius: float, height: float, start: float = 0.0, against: bool = False) -> np.ndarray:
    angle = start + np.arange(count) * 2 * np.pi / count * (-1 if against else 1)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(count, height)], 1)


@pytest.mark.parametrize(("above", "below", "start"), [(24, 20, 0.0), (24, 24, 0.1), (7, 40, 3.0), (60, 9, -2.0)])
def test_two_loops_of_any_number_of_vertices_are_closed_by_faces_that_look_outwards(above, below, start):
    head, body = ring(above, 0.06, 0.03), ring(below, 0.07, 0.0, start, against=True)
    made = bridge(head, np.tile(DOWN, (above, 1)), body, np.tile(DOWN, (below, 1)))
    points = np.concatenate([head, made.rings.reshape(-1, 3), body])
    sides = Counter((face[i - 1], face[i]) for face in made.faces for i in range(len(face)))
    assert max(sides.values()) == 1
    open_sides = {side for side in sides if side[::-1] not in sides}
    first_body = len(points) - below
    assert len(open_sides) == above + below  # the two loops, and nothing else
    assert {vertex for side in open_sides for vertex in side} == {*range(above), *range(first_body, len(points))}
    # the head's own faces run along its loop, the bridge's against it
    assert all((i, (i + 1) % above) not in sides for i in range(above))
    for face in made.faces:
        corners = points[list(face)]
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        assert normal[:2] @ corners.mean(0)[:2] > 0


def test_the_rings_leave_and_arrive_along_both_surfaces():
    head, body = ring(32, 0.05, 0.06), ring(32, 0.08, 0.0, against=True)
    slope = body * [1, 1, 0] / 0.08
    made = bridge(head, np.tile(DOWN, (32, 1)), body, slope)
    assert len(made.rings) > 2
    radius = np.linalg.norm(made.rings[:, 0, :2], axis=1)
    assert radius[0] - 0.05 < 0.005  # straight down first
    assert (np.diff(radius) > 0).all()
    assert made.rings[-1, 0, 2] < 0.02


def test_open_edges_are_found_in_the_order_of_their_faces():
    faces = [(0, 1, 4, 3), (1, 2, 5, 4)]
    (loop,) = boundary_loops(faces)
    assert loop.tolist() in [np.roll([0, 1, 2, 5, 4, 3], turn).tolist() for turn in range(6)]
    assert boundary_loops([(0, 1, 2), (0, 2, 3), (0, 3, 1), (1, 3, 2)]) == []


def test_an_edge_that_touches_itself_is_two_rings():
    faces = [(0, 1, 4, 3), (1, 2, 5, 4), (4, 6, 7)]  # a triangle hangs on the two squares by one corner
    rings = {frozenset(loop.tolist()) for loop in boundary_loops(faces)}
    assert rings in ({frozenset({0, 1, 2, 3, 4, 5}), frozenset({4, 6, 7})},)


def test_a_loops_plane_and_length():
    points = ring(100, 0.5, 2.0)
    middle, normal = plane(points)
    np.testing.assert_allclose(middle, [0, 0, 2], atol=1e-9)
    np.testing.assert_allclose(normal, [0, 0, 1], atol=1e-9)
    assert length(points) == pytest.approx(np.pi, rel=1e-3)


def test_down_is_away_from_the_mesh():
    points = np.concatenate([ring(8, 1.0, 0.0), ring(8, 1.0, 1.0)])
    edges = np.array([(i, i + 8) for i in range(8)])
    np.testing.assert_allclose(down_at(np.arange(8), points, edges), np.tile(DOWN, (8, 1)))


def test_tones_run_smoothly_from_one_skin_into_the_other():
    pale, dark = np.array([[0.6, 0.4, 0.3]]), np.array([[0.2, 0.12, 0.08]])
    assert delta_e(pale, dark)[0] > 20
    assert delta_e(pale * ratio(pale, dark), dark)[0] < 1e-6
    assert delta_e(np.ones((1, 3)), np.zeros((1, 3)))[0] == pytest.approx(100, abs=0.01)
    shares = ramp(np.linspace(0, 0.1, 50), 0.08)
    assert (shares[0], shares[-1]) == (1, 0)
    assert (np.diff(shares) <= 0).all()
    assert linear(np.array([0.5]))[0] == pytest.approx(0.21404, abs=1e-4)
