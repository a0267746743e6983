"""Every backend obeys the rules of interface.py, and the fast one equals the slow one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from meshlam_core.errors import UsageError
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.interface import MAX_PIXEL, NEAR, Cull, Fragments, Rasteriser
from meshlam_core.raster.project import project
from meshlam_core.raster.torch_twin import TorchRasteriser
from meshlam_core.raster.warp_backend import WarpRasteriser
from tests.raster.meshes import camera, grid_mesh, sphere_before_camera

TRIANGLE = torch.tensor([[0, 1, 2]])


@pytest.fixture(params=["warp", "torch"])
def rasteriser(request: pytest.FixtureRequest) -> Rasteriser:
    return get_rasteriser(request.param)


def corners(*points: tuple[float, float, float]) -> Tensor:  # [1, V, 3]
    return torch.tensor([points], dtype=torch.float32)


def assert_twins_agree(vertices: Tensor, faces: Tensor, size: tuple[int, int], cull: Cull = "none") -> Fragments:
    fast = WarpRasteriser().rasterise(vertices, faces, size, cull)
    slow = TorchRasteriser().rasterise(vertices, faces, size, cull)
    assert torch.equal(fast.face, slow.face)  # ties are decided by rule, so there is nothing to allow for
    torch.testing.assert_close(fast.bary, slow.bary, rtol=0, atol=1e-6)
    torch.testing.assert_close(fast.depth, slow.depth, rtol=1e-6, atol=0)
    return fast


def test_a_pixel_is_hit_when_its_centre_is_inside(rasteriser, device):
    # the square from 1.4 to 3.6 contains the centres 1.5, 2.5 and 3.5
    vertices = corners((1.4, 1.4, 1), (3.6, 1.4, 1), (3.6, 3.6, 1), (1.4, 3.6, 1)).to(device)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], device=device)
    mask = rasteriser.rasterise(vertices, faces, (6, 5)).mask[0].cpu()
    expected = torch.zeros(6, 5, dtype=torch.bool)
    expected[1:4, 1:4] = True
    assert torch.equal(mask, expected)


def test_empty_pixels_have_no_face_zero_barycentrics_and_infinite_depth(rasteriser, device):
    fragments = rasteriser.rasterise(torch.zeros(2, 3, 3, device=device), TRIANGLE.to(device), (4, 3))
    assert fragments.face.shape == (2, 4, 3)
    assert (fragments.face == -1).all()
    assert (fragments.bary == 0).all()
    assert torch.isinf(fragments.depth).all()


def test_barycentrics_and_depth_are_perspective_correct(rasteriser, device):
    # halfway across the image between depths 1 and 3, the surface point is a quarter of the way: 1.5 m
    vertices = corners((0, 0, 1), (5, 0, 3), (0, 90, 1)).to(device)
    fragments = rasteriser.rasterise(vertices, TRIANGLE.to(device), (1, 5))
    x, y = 2.5, 0.5
    flat = torch.tensor([1 - x / 5 - y / 90, x / 5, y / 90])
    weights = flat / torch.tensor([1.0, 3.0, 1.0])
    expected = weights / weights.sum()
    torch.testing.assert_close(fragments.bary[0, 0, 2].cpu(), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(fragments.depth[0, 0, 2].cpu(), 1 / weights.sum(), rtol=1e-4, atol=0)


def test_the_nearest_surface_wins_where_two_triangles_cross(rasteriser, device):
    # one slopes away to the right, the other to the left; they meet in the middle column
    vertices = corners((0, 0, 1), (10, 0, 2), (0, 20, 1), (0, 0, 2), (10, 0, 1), (10, 20, 1)).to(device)
    face = rasteriser.rasterise(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]], device=device), (1, 10)).face[0, 0]
    assert face.tolist() == [0] * 5 + [1] * 5


def test_equal_depths_go_to_the_lowest_triangle(rasteriser, device):
    vertices = corners((0, 0, 1), (9, 0, 1), (0, 9, 1)).to(device)
    faces = torch.tensor([[2, 0, 1], [0, 1, 2], [1, 0, 2]], device=device)
    face = rasteriser.rasterise(vertices, faces, (4, 4)).face
    assert (face == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_sheet_has_no_holes_and_no_pixel_twice(rasteriser, device, seed):
    vertices, faces = grid_mesh(cells=17, size=32, jitter=0.4, seed=seed)
    if seed % 2:  # edges and corners exactly on pixel centres
        vertices[..., :2] = (vertices[..., :2] * 2).round() / 2
    one_image_each = vertices[0][faces.long()].to(device)  # so that a pixel drawn twice shows
    hits = rasteriser.rasterise(one_image_each, TRIANGLE.to(device), (32, 32)).mask.sum(0)
    assert (hits == 1).all()


def test_culling_drops_what_is_clockwise_on_the_image(rasteriser, device):
    # x right, y down: right then down turns clockwise, the back of a counter-clockwise mesh
    vertices = corners((0, 0, 1), (9, 0, 1), (0, 9, 1)).to(device)
    clockwise, counter = TRIANGLE.to(device), TRIANGLE.flip(1).to(device)
    assert rasteriser.rasterise(vertices, clockwise, (4, 4)).mask.all()
    assert not rasteriser.rasterise(vertices, clockwise, (4, 4), "back").mask.any()
    assert rasteriser.rasterise(vertices, counter, (4, 4), "back").mask.all()


def test_culling_shows_the_outside_of_a_sphere(rasteriser, device):
    points, mesh = sphere_before_camera()
    vertices, faces = project(points, camera()).to(device), mesh.faces.to(device)
    outside = rasteriser.rasterise(vertices, faces, (64, 64), "back")
    both = rasteriser.rasterise(vertices, faces, (64, 64), "none")
    assert torch.equal(outside.face, both.face)
    assert outside.depth.min() > 0.49
    assert both.mask.float().mean() > 0.3


@pytest.mark.parametrize("bad", [0.0, -1.0, NEAR / 2, float("nan"), float("inf")])
def test_a_triangle_with_a_corner_at_no_usable_depth_is_dropped_whole(rasteriser, device, bad):
    vertices = corners((0, 0, 1), (9, 0, 1), (0, 9, bad)).to(device)
    assert not rasteriser.rasterise(vertices, TRIANGLE.to(device), (4, 4)).mask.any()


@pytest.mark.parametrize("bad", [2 * MAX_PIXEL, -2 * MAX_PIXEL, float("nan"), float("-inf")])
def test_a_triangle_with_a_corner_at_no_usable_pixel_is_dropped_whole(rasteriser, device, bad):
    vertices = corners((0, 0, 1), (9, 0, 1), (0, bad, 1)).to(device)
    assert not rasteriser.rasterise(vertices, TRIANGLE.to(device), (4, 4)).mask.any()


def test_a_mesh_without_triangles_gives_an_empty_picture(rasteriser, device):
    fragments = rasteriser.rasterise(torch.zeros(1, 3, 3, device=device), torch.zeros(0, 3).int().to(device), (4, 4))
    assert not fragments.mask.any()


def test_each_image_of_a_batch_is_drawn_on_its_own(rasteriser, device):
    points, mesh = sphere_before_camera()
    one, faces = project(points, camera(32)).to(device), mesh.faces.to(device)
    other = one + torch.tensor([5.0, -3.0, 0.1], device=device)
    both = rasteriser.rasterise(torch.cat([one, other]), faces, (32, 40))
    for i, vertices in enumerate((one, other)):
        alone = rasteriser.rasterise(vertices, faces, (32, 40))
        assert torch.equal(both.face[i], alone.face[0])
        assert torch.equal(both.bary[i], alone.bary[0])
        assert torch.equal(both.depth[i], alone.depth[0])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    spread=st.sampled_from([0.01, 0.3, 2.0, 30.0, 2000.0, 120000.0]),
    snap=st.sampled_from([None, 1, 2, 4096]),
    flat=st.booleans(),
)
def test_fast_and_slow_agree_on_any_triangles(seed, spread, snap, flat):
    """Slivers, specks, triangles far larger than the image or off it, ties, and corners exactly on centres."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(60, 1, 3, generator=generator) * torch.tensor([60.0, 40.0, 1.0]) - torch.tensor([5.0, 5, -0.2])
    offset = (torch.rand(60, 3, 3, generator=generator) - 0.5) * torch.tensor([spread, spread, 0.3])
    vertices = (centre + offset).view(1, -1, 3)
    if snap:
        vertices[..., :2] = (vertices[..., :2] * snap).round() / snap
    if flat:
        vertices[..., 2] = 0.7
    faces = torch.arange(180).view(60, 3)
    assert_twins_agree(vertices, faces, (31, 53), "back" if seed % 3 == 0 else "none")


