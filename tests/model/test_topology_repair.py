"""Orientation repair and removal of invalid faces, on meshes broken on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlam_core.errors import UsageError
from meshlam_core.model.topology import Correction, correct
from meshlam_core.model.topology.edges import flat_faces, grow_components, is_sound
from tests.model.topology_meshes import (
    Mesh,
    areas,
    box,
    joined,
    seam_length,
    shape_of,
    sheet,
    sphere,
    torus,
    tube,
    uv_areas,
    with_faces,
)


def fixed(mesh: Mesh, epsilon: float = 1e9) -> Correction:
    return correct(mesh.vertices, mesh.faces, mesh.uvs, mesh.uv_faces, epsilon)


def turned(mesh: Mesh, which: np.ndarray) -> Mesh:
    faces, uv_faces = mesh.faces.copy(), mesh.uv_faces.copy()
    faces[which], uv_faces[which] = faces[which][:, [0, 2, 1]], uv_faces[which][:, [0, 2, 1]]
    return Mesh(mesh.vertices, faces, mesh.uvs, uv_faces)


def same_triangles(one: np.ndarray, two: np.ndarray) -> bool:
    return sorted(sorted(f) for f in one.tolist()) == sorted(sorted(f) for f in two.tolist())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.sampled_from([torus, tube, sheet, box, sphere]), st.integers(0, 1000), st.floats(0.0, 0.45))
def test_turned_faces_are_turned_back_to_the_side_of_the_majority(make: type, seed: int, share: float) -> None:
    mesh = make()
    which = np.random.default_rng(seed).permutation(len(mesh.faces))[: int(share * len(mesh.faces))]
    result = fixed(turned(mesh, which))
    assert result.repairs.flipped == len(which)
    np.testing.assert_array_equal(np.sort(result.faces, 1), np.sort(mesh.faces, 1))
    assert shape_of(result.faces) == shape_of(mesh.faces)
    # texture corners turn with their face, and every face is on the right side again
    np.testing.assert_allclose(
        uv_areas(result.uvs, result.uv_faces), uv_areas(mesh.uvs, mesh.uv_faces), rtol=1e-9, atol=0
    )


def test_each_component_keeps_its_own_majority() -> None:
    mesh = joined(torus(), box())
    which = np.concatenate([np.arange(5), np.arange(192, 204)])  # some of the torus, all of the box
    result = fixed(turned(mesh, which))
    assert result.repairs.flipped == 5
    np.testing.assert_array_equal(np.sort(result.faces[192:], 1), np.sort(mesh.faces[192:], 1))
    assert result.faces[200].tolist() == turned(mesh, which).faces[200].tolist()


def test_a_one_sided_strip_does_not_confuse_the_repair() -> None:
    faces = np.array([[i, (i + 1) % 9, (i + 2) % 9] if i % 2 == 0 else [(i + 1) % 9, i, (i + 2) % 9] for i in range(9)])
    mesh = Mesh(np.random.default_rng(1).normal(size=(9, 3)), faces, np.eye(9, 2, dtype=np.float32), faces)
    result = fixed(mesh)
    assert same_triangles(result.faces, faces)
    assert shape_of(result.faces).disagreeing <= 1


def test_faces_with_repeated_corners_are_dropped_without_a_hole() -> None:
    mesh = torus()
    result = fixed(with_faces(mesh, [[0, 0, 1], [5, 6, 5], [7, 7, 7]]))
    assert result.repairs.dropped == 3
    np.testing.assert_array_equal(result.faces, mesh.faces)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_copies_of_a_face_are_dropped_whichever_way_they_look(order: tuple[int, ...]) -> None:
    mesh = torus()
    copies = mesh.faces[[3, 9, 9]][:, order]
    result = fixed(with_faces(mesh, copies.tolist()))
    assert same_triangles(result.faces, mesh.faces)
    assert shape_of(result.faces) == shape_of(mesh.faces)


def test_a_pillow_of_two_opposite_faces_vanishes() -> None:
    mesh = joined(torus(), Mesh(np.eye(3), np.array([[0, 1, 2], [2, 1, 0]]), np.eye(3, 2), np.array([[0, 1, 2]] * 2)))
    result = fixed(mesh)
    assert len(result.faces) == 192
    assert result.vertex_count == 96


def test_fins_are_dropped_and_the_surface_under_them_stays() -> None:
    mesh = torus()
    result = fixed(with_faces(mesh, [[0, 1, 50], [70, 71, 20]]))
    np.testing.assert_array_equal(result.faces, mesh.faces)


def test_a_membrane_across_a_tube_is_dropped_whole() -> None:
    mesh = tube(4, 10)
    ring = [20 + i for i in range(10)]
    result = fixed(with_faces(mesh, [[ring[0], ring[i], ring[i + 1]] for i in range(1, 9)]))
    np.testing.assert_array_equal(result.faces, mesh.faces)


def test_two_boxes_glued_along_an_edge_are_cut_apart_and_stay_closed() -> None:
    other = box()
    other.vertices = other.vertices + np.array([1, 1, 0])
    mesh = joined(box(), other)
    place = {tuple(p): i for i, p in reversed(list(enumerate(mesh.vertices.tolist())))}
    mesh.faces = np.array([place[tuple(p)] for p in mesh.vertices.tolist()])[mesh.faces]
    assert shape_of(mesh.faces).crowded == 1
    result = fixed(mesh)
    assert shape_of(result.faces).components == ((2, 0), (2, 0))
    assert result.repairs.cut_loose == 2
    np.testing.assert_array_equal(result.carry(mesh.vertices)[result.faces], mesh.vertices[mesh.faces])


def test_coincident_vertices_are_merged_and_the_mesh_stays_closed() -> None:
    mesh = torus()
    a, b, c = mesh.faces[10]
    mesh.vertices[b] = mesh.vertices[c] = mesh.vertices[a]
    result = fixed(mesh)
    assert result.repairs.collapsed == 4
    assert result.vertex_count == 94
    assert shape_of(result.faces) == shape_of(mesh.faces)
    assert areas(result.carry(mesh.vertices), result.faces).min() > 0.01


@pytest.mark.parametrize("place", [0.5, 0.3, 0.05])
def test_a_vertex_on_the_opposite_edge_is_handed_to_the_neighbour(place: float) -> None:
    mesh = torus()
    a, b, c = mesh.faces[40]
    mesh.vertices[c] = (1 - place) * mesh.vertices[a] + place * mesh.vertices[b]
    before = uv_areas(mesh.uvs, mesh.uv_faces)
    result = fixed(mesh)
    assert result.repairs.reconnected == 1
    assert result.vertex_count == 96
    assert shape_of(result.faces) == shape_of(mesh.faces)
    assert areas(result.carry(mesh.vertices), result.faces).min() > 1e-3
    assert (uv_areas(result.uvs, result.uv_faces) * np.sign(before[0]) > 0).all()


def test_a_flat_face_at_a_seam_moves_the_seam_and_keeps_the_texture_in_place() -> None:
    mesh = box()
    a, b, c = mesh.faces[0]  # every box edge is a seam; a-b is one
    mesh.vertices[c] = (mesh.vertices[a] + mesh.vertices[b]) / 2
    result = fixed(mesh)
    assert result.repairs.reconnected == 1
    assert shape_of(result.faces) == shape_of(mesh.faces)
    assert not flat_faces(result.carry(mesh.vertices)[None], result.faces.astype(np.int64)).any()
    # the neighbour's two pieces cover what it covered before; only the flat face's texels are gone
    before, after = uv_areas(mesh.uvs, mesh.uv_faces), uv_areas(result.uvs, result.uv_faces)
    assert (after > 0).all()
    np.testing.assert_allclose(after.sum(), before[1:].sum(), rtol=1e-6)
    assert len(result.uvs) == len(mesh.uvs) + 1


def test_a_flat_face_at_an_open_border_is_peeled_off() -> None:
    mesh = sheet()
    row = mesh.faces[np.isin(mesh.faces, [0, 1]).sum(1) == 2][0]
    apex = int(row[~np.isin(row, [0, 1])][0])
    mesh.vertices[apex] = (mesh.vertices[0] + mesh.vertices[1]) / 2
    result = fixed(mesh)
    assert shape_of(result.faces) == shape_of(mesh.faces)
    assert not flat_faces(result.carry(mesh.vertices)[None], result.faces.astype(np.int64)).any()


def test_a_pinched_handle_keeps_its_shape_and_is_counted() -> None:
    mesh = torus()
    mesh.vertices[:12] = mesh.vertices[0]  # a ring around the hole: collapsing it would tear the torus
    result = fixed(mesh)
    assert result.repairs.left > 0
    assert shape_of(result.faces) == shape_of(mesh.faces)


TETRAHEDRON = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


@pytest.mark.parametrize(
    ("second", "left"),
    [
        ([0.0, 0, 0], 2),  # on the first vertex: a merger would leave two faces back to back
        ([0.5, 0.0, 0], 1),  # on an edge: a flip would double the edge that is there
    ],
)
def test_a_tetrahedron_without_volume_is_not_torn(second: list[float], left: int) -> None:
    points = np.array([[0.0, 0, 0], second, [1, 0, 0], [0, 1, 0]])
    result = fixed(Mesh(points, TETRAHEDRON, np.eye(4, 2, dtype=np.float32), TETRAHEDRON))
    assert result.repairs.left == left
    assert shape_of(result.faces).components == ((2, 0),)
    assert is_sound(result.faces.astype(np.int64), result.vertex_count)


def test_a_strip_is_not_pinched_where_both_borders_meet() -> None:
    points = np.array([[i / 2, 2.0 * (i % 2), 0.0] for i in range(6)])
    points[3] = points[2]
    faces = np.array([[0, 2, 1], [1, 2, 3], [2, 4, 3], [3, 4, 5]])
    result = fixed(Mesh(points, faces, np.eye(6, 2, dtype=np.float32), faces))
    assert shape_of(result.faces).components == ((1, 1),)


def test_two_wedges_that_touch_along_an_edge_are_not_welded_into_one() -> None:
    edge = [[0.0, -1, 0], [0, 1, 0]]
    points = np.array([*edge, [-2, 0, 0.2], [-2, 0, -0.2], [2, 0, -0.2], [2, 0, 0.2]])
    faces = np.concatenate([TETRAHEDRON, np.array([0, 1, 4, 5])[TETRAHEDRON]])
    result = fixed(Mesh(points, faces, np.eye(6, 2, dtype=np.float32), faces))
    assert shape_of(result.faces).components == ((2, 0), (2, 0))
    np.testing.assert_array_equal(result.carry(points)[result.faces], points[faces])


def test_a_component_without_any_area_vanishes_alone() -> None:
    other = box()
    other.vertices[:] = 3.0
    mesh = joined(torus(), other)
    result = fixed(mesh)
    assert result.vertex_count == 96
    np.testing.assert_array_equal(result.faces, mesh.faces[:192])


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0.4, 2.0))
def test_random_mergers_and_turns_leave_a_closed_coherent_mesh(seed: int, mergers: int, epsilon: float) -> None:
    random = np.random.default_rng(seed)
    mesh = torus()
    for vertex in random.choice(96, mergers, replace=False):
        ring = mesh.faces[(mesh.faces == vertex).any(1)].ravel()
        mesh.vertices[vertex] = mesh.vertices[random.choice(ring[ring != vertex])]
    which = random.permutation(192)[:40]
    mesh = turned(mesh, which)
    spoiled = with_faces(mesh, [mesh.faces[int(random.integers(192))].tolist(), [4, 4, 9]])
    result = fixed(spoiled, epsilon)
    points = result.carry(mesh.vertices)
    assert shape_of(result.faces).components == ((0, 0),)
    assert is_sound(result.faces.astype(np.int64), result.vertex_count)
    side = np.sign(uv_areas(torus().uvs, torus().uv_faces)[0])
    assert (uv_areas(result.uvs, result.uv_faces) * side > 0).all()
    if result.repairs.left == 0:
        assert not flat_faces(points[None], result.faces.astype(np.int64)).any()
    again = correct(points, result.faces, result.uvs, result.uv_faces, epsilon * (1 + 1e-9))
    assert again.unchanged or result.repairs.left > 0
    repeat = fixed(spoiled, epsilon)
    np.testing.assert_array_equal(repeat.faces, result.faces)
    np.testing.assert_array_equal(repeat.indices, result.indices)


def test_merging_opens_no_seam_where_there_was_none() -> None:
    mesh = torus()
    a, b = mesh.faces[90][:2]
    mesh.vertices[b] = mesh.vertices[a]
    before = seam_length(mesh.vertices, mesh.faces, mesh.uv_faces)
    result = fixed(mesh)
    assert result.repairs.collapsed == 2
    after = seam_length(result.carry(mesh.vertices), result.faces, result.uv_faces)
    assert after <= before + 1e-9


def test_vertices_that_never_had_a_face_keep_their_place() -> None:
    mesh = torus()
    mesh.vertices = np.concatenate([mesh.vertices, [[9.0, 9, 9]]])
    result = fixed(with_faces(mesh, [[0, 0, 1]]))
    assert result.vertex_count == 97


@pytest.mark.parametrize(
    ("faces", "sound"),
    [
        ([[0, 1, 2], [2, 1, 3]], True),
        ([[0, 1, 2], [1, 2, 3]], False),  # they disagree
        ([[0, 1, 2], [2, 1, 0]], False),  # copies
        ([[0, 0, 1]], False),
        ([[0, 1, 2], [2, 1, 3], [1, 2, 4]], False),  # three at an edge
    ],
)
def test_soundness_is_told_from_one_look(faces: list[list[int]], sound: bool) -> None:
    assert is_sound(np.array(faces), 5) is sound


def test_components_and_signs_match_a_plain_search() -> None:
    random = np.random.default_rng(2)
    hidden = random.random(200) < 0.5
    first, second = random.integers(0, 200, (2, 180))
    root, sign = grow_components(200, first, second, hidden[first] ^ hidden[second])
    expected = np.arange(200)
    for _ in range(200):
        for a, b in zip(first, second, strict=True):
            expected[a] = expected[b] = min(expected[a], expected[b])
    np.testing.assert_array_equal(root, expected)
    np.testing.assert_array_equal(sign, hidden ^ hidden[root])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices": np.full((96, 3), np.nan)}, "vertices: expected finite positions"),
        ({"vertices": np.zeros((96, 2))}, r"vertices: expected \[V, 3\]"),
        ({"vertices": np.zeros((90, 3))}, "faces: expected indices from 0 to 89, got 0 to 95"),
        ({"uvs": np.zeros((0, 2))}, "uv_faces: expected indices"),
        ({"uvs": np.zeros((96, 3))}, r"uvs: expected \[U, 2\]"),
        ({"uv_faces": np.zeros((5, 3), dtype=int)}, r"faces, uv_faces: expected the same \[F, 3\]"),
        ({"epsilon": 0.0}, "epsilon: expected a positive length"),
        ({"epsilon": float("nan")}, "epsilon: expected a positive length"),
    ],
)
def test_input_that_makes_no_sense_is_refused_by_name(change: dict[str, object], message: str) -> None:
    mesh = torus()
    call = {"vertices": mesh.vertices, "faces": mesh.faces, "uvs": mesh.uvs, "uv_faces": mesh.uv_faces, "epsilon": 1.0}
    with pytest.raises(UsageError, match=message):
        correct(**(call | change))
