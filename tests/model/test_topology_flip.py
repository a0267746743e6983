"""Edge flips: rounder triangles on the same surface and the same texture."""

from __future__ import annotations

from collections import Counter

import numpy as np

from meshlam_core.model.topology.flip import aspects, flip_slender
from tests.model.topology_meshes import Mesh, grid, torus


def sheared(by: float) -> Mesh:
    """A flat sheet whose diagonals run the long way, and its texture with it."""
    index, mesh = grid(6, 6, wrap_rows=False, wrap_columns=False)
    mesh.vertices = np.stack([index[:, 1] + by * index[:, 0], index[:, 0], 0 * index[:, 0]], axis=1).astype(float)
    mesh.uvs = (mesh.vertices[:, :2] / 100).astype(np.float32)
    return mesh


def twisted() -> Mesh:
    """A torus whose rows are turned against each other, so that its diagonals run the long way."""
    mesh = torus(32, 96)
    row, column = np.divmod(np.arange(len(mesh.vertices)), 96)
    v, u = 2 * np.pi * row / 32, 2 * np.pi * (column + 3 * row) / 96
    mesh.vertices = np.stack([(4 + np.cos(v)) * np.cos(u), (4 + np.cos(v)) * np.sin(u), np.sin(v)], axis=1)
    return mesh


def total_area(corners: np.ndarray) -> float:
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2)


def edges(faces: np.ndarray) -> Counter[tuple[int, int]]:
    return Counter(tuple(sorted((face[i], face[(i + 1) % 3]))) for face in faces.tolist() for i in range(3))


def test_slender_triangles_get_rounder_and_cover_the_same_sheet() -> None:
    mesh = sheared(3.0)
    faces, uv_faces = flip_slender(mesh.vertices, mesh.faces, mesh.uvs, mesh.uv_faces)
    assert aspects(mesh.vertices[mesh.faces]).max() > 15
    assert np.median(aspects(mesh.vertices[faces])) < 6
    signed = mesh.vertices[faces][:, :, :2]
    assert total_area(signed) == total_area(mesh.vertices[mesh.faces][:, :, :2])
    assert all(total_area(triangle[None]) > 0 for triangle in signed)
    assert np.array_equal(mesh.uvs[uv_faces], (mesh.vertices[faces][:, :, :2] / 100).astype(np.float32))


def test_no_edge_is_made_twice_and_none_is_left_open() -> None:
    mesh = twisted()
    faces, _ = flip_slender(mesh.vertices, mesh.faces, mesh.uvs, mesh.uv_faces)
    assert not np.array_equal(faces, mesh.faces)
    assert set(edges(faces).values()) == {2}


def test_seams_of_the_texture_stay() -> None:
    mesh = twisted()
    _, uv_faces = flip_slender(mesh.vertices, mesh.faces, mesh.uvs, mesh.uv_faces)
    open_edges = {edge for edge, count in edges(mesh.uv_faces).items() if count == 1}
    assert {edge for edge, count in edges(uv_faces).items() if count == 1} == open_edges


def test_round_triangles_and_creases_stay_as_they_are() -> None:
    for mesh in (torus(), sheared(0.0)):
        faces, _ = flip_slender(mesh.vertices, mesh.faces, mesh.uvs, mesh.uv_faces)
        assert np.array_equal(faces, mesh.faces)
    crease = np.array([[0, 0, 0], [10, 0, 0], [5, 1, 0], [5, 0, 1.0]])
    faces = np.array([[0, 1, 2], [1, 0, 3]])
    uvs = np.array([[0, 0], [1, 0], [0.5, 0.4], [0.5, -0.4]], np.float32)
    assert np.array_equal(flip_slender(crease, faces, uvs, faces)[0], faces)
