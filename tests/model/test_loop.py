from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from meshlam_core.model import correction
from meshlam_core.model.correction import correct_topology, keep_topology
from meshlam_core.model.loop import Components, Step, refine
from meshlam_core.model.part_clip import part_limits
from meshlam_core.model.state import make_rig
from tests.model.test_gru import make_observation, make_state
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_network, tiny_photo, tiny_preset
from tests.tolerance import features_on_the_way, round_off


def test_a_step_looks_then_moves_then_paints_then_corrects() -> None:
    calls: list[str] = []
    state = make_state()

    def note(name: str, value: object) -> object:
        calls.append(name)
        return value

    parts = Components(
        reproject=lambda s, photo, rig: note("look", make_observation()),  # type: ignore[arg-type, return-value]
        look_at_borders=lambda o, s, photo, rig: note("borders", o),  # type: ignore[arg-type, return-value]
        update_geometry=lambda s, o: note("geometry", (torch.ones_like(s.vertices), s.geometry_hidden)),  # type: ignore[arg-type, return-value]
        update_texture=lambda s, o, rig: note("texture", (s.texture + 1, s.trust, s.texture_hidden)),  # type: ignore[arg-type, return-value]
        deform=lambda s, d, rig: note("deform", s.vertices + d),  # type: ignore[arg-type, return-value]
        correct=lambda rig, s: note("correct", (rig, s)),  # type: ignore[arg-type, return-value]
    )
    steps = refine(Step(TINY_RIG, state), tiny_photo(), parts, 3)
    assert calls == ["look", "borders", "geometry", "deform", "texture", "correct"] * 3
    torch.testing.assert_close(steps[-1].state.vertices, state.vertices + 3)
    torch.testing.assert_close(steps[1].state.texture, state.texture + 2)


def test_eyeballs_stay_bit_equal_through_the_whole_loop() -> None:
    photo = tiny_photo(2)
    steps = tiny_network()(photo, TINY_RIG)
    eyes = torch.from_numpy(TINY_HEAD.part == 2)
    assert torch.equal(steps[-1].state.vertices[:, eyes], photo.vertices[:, eyes])
    moved = (steps[-1].state.vertices - photo.vertices).norm(dim=-1)[:, ~eyes]
    assert moved.min() > 0
    assert bool((moved <= 2 * TINY_RIG.limits[~eyes]).all())


def test_without_the_part_clip_eyeballs_move() -> None:
    photo = tiny_photo()
    steps = tiny_network(deformation="free")(photo, TINY_RIG)
    eyes = torch.from_numpy(TINY_HEAD.part == 2)
    assert not torch.equal(steps[-1].state.vertices[:, eyes], photo.vertices[:, eyes])


def test_spikes_do_not_end_in_millions_of_vertices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correction, "MAX_VERTICES", 330)
    state = replace(make_state(), vertices=make_state().vertices.clone())
    state.vertices[0, ::7] *= 2
    rig, moved = correct_topology(make_rig(TINY_HEAD, 200), state)
    assert len(TINY_HEAD.template) < moved.vertices.shape[1] <= 330
    assert len(rig.template) == moved.vertices.shape[1]
    monkeypatch.setattr(correction, "MAX_VERTICES", 10)
    assert correct_topology(make_rig(TINY_HEAD, 200), state)[1].vertices.shape == state.vertices.shape


def test_correction_carries_everything_that_lives_on_vertices() -> None:
    rig = make_rig(TINY_HEAD, 400)
    state = make_state()
    new_rig, new = correct_topology(rig, state)
    count = new.vertices.shape[1]
    assert count > len(TINY_HEAD.template)
    assert new.vertex_features.shape[1] == new.geometry_hidden.shape[1] == count
    per_vertex = (new_rig.part, new_rig.limits, new_rig.template, new_rig.weights, new_rig.blendshapes[0])
    assert {len(values) for values in per_vertex} == {count}
    assert len(new_rig.faces) == len(new_rig.uv_faces) > len(rig.faces)
    torch.testing.assert_close(new_rig.weights.sum(1), torch.ones(count))
    old = len(TINY_HEAD.template)
    assert torch.equal(new.vertices[:, :old], state.vertices)
    # vertices of a fixed part are fixed, new ones too
    assert not new_rig.limits[new_rig.part == 2].any()
    assert bool((new_rig.limits[new_rig.part != 2] > 0).all())
    torch.testing.assert_close(new_rig.limits, part_limits(new_rig.part.numpy(), rig.parts, new_rig.faces.numpy()))
    assert new_rig.uv_map(32).texel_face.max() >= len(rig.faces)


def test_nothing_long_means_nothing_changes() -> None:
    rig, state = make_rig(TINY_HEAD), make_state()
    assert correct_topology(rig, state) == (rig, state)
    assert keep_topology(rig, state) == (rig, state)


def test_gradients_reach_the_parameters_through_a_corrected_mesh() -> None:
    network = tiny_network(correction="topology")
    photo = tiny_photo()
    steps = network(photo, make_rig(TINY_HEAD, tiny_preset().target_vertices))
    assert steps[-1].state.vertices.shape[1] > photo.vertices.shape[1]
    (steps[-1].state.vertices.square().sum() + steps[-1].state.texture.sum()).backward()
    for name in ("attention", "fusion", "shape_branch", "texture_branch", "geometry_update", "texture_update"):
        gradients = [p.grad for p in getattr(network, name).parameters()]
        assert all(g is not None and bool(g.any()) for g in gradients), name


def test_the_state_of_one_sample_ignores_the_others() -> None:
    network, rig = tiny_network().double(), TINY_RIG.to("cpu", torch.float64)
    photo = tiny_photo(3).to("cpu", torch.float64)
    together = network(photo, rig)[-1].state
    alone = network(photo.one(1), rig)[-1].state
    allowed = round_off(*features_on_the_way(network, photo, rig), layers=100)
    torch.testing.assert_close(together.vertices[1:2], alone.vertices, **allowed)
    torch.testing.assert_close(together.texture[1:2], alone.texture, **allowed)
    other = replace(photo, image=photo.image.flip(0))
    assert not torch.allclose(network(other, rig)[-1].state.texture, together.texture, atol=1e-3)
