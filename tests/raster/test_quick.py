"""The kernels against their twins in torch: values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from meshlam_core.raster import quick
from meshlam_core.raster.backends import get_rasteriser, has_warp
from meshlam_core.raster.build_uv_map import build_uv_map
from meshlam_core.raster.interface import Fragments
from meshlam_core.raster.interpolate import barycentrics_slowly, interpolate_slowly
from meshlam_core.raster.normals import corner_normals
from meshlam_core.raster.project import project
from tests.raster.meshes import camera, sphere_before_camera

pytestmark = pytest.mark.skipif(not has_warp(), reason="warp-lang is not installed")


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest):
    """With one thread an image is one band, with two it is two."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def scene(size: int = 40) -> tuple[Tensor, Tensor, Fragments]:
    """Two views of a sphere, the second nearer: rasteriser input, faces, fragments."""
    points, mesh = sphere_before_camera(rings=12)
    points = torch.cat([points, points + torch.tensor([0.02, 0.01, 0.05])])
    vertices = project(points, camera(size))
    return vertices, mesh.faces, get_rasteriser().rasterise(vertices, mesh.faces, (size, size))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def compare(fast: Callable[..., Tensor], slow: Callable[..., Tensor], *inputs: Tensor) -> None:
    """The kernel in float32 and its twin in float64: the same values, and gradients for the same weights."""
    single = [x.detach().clone().requires_grad_() for x in inputs]
    double = [x.detach().double().requires_grad_() for x in inputs]
    ours, theirs = fast(*single), slow(*double)
    weights = noise(*theirs.shape, seed=1)
    (ours * weights).sum().backward()
    (theirs * weights.double()).sum().backward()
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)
    for a, b in zip(single, double, strict=True):
        assert b.grad.abs().max() > 0
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-3, atol=1e-3 * float(b.grad.abs().max()))


def test_barycentrics_equal_their_twin(threads):
    vertices, faces, fragments = scene()
    compare(
        lambda v: quick.barycentrics(v, faces, fragments),
        lambda v: barycentrics_slowly(v, faces, fragments),
        vertices,
    )


@pytest.mark.parametrize("images", [1, 2])
def test_blending_equals_its_twin_in_attributes_and_barycentrics(threads, images):
    vertices, faces, fragments = scene()
    compare(
        lambda a, b: quick.blend(a, faces, fragments.face, b),
        lambda a, b: interpolate_slowly(a, faces, fragments, b),
        noise(images, vertices.shape[1], 5),
        fragments.bary,
    )


def test_a_texture_of_vertex_attributes_equals_its_twin(threads):
    _, mesh = sphere_before_camera(rings=12)
    uv_map = build_uv_map(mesh.uvs, mesh.faces, 32)
    compare(
        lambda a: uv_map.spread(a, mesh.faces),
        lambda a: uv_map.scatter(uv_map.attribute(a, mesh.faces)),
        noise(2, len(mesh.vertices), 3),
    )


def test_summed_normals_equal_their_twin():
    points, mesh = sphere_before_camera(rings=12)
    points = torch.cat([points, points * 1.1])
    compare(lambda v: quick.corner_normals(v, mesh.faces), lambda v: corner_normals(v, mesh.faces), points)


def test_adding_rows_is_the_product_with_a_matrix_of_ones():
    source, target = torch.tensor([0, 3, 3, 2, 1]), torch.tensor([1, 0, 1, 1, 1])
    matrix = torch.zeros(2, 4).index_put((target, source), torch.ones(5), accumulate=True).double()
    compare(lambda x: quick.add_rows(x, source, target, 2), lambda x: matrix @ x, noise(3, 4, 2))


def test_a_needle_thinner_than_the_grid_keeps_the_rasterisers_barycentrics_and_gets_no_gradient():
    vertices = torch.tensor([[[0.0, 0.0, 1.0], [8.0, 0.0, 1.0], [4.0, 1e-5, 1.0]]])
    given = torch.tensor([0.25, 0.25, 0.5]).expand(1, 2, 2, 3)
    fragments = Fragments(torch.zeros(1, 2, 2, dtype=torch.int32), given, torch.ones(1, 2, 2))
    vertices.requires_grad_()
    found = quick.barycentrics(vertices, torch.tensor([[0, 1, 2]]), fragments)
    assert torch.equal(found, given)
    found.sum().backward()
    assert torch.equal(vertices.grad, torch.zeros_like(vertices))


def test_other_dtypes_go_to_the_twin():
    assert quick.fits(torch.zeros(1))
    assert not quick.fits(torch.zeros(1), torch.zeros(1, dtype=torch.float64))
    assert quick.add_rows(torch.ones(1, 1, 1).double(), torch.tensor([0]), torch.tensor([0]), 1).dtype == torch.float64
