"""Texels know their triangle; islands grow a margin; maps are built once."""

from __future__ import annotations

import torch

from meshlam_core.raster.build_uv_map import CACHED_MAPS, build_uv_map, grow_islands
from meshlam_core.raster.interface import MARGIN_REACH
from meshlam_core.raster.texel_twin import grow_islands_slowly
from tests.raster.meshes import sphere

SQUARE_UVS = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
SQUARE_FACES = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)


def test_a_texels_barycentrics_give_back_its_own_uv():
    mesh = sphere()
    uv_map = build_uv_map(mesh.uvs, mesh.faces, 96)
    uv = uv_map.attribute(mesh.uvs[None].double(), mesh.faces)[0]
    row, column = uv_map.texel // 96, uv_map.texel % 96
    expected = torch.stack([(column + 0.5) / 96, 1 - (row + 0.5) / 96], -1).double()
    inside = uv_map.islands.view(-1)[uv_map.texel]
    torch.testing.assert_close(uv[inside], expected[inside], rtol=0, atol=1e-5)
    # the margin is extrapolated: its texels are still where they are, unless the triangle there is a sliver
    off = (uv - expected)[~inside].norm(dim=-1)
    assert (off < 1e-4).float().mean() > 0.9


def test_a_squares_island_and_its_margin_have_the_expected_texels():
    uv_map = build_uv_map(SQUARE_UVS, SQUARE_FACES, 16, margin=2)
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[4:12, 4:12] = True
    assert torch.equal(uv_map.islands, expected)
    expected[2:14, 4:12] = True
    expected[4:12, 2:14] = True
    for y, x in ((3, 3), (3, 12), (12, 3), (12, 12)):  # diagonal neighbours are within 2, further ones are not
        expected[y, x] = True
    assert torch.equal(uv_map.covered, expected)
    torch.testing.assert_close(uv_map.scale, torch.tensor([32.0, 32.0]))


def test_no_texel_around_an_island_is_empty_for_bilinear_sampling():
    mesh = sphere()
    uv_map = build_uv_map(mesh.uvs, mesh.faces, 64)
    neighbours = torch.nn.functional.max_pool2d(uv_map.islands[None, None].float(), 3, 1, 1)[0, 0] > 0
    assert (uv_map.covered | ~neighbours).all()


def test_growing_quickly_equals_growing_slowly():
    generator = torch.Generator().manual_seed(3)
    uvs = torch.rand(30, 2, generator=generator)
    corner = torch.arange(30)
    faces = torch.stack([corner, (corner + 7) % 30, (corner + 11) % 30], -1)[:6].int()
    for size, margin in ((40, 8), (33, 3), (20, 1), (16, 0)):
        core = build_uv_map(uvs * 0.4 + 0.3, faces, size, margin=0)
        layout = torch.stack([(uvs[:, 0] * 0.4 + 0.3) * size, (0.7 - uvs[:, 1] * 0.4) * size], -1)
        quick = grow_islands(core.texel_face, core.texel_bary, layout, faces, margin)
        slow = grow_islands_slowly(core.texel_face, core.texel_bary, layout, faces, margin)
        assert torch.equal(quick[0], slow[0])
        torch.testing.assert_close(quick[1], slow[1], rtol=1e-4, atol=1e-4)


def test_barycentrics_of_the_margin_are_bounded_and_sum_to_one():
    mesh = sphere()
    bary = build_uv_map(mesh.uvs, mesh.faces, 128).bary
    assert bary.abs().max() <= 1 + MARGIN_REACH
    torch.testing.assert_close(bary.sum(-1), torch.ones(len(bary)), rtol=0, atol=1e-4)


def test_scatter_puts_values_at_their_texels_and_fills_the_rest():
    uv_map = build_uv_map(SQUARE_UVS, SQUARE_FACES, 8, margin=0)
    placed = uv_map.scatter(torch.arange(16.0).view(1, 16, 1), empty=-1)
    assert placed[0, 2:6, 2:6, 0].flatten().tolist() == list(range(16))
    assert (placed[0, ..., 0][~uv_map.covered] == -1).all()


def test_the_same_layout_and_size_are_built_once_and_old_maps_are_let_go():
    first = build_uv_map(SQUARE_UVS, SQUARE_FACES, 16)
    assert build_uv_map(SQUARE_UVS.numpy(), SQUARE_FACES.numpy(), 16) is first
    assert build_uv_map(SQUARE_UVS, SQUARE_FACES, 16, margin=1) is not first
    assert build_uv_map(SQUARE_UVS * 0.9, SQUARE_FACES, 16) is not first
    for size in range(20, 20 + CACHED_MAPS):
        build_uv_map(SQUARE_UVS, SQUARE_FACES, size)
    assert build_uv_map(SQUARE_UVS, SQUARE_FACES, 16) is not first


def test_a_map_moves_between_devices(device):
    moved = build_uv_map(SQUARE_UVS, SQUARE_FACES, 16).to(device)
    assert moved.texel.device.type == device
    assert moved.bary.device.type == device