@pytest.mark.parametrize("seed", range(3))
def test_fast_and_slow_agree_on_needles_and_shared_edges(seed):
    generator = torch.Generator().manual_seed(seed)
    hub = torch.tensor([[30.25, 20.75, 1.0]])
    angle = torch.rand(200, generator=generator).sort().values * 2 * torch.pi
    rim = torch.stack([30 + 80 * angle.cos(), 20 + 80 * angle.sin(), torch.ones(200)], -1)
    vertices = torch.cat([hub, rim])[None]
    faces = torch.stack([torch.zeros(200).long(), torch.arange(200) + 1, (torch.arange(200) + 1) % 200 + 1], -1)
    fragments = assert_twins_agree(vertices, faces, (41, 61))
    assert fragments.mask.all()  # a fan closed around its hub leaves no hole


def test_fast_and_slow_agree_on_a_sphere(device):
    points, mesh = sphere_before_camera(rings=40)
    vertices = project(points, camera(150)).to(device)
    fast = WarpRasteriser().rasterise(vertices, mesh.faces.to(device), (150, 150))
    slow = TorchRasteriser().rasterise(vertices, mesh.faces.to(device), (150, 150))
    assert torch.equal(fast.face, slow.face)
    assert fast.face.device.type == device


def test_barycentrics_stay_inside_the_triangle_even_for_needles():
    generator = torch.Generator().manual_seed(5)
    a = torch.rand(400, 1, 3, generator=generator) * torch.tensor([50.0, 50.0, 1.0]) + torch.tensor([0, 0, 0.2])
    b = torch.rand(400, 1, 3, generator=generator) * torch.tensor([50.0, 50.0, 1.0]) + torch.tensor([0, 0, 0.2])
    c = b + torch.rand(400, 1, 3, generator=generator) * 1e-3
    vertices = torch.cat([a, b, c], 1).view(1, -1, 3)
    fragments = WarpRasteriser().rasterise(vertices, torch.arange(1200).view(400, 3), (64, 64))
    assert fragments.mask.any()
    hit = fragments.bary[fragments.mask]
    assert hit.min() >= 0
    torch.testing.assert_close(hit.sum(-1), torch.ones(len(hit)))


