"""CSV performances: what we write is read back, and so is what other programs write."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.errors import UnreadableInput
from meshlam_core.frames import axis_angle_from_rotation, rotation_from_axis_angle
from meshlam_core.tracker.live_link import ANGLES, COLUMNS, read_live_link, write_live_link
from meshlam_core.tracker.track import Track, TrackFrame

FRAMES = 130


@pytest.fixture
def track(fitter) -> Track:
    rng = np.random.default_rng(4)
    frames = tuple(
        TrackFrame(
            index / 29.97,
            True,
            rng.uniform(0, 1, 52).astype(np.float32),
            rng.uniform(-0.8, 0.8, 3).astype(np.float32),
            np.array([0, 0, -1], np.float32),
            0.005,
        )
        for index in range(FRAMES)
    )
    nothing = np.zeros(0, np.float32)
    landmarks, eyes = fitter.rig.neutral.T.astype(np.float32), fitter.rig.eyes.astype(np.float32)
    return Track((640, 480), 700.0, (320.0, 240.0), ARKIT_NAMES, nothing, landmarks, eyes, frames)


@pytest.fixture
def take(track, fitter, tmp_path):
    """The rows of a written take, the header first."""
    write_live_link(tmp_path / "take.csv", track, fitter.rig)
    with (tmp_path / "take.csv").open(newline="") as file:
        return list(csv.reader(file))


def write(path, rows, separator=",", end="\n", start=""):
    path.write_bytes((start + "".join(separator.join(row) + end for row in rows)).encode())
    return path


def check(performance, track, tolerance=1e-6):
    np.testing.assert_allclose(performance.times, [frame.time for frame in track.frames], atol=0.002 / 60)
    np.testing.assert_allclose(performance.expression, [frame.expression for frame in track.frames], atol=tolerance)
    for vector, frame in zip(performance.head, track.frames, strict=True):
        np.testing.assert_allclose(vector, frame.rotation, atol=tolerance)
    assert performance.found.all()


def test_the_first_row_is_live_link_faces(take):
    assert len(COLUMNS) == len(set(COLUMNS)) == 52
    assert {name[:1].lower() + name[1:] for name in COLUMNS} == set(ARKIT_NAMES)
    assert take[0] == ["Timecode", "BlendshapeCount", *COLUMNS, *ANGLES]
    assert take[0][2:4] == ["EyeBlinkLeft", "EyeLookDownLeft"]
    assert take[0][-10:-6] == ["TongueOut", "HeadYaw", "HeadPitch", "HeadRoll"]
    assert {row[1] for row in take[1:]} == {"61"}
    assert take[1 + 60][0] == "00:00:02:00.120"  # 60 frames of 29.97 a second


def test_what_is_written_is_read_back(track, take, tmp_path):
    check(read_live_link(tmp_path / "take.csv"), track)


def test_yaw_turns_to_the_subjects_left_pitch_lowers_and_roll_tips_to_the_right(track, take, tmp_path):
    places = {name: take[0].index(name) for name in ANGLES}
    for name, point, moved in (
        ("HeadYaw", (0, 0, 1), (1, 0, 0)),  # the nose, out of the face, to the subject's left
        ("HeadPitch", (0, 0, 1), (0, -1, 0)),
        ("HeadRoll", (0, 1, 0), (-1, 0, 0)),
    ):
        row = list(take[1])
        for other in ANGLES:
            row[places[other]] = str(math.pi / 2) if other == name else "0"
        (vector,) = read_live_link(write(tmp_path / "turned.csv", [take[0], row])).head
        np.testing.assert_allclose(rotation_from_axis_angle(vector) @ point, moved, atol=1e-6)


def test_the_eyes_turn_where_their_coefficients_look(track, fitter, tmp_path):
    looks = np.zeros(52, np.float32)
    looks[[ARKIT_NAMES.index("eyeLookOutLeft"), ARKIT_NAMES.index("eyeLookInRight")]] = 0.7  # to the subject's left
    frame = TrackFrame(0.0, True, looks, np.zeros(3, np.float32), np.array([0, 0, -1], np.float32), 0.005)
    write_live_link(tmp_path / "left.csv", Track(**{**vars(track), "frames": (frame,)}), fitter.rig)
    with (tmp_path / "left.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["LeftEyeYaw"]) > 0.1
    assert float(row["RightEyeYaw"]) > 0.1
    assert abs(float(row["LeftEyePitch"])) < 0.1


# ---- as other programs write it


def test_calibrated_columns_and_more_columns_are_no_hindrance(track, take, tmp_path):
    """Calibrated takes repeat the columns' meaning with the neutral face taken off, beside columns of their own."""
    rows = [[*row[:2], "-0.1" if index else "CalibrationNeutral", *row[2:], "x"] for index, row in enumerate(take)]
    check(read_live_link(write(tmp_path / "take_cal.csv", rows)), track)


def test_without_head_and_eyes_only_the_face_is_driven(track, take, tmp_path):
    rows = [[row[0], *row[2:-9]] for row in take]  # and without BlendshapeCount
    performance = read_live_link(write(tmp_path / "face.csv", rows))
    assert performance.head is None
    np.testing.assert_allclose(performance.expression, [f.expression for f in track.frames], atol=1e-6)


