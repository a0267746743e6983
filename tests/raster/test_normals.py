"""Normals point outwards, have unit length and exact gradients."""

from __future__ import annotations

import torch

from meshlam_core.raster.normals import face_normals, vertex_normals
from tests.raster.meshes import sphere


def test_a_counter_clockwise_triangle_faces_the_viewer():
    vertices = torch.tensor([[[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]])
    faces = torch.tensor([[0, 1, 2]])
    torch.testing.assert_close(face_normals(vertices, faces), torch.tensor([[[0.0, 0, 1]]]))
    torch.testing.assert_close(face_normals(vertices, faces, unit=False), torch.tensor([[[0.0, 0, 4]]]))


def test_a_spheres_normals_are_its_directions():
    mesh = sphere(40)
    used = mesh.faces.unique().long()
    normals = vertex_normals(mesh.vertices[None].double(), mesh.faces)[0, used]
    directions = torch.nn.functional.normalize(mesh.vertices[used].double(), dim=-1)
    away_from_seam = (mesh.vertices[used, 2] > -0.05) & (mesh.vertices[used, 1].abs() < 0.095)
    assert ((normals * directions).sum(-1)[away_from_seam] > 0.999).all()
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(len(used)).double())


def test_a_triangle_without_area_and_a_lone_vertex_get_zero_and_finite_gradients():
    vertices = torch.zeros(1, 4, 3, requires_grad=True)
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    assert (normals == 0).all()
    normals.sum().backward()
    assert torch.isfinite(vertices.grad).all()


def test_gradients_are_exact():
    vertices = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [2, 3, 4]])
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, faces), (vertices,))
    assert torch.autograd.gradcheck(lambda v: face_normals(v, faces), (vertices,))
