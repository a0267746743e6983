"""Splitting long edges: no crack, no T-junction, no new seam, the same as the obvious way."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlam_core.model.topology import Correction, correct, epsilon_for
from tests.model.topology_meshes import (
    Mesh,
    areas,
    box,
    edge_faces,
    joined,
    seam_length,
    shape_of,
    sheet,
    slow_split,
    sphere,
    torus,
    tube,
    uv_areas,
)

SHAPES = {"torus": torus, "tube": tube, "sheet": sheet, "box": box, "sphere": sphere}


def longest(mesh: Mesh) -> float:
    return float(np.linalg.norm(mesh.vertices[mesh.faces] - mesh.vertices[np.roll(mesh.faces, -1, 1)], axis=-1).max())


def wobbled(mesh: Mesh, amount: float, seed: int) -> Mesh:
    mesh.vertices = mesh.vertices + np.random.default_rng(seed).normal(size=mesh.vertices.shape) * amount
    return mesh


def corrected(mesh: Mesh, epsilon: float, max_vertices: int = 10_000) -> Correction:
    return correct(mesh.vertices, mesh.faces, mesh.uvs, mesh.uv_faces, epsilon, max_vertices)


def as_soup(points: np.ndarray, faces: np.ndarray) -> list[tuple[tuple[float, ...], ...]]:
    """Triangles as rounded positions, whatever the numbering."""
    rows = np.round(np.asarray(points)[np.asarray(faces)], 9) + 0.0
    soup = []
    for triangle in rows.tolist():
        corners = [tuple(p) for p in triangle]
        first = corners.index(min(corners))
        soup.append(tuple(corners[first:] + corners[:first]))
    return sorted(soup)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(SHAPES)), st.floats(0.3, 1.2), st.integers(0, 1000))
def test_fast_and_slow_splitting_agree(name: str, fraction: float, seed: int) -> None:
    mesh = wobbled(SHAPES[name](), 0.05, seed)
    epsilon = fraction * longest(mesh)
    fast = corrected(mesh, epsilon)
    assert as_soup(fast.carry(mesh.vertices), fast.faces) == as_soup(*slow_split(mesh, epsilon))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(SHAPES)), st.floats(0.25, 1.1), st.integers(0, 1000))
def test_splitting_changes_nothing_but_the_number_of_triangles(name: str, fraction: float, seed: int) -> None:
    mesh = wobbled(SHAPES[name](), 0.05, seed)
    result = corrected(mesh, fraction * longest(mesh))
    points = result.carry(mesh.vertices)
    new = Mesh(points, result.faces, result.uvs, result.uv_faces)
    assert longest(new) <= fraction * longest(mesh) * (1 + 1e-9)
    # components, genus, border loops, watertightness, orientation
    assert shape_of(new.faces) == shape_of(mesh.faces)
    # the same surface, the same texture layout, the same seams
    children = np.bincount(result.parent, weights=areas(points, new.faces), minlength=len(mesh.faces))
    np.testing.assert_allclose(children, areas(mesh.vertices, mesh.faces), rtol=1e-9)
    uv_children = np.bincount(result.parent, weights=uv_areas(new.uvs, new.uv_faces), minlength=len(mesh.faces))
    np.testing.assert_allclose(uv_children, uv_areas(mesh.uvs, mesh.uv_faces), atol=1e-6)
    thick = np.abs(uv_areas(new.uvs, new.uv_faces)) > 1e-6
    flips = np.sign(uv_areas(new.uvs, new.uv_faces)) != np.sign(uv_areas(mesh.uvs, mesh.uv_faces))[result.parent]
    assert not (flips & thick).any()
    np.testing.assert_allclose(
        seam_length(points, new.faces, new.uv_faces), seam_length(mesh.vertices, mesh.faces, mesh.uv_faces), rtol=1e-9
    )
    assert areas(points, new.faces).min() > 0


def test_no_vertex_lies_inside_an_edge_of_another_triangle() -> None:
    mesh = sheet()
    mesh.vertices[7] += [0.4, 0.3, 0.0]  # so that neighbours need different templates
    result = corrected(mesh, 0.9)
    points = result.carry(mesh.vertices)
    for a, b in edge_faces(result.faces):
        along = points[b] - points[a]
        t = (points - points[a]) @ along / (along @ along)
        off = np.linalg.norm(points - points[a] - t[:, None] * along, axis=1)
        assert not ((t > 1e-6) & (t < 1 - 1e-6) & (off < 1e-9)).any()


def test_corners_that_share_a_texture_vertex_share_the_one_in_the_middle() -> None:
    mesh = box()
    result = corrected(mesh, 0.8)
    at_place: dict[tuple[float, ...], set[int]] = defaultdict(set)
    for u in np.unique(result.uv_faces):
        at_place[tuple(np.round(result.uvs[u], 6))].add(int(u))
    assert all(len(copies) == 1 for copies in at_place.values())


def test_a_mesh_without_long_edges_comes_back_as_it_was() -> None:
    mesh = torus()
    result = corrected(mesh, longest(mesh))
    assert result.unchanged
    np.testing.assert_array_equal(result.faces, mesh.faces)
    np.testing.assert_array_equal(result.uv_faces, mesh.uv_faces)
    np.testing.assert_array_equal(result.uvs, mesh.uvs)
    np.testing.assert_array_equal(result.carry(mesh.vertices), mesh.vertices)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_correcting_twice_is_correcting_once(name: str) -> None:
    mesh = wobbled(SHAPES[name](), 0.05, 3)
    once = corrected(mesh, 0.4 * longest(mesh))
    again = correct(once.carry(mesh.vertices), once.faces, once.uvs, once.uv_faces, 0.4 * longest(mesh) * (1 + 1e-9))
    assert again.unchanged
    np.testing.assert_array_equal(again.faces, once.faces)


def test_the_same_input_gives_the_same_bits() -> None:
    mesh = wobbled(torus(), 0.1, 5)
    one, two = (corrected(mesh, 0.5) for _ in range(2))
    for name in ("faces", "uvs", "uv_faces", "indices", "weights", "parent", "corner_bary"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_turning_the_corners_of_a_face_changes_no_triangle() -> None:
    # a strip of isosceles triangles: both diagonals of what two cut edges leave are equally long
    points = np.array([[i / 2, 2.0 * (i % 2), 0.0] for i in range(12)])
    faces = np.array([[i, i + 2, i + 1] if i % 2 == 0 else [i, i + 1, i + 2] for i in range(10)])
    mesh = Mesh(points, faces, np.zeros((12, 2), np.float32), faces)
    one = corrected(mesh, 1.5)
    assert len(one.faces) == 30
    for turn in ([1, 2, 0], [2, 0, 1]):
        two = corrected(Mesh(points, faces[:, turn], mesh.uvs, faces[:, turn]), 1.5)
        np.testing.assert_array_equal(one.carry(points), two.carry(points))
        assert as_soup(one.carry(points), one.faces) == as_soup(two.carry(points), two.faces)


def test_the_cap_stops_the_splitting_and_the_longest_edges_go_first() -> None:
    mesh = wobbled(torus(), 0.1, 6)
    result = corrected(mesh, 0.2, max_vertices=100)
    assert result.vertex_count == 100
    assert shape_of(result.faces) == shape_of(mesh.faces)
    lengths = {
        edge: float(np.linalg.norm(mesh.vertices[edge[0]] - mesh.vertices[edge[1]])) for edge in edge_faces(mesh.faces)
    }
    split = {tuple(sorted(row[:2])) for row in result.indices[96:].tolist()}
    assert split == set(sorted(lengths, key=lambda e: -lengths[e])[:4])


def test_a_cap_below_the_present_size_splits_nothing() -> None:
    assert corrected(torus(), 0.2, max_vertices=10).unchanged


def test_a_batch_shares_one_topology_that_fits_all_of_it() -> None:
    small, large = torus(), torus()
    large.vertices = large.vertices * 2
    both = np.stack([small.vertices, large.vertices])
    result = correct(both, small.faces, small.uvs, small.uv_faces, 2.0)
    np.testing.assert_array_equal(result.faces, corrected(large, 2.0).faces)
    assert result.carry(both).shape == (2, result.vertex_count, 3)


def test_components_that_do_not_touch_stay_apart() -> None:
    other = box()
    other.vertices = other.vertices + 10
    mesh = joined(torus(), other)
    assert shape_of(corrected(mesh, 0.7).faces).components == ((0, 0), (2, 0))


def test_three_faces_on_an_edge_are_all_split_at_the_same_vertex() -> None:
    from meshlam_core.model.topology.split import split_long_edges

    points = np.array([[[0.0, 0, 0], [2, 0, 0], [1, 1, 0], [1, -1, 0], [1, 0, 1]]])
    faces = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]])
    result = split_long_edges(points, faces, np.zeros((5, 2)), faces, 1.9, 100)
    assert len(result.faces) == 6
    assert (result.faces == 5).sum() == 6


@pytest.mark.parametrize("target", [130, 200, 500])
def test_the_chosen_epsilon_ends_near_the_wanted_size(target: int) -> None:
    mesh = wobbled(torus(), 0.05, 7)
    epsilon = epsilon_for(mesh.vertices, mesh.faces, target)
    assert abs(corrected(mesh, epsilon).vertex_count - target) <= 0.05 * target


def test_a_target_that_is_reached_already_leaves_the_mesh_alone() -> None:
    mesh = torus()
    assert corrected(mesh, epsilon_for(mesh.vertices, mesh.faces, 50)).unchanged
