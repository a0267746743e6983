"""GNM's file: what is read of it, what is refused, and a head of a smaller one with the same layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from meshlam_core.errors import UnreadableInput
from meshlam_core.head.convert import Converted, ConvertOptions, convert
from meshlam_core.head.gnm import gnm_of
from meshlam_core.head.model import HeadModel
from tests.head_models import gnm_stand_in


@pytest.fixture(scope="module")
def table(head: HeadModel) -> dict[str, Any]:
    return gnm_stand_in(head, 6000, (12, 1, 4), (8, 8, 34, 2, 1))


@pytest.fixture(scope="module")
def converted(table: dict[str, Any], head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    path = tmp_path_factory.mktemp("gnm") / "gnm_head.npz"
    np.savez(path, **table)
    return convert(path, head, "gnm", ConvertOptions(raw_keys=(3, 2)))


def test_its_neck_is_our_root_its_head_our_neck_and_its_jaw_an_expression(
    converted: Converted, head: HeadModel
) -> None:
    found = converted.head
    assert found.licence == "Apache-2.0 (GNM Head, Google)"
    joints, wanted = found.joints(found.template), head.joints(head.template)
    np.testing.assert_allclose(joints, wanted, atol=0.006)
    fits = {fit["name"]: fit for fit in converted.metadata["key_fits"]}
    assert fits["jawOpen"]["says"] == "good"
    assert found.raw is not None
    jaw = found.raw.parameters[:, [found.raw.parameter_names.index(f"jaw_{axis}") for axis in "xyz"]]
    assert not jaw.any()


def test_its_own_tongue_and_teeth_are_used_and_nothing_is_borrowed_but_lashes(converted: Converted) -> None:
    found = converted.head
    part = np.array(found.parts)[found.part]
    assert set(part[6000:]) == {"lashes"}
    assert {"tongue", "teeth_upper", "teeth_lower"} <= set(part[:6000])
    out = found.blendshapes[found.blendshape_names.index("tongueOut")]
    assert np.linalg.norm(out[part == "tongue"], axis=1).max() > 0.01
    fits = {fit["name"]: fit for fit in converted.metadata["key_fits"]}
    assert fits["tongueOut"]["says"] == "good"


def test_raw_keys_are_of_every_region_with_all_of_the_tongue_and_some_teeth(converted: Converted) -> None:
    assert converted.head.raw is not None
    assert converted.head.raw.names == (
        *("left_eye_region_000", "right_eye_region_000", "lower_face_region_000", "tongue_000", "tongue_001"),
        *("head_000", "eyes_000", "teeth_000", "teeth_001"),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint_names": np.array(["a", "b", "c", "d"])}, "expected a neck, a head and two eyes among its joints"),
        ({"expression_names": np.array(["a"])}, "expected 53 expression_names, got 1"),
        ({"vertex_groups": None}, "is not whole: it lacks vertex_groups"),
        ({"skinning_weights": np.full((4, 6000), np.inf)}, "expected skinning_weights as finite numbers 4x6000"),
        ({"skinning_weights": np.zeros((4, 6000))}, "expected skinning_weights of 0 or more that sum to 1"),
        ({"joint_regressor": np.zeros((4, 6000))}, "expected rows of joint_regressor that sum to 1, got 0"),
        ({"triangles": np.full((5, 3), 6000)}, "its triangles point outside its 6000 vertices"),
    ],
)
def test_a_wrong_array_is_named(change: dict[str, Any], message: str, table: dict[str, Any]) -> None:
    changed = {name: value for name, value in {**table, **change}.items() if value is not None}
    with pytest.raises(UnreadableInput, match=message):
        gnm_of(changed, "gnm_head.npz")


def test_pose_correctives_go_to_the_joints_of_the_same_meaning(table: dict[str, Any]) -> None:
    regressor = np.zeros((36, 3 * 6000), np.float32)
    regressor[9 + 5, 0] = 1.0  # of its head joint, ours is the neck
    regressor[27 + 2, 1] = 2.0  # of its right eye
    found = gnm_of({**table, "pose_correctives_regressor": regressor}, "gnm_head.npz").model.correctives
    assert (found[5, 0, 0], found[27 + 2, 0, 1]) == (1.0, 2.0)
    assert np.count_nonzero(found) == 2
