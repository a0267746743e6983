from __future__ import annotations

from dataclasses import replace

import torch

from meshlam_core.model.error_features import Unwrap, make_reprojection, reproject, sample_at_vertices
from meshlam_core.model.render import animate, look, shade
from meshlam_core.model.state import Photo
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_network, tiny_photo, tiny_preset

RED = torch.tensor([0.8, 0.2, 0.1])


def plain(photo: Photo) -> Photo:
    return replace(photo, image=RED[None, :, None, None].expand_as(photo.image).clone())


def frontal(photo: Photo) -> Photo:
    return replace(photo, rotations=torch.zeros_like(photo.rotations))


def test_a_plain_photo_gives_plain_texels_where_seen_and_none_on_the_back() -> None:
    photo = plain(frontal(tiny_photo()))
    view = look(animate(photo.vertices, TINY_RIG, photo), TINY_RIG, photo.cameras)
    texture, seen = reproject(photo.image, photo, view, TINY_RIG, 64)
    hit = seen[0, 0] > 0
    torch.testing.assert_close(texture[0][:, hit], RED[:, None].expand(-1, int(hit.sum())))
    assert texture[0][:, ~hit].abs().max() == 0
    behind = TINY_RIG.uv_map(64).attribute(photo.vertices, TINY_RIG.faces)[0, :, 2] < -0.03
    assert seen.flatten()[TINY_RIG.uv_map(64).texel[behind]].max() == 0
    assert 0.1 < hit.float().mean() < 0.6


def test_what_is_unwrapped_and_drawn_again_is_the_photo() -> None:
    photo = frontal(tiny_photo(size=128))
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 6), size=(128, 128), mode="bicubic").clamp(0, 1)
    photo = replace(photo, image=smooth)
    view = look(animate(photo.vertices, TINY_RIG, photo), TINY_RIG, photo.cameras)
    texture, seen = reproject(photo.image, photo, view, TINY_RIG, 256)
    drawn = shade(view, TINY_RIG, torch.cat([texture, (seen > 0.9).float()], 1))
    well = drawn[:, 3:] > 0.999
    assert well.float().mean() > 0.1
    assert ((drawn[:, :3] - photo.image).abs() * well).max() < 0.02


def test_vertices_read_the_image_under_them_and_hidden_ones_read_nothing() -> None:
    photo = frontal(tiny_photo())
    ramp = torch.linspace(0, 1, 64)[None, None, None].expand(1, 1, 64, 64)
    view = look(animate(photo.vertices, TINY_RIG, photo), TINY_RIG, photo.cameras)
    values, seen = sample_at_vertices(ramp, photo, view, TINY_RIG)
    x = view.projected[0, :, 0]
    hit = seen[0, :, 0] > 0
    torch.testing.assert_close(values[0, hit, 0], (x[hit] - 0.5) / 63, rtol=0, atol=1e-4)
    assert values[0, ~hit].abs().max() == 0
    back = torch.from_numpy(TINY_HEAD.template[:, 2] < -0.03)
    assert not bool((hit & back).any())
    front = torch.from_numpy((TINY_HEAD.part == 0) & (TINY_HEAD.template[:, 2] > 0.06))
    assert bool(hit[front].float().mean() > 0.7)


def test_a_surface_behind_another_is_not_seen() -> None:
    photo = frontal(tiny_photo())
    eyes = torch.from_numpy(TINY_HEAD.part == 2)
    buried = photo.vertices.clone()
    buried[:, eyes, 2] -= 0.04
    view = look(animate(buried, TINY_RIG, photo), TINY_RIG, photo.cameras)
    assert not sample_at_vertices(photo.image, photo, view, TINY_RIG)[1][0, eyes].any()
    in_front = look(animate(photo.vertices, TINY_RIG, photo), TINY_RIG, photo.cameras)
    assert sample_at_vertices(photo.image, photo, in_front, TINY_RIG)[1][0, eyes].mean() > 0.2


def test_a_coarser_map_of_the_photo_is_read_at_the_same_places() -> None:
    photo = frontal(tiny_photo())
    ramp = ((torch.arange(64) + 0.5) / 64)[None, None, None].expand(1, 1, 64, 64)
    view = look(animate(photo.vertices, TINY_RIG, photo), TINY_RIG, photo.cameras)
    fine, seen = reproject(ramp, photo, view, TINY_RIG, 32)
    coarse, _ = reproject(torch.nn.functional.avg_pool2d(ramp, 4), photo, view, TINY_RIG, 32)
    assert (seen > 0).float().mean() > 0.1
    torch.testing.assert_close(coarse, fine, rtol=0, atol=1e-4)


def test_nothing_outside_the_person_mask_reaches_the_head() -> None:
    photo = tiny_photo()
    photo = replace(photo, mask=torch.zeros_like(photo.mask))
    network = tiny_network()
    step, near = network.encode(photo, TINY_RIG)
    observed = network.reprojection(step.state, near, TINY_RIG)
    for name, value in vars(observed).items():
        assert value is None or not value.any(), name


def test_equal_photo_and_rendering_make_no_difference_image() -> None:
    """φ then sees the same picture twice and zero: only the visibility is left to tell texels apart."""
    reprojection = make_reprojection(tiny_preset())
    assert isinstance(reprojection, Unwrap)
    with torch.no_grad():
        first = reprojection.compare[0].weight  # type: ignore[union-attr]
        first[:, :6] = 0  # leave the difference channels
        for layer in (0, 2):
            reprojection.compare[layer].bias.zero_()  # type: ignore[union-attr, operator]
    photo = tiny_photo()
    network = tiny_network()
    step, near = network.encode(photo, TINY_RIG)
    view = look(animate(step.state.vertices, TINY_RIG, near), TINY_RIG, near.cameras)
    drawn = shade(view, TINY_RIG, step.state.texture)
    observed = reprojection(step.state, replace(near, image=drawn), TINY_RIG)
    assert observed.texel_error.abs().max() < 1e-6
    assert reprojection(step.state, near, TINY_RIG).texel_error.abs().max() > 1e-3


def test_without_reprojection_everything_observed_is_zero() -> None:
    network = tiny_network(reprojection="none")
    step, near = network.encode(tiny_photo(2), TINY_RIG)
    observed = network.reprojection(step.state, near, TINY_RIG)
    assert not any(bool(value.any()) for value in vars(observed).values() if value is not None)
