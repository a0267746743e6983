"""What is carried from the open head to another mesh, against where its vertices really came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.head.hair import HairModel
from meshlam_core.head.io import exact_arrays, head_metadata, load_head
from meshlam_core.head.model import ById, HeadModel
from meshlam_core.skin.model import load_skin_model
from meshlam_core.tracker.hair import load_hair
from tests.head_models import StandIn, flame_stand_in

OWN = 5023


@pytest.fixture(scope="module")
def truth() -> StandIn:
    return flame_stand_in()


def off(flame_head: HeadModel, truth: StandIn) -> NDArray[np.float64]:  # [5023] m
    """How far each vertex lies from where the registered open head has the point that it came from."""
    assert flame_head.correspondence is not None
    laid = flame_head.correspondence.laid[truth.corners]
    return np.linalg.norm(np.einsum("vk,vkd->vd", truth.bary, laid) - flame_head.template[:OWN], axis=1)


def parts_of(head: HeadModel, truth: StandIn) -> NDArray[np.str_]:
    corner = np.take_along_axis(truth.corners, truth.bary.argmax(1)[:, None], 1)[:, 0]
    return np.array(head.parts)[head.part[corner]]


def test_the_registered_open_head_lies_on_the_same_places(
    flame_head: HeadModel, head: HeadModel, truth: StandIn
) -> None:
    error, part = off(flame_head, truth) * 1000, parts_of(head, truth)
    for name, median, most in (("eyelids", 0.6, 2.0), ("lips", 0.7, 2.5), ("face", 1.2, 6.0), ("ears", 2.0, 6.0)):
        own = error[part == name]
        assert np.median(own) < median, name
        assert np.quantile(own, 0.99) < most, name


def test_vertices_get_the_part_that_they_came_from(flame_head: HeadModel, head: HeadModel, truth: StandIn) -> None:
    found, wanted = np.array(flame_head.parts)[flame_head.part[:OWN]], parts_of(head, truth)
    for name in ("face", "scalp", "neck", "ears", "eyeball_left", "eyeball_right"):
        assert (found[wanted == name] == name).mean() > 0.9, name
    assert (found[wanted == "lips"] == "lips").mean() > 0.75


def test_the_texture_layout_is_the_open_heads_without_folds(
    flame_head: HeadModel, head: HeadModel, truth: StandIn
) -> None:
    corners = flame_head.uvs[flame_head.uv_faces].astype(np.float64)
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    turned = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    assert (turned < -1e-9).mean() < 0.001
    assert np.abs(turned).sum() == pytest.approx(0.7 * 2, rel=0.1)  # as much of the texture as on the open head
    # nothing is drawn across a seam: no triangle is larger in the texture than a few of its neighbours in space
    assert np.linalg.norm(corners - corners.mean(1, keepdims=True), axis=2).max() < 0.2


def test_landmarks_land_where_the_open_heads_lie(flame_head: HeadModel, head: HeadModel) -> None:
    assert flame_head.correspondence is not None
    laid = flame_head.correspondence.laid
    wanted = head.landmarks(laid)
    error = np.linalg.norm(flame_head.landmarks(flame_head.template) - wanted, axis=1)
    assert np.median(error) < 0.0005
    assert np.quantile(error, 0.95) < 0.003


def test_a_round_trip_of_places_ends_near_where_it_began(flame_head: HeadModel) -> None:
    place = flame_head.correspondence
    assert place is not None
    back = place.to_model(place.to_open(flame_head.template))[:OWN]
    skin = np.isin(np.array(flame_head.parts)[flame_head.part[:OWN]], ("face", "scalp", "neck", "lips"))
    assert np.quantile(np.linalg.norm(back - flame_head.template[:OWN], axis=1)[skin], 0.95) < 0.004


def test_hair_grows_where_it_grows_on_the_open_head(flame_head: HeadModel, hair: HairModel) -> None:
    found = load_hair(ById(flame_head))
    assert found is not None
    growth = np.full(len(found.indices), 0.03, np.float32)
    hull = found.hull(flame_head.template, growth, (1.0, 1.0))
    moved = np.linalg.norm(hull - flame_head.template, axis=1)
    part = np.array(flame_head.parts)[flame_head.part]
    assert np.median(moved[part == "scalp"]) == pytest.approx(0.03, abs=0.003)
    assert moved[np.isin(part, ("lips", "eyelids", "eyeball_left", "teeth_upper", "tongue"))].max() == 0
    np.testing.assert_array_equal(found.hull(flame_head.template, 0 * growth), flame_head.template)
    ears = part == "ears"
    width = np.ptp(flame_head.template[ears, 0])
    assert np.ptp(found.hull(flame_head.template, 0 * growth, (1.0, 1.0))[ears, 0]) < width  # laid flat


def test_skin_is_carried_once_for_each_model(flame_head: HeadModel) -> None:
    assert load_skin_model(flame_head) is load_skin_model(flame_head)


def test_skin_keeps_its_texels_and_follows_the_vertices(flame_head: HeadModel, head: HeadModel) -> None:
    ours, known = load_skin_model(flame_head), load_skin_model(head)
    assert ours is not None
    assert known is not None
    np.testing.assert_array_equal(ours.texel_mean, known.texel_mean)
    assert ours.mean.shape == (len(flame_head.template), 3)
    lips = [model.mean[h.part == h.parts.index("lips")].mean(0) for model, h in ((ours, flame_head), (known, head))]
    np.testing.assert_allclose(lips[0], lips[1], atol=0.1)


def test_keys_are_made_of_flames_parameters_and_honest_about_it(flame_converted: Path, flame_head: HeadModel) -> None:
    fits = {fit["name"]: fit for fit in head_metadata(flame_converted)["key_fits"]}
    assert fits["tongueOut"]["says"] == "not"
    assert fits["mouthSmileLeft"]["says"] == "good"
    assert fits["mouthSmileLeft"]["rms"] < 0.15 * fits["mouthSmileLeft"]["moves"]
    raw = flame_head.raw
    assert raw is not None
    row = dict(zip(raw.parameter_names, raw.parameters[flame_head.blendshape_names.index("jawOpen")], strict=True))
    assert 0.1 < row["jaw_x"] < 0.6  # rad: opens
    assert abs(row["jaw_y"]) < 0.05
    look = dict(
        zip(raw.parameter_names, raw.parameters[flame_head.blendshape_names.index("eyeLookUpLeft")], strict=True)
    )
    assert look["left_eye_x"] < -0.1
    assert look["right_eye_x"] == 0


def test_borrowed_teeth_follow_and_leave_flames_vertices_alone(
    flame_head: HeadModel, truth: StandIn, head: HeadModel
) -> None:
    part = np.array(flame_head.parts)[flame_head.part]
    assert {"teeth_upper", "teeth_lower", "tongue", "lashes"} <= set(part[OWN:])
    template = truth.table["v_template"] - truth.table["J_regressor"][0] @ truth.table["v_template"]
    np.testing.assert_allclose(flame_head.template[:OWN], template, atol=1e-6)
    tongue = flame_head.blendshapes[flame_head.blendshape_names.index("tongueOut")]
    assert not tongue[:OWN].any()  # FLAME's own mesh has no tongue to put out
    assert np.abs(tongue[part == "tongue"]).max() > 0.005


def test_every_identity_keeps_its_root_at_the_origin_and_four_joints_a_vertex(flame_head: HeadModel) -> None:
    for seed in range(3):
        shape = flame_head.shaped(np.random.default_rng(seed).normal(size=120).astype(np.float32))
        assert np.abs(flame_head.joints(shape)[0]).max() < 1e-4
    assert (flame_head.weights > 0).sum(axis=1).max() <= 4
    np.testing.assert_allclose(flame_head.weights.sum(axis=1), 1, atol=1e-6)


def test_the_converted_file_loses_nothing(flame_converted: Path, truth: StandIn) -> None:
    exact = exact_arrays(flame_converted)
    for name in ("v_template", "shapedirs", "posedirs", "weights", "f"):
        np.testing.assert_array_equal(exact[name], truth.table[name])


def test_a_distributed_file_is_converted_once_and_kept(
    flame_file: Path, flame_converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshlam_core.head import io
    from meshlam_core.head.convert import Converted

    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path))
    asked = []

    def convert(path: Path, source: HeadModel, licence: str) -> Converted:
        asked.append(licence)
        return Converted(load_head(flame_converted))

    monkeypatch.setattr(io, "convert", convert)
    for _ in range(2):
        assert len(load_head(flame_file).template) > OWN
    assert asked == ["CC-BY-4.0 (FLAME 2023 Open) (not confirmed)"]
