from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.points import LIPS_OUTER
from meshlam_core.tracker.neutral import at_rest, load_neutral_model, neutral_model, save_neutral_model
from meshlam_core.tracker.rig import landmark_rig
from meshlam_core.tracker.types import Detection, TrackedFace

F32 = NDArray[np.float32]


def _tracked(head: HeadModel, **active: float) -> TrackedFace:
    expression = np.zeros(len(head.blendshape_names), np.float32)
    for name, value in active.items():
        expression[head.blendshape_names.index(name)] = value
    unseen = Detection(np.zeros((478, 3), np.float32), np.zeros(52, np.float32), (0, 0, 1, 1), 1.0)
    still = np.zeros((len(head.joint_names), 3), np.float32)
    identity, away = np.zeros(len(head.identity_basis), np.float32), np.array([0, 0, -1], np.float32)
    camera = Camera(1000.0, (256.0, 256.0), (512, 512))
    return TrackedFace(camera, identity, np.array(head.template), expression, still, away, unseen, 0.0, 1.0)


def _posed(tracked: TrackedFace, head: HeadModel) -> F32:
    return np.asarray(tracked.vertices + np.tensordot(tracked.expression, tracked.blendshapes_on(head), 1), np.float32)


@pytest.fixture(params=["head", "flame_head"], ids=["open", "flame"])
def any_head(request: pytest.FixtureRequest) -> HeadModel:
    found: HeadModel = request.getfixturevalue(request.param)
    return found


def test_in_the_photos_expression_nothing_moves(any_head: HeadModel) -> None:
    head = any_head
    smiling = _tracked(head, mouthSmileLeft=0.8, mouthSmileRight=0.6, jawOpen=0.3, noseSneerLeft=0.2)
    np.testing.assert_allclose(_posed(at_rest(smiling, head), head), _posed(smiling, head), atol=1e-7)


def test_a_mouth_that_was_fitted_smiling_is_narrower_at_rest(any_head: HeadModel) -> None:
    head = any_head
    smiling = _tracked(head, mouthSmileLeft=0.8, mouthSmileRight=0.8)
    rig = landmark_rig(head)
    right, left = LIPS_OUTER[0], LIPS_OUTER[10]

    def width(vertices: F32) -> float:
        points = rig.of_person(vertices).neutral
        return float(np.linalg.norm(points[:, left] - points[:, right]))

    assert width(at_rest(smiling, head).vertices) < width(smiling.vertices) - 1e-3


def test_a_face_at_rest_stays_as_it_was_fitted(head: HeadModel) -> None:
    calm = _tracked(head)
    np.testing.assert_array_equal(at_rest(calm, head).vertices, calm.vertices)


def test_eyes_teeth_and_the_back_of_the_head_stay(any_head: HeadModel) -> None:
    head = any_head
    smiling = _tracked(head, mouthSmileLeft=1.0, mouthSmileRight=1.0, jawOpen=1.0)
    parts = ("eyeball_left", "teeth_upper", "teeth_lower", "scalp", "ears")
    rows = np.isin(head.part, [head.parts.index(name) for name in parts])
    moved = np.linalg.norm(at_rest(smiling, head).vertices - smiling.vertices, axis=1)
    assert moved[rows].max() < 2e-4
    assert moved.max() > 1e-3


def test_a_head_with_another_layout_stays_as_it_was_fitted(head: HeadModel) -> None:
    other = replace(head, uvs=head.uvs * np.float32(0.5))
    smiling = _tracked(other, mouthSmileLeft=1.0)
    assert at_rest(smiling, other) is smiling


def test_the_model_comes_back_from_its_file(head: HeadModel, tmp_path: Path) -> None:
    known = neutral_model(head)
    assert known is not None
    for name in ("one.npz", "two.npz"):
        save_neutral_model(known, head, tmp_path / name, {})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    back = load_neutral_model(head, tmp_path / "one.npz")
    assert back is not None
    np.testing.assert_allclose(back.fields, known.fields, atol=1e-8)
    np.testing.assert_array_equal(back.keys, known.keys)


def test_a_damaged_file_is_named(head: HeadModel, tmp_path: Path) -> None:
    path = tmp_path / "neutral.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(AssetError, match=r"neutral\.npz is not readable"):
        load_neutral_model(head, path)
