"""Gradients against finite differences in float64, through all that a loss reaches.

Which pixel sees which triangle, and which texel is seen, is decided outside the graph and held fixed here too.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd import gradcheck

from meshlam_core.model.error_features import sample_at_vertices
from meshlam_core.model.gru import GeometryGru, TextureGru
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.part_clip import move
from meshlam_core.model.render import View, animate, look, shade
from meshlam_core.model.state import Observation, State, make_rig
from meshlam_core.raster.interpolate import barycentrics
from meshlam_core.raster.project import project
from meshlam_core.raster.unwrap import unwrap
from tests.model.tiny import awake, tiny_head, tiny_photo, tiny_preset

HEAD = tiny_head(5, 6)
RIG = make_rig(HEAD).to("cpu", torch.float64)
PRESET = tiny_preset(texture_grid=16, token_grid=8, latent_stride=2, width=4, geometry_hidden=4, frequencies=2)
PHOTO = tiny_photo(head=HEAD, size=24).to("cpu", torch.float64)
BASE = look(animate(PHOTO.vertices, RIG, PHOTO), RIG, PHOTO.cameras)


def view_of(vertices: Tensor) -> View:
    """The base view's triangles with these vertices."""
    posed = animate(vertices, RIG, PHOTO)
    projected = project(posed, PHOTO.cameras)
    return View(posed, projected, BASE.fragments, barycentrics(projected, RIG.faces, BASE.fragments), PHOTO.cameras)


def texel_pixels(vertices: Tensor, size: int) -> Tensor:  # [1, size, size, 2]
    uv_map = RIG.uv_map(size)
    points = uv_map.attribute(animate(vertices, RIG, PHOTO), RIG.faces)
    return uv_map.scatter(project(points, PHOTO.cameras)[..., :2], empty=-1.0)


def nudged() -> Tensor:
    """Vertices off every symmetry, so that no sample sits on a texel border."""
    generator = torch.Generator().manual_seed(0)
    return PHOTO.vertices + 3e-4 * torch.randn(PHOTO.vertices.shape, generator=generator, dtype=torch.float64)


def test_rasterise_and_interpolate() -> None:
    vertices = nudged().requires_grad_()
    texture = torch.rand(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)

    def draw(v: Tensor, t: Tensor) -> Tensor:
        return shade(view_of(v), RIG, t).sum((2, 3))

    assert gradcheck(draw, (vertices, texture), eps=1e-7, atol=1e-5, fast_mode=True)


def test_unwrap_to_texels_and_vertices() -> None:
    vertices = nudged().requires_grad_()
    image = torch.rand(1, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    visible = (RIG.uv_map(8).texel_face >= 0)[None].double()

    def carry(v: Tensor, i: Tensor) -> Tensor:
        texels = unwrap(i, texel_pixels(v, 8) * (5 / 24), visible)
        at_vertices, _ = sample_at_vertices(i, PHOTO, view_of(v), RIG)
        return torch.cat([texels.flatten(), at_vertices.flatten()])

    assert gradcheck(carry, (vertices, image), eps=1e-7, atol=1e-4, fast_mode=True)


def test_both_units_and_the_clip() -> None:
    torch.manual_seed(0)
    network = awake(MeshLAM(PRESET).double())
    geometry, painter = network.geometry_update, network.texture_update
    assert isinstance(geometry, GeometryGru)
    assert isinstance(painter, TextureGru)
    count, s, g, e = len(HEAD.template), 16, 8, PRESET.error_width
    random = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    state = State(
        nudged(), noise(1, 3, s, s), torch.ones(1, 1, s, s), noise(1, count, 4), noise(1, 8, g, g),
        noise(1, count, 4), noise(1, 8, g, g),
    )  # fmt: skip
    seen = (noise(1, 1, s, s) > 0).double()
    fixed = Observation(
        noise(1, 3, s, s), seen, noise(1, e, g, g), noise(1, 1, g, g), noise(1, count, e), noise(1, count, 1)
    )

    def step(v: Tensor, texel_error: Tensor, vertex_error: Tensor) -> tuple[Tensor, Tensor]:
        now = replace(state, vertices=v)
        observed = replace(fixed, texel_error=texel_error, vertex_error=vertex_error)
        displacement, _ = geometry(now, observed)
        texture, _, _ = painter(now, observed, RIG)
        return move(v, displacement, RIG.limits) * 100, texture.sum((2, 3))

    inputs = (state.vertices.requires_grad_(), fixed.texel_error.requires_grad_(), fixed.vertex_error.requires_grad_())
    assert gradcheck(step, inputs, eps=1e-7, atol=1e-5, fast_mode=True)


def test_the_whole_loop_has_a_gradient_to_every_trainable_part() -> None:
    network = awake(MeshLAM(PRESET).double())
    final = network(PHOTO, RIG)[-1]
    drawn = shade(look(animate(final.state.vertices, RIG, PHOTO), RIG, PHOTO.cameras), RIG, final.state.texture)
    (drawn - PHOTO.image).square().mean().backward()
    without = [n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert all(name.startswith("parsing.") for name in without), without