def test_threads_change_nothing(monkeypatch):
    points, mesh = sphere_before_camera(rings=40)
    vertices = project(points, camera(101))
    parallel = WarpRasteriser().rasterise(vertices, mesh.faces, (101, 101))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    serial = WarpRasteriser().rasterise(vertices, mesh.faces, (101, 101))
    assert torch.equal(parallel.face, serial.face)
    assert torch.equal(parallel.bary, serial.bary)
    assert torch.equal(parallel.depth, serial.depth)


def test_wrong_shapes_types_and_indices_are_named(rasteriser):
    good = torch.ones(1, 3, 3)
    with pytest.raises(ValueError, match=r"vertices: expected \[B V 3\], got \(3, 3\)"):
        rasteriser.rasterise(good[0], TRIANGLE, (4, 4))
    with pytest.raises(ValueError, match=r"faces: expected \[F 3\], got \(1, 4\)"):
        rasteriser.rasterise(good, torch.zeros(1, 4).long(), (4, 4))
    with pytest.raises(ValueError, match="expected float vertices and integer faces"):
        rasteriser.rasterise(good, TRIANGLE.float(), (4, 4))
    with pytest.raises(ValueError, match="faces: expected indices 0 to 2, got 0 to 3"):
        rasteriser.rasterise(good, torch.tensor([[0, 1, 3]]), (4, 4))
    with pytest.raises(ValueError, match="size: expected"):
        rasteriser.rasterise(good, TRIANGLE, (0, 4))
    with pytest.raises(ValueError, match="cull: expected"):
        rasteriser.rasterise(good, TRIANGLE, (4, 4), "front")


def test_an_unknown_backend_is_named():
    with pytest.raises(UsageError, match=r'auto, warp, torch or nvdiffrast, got "gl"'):
        get_rasteriser("gl")


def test_without_warp_auto_is_the_torch_twin(monkeypatch):
    monkeypatch.setattr("meshlam_core.raster.backends.has_warp", lambda: False)
    assert isinstance(get_rasteriser("auto"), TorchRasteriser)
