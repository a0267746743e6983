from __future__ import annotations

import torch

from training.nearest import nearest_pixels, nearest_pixels_slowly


def distances(found: torch.Tensor) -> torch.Tensor:
    """Squared, from each pixel to the one that it found."""
    height, width = found.shape[1:]
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (found // width - row).square() + (found % width - column).square()


def test_the_kernels_find_pixels_as_near_as_the_distance_transform() -> None:
    generator = torch.Generator().manual_seed(0)
    for share in (0.002, 0.03, 0.5):
        region = torch.rand(3, 31, 47, generator=generator) < share
        wanted = torch.rand(3, 31, 47, generator=generator) < 0.4
        quick, slow = nearest_pixels(wanted, region), nearest_pixels_slowly(wanted, region)
        assert torch.equal(quick >= 0, slow >= 0)
        asked = quick >= 0
        assert torch.equal(distances(quick)[asked], distances(slow)[asked])
        assert bool(region.flatten(1).gather(1, quick.clamp_min(0).flatten(1).long())[asked.flatten(1)].all())


def test_nobody_finds_anything_in_an_empty_region() -> None:
    everywhere = torch.ones(1, 5, 6, dtype=torch.bool)
    assert bool((nearest_pixels(everywhere, ~everywhere) == -1).all())
    assert bool((nearest_pixels(~everywhere, everywhere) == -1).all())


def test_a_far_corner_is_found_across_the_whole_image() -> None:
    region = torch.zeros(1, 8, 9, dtype=torch.bool)
    region[0, 7, 8] = True
    wanted = torch.zeros_like(region)
    wanted[0, 0, 0] = True
    assert int(nearest_pixels(wanted, region)[0, 0, 0]) == 7 * 9 + 8
