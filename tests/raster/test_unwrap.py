"""The photo goes into the texture where it was seen, and nowhere else."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from meshlam_core.frames import Camera
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.build_uv_map import build_uv_map
from meshlam_core.raster.interface import Fragments
from meshlam_core.raster.interpolate import interpolate, sample_texture
from meshlam_core.raster.project import project
from meshlam_core.raster.unwrap import TexelView, unwrap, view_texels
from meshlam_core.raster.uv_map import UvMap
from tests.raster.meshes import Mesh, camera, sphere_before_camera

SIZE = 96  # texels


def draw(points: Tensor, faces: Tensor, view: Camera) -> Fragments:
    return get_rasteriser().rasterise(project(points, view), faces, view.size[::-1])


@pytest.fixture
def ball() -> tuple[Tensor, Mesh, UvMap]:
    points, mesh = sphere_before_camera(rings=32)
    return points, mesh, build_uv_map(mesh.uvs, mesh.faces, SIZE)


def test_a_rendered_texture_unwraps_to_itself(ball, device):
    points, mesh, uv_map = ball
    rows = torch.linspace(0, 1, SIZE)
    texture = torch.stack([rows[:, None].expand(SIZE, SIZE), rows.expand(SIZE, SIZE)])[None].to(device)  # smooth
    points, faces, uvs = points.to(device), mesh.faces.to(device), mesh.uvs.to(device)
    view = camera(200)
    fragments = draw(points, faces, view)
    photo = sample_texture(texture, interpolate(uvs, faces, fragments))
    seen = view_texels(points, faces, uv_map.to(device), view, fragments)
    back = unwrap(photo, seen.pixel, seen.weight, seen.level)
    trusted = seen.weight[0] > 0.9
    assert 0.1 < trusted.float().mean() < 0.5
    error = (back - texture).abs().amax(1)[0][trusted]
    assert error.max() < 0.02
    assert (back[0, :, seen.weight[0] == 0] == 0).all()


def test_the_kernel_equals_its_twin(ball, monkeypatch):
    points, mesh, uv_map = ball
    points = torch.cat([points, points @ torch.tensor([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]]) * 0.8])
    views = [camera(90), Camera(260.0, (40.0, 55.0), (90, 90))]
    fragments = draw(points, mesh.faces, Camera(180.0, (24.0, 24.0), (48, 48)))  # any depth buffer will do
    quick = view_texels(points, mesh.faces, uv_map, views, fragments, tolerance=0.02)
    monkeypatch.setattr("meshlam_core.raster.unwrap.has_warp", lambda: False)
    slow = view_texels(points, mesh.faces, uv_map, views, fragments, tolerance=0.02)
    for field in fields(TexelView):
        a, b = getattr(quick, field.name), getattr(slow, field.name)
        assert a.shape == b.shape
        close = torch.isclose(a, b, rtol=1e-3, atol=1e-3)
        assert close.float().mean() > 0.999  # a depth test on the edge of its tolerance may go either way
    assert 0.02 < quick.visible.mean() < 0.9


def test_texels_project_to_where_their_surface_point_is(ball):
    points, mesh, uv_map = ball
    view = camera(64)
    seen = view_texels(points, mesh.faces, uv_map, view, draw(points, mesh.faces, view))
    surface = uv_map.attribute(points, mesh.faces)
    expected = uv_map.scatter(project(surface, view)[..., :2], empty=-1)
    torch.testing.assert_close(seen.pixel, expected, rtol=0, atol=1e-3)


def test_a_sphere_shows_its_front_and_hides_its_back(ball):
    points, mesh, uv_map = ball
    view = camera(128)
    seen = view_texels(points, mesh.faces, uv_map, view, draw(points, mesh.faces, view))
    centre = torch.tensor([0.0, 0.0, -0.6])
    surface = uv_map.scatter(uv_map.attribute(points, mesh.faces))[0]
    outwards = torch.nn.functional.normalize(surface - centre, dim=-1)
    facing = -(outwards * torch.nn.functional.normalize(surface, dim=-1)).sum(-1)
    inside = uv_map.islands & (outwards[..., 1].abs() < 0.95)
    assert (seen.visible[0][inside & (facing > 0.2)] > 0.99).all()
    assert (seen.weight[0][inside & (facing > 0.55)] > 0.99).all()
    assert (seen.visible[0][inside & (facing < -0.02)] == 0).all()
    assert (seen.weight[0][inside & (facing < 0.08)] < 0.01).all()
    torch.testing.assert_close(seen.cosine[0][inside], facing[inside], rtol=0, atol=0.05)


def test_what_another_surface_hides_is_not_seen(ball, device):
    points, mesh, uv_map = ball
    view = camera(128)
    # a card before the left half of the image (the subject's right, -X), its own texels outside the texture
    card = torch.tensor([[-0.2, -0.2, -0.4], [0.0, -0.2, -0.4], [0.0, 0.2, -0.4], [-0.2, 0.2, -0.4]])[None]
    count = points.shape[1]
    both = torch.cat([points, card], 1).to(device)
    faces = torch.cat([mesh.faces, torch.tensor([[0, 1, 2], [0, 2, 3]]) + count]).int().to(device)
    seen = view_texels(points.to(device), mesh.faces.to(device), uv_map.to(device), view, draw(both, faces, view))
    x = seen.pixel[0, ..., 0]
    lit = seen.weight[0].cpu() > 0.5
    assert not (lit & (x.cpu() < 63)).any()
    assert lit[(x.cpu() > 65) & (seen.cosine[0].cpu() > 0.6) & uv_map.islands].all()


def test_visibility_fades_over_one_pixel_at_an_occluding_edge():
    # a wall 0.1 m behind a card's vertical edge: the share falls from 1 to 0 within the two pixels at the edge
    wall = torch.tensor([[-1.0, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1]])[None]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    uvs = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    view = Camera(16.0, (16.0, 16.0), (32, 32))
    depth = torch.ones(1, 32, 32)
    depth[..., :16] = 0.9
    fragments = Fragments(torch.zeros(1, 32, 32, dtype=torch.int32), torch.zeros(1, 32, 32, 3), depth)
    seen = view_texels(wall, faces, build_uv_map(uvs, faces, 256), view, fragments)
    profile = seen.visible[0, 128]
    x = seen.pixel[0, 128, :, 0]
    torch.testing.assert_close(profile[4:-4], (x - 15.5).clamp(0, 1)[4:-4], rtol=0, atol=1e-3)


def test_pixels_without_a_surface_and_pixels_off_the_image_count_as_not_seen():
    wall = torch.tensor([[-1.0, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1]])[None]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    uv_map = build_uv_map(torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]]), faces, 64)
    view = Camera(24.0, (16.0, 16.0), (32, 32))  # the wall reaches from -8 to 40
    depth = torch.ones(1, 32, 32)
    depth[:, 20:] = torch.inf
    empty = Fragments(torch.zeros(1, 32, 32, dtype=torch.int32), torch.zeros(1, 32, 32, 3), depth)
    seen = view_texels(wall, faces, uv_map, view, empty)
    x, y = seen.pixel[0].unbind(-1)
    assert (seen.visible[0][(x < -0.5) | (x > 32.5) | (y < -0.5) | (y > 20.5)] == 0).all()
    assert (seen.visible[0][(x > 1) & (x < 31) & (y > 1) & (y < 19)] > 0.999).all()


def test_a_coarser_depth_buffer_gives_nearly_the_same_visibility(ball):
    points, mesh, uv_map = ball
    view = camera(256)
    fine = view_texels(points, mesh.faces, uv_map, view, draw(points, mesh.faces, view))
    coarse = view_texels(points, mesh.faces, uv_map, view, draw(points, mesh.faces, view.scaled(0.5)))
    assert torch.equal(fine.pixel, coarse.pixel)
    assert (fine.weight - coarse.weight).abs().max() < 0.1


def test_level_is_the_log_of_photo_pixels_per_texel(ball):
    points, mesh, uv_map = ball
    small, large = camera(64), camera(256)
    fragments = draw(points, mesh.faces, small)
    low = view_texels(points, mesh.faces, uv_map, small, fragments).level
    high = view_texels(points, mesh.faces, uv_map, large, fragments).level
    facing = uv_map.covered[None]
    torch.testing.assert_close(high[facing], low[facing] + 2, rtol=0, atol=1e-3)


def test_a_much_finer_photo_is_averaged_not_picked_from():
    generator = torch.Generator().manual_seed(0)
    photo = (torch.rand(1, 1, 256, 256, generator=generator) > 0.5).float()
    steps = (torch.arange(16) + 0.5) * 16
    pixel = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)[None]
    level = torch.full((1, 16, 16), 4.0)
    assert (unwrap(photo, pixel, None, level) - 0.5).abs().max() < 0.2
    assert (unwrap(photo, pixel) - 0.5).abs().max() > 0.4


def test_pixel_centres_read_the_pixel_itself():
    photo = torch.arange(12.0).view(1, 1, 3, 4)
    pixel = torch.tensor([[[[0.5, 0.5], [3.5, 2.5], [1.0, 0.5]]]])
    torch.testing.assert_close(unwrap(photo, pixel).view(-1), torch.tensor([0.0, 11.0, 0.5]))


def test_gradients_to_the_photo_and_the_positions_are_exact():
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(2, 2, 5, 6, dtype=torch.float64, generator=generator).requires_grad_()
    pixel = (torch.rand(2, 3, 3, 2, dtype=torch.float64, generator=generator) * 4 + 0.6).requires_grad_()
    visibility = (torch.rand(2, 3, 3, generator=generator) > 0.4).double()
    level = torch.rand(2, 3, 3, generator=generator).double()
    assert torch.autograd.gradcheck(lambda i, p: unwrap(i, p, visibility, level), (photo, pixel))
    assert torch.autograd.gradcheck(unwrap, (photo, pixel))


def test_texel_positions_have_a_gradient_to_the_vertices(ball):
    points, mesh, uv_map = ball
    view = camera(64)
    fragments = draw(points, mesh.faces, view)
    moving = points.clone().requires_grad_()
    seen = view_texels(moving, mesh.faces, uv_map, view, fragments)
    assert not seen.weight.requires_grad
    seen.pixel[uv_map.islands[None]][:, 0].sum().backward()
    # a step of dx metres to the side moves a point by focal / depth * dx pixels
    depth = -uv_map.attribute(points, mesh.faces)[0, uv_map.islands.view(-1)[uv_map.texel], 2]
    torch.testing.assert_close(moving.grad[0, :, 0].sum(), (view.focal / depth).sum(), rtol=1e-4, atol=0)


def test_mismatched_shapes_are_named(ball):
    points, mesh, uv_map = ball
    fragments = draw(points, mesh.faces, camera(16))
    with pytest.raises(ValueError, match=r"fragments.depth: expected \[B h w\] with B=2, got \(1, 16, 16\)"):
        view_texels(points.expand(2, -1, -1), mesh.faces, uv_map, camera(16), fragments)
    with pytest.raises(ValueError, match=r"visibility: expected \[B H W\] with B=1, H=3, W=3, got \(1, 3, 4\)"):
        unwrap(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 3, 2), torch.zeros(1, 3, 4))
