import json

import numpy as np
import pytest

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.errors import UnreadableInput, UsageError
from meshlam_core.tracker.rig import landmark_rig
from meshlam_core.tracker.track import Track, TrackFrame
from meshlam_core.tracker.track_io import eye_rotations, read_track, track_to_json, write_track


@pytest.fixture
def track():
    rng = np.random.default_rng(0)
    f32 = lambda *shape: rng.normal(0, 0.1, shape).astype(np.float32)
    frames = tuple(
        TrackFrame(index / 25, index != 1, f32(52) ** 2, f32(3), f32(3), 0.01 if index != 1 else float("nan"))
        for index in range(3)
    )
    return Track((640, 480), 900.0, (320.0, 240.0), ARKIT_NAMES, f32(120), f32(478, 3), f32(2, 3), frames, "клип.mp4")


def test_a_track_comes_back_from_its_file(tmp_path, track, head):
    path = tmp_path / "трек.json"
    write_track(path, track, landmark_rig(head))
    back = read_track(path)
    assert (back.size, back.focal, back.centre, back.names, back.source) == (
        track.size, track.focal, track.centre, track.names, track.source,
    )  # fmt: skip
    np.testing.assert_allclose(back.landmarks, track.landmarks, atol=1e-6)
    for one, other in zip(back.frames, track.frames, strict=True):
        assert one.found == other.found
        np.testing.assert_allclose(one.expression, other.expression, atol=1e-4)
        np.testing.assert_allclose(one.rotation, other.rotation, atol=1e-6)
        np.testing.assert_allclose(one.translation, other.translation, atol=1e-6)
    assert np.isnan(back.frames[1].landmark_error)


def test_the_file_is_plain_json_with_52_named_coefficients(tmp_path, track, head):
    path = tmp_path / "track.json"
    write_track(path, track, landmark_rig(head))
    data = json.loads(path.read_text())
    assert (data["format"], data["version"]) == ("meshlam-track", 1)
    assert len(data["names"]) == len(data["frames"][0]["coefficients"]) == 52
    assert data["frames"][1]["landmark_error"] is None
    assert "NaN" not in path.read_text()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: d.update(format="other"), "format"),
        (lambda d: d.update(version=2), "version is 2"),
        (lambda d: d.pop("camera"), "missing"),
        (lambda d: d["camera"].update(focal=-1), "camera"),
        (lambda d: d.update(frames=[]), "no frames"),
        (lambda d: d["frames"][0].update(coefficients=[0.0] * 51), "coefficients"),
        (lambda d: d["frames"][0].update(translation=[0, 0, 1e999]), "translation"),
        (lambda d: d.update(landmarks=[[0, 0, 0]]), "landmarks"),
    ],
)
def test_a_damaged_track_is_refused_with_the_reason(tmp_path, track, head, damage, reason):
    data = track_to_json(track, landmark_rig(head))
    damage(data)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UnreadableInput, match=reason):
        read_track(path)


def test_what_is_no_json_or_not_there_is_refused(tmp_path):
    (tmp_path / "no.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(UnreadableInput, match="not JSON"):
        read_track(tmp_path / "no.json")
    with pytest.raises(UnreadableInput, match="no track file"):
        read_track(tmp_path / "none.json")


def test_a_track_that_cannot_be_written_leaves_nothing(tmp_path, track, head):
    with pytest.raises(UsageError):
        write_track(tmp_path / "none" / "t.json", track, landmark_rig(head))
    assert list(tmp_path.iterdir()) == []


def test_looking_left_turns_both_eyes_about_the_up_axis(head):
    rig = landmark_rig(head)
    expression = np.zeros(52)
    for name in ("eyeLookOutLeft", "eyeLookInRight"):  # the subject's left is +X
        expression[rig.names.index(name)] = 1.0
    for rotation in eye_rotations(rig, expression):
        assert rotation[1] > np.radians(10)
        assert np.abs(rotation[[0, 2]]).max() < 0.35 * rotation[1]
    np.testing.assert_allclose(eye_rotations(rig, np.zeros(52)), 0, atol=1e-9)
