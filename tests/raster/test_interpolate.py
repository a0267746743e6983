"""Attributes, texture lookups and their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.interface import Fragments
from meshlam_core.raster.interpolate import barycentrics, interpolate, sample_texture, texture_level
from meshlam_core.raster.project import project
from tests.raster.meshes import camera, sphere_before_camera


def scene(size: int = 48) -> tuple[Tensor, Tensor, Tensor, Fragments]:
    """View-frame points, rasteriser input, faces and fragments of a sphere, drawn twice, the second time nearer."""
    points, mesh = sphere_before_camera(rings=12)
    points = torch.cat([points, points + torch.tensor([0.02, 0.01, 0.05])])
    vertices = project(points, camera(size))
    return points, vertices, mesh.faces, get_rasteriser().rasterise(vertices, mesh.faces, (size, size))


def two_triangles() -> tuple[Tensor, Tensor, Fragments]:
    """A tilted square on a 5 x 4 image in float64, for gradient checks."""
    vertices = torch.tensor([[[-1.3, -1.2, 1.0], [7.1, -1.4, 2.0], [6.7, 5.1, 1.5], [-1.1, 5.3, 0.8]]]).double()
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    return vertices, faces, get_rasteriser().rasterise(vertices, faces, (4, 5))


def test_recomputed_barycentrics_equal_the_rasterised_ones():
    _, vertices, faces, fragments = scene()
    again = barycentrics(vertices, faces, fragments)
    assert fragments.mask.any()
    torch.testing.assert_close(again, fragments.bary, rtol=0, atol=2e-3)  # the rasteriser snaps to 1/4096 px
    torch.testing.assert_close(again.sum(-1), fragments.mask.float())


def test_interpolating_positions_lands_on_the_pixels_own_ray():
    points, vertices, faces, fragments = scene()
    surface = interpolate(points.double(), faces, fragments, barycentrics(vertices.double(), faces, fragments))
    landed = project(surface[fragments.mask][None], camera(48))[0]
    _, row, column = fragments.mask.nonzero(as_tuple=True)
    expected = torch.stack([column, row], -1).double() + 0.5
    torch.testing.assert_close(landed[:, :2], expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(landed[:, 2], fragments.depth[fragments.mask].double(), rtol=1e-4, atol=0)


def test_attributes_may_be_shared_by_the_batch_and_empty_pixels_are_zero():
    _, _, faces, fragments = scene()
    shared = torch.rand(int(faces.max()) + 1, 2, generator=torch.Generator().manual_seed(0)) + 1
    picture = interpolate(shared, faces, fragments)
    assert picture.shape == (2, 48, 48, 2)
    assert (picture[~fragments.mask] == 0).all()
    assert picture[fragments.mask].min() > 0.999
    torch.testing.assert_close(picture, interpolate(shared[None].expand(2, -1, -1), faces, fragments))


def test_gradients_of_barycentrics_and_interpolation_are_exact():
    vertices, faces, fragments = two_triangles()
    assert fragments.mask.all()
    attributes = torch.rand(1, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def picture(v: Tensor, a: Tensor) -> Tensor:
        return interpolate(a, faces, fragments, barycentrics(v, faces, fragments))

    inputs = (vertices.requires_grad_(), attributes.requires_grad_())
    assert torch.autograd.gradcheck(picture, inputs)


def test_moving_the_camera_sideways_moves_the_picture():
    """The gradient to positions has the right sign and size: a ramp of slope 1 shifts by what its mesh shifts."""
    vertices, faces, fragments = two_triangles()
    vertices[..., 2] = 1
    vertices.requires_grad_()
    ramp = vertices[..., :1].detach()  # each vertex carries its own x
    interpolate(ramp, faces, fragments, barycentrics(vertices, faces, fragments)).mean().backward()
    torch.testing.assert_close(vertices.grad.sum((0, 1)), torch.tensor([-1.0, 0, 0]).double(), rtol=0, atol=1e-9)


def test_a_needle_thinner_than_the_grid_gives_finite_gradients():
    vertices = torch.tensor([[[0.0, 0.5, 1.0], [8.0, 0.5, 1.0], [8.0, 0.5 + 2e-4, 1.0]]])
    faces = torch.tensor([[0, 1, 2]])
    hit = torch.full((1, 1, 8), 0, dtype=torch.int32)
    fragments = Fragments(hit, torch.full((1, 1, 8, 3), 1 / 3), torch.ones(1, 1, 8))
    vertices.requires_grad_()
    bary = barycentrics(vertices, faces, fragments)
    bary.square().sum().backward()
    assert torch.equal(bary, fragments.bary)
    assert torch.isfinite(vertices.grad).all()


def test_texture_row_0_is_the_top_and_texel_centres_are_at_halves():
    texture = torch.arange(6.0).view(1, 1, 2, 3)  # rows 0 1 2 / 3 4 5
    uv = torch.tensor([[[0.5 / 3, 0.75], [1.5 / 3, 0.75], [2.5 / 3, 0.25], [0.5, 0.5]]])[None]
    torch.testing.assert_close(sample_texture(texture, uv).view(-1), torch.tensor([0.0, 1.0, 5.0, 2.5]))


def test_outside_the_texture_its_border_goes_on():
    texture = torch.arange(6.0).view(1, 1, 2, 3)
    uv = torch.tensor([[[-1.0, 2.0], [2.0, -1.0]]])[None]
    assert sample_texture(texture, uv).view(-1).tolist() == [0.0, 5.0]


def test_gradients_of_texture_lookups_are_exact():
    generator = torch.Generator().manual_seed(1)
    texture = torch.rand(2, 3, 5, 4, dtype=torch.float64, generator=generator).requires_grad_()
    uv = (torch.rand(2, 3, 3, 2, dtype=torch.float64, generator=generator) * 0.9 + 0.05).requires_grad_()
    level = torch.rand(2, 3, 3, dtype=torch.float64, generator=generator) * 1.5
    assert torch.autograd.gradcheck(sample_texture, (texture, uv))
    assert torch.autograd.gradcheck(lambda t, c: sample_texture(t, c, level), (texture, uv))


@pytest.mark.parametrize("size", [(64, 64), (63, 51)])
def test_a_minified_checkerboard_turns_grey_instead_of_aliasing(size):
    height, width = size
    board = ((torch.arange(height)[:, None] + torch.arange(width)) % 2).float()[None, None]
    v, u = torch.meshgrid((torch.arange(8) + 0.5) / 8, (torch.arange(8) + 0.5) / 8, indexing="ij")
    uv = torch.stack([u, 1 - v], -1)[None]
    filtered = sample_texture(board, uv, torch.full((1, 8, 8), 3.0))
    torch.testing.assert_close(filtered, torch.full_like(filtered, 0.5), rtol=0, atol=0.08)
    assert (sample_texture(board, uv + 0.01) - 0.5).abs().max() > 0.1  # what it prevents


@pytest.mark.parametrize("size", [(64, 64), (63, 51)])
def test_the_pyramid_keeps_a_gradient_where_it_is(size):
    height, width = size
    ramp = ((torch.arange(width) + 0.5) / width).expand(1, 1, height, width)
    u = torch.linspace(0.2, 0.8, 9)
    uv = torch.stack([u, torch.full_like(u, 0.5)], -1)[None, None]
    for level in (0.0, 0.5, 1.0, 2.0, 2.7):
        read = sample_texture(ramp, uv, torch.full((1, 1, 9), level))[0, 0, 0]
        torch.testing.assert_close(read, u, rtol=0, atol=0.02)


def test_texture_level_is_the_log_of_texels_per_pixel():
    # a 10 px square shows a quarter of a 160-texel texture: 8 texels a pixel
    vertices = torch.tensor([[[0.0, 0, 1], [10, 0, 1], [10, 10, 1], [0, 10, 1]]])
    uvs = torch.tensor([[0.0, 0.5], [0.5, 0.5], [0.5, 0.0], [0.0, 0.0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    fragments = get_rasteriser().rasterise(vertices, faces, (10, 12))
    level = texture_level(vertices, faces, uvs, faces, fragments, (160, 160))
    expected = torch.where(fragments.mask, 3.0, 0.0)
    torch.testing.assert_close(level, expected)


def test_mismatched_shapes_are_named():
    _, vertices, faces, fragments = scene()
    with pytest.raises(ValueError, match=r"attributes: expected \[B V C\] with B=2, got \(3, 5, 1\)"):
        interpolate(torch.zeros(3, 5, 1), faces, fragments)
    with pytest.raises(ValueError, match=r"bary: expected \[B H W 3\]"):
        interpolate(torch.zeros(2, 200, 1), faces, fragments, torch.zeros(2, 4, 4, 3))
    with pytest.raises(ValueError, match=r"fragments.face: expected \[B H W\] with B=1"):
        barycentrics(vertices[:1], faces, fragments)
