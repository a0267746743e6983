"""Performances as CSV in the layout of Live Link Face: 52 coefficients, head and eyes, a time code a row.

    Timecode,BlendshapeCount,EyeBlinkLeft,...,TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,...,RightEyeRoll
    00:00:01:30.500,61,0.0312,...

Time code: hours:minutes:seconds:frames, the frames with thousandths; written at 60 frames a second. Angles in radians,
avatar frame: yaw turns the face to the subject's left, pitch lowers it, roll tips the crown to the subject's right;
rotation = yaw about y, then pitch about the turned x, then roll about the turned z. There is no camera and no place in
such a file: an avatar driven by it stays where its photo has it. The eyes' angles repeat what the eyeLook coefficients
say and are not read.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_INDEX, ARKIT_NAMES
from meshlam_core.errors import UnreadableInput
from meshlam_core.files.outputs import write_file
from meshlam_core.frames import axis_angle_from_rotation, rotation_from_axis_angle
from meshlam_core.tracker.rig import LandmarkRig
from meshlam_core.tracker.track import Track, TrackFrame
from meshlam_core.tracker.track_io import eye_rotations

if TYPE_CHECKING:
    from meshlam_core.avatar.record import Avatar

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_EYE = ("EyeBlink", "EyeLookDown", "EyeLookIn", "EyeLookOut", "EyeLookUp", "EyeSquint", "EyeWide")
_PAIRS = ("MouthSmile", "MouthFrown", "MouthDimple", "MouthStretch")
_LIPS = ("MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper")
_MORE = ("MouthPress", "MouthLowerDown", "MouthUpperUp", "BrowDown")


def _both(names: Sequence[str]) -> list[str]:
    return [f"{name}{side}" for name in names for side in ("Left", "Right")]


COLUMNS = (
    *(f"{name}Left" for name in _EYE),
    *(f"{name}Right" for name in _EYE),
    *("JawForward", "JawRight", "JawLeft", "JawOpen"),
    *("MouthClose", "MouthFunnel", "MouthPucker", "MouthRight", "MouthLeft"),
    *_both(_PAIRS),
    *_LIPS,
    *_both(_MORE),
    *("BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight"),
    *("NoseSneerLeft", "NoseSneerRight", "TongueOut"),
)
ANGLES = tuple(f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll"))
RATE = 60  # frames a second of the time codes we write, and of short takes whose own rate cannot be told
RATES = (24, 25, 30, 48, 50, 60, 100, 120, 240)
DROPPED = {30: 2, 60: 4}  # frame numbers that drop-frame time codes leave out each minute but every tenth
_HEAD = ("headyaw", "headpitch", "headroll")
_TIMES = ("timecode", "time", "timestamp", "seconds")


@dataclass(frozen=True)
class Performance:
    """What somebody's face does, without a camera."""

    times: F64  # [T] s since the first row
    found: NDArray[np.bool_]  # [T] False: the row had no face and is filled from its neighbours
    expression: F32  # [T, 52] in the order of ARKIT_NAMES
    head: F32 | None  # [T, 3] axis-angle, rad; None where the file has no head


