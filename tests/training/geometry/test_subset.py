from __future__ import annotations

import numpy as np
import torch

from tests.model.tiny import TINY_HEAD, TINY_RIG
from training.geometry.subset import Surface

SURFACE = Surface(TINY_RIG)


def test_a_subset_holds_movable_vertices_and_the_triangles_between_them() -> None:
    subset = SURFACE.draw(np.random.default_rng(0), 20, 2, 12)
    assert bool((TINY_RIG.limits[subset.vertices] > 0).all())
    assert torch.equal(subset.rig.template, TINY_RIG.template[subset.vertices])
    assert torch.equal(subset.rig.blendshapes, TINY_RIG.blendshapes[:, subset.vertices])
    there = {frozenset(face) for face in TINY_HEAD.faces.tolist()}
    faces = subset.vertices[subset.rig.faces]
    assert len(faces) > 10
    assert all(frozenset(face) in there for face in faces.tolist())


def test_edges_are_those_of_the_triangles_each_once() -> None:
    subset = SURFACE.draw(np.random.default_rng(1), 5, 3, 10)
    wanted = {tuple(sorted((face[i], face[i - 1]))) for face in subset.rig.faces.tolist() for i in range(3)}
    assert {tuple(edge) for edge in subset.edges.tolist()} == wanted
    assert len(subset.edges) == len(wanted)


def test_everything_is_every_vertex_that_can_move() -> None:
    assert torch.equal(SURFACE.everything().vertices, (TINY_RIG.limits > 0).nonzero()[:, 0])