def test_columns_in_another_order_and_spelling_are_found_by_their_names(track, take, tmp_path):
    order = np.random.default_rng(0).permutation(len(take[0]))
    rows = [[row[place] for place in order] for row in take]
    rows[0] = [
        f"blendShape1.{name[:1].lower()}{name[1:]}".replace("Left", "_L").replace("Right", "_R")
        if name in COLUMNS and not name.startswith(("JawLeft", "JawRight", "MouthLeft", "MouthRight"))
        else name
        for name in rows[0]
    ]
    check(read_live_link(write(tmp_path / "shuffled.csv", rows)), track)


def test_windows_line_ends_a_byte_order_mark_and_empty_lines_are_read(track, take, tmp_path):
    rows = [*take, [""], ["", "", ""]]
    check(read_live_link(write(tmp_path / "windows.csv", rows, end="\r\n", start="\ufeff")), track)


def test_semicolons_and_decimal_commas_of_a_spreadsheet_are_read(track, take, tmp_path):
    rows = [take[0], *([cell.replace(".", ",") for cell in row] for row in take[1:])]
    check(read_live_link(write(tmp_path / "sheet.csv", rows, separator=";")), track)


def test_drop_frame_time_codes_leave_out_two_numbers_a_minute(take, tmp_path):
    """At 29.97 frames a second 00:00:59;29 is followed by 00:01:00;02, and 00:09:59;29 by 00:10:00;00."""
    for codes in (
        ["00:00:59;28", "00:00:59;29", "00:01:00;02", "00:01:00;03"],
        ["00:09:59;28.000", "00:09:59;29.000", "00:10:00;00.000"],
        ["01:00:00;00", "01:00:00;01"],
    ):
        rows = [take[0], *([code, *row[1:]] for code, row in zip(codes, take[1:], strict=False))]
        rate = 60 if len(codes) == 2 else 30  # within one second the rate cannot be told, and the app's is meant
        expected = np.arange(len(codes)) * 1.001 / rate
        np.testing.assert_allclose(read_live_link(write(tmp_path / "d.csv", rows)).times, expected, atol=1e-6)


def test_time_codes_run_on_past_midnight_and_seconds_are_understood(take, tmp_path):
    codes = ["23:59:59:58", "23:59:59:59", "00:00:00:00", "00:00:00:01"]
    rows = [take[0], *([code, *row[1:]] for code, row in zip(codes, take[1:], strict=False))]
    performance = read_live_link(write(tmp_path / "night.csv", rows))
    np.testing.assert_allclose(performance.times, np.arange(4) / 60, atol=1e-6)
    rows = [["Time", *take[0][1:]], ["1.5", *take[1][1:]], ["1.75", *take[2][1:]]]
    np.testing.assert_allclose(read_live_link(write(tmp_path / "s.csv", rows)).times, [0, 0.25])


def test_rows_without_a_face_are_bridged_and_counted(track, take, tmp_path):
    rows = [list(row) for row in take]
    for gap in (5, 6):
        rows[1 + gap] = [rows[1 + gap][0], "0"]
    performance = read_live_link(write(tmp_path / "gap.csv", rows))
    assert np.flatnonzero(~performance.found).tolist() == [5, 6]
    before, after = track.frames[4].expression, track.frames[7].expression
    np.testing.assert_allclose(performance.expression[5], before + (after - before) / 3, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("I am a poem\nof two lines\n", "does not name the ARKit coefficients"),
        (",".join(COLUMNS) + "\n" + ",".join("0" * 52), "no column Timecode"),
        ("Timecode," + ",".join(COLUMNS) + "\n00:00:00:00" + ",rose" * 52, "line 2: .*rose"),
        ("Timecode," + ",".join(COLUMNS) + "\nsoon" + ",0" * 52, "neither time codes"),
        ("Timecode," + ",".join(COLUMNS) + "\n00:00:00:00", "no row of it has a face"),
    ],
)
def test_what_is_no_performance_is_refused_in_one_sentence(text, words, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UnreadableInput, match=words):
        read_live_link(tmp_path / "t.csv")
    with pytest.raises(UnreadableInput, match="There is no file"):
        read_live_link(tmp_path / "none.csv")


def test_a_rotation_beyond_a_right_angle_survives(track, fitter, tmp_path):
    turn = rotation_from_axis_angle(np.array([0, 2.0, 0])) @ rotation_from_axis_angle(np.array([0.4, 0, -0.3]))
    vector = axis_angle_from_rotation(turn).astype(np.float32)
    frame = TrackFrame(0.0, True, np.zeros(52, np.float32), vector, np.array([0, 0, -1], np.float32), 0.005)
    write_live_link(tmp_path / "back.csv", Track(**{**vars(track), "frames": (frame,)}), fitter.rig)
    np.testing.assert_allclose(read_live_link(tmp_path / "back.csv").head[0], vector, atol=1e-6)
