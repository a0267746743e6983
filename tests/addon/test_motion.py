"""Performances from track files, shaped as artists wish; expressions by group and by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blender_addon.animation.groups import group_of, grouped, label, stem, twin
from blender_addon.animation.motion import HEAD, Motion, MotionError, Shaping, quaternions, read_motion, shaped
from blender_addon.animation.named import EXPRESSIONS, VISEMES, keep_expressions, own_expressions
from meshlam_core.arkit import ARKIT_NAMES

NAMES = ("jawOpen", "browInnerUp")


def motion(count: int = 11, rate: float = 10.0) -> Motion:
    ramp = np.linspace(0, 1, count)
    return Motion(
        times=5.0 + np.arange(count) / rate,
        names=NAMES,
        values=np.stack([ramp, 1 - ramp], axis=1),
        turns=np.stack([0.4 * ramp, 0 * ramp, 0 * ramp], axis=1),
        places=np.stack([ramp, 0 * ramp, 0 * ramp - 1], axis=1),
        focal=500.0,
        centre=(50.0, 40.0),
        size=(100, 80),
    )


def test_a_range_begins_at_nought_and_ends_where_it_was_asked_to():
    part = shaped(motion(), Shaping(first=5.2, last=5.6))
    np.testing.assert_allclose(part.times, [0.0, 0.1, 0.2, 0.3, 0.4], atol=1e-12)
    np.testing.assert_allclose(part.values[:, 0], [0.2, 0.3, 0.4, 0.5, 0.6], atol=1e-12)


def test_an_empty_range_is_refused_with_a_sentence():
    with pytest.raises(MotionError, match=r"between 7\.00 s and 8\.00 s"):
        shaped(motion(), Shaping(first=7.0, last=8.0))


def test_a_strength_acts_on_its_group_alone_and_the_heads_on_turn_and_place():
    weak = shaped(motion(), Shaping(strengths={"jaw": 0.5, HEAD: 0.0}))
    np.testing.assert_allclose(weak.values[:, 0], motion().values[:, 0] * 0.5)
    np.testing.assert_allclose(weak.values[:, 1], motion().values[:, 1])
    assert not weak.turns.any()
    np.testing.assert_allclose(weak.places, np.tile([0.5, 0.0, -1.0], (11, 1)))


def test_smoothing_keeps_what_is_steady_and_calms_what_jitters():
    steady = motion()
    jitter = np.random.default_rng(1).normal(size=(200, 2))
    still = np.zeros((200, 3))
    long = Motion(np.arange(200) / 30, NAMES, 0.5 + 0.1 * jitter, still, still + 1, 1, (0, 0), (1, 1))
    calm = shaped(long, Shaping(smoothing=0.2))
    assert calm.values.std() < 0.3 * long.values.std()
    np.testing.assert_allclose(calm.places, 1.0)
    assert len(shaped(steady, Shaping(smoothing=100.0)).times) == 11  # longer than the clip


def test_quaternions_are_unit_and_never_jump_to_the_other_side():
    angles = np.linspace(0, 3 * np.pi, 60)
    found = quaternions(np.stack([angles, 0 * angles, 0 * angles], axis=1))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0)
    assert (np.einsum("td,td->t", found[1:], found[:-1]) > 0.9).all()
    np.testing.assert_allclose(found[30], [np.cos(angles[30] / 2), np.sin(angles[30] / 2), 0, 0], atol=1e-12)


def written(path: Path, **changes: object) -> Path:
    frame = {"time": 0.0, "coefficients": [0.1, 0.2], "head_rotation": [0, 0, 0], "translation": [0, 0, -1]}
    data = {
        "format": "meshlam-track",
        "version": 1,
        "names": list(NAMES),
        "camera": {"focal": 500.0, "centre": [50, 40], "size": [100, 80]},
        "frames": [frame, frame | {"time": 0.04}],
    }
    path.write_text(json.dumps(data | changes))
    return path


def test_a_track_file_is_read_with_its_rate(tmp_path: Path):
    found = read_motion(written(tmp_path / "a.json"))
    assert (found.names, found.size, round(found.rate, 6)) == (NAMES, (100, 80), 25.0)
    np.testing.assert_allclose(found.values, [[0.1, 0.2], [0.1, 0.2]])


def test_a_turn_past_half_a_circle_goes_on_the_way_it_went(tmp_path: Path):
    first = {"time": 0.0, "coefficients": [0, 0], "head_rotation": [0, 3.0, 0], "translation": [0, 0, 0]}
    frames = [first, first | {"time": 0.1, "head_rotation": [0, 3.2 - 2 * np.pi, 0]}]
    turns = read_motion(written(tmp_path / "a.json", frames=frames)).turns
    np.testing.assert_allclose(turns[:, 1], [3.0, 3.2])


@pytest.mark.parametrize(
    "changes",
    [{"format": "x"}, {"version": 2}, {"frames": []}, {"names": ["jawOpen"]}, {"frames": [{"time": 0}]}, {"camera": 3}],
)
def test_what_is_no_track_file_is_refused_with_a_sentence(tmp_path: Path, changes: dict[str, object]):
    with pytest.raises(MotionError, match=r"a\.json"):
        read_motion(written(tmp_path / "a.json", **changes))


def test_every_expression_has_a_group_of_its_own_face_and_both_halves_of_a_pair_the_same():
    assert {group_of(name).key for name in ARKIT_NAMES} == {"brows", "gaze", "eyes", "cheeks", "jaw", "mouth"}
    pairs = [name for name in ARKIT_NAMES if twin(name)]
    assert len(pairs) == 36
    assert all(twin(twin(name)) == name and stem(name) == stem(twin(name)) for name in pairs)
    assert twin("jawLeft") == twin("mouthRight") == ""


def test_a_search_finds_words_in_any_order_and_leaves_out_empty_groups():
    found = grouped(ARKIT_NAMES, "left smile")
    assert [(group.key, names) for group, names in found] == [("mouth", ["mouthSmileLeft"])]
    assert grouped(["myKey"])[0][0].title == "Your Own"
    assert label("mouthSmileLeft") == "Mouth Smile Left"


def test_named_expressions_and_the_fifteen_visemes_are_mixes_of_the_52():
    assert len(VISEMES) == 15
    for mix in (EXPRESSIONS | VISEMES).values():
        assert set(mix) <= set(ARKIT_NAMES)
        assert all(0 < value <= 1 for value in mix.values())


def test_own_expressions_come_back_and_a_damaged_file_is_as_none(tmp_path: Path):
    keep_expressions(tmp_path / "new", {"Grin é": {"jawOpen": 0.5}})
    assert own_expressions(tmp_path / "new") == {"Grin é": {"jawOpen": 0.5}}
    (tmp_path / "new" / "expressions.json").write_text('{"a": 3}')
    assert own_expressions(tmp_path / "new") == {}
