from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from meshlam_core.avatar.record import Avatar
from training.evaluate.mesh import aspects, crossings, hair_through_face, inverted, mesh_faults, outer_faces


def test_the_aspect_of_an_equilateral_triangle_and_of_a_needle() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.75**0.5, 0], [0.5, 0.05, 0]])
    faces = np.array([[0, 1, 2], [0, 1, 3]], np.int32)
    assert aspects(vertices, faces) == pytest.approx([2 / 3**0.5, 20])


def test_the_sample_head_has_no_faults(sample_avatar: Avatar) -> None:
    faults = mesh_faults(sample_avatar)
    assert (faults.inverted, faults.through) == (0, 0)


def test_eyeballs_are_not_the_outside(sample_avatar: Avatar) -> None:
    outer = outer_faces(sample_avatar)
    eyeball = sample_avatar.parts.index("eyeballs")
    assert 0 < outer.sum() < len(outer)
    assert not (sample_avatar.part[sample_avatar.faces[outer]] == eyeball).any()


def test_a_triangle_turned_inside_out_is_found(sample_avatar: Avatar) -> None:
    centres = sample_avatar.vertices[sample_avatar.faces].mean(1)
    forehead = int(np.abs(centres - [0, 0.23, 0.07]).sum(1).argmin())
    faces = sample_avatar.faces.copy()
    faces[forehead] = faces[forehead, ::-1]
    assert np.flatnonzero(inverted(replace(sample_avatar, faces=faces))).tolist() == [forehead]


def test_a_triangle_through_another_crosses_it_and_one_beside_it_does_not() -> None:
    flat = [[0, 0, 0], [2, 0, 0], [0, 2, 0]]
    through = [[0.5, 0.5, -1], [0.5, 0.5, 1], [3, 3, 1]]
    beside = [[1.5, 1.5, -1], [1.5, 1.5, 1], [3, 3, 1]]
    vertices = np.array(flat + through + beside, np.float64)
    first = np.array([[3, 4, 5], [6, 7, 8]], np.int32)
    second = np.array([[0, 1, 2]], np.int32)
    assert np.unique(crossings(vertices, first, second)).tolist() == [0]
    assert np.unique(crossings(vertices, second, first)).tolist() == [0]  # whose edges pierce does not matter


def test_triangles_that_share_a_vertex_do_not_cross() -> None:
    vertices = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [0.5, 0.5, -1], [0.5, 0.5, 1.0]])
    first, second = np.array([[0, 3, 4]], np.int32), np.array([[0, 1, 2]], np.int32)
    assert not len(crossings(vertices, first, second))


def test_hair_pushed_through_the_head_comes_out_of_the_face(sample_avatar: Avatar) -> None:
    back = (sample_avatar.part == sample_avatar.parts.index("scalp")) & (sample_avatar.vertices[:, 2] < -0.06)
    hair = np.zeros_like(sample_avatar.vertices)
    hair[back, 2] = -0.05  # off the head
    outwards = replace(sample_avatar, vertices=sample_avatar.vertices + hair)
    assert hair_through_face(outwards, hair) == 0
    hair[back, 2] = 0.16  # to the face, and its rim through it
    inwards = replace(sample_avatar, vertices=sample_avatar.vertices + hair)
    assert hair_through_face(inwards, hair) > 0