def write_live_link(path: Path, track: Track, rig: LandmarkRig) -> None:
    """Write a track as CSV, whole or not at all; frames without a face carry what bridges them."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["Timecode", "BlendshapeCount", *COLUMNS, *ANGLES])
    places = [track.names.index(_arkit(name)) if _arkit(name) in track.names else -1 for name in COLUMNS]
    for frame in track.frames:
        right, left = eye_rotations(rig, frame.expression.astype(np.float64))
        angles = np.concatenate([_yaw_pitch_roll(vector) for vector in (frame.rotation, left, right)])
        values = [frame.expression[place] if place >= 0 else 0.0 for place in places]
        table.writerow(
            [_timecode(frame.time), len(COLUMNS) + len(ANGLES), *(f"{value:.8f}" for value in [*values, *angles])]
        )
    write_file(path, text.getvalue().encode())


def _arkit(column: str) -> str:
    return column[:1].lower() + column[1:]


def _timecode(time: float) -> str:
    thousandths = round(time * RATE * 1000)
    seconds, part = divmod(thousandths, RATE * 1000)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}:{part // 1000:02d}.{part % 1000:03d}"


def _yaw_pitch_roll(
    vector: NDArray[np.floating],  # [3] axis-angle
) -> F64:  # [3] rad
    turn = np.asarray(rotation_from_axis_angle(vector.astype(np.float64)))
    pitch = math.asin(float(np.clip(-turn[1, 2], -1, 1)))
    return np.array([math.atan2(turn[0, 2], turn[2, 2]), pitch, math.atan2(turn[1, 0], turn[1, 1])])


def _head_rotation(
    angles: F64,  # [T, 3] yaw, pitch, roll
) -> F32:  # [T, 3] axis-angle
    axes = np.eye(3)[[1, 0, 2]]
    yaw, pitch, roll = (np.asarray(rotation_from_axis_angle(angles[:, i, None] * axes[i])) for i in range(3))
    turns = yaw @ pitch @ roll
    return np.stack([axis_angle_from_rotation(turn) for turn in turns]).astype(np.float32)


def read_live_link(path: Path) -> Performance:
    """Read such a CSV by the names in its first row; UnreadableInput says what is wrong with it.

    Columns may stand in any order and spelling (eyeBlinkLeft, EyeBlink_L), be fewer or more; separators may be commas,
    semicolons or tabs, and decimals commas; time may be a time code, also a drop-frame one, or seconds.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UnreadableInput(f"There is no file {path}.", "Check the path.") from error
    except (OSError, ValueError) as error:
        raise _bad(path, "it is no text") from error
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    rows = [row for row in csv.reader(text.splitlines(), delimiter=separator) if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise _bad(path, "it has no rows")
    names = [_plain(cell) for cell in rows[0]]
    known = {_plain(name): index for name, index in ARKIT_INDEX.items()}
    if sum(name in known for name in names) < 10:
        raise _bad(path, "its first row does not name the ARKit coefficients")
    time_column = next((names.index(name) for name in _TIMES if name in names), None)
    if time_column is None:
        raise _bad(path, "it has no column Timecode")
    wanted = [names.index(name) if name in names else -1 for name in (*map(_plain, ARKIT_NAMES), *_HEAD)]
    lines = enumerate(rows[1:], 2)
    values = np.array([_numbers(row, wanted, path, line) for line, row in lines])  # [T, 55] NaN: no face
    present = np.array([place >= 0 for place in wanted])
    found = np.isfinite(values[:, present]).all(axis=1)
    if not found.any():
        raise _bad(path, "no row of it has a face")
    filled = _bridged(values, found)
    has_head = bool(present[len(ARKIT_NAMES) :].all())
    return Performance(
        times=_times([row[time_column].strip() if time_column < len(row) else "" for row in rows[1:]], path),
        found=found,
        expression=filled[:, : len(ARKIT_NAMES)].astype(np.float32),
        head=_head_rotation(filled[:, len(ARKIT_NAMES) :]) if has_head else None,
    )


def _plain(name: str) -> str:
    """eyeBlinkLeft of EyeBlinkLeft, eyeBlink_L and blendShape1.eyeBlink_L, for comparing."""
    name = name.strip().rpartition(".")[2]
    name = re.sub(r"[_ ]L$", "Left", re.sub(r"[_ ]R$", "Right", name))
    return re.sub(r"[^a-z]", "", name.lower())


def _numbers(row: list[str], wanted: list[int], path: Path, line: int) -> list[float]:
    cells = [row[place].strip() if 0 <= place < len(row) else "" if place >= 0 else "0" for place in wanted]
    try:
        return [float(cell.replace(",", ".")) if cell else math.nan for cell in cells]
    except ValueError as error:
        raise _bad(path, f"line {line}: {error}") from error


def _bridged(
    values: F64,  # [T, C]
    found: NDArray[np.bool_],  # [T]
) -> F64:
    rows = np.arange(len(values))
    return np.stack([np.interp(rows, rows[found], column[found]) for column in values.T], axis=1)


def _times(cells: list[str], path: Path) -> F64:
    """Seconds since the first row."""
    codes = [re.fullmatch(r"(\d+):(\d+):(\d+)[:;](\d+(?:[.,]\d+)?)", cell) for cell in cells]
    parts = [tuple(float(part.replace(",", ".")) for part in code.groups()) for code in codes if code]
    if len(parts) < len(cells):
        try:
            seconds = np.array([float(cell.replace(",", ".")) for cell in cells])
        except ValueError as error:
            raise _bad(path, "its times are neither time codes (hh:mm:ss:ff) nor seconds") from error
    else:
        seconds = _seconds(np.array(parts), drop=any(";" in cell for cell in cells))
    seconds = seconds + 86400 * np.concatenate([[0], np.cumsum(np.diff(seconds) < -43200)])  # past midnight
    out: F64 = np.maximum.accumulate(seconds - seconds[0])
    return out


def _seconds(
    parts: F64,  # [T, 4] hours, minutes, seconds, frames
    drop: bool,
) -> F64:
    whole = parts[:, :3] @ [3600, 60, 1]
    highest = int(parts[:, 3].max())
    rate = next((rate for rate in RATES if rate > highest), highest + 1)
    if len(np.unique(whole)) == 1:
        rate = max(rate, RATE)  # less than a second: the frames never began anew
    if not drop:
        return np.asarray(whole + parts[:, 3] / rate)
    rate = 30 if rate <= 30 else 60
    minutes = parts[:, 0] * 60 + parts[:, 1]
    number = whole * rate + parts[:, 3] - DROPPED[rate] * (minutes - minutes // 10)
    return np.asarray(number * 1.001 / rate)


def track_of(
    performance: Performance,
    avatar: Avatar,
    rig: LandmarkRig,  # of the avatar
    source: str = "",
) -> Track:
    """The performance as a track of the avatar's own person, seen by the camera of the avatar's photo."""
    photo = avatar.photo
    frames = []
    for index, time in enumerate(performance.times):
        rotation = photo.rotations[0] if performance.head is None else performance.head[index]
        frames.append(
            TrackFrame(
                float(time),
                bool(performance.found[index]),
                performance.expression[index],
                rotation.astype(np.float32),
                photo.translation.astype(np.float32),
                math.nan,
            )
        )
    width, height = (int(side) for side in photo.size)
    return Track(
        size=(width, height),
        focal=float(photo.focal),
        centre=(float(photo.centre[0]), float(photo.centre[1])),
        names=ARKIT_NAMES,
        identity=np.zeros(0, np.float32),
        landmarks=rig.neutral.T.astype(np.float32),
        eyes=rig.eyes.astype(np.float32),
        frames=tuple(frames),
        source=source,
    )


def _bad(path: Path, reason: str) -> UnreadableInput:
    return UnreadableInput(
        f"{path.name} is not a performance in the layout of Live Link Face: {reason}.",
        "Export the take as CSV, or make one with `meshlam track --csv`.",
    )
