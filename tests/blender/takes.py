"""Movements for a head to be driven by."""

from __future__ import annotations

import json
import math
from pathlib import Path

from sample import ARKIT_NAMES


def track_file(path: Path, count: int = 5, rate: float = 25.0, names: tuple[str, ...] = ("jawOpen", "other")) -> Path:
    """Jaw opening, other expressions or an unknown one, and a head that turns about y and moves along x."""
    frames = [
        {
            "time": index / rate,
            "coefficients": [index % 11 / 10, *[0.5] * (len(names) - 1)],
            "head_rotation": [0.0, index * 0.1, 0.0],
            "translation": [index * 0.01, 0.0, -0.5],
        }
        for index in range(count)
    ]
    camera = {"focal": 640.0, "centre": [300.0, 250.0], "size": [640, 480]}
    data = {"format": "meshlam-track", "version": 1, "names": [*names], "camera": camera, "frames": frames}
    path.write_text(json.dumps(data))
    return path


FRAMES = 12
TURN = 0.02  # rad of the head's yaw a frame


def take_rows() -> list[list[str]]:
    """A take of Live Link Face at 60 frames a second: the jaw opens, each key moves at its own pace, the head turns."""
    names = [name[:1].upper() + name[1:] for name in ARKIT_NAMES]
    angles = [f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll")]
    rows = [["Timecode", "BlendshapeCount", *names, *angles]]
    for index in range(FRAMES):
        values = [take_value(name, index) for name in ARKIT_NAMES]
        turns = [TURN * index, 0.0, 0.0, *[0.0] * 6]
        rows.append([f"10:42:07:{index:02d}.339", "61", *(f"{value:.6f}" for value in [*values, *turns])])
    return rows


def take_value(name: str, index: int) -> float:
    """What a key shows in a frame of the take."""
    if name == "jawOpen":
        return index / FRAMES
    return 0.3 + 0.2 * math.sin(0.4 * index + ARKIT_NAMES.index(name))


def _text(rows: list[list[str]], separator: str = ",", end: str = "\n", start: str = "") -> str:
    return start + "".join(separator.join(row) + end for row in rows)


def calibrated(rows):
    """With the calibration's columns between and behind the others'."""
    return _text(
        [[*row[:2], "0.1" if index else "CalibrationNeutral", *row[2:], "x"] for index, row in enumerate(rows)]
    )


def face_only(rows):
    """Without head, eyes and count of columns."""
    return _text([[row[0], *row[2:-9]] for row in rows])


def other_names(rows):
    """Seconds, another order, and names as in Maya."""
    out = [[f"{index / 60:.6f}" if index >= 0 else "Time", *row[:1:-1]] for index, row in enumerate(rows, -1)]
    out[0] = [
        f"blendShape1.{name[:1].lower()}{name[1:-4]}_L" if name.endswith("SmileLeft") else name for name in out[0]
    ]
    return _text(out)


def spreadsheet(rows):
    """As a spreadsheet in Europe saves it: semicolons, decimal commas, Windows' line ends, a byte order mark."""
    out = [rows[0], *([row[0], *(cell.replace(".", ",") for cell in row[1:])] for row in rows[1:])]
    return _text([*out, [""]], ";", "\r\n", "\ufeff")


def drop_frames(rows):
    """Drop-frame time codes of 59.94 frames a second, over the end of a minute."""
    codes = [f"01:00:59;{54 + index}" if index < 6 else f"01:01:00;{index - 2:02d}" for index in range(FRAMES)]
    return _text([rows[0], *([code, *row[1:]] for code, row in zip(codes, rows[1:], strict=True))])


def with_gaps(rows):
    """Two frames in which the phone lost the face: a count of 0 and nothing behind it."""
    return _text([[row[0], "0"] if index in (5, 6) else row for index, row in enumerate(rows)])


VARIANTS = (calibrated, face_only, other_names, spreadsheet, drop_frames, with_gaps)
