from __future__ import annotations

from dataclasses import replace

import torch

from meshlam_core.model.gru import ConvGruCell, GeometryGru, TextureGru, VertexColours, make_texture_update
from meshlam_core.model.state import Observation, State
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_preset
from tests.tolerance import features_on_the_way, round_off

PRESET = tiny_preset()
V = len(TINY_HEAD.template)
S, G, E = PRESET.texture_grid, PRESET.latent_grid, PRESET.error_width


def make_state(seed: int = 0) -> State:
    g = torch.Generator().manual_seed(seed)
    return State(
        vertices=torch.from_numpy(TINY_HEAD.template)[None],
        texture=torch.rand(1, 3, S, S, generator=g),
        trust=torch.ones(1, 1, S, S),
        vertex_features=torch.randn(1, V, PRESET.width, generator=g),
        latent=torch.randn(1, PRESET.latent_width, G, G, generator=g),
        geometry_hidden=torch.randn(1, V, PRESET.geometry_hidden, generator=g),
        texture_hidden=torch.randn(1, PRESET.texture_hidden, G, G, generator=g),
    )


def make_observation(seed: int = 1) -> Observation:
    g = torch.Generator().manual_seed(seed)
    seen = torch.zeros(1, 1, S, S)
    seen[..., : S // 2] = 1  # the left half of the texture
    return Observation(
        reprojection=torch.rand(1, 3, S, S, generator=g) * seen,
        texel_seen=seen,
        texel_error=torch.randn(1, E, G, G, generator=g),
        latent_seen=torch.nn.functional.avg_pool2d(seen, S // G),
        vertex_error=torch.randn(1, V, E, generator=g),
        vertex_seen=torch.ones(1, V, 1),
    )


def test_before_training_the_tracker_geometry_stands() -> None:
    displacement, hidden = GeometryGru(PRESET)(make_state(), make_observation())
    assert torch.equal(displacement, torch.zeros(1, V, 3))
    assert not torch.equal(hidden, make_state().geometry_hidden)


def test_one_cell_serves_all_vertices() -> None:
    torch.manual_seed(0)
    gru = GeometryGru(PRESET)
    torch.nn.init.normal_(gru.to_displacement.weight)
    state, seen = make_state(), make_observation()
    displacement, _ = gru(state, seen)
    order = torch.randperm(V, generator=torch.Generator().manual_seed(2))
    per_vertex = ("vertices", "vertex_features", "geometry_hidden")
    shuffled = replace(state, **{name: getattr(state, name)[:, order] for name in per_vertex})
    looked = replace(seen, vertex_error=seen.vertex_error[:, order])
    allowed = round_off(*features_on_the_way(gru, state, seen), layers=10)
    torch.testing.assert_close(gru(shuffled, looked)[0], displacement[:, order], **allowed)
    blind = gru(state, replace(seen, vertex_error=torch.zeros_like(seen.vertex_error)))[0]
    assert (blind - displacement).abs().max() > 1e-5


def test_the_convolutional_unit_equals_a_plain_gru_at_every_texel() -> None:
    """With 1x1 support (all taps but the middle zero) it is the textbook unit."""
    torch.manual_seed(0)
    cell = ConvGruCell(3, 2).double()
    with torch.no_grad():
        for conv in (cell.gates, cell.candidate):
            middle = conv.weight[:, :, 1, 1].clone()
            conv.weight.zero_()
            conv.weight[:, :, 1, 1] = middle
    x, h = torch.randn(1, 3, 4, 4).double(), torch.randn(1, 2, 4, 4).double()
    out = cell(x, h)[0, :, 2, 1]
    xi, hi = x[0, :, 2, 1], h[0, :, 2, 1]
    z, r = (cell.gates.weight[:, :, 1, 1] @ torch.cat([xi, hi]) + cell.gates.bias).sigmoid().chunk(2)
    n = (cell.candidate.weight[:, :, 1, 1] @ torch.cat([xi, r * hi]) + cell.candidate.bias).tanh()
    torch.testing.assert_close(out, (1 - z) * hi + z * n, rtol=0, atol=1e-12)


def test_before_training_seen_texels_turn_to_the_photo_and_the_others_stay() -> None:
    state, seen = make_state(), make_observation()
    texture, trust, hidden = TextureGru(PRESET)(state, seen, TINY_RIG)
    left, right = slice(0, S // 2), slice(S // 2, S)
    assert torch.equal(texture[..., right], state.texture[..., right])
    free = (TINY_RIG.paintable(S) == 1).expand(1, 3, S, S)[..., left]
    before = (state.texture - seen.reprojection)[..., left][free].abs().mean()
    assert (texture - seen.reprojection)[..., left][free].abs().mean() < 0.15 * before
    assert bool(((trust > 0.8) & (trust < 1)).all())
    assert hidden.shape == state.texture_hidden.shape


def test_eyeballs_keep_the_trackers_colours_whatever_the_photo_shows_there() -> None:
    state, seen = make_state(), make_observation()
    seen = replace(seen, texel_seen=torch.ones_like(seen.texel_seen), reprojection=torch.ones_like(seen.reprojection))
    texture, _, _ = TextureGru(PRESET)(state, seen, TINY_RIG)
    uv_map = TINY_RIG.uv_map(S)
    eyes = torch.zeros(S * S, dtype=torch.bool)
    eyes[uv_map.texel] = (TINY_RIG.part[TINY_RIG.faces[uv_map.face]] == 2).all(1)
    unchanged = (texture == state.texture).all(1).view(-1)
    assert bool(eyes.any())
    assert bool(unchanged[eyes].all())
    assert not bool(unchanged[uv_map.islands.view(-1) & ~eyes].any())


def test_the_passthrough_keeps_the_texture() -> None:
    state = make_state()
    texture, _, hidden = make_texture_update(tiny_preset(texture_update="passthrough"))(
        state, make_observation(), TINY_RIG
    )
    assert texture is state.texture
    assert hidden is state.texture_hidden


def test_vertex_colours_give_every_texel_the_blend_of_its_corners() -> None:
    torch.manual_seed(0)
    state = make_state()
    texture, trust, _ = VertexColours(PRESET)(state, make_observation(), TINY_RIG)
    uv_map = TINY_RIG.uv_map(S)
    row, column = (int(i[len(i) // 2]) for i in uv_map.islands.nonzero(as_tuple=True))
    corners = TINY_RIG.faces[uv_map.texel_face[row, column].long()]
    torch.manual_seed(0)
    head = VertexColours(PRESET)
    colours = head.head(torch.cat([state.vertex_features, state.geometry_hidden], -1)).sigmoid()[0, corners]
    expected = uv_map.texel_bary[row, column] @ colours
    torch.testing.assert_close(texture[0, :, row, column], expected, **round_off(colours, layers=10))
    assert not trust.any()


def test_no_memory_is_the_same_as_a_memory_of_zeros() -> None:
    torch.manual_seed(0)
    seen, state = make_observation(), make_state()
    zeros = replace(
        state,
        geometry_hidden=torch.zeros(1, V, PRESET.geometry_hidden),
        texture_hidden=torch.zeros(1, PRESET.texture_hidden, G, G),
    )
    none = replace(state, geometry_hidden=None, texture_hidden=None)
    geometry, painter = GeometryGru(PRESET), TextureGru(PRESET)
    allowed = round_off(*features_on_the_way(geometry, zeros, seen), layers=10)
    torch.testing.assert_close(geometry(none, seen)[1], geometry(zeros, seen)[1], **allowed)
    allowed = round_off(*features_on_the_way(painter, zeros, seen, TINY_RIG), layers=10)
    torch.testing.assert_close(painter(none, seen, TINY_RIG)[2], painter(zeros, seen, TINY_RIG)[2], **allowed)
