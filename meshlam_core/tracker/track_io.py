"""Track files: JSON, format "meshlam-track", version 1.

    {"format": "meshlam-track", "version": 1, "source": "clip.mp4",
     "camera": {"focal": px, "centre": [x, y], "size": [width, height]},
     "names": [52 expression names], "identity": [N], "landmarks": [[x, y, z] x 478], "eyes": [[x, y, z] x 2],
     "frames": [{"time": s, "found": bool, "coefficients": [52, in the order of names],
                 "head_rotation": [3], "eye_rotations": [[3] right, [3] left], "translation": [3],
                 "landmark_error": number or null}]}

Metres, radians, pixels of the upright clip; frames as in frames.py; rotations are axis-angle vectors. `landmarks` and
`eyes` belong to the person's neutral face in the avatar frame. `eye_rotations` say in angles what the eyeLook
coefficients already do: use one or the other.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import UnreadableInput
from meshlam_core.files.outputs import write_file
from meshlam_core.points import COUNT, LEFT_IRIS, RIGHT_IRIS
from meshlam_core.tracker.rig import LandmarkRig
from meshlam_core.tracker.track import Track, TrackFrame

F64 = NDArray[np.float64]

FORMAT, VERSION = "meshlam-track", 1


def track_to_json(
    track: Track,
    rig: LandmarkRig,
) -> dict[str, Any]:
    """The track as JSON values; the rig tells the eye rotations."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "source": track.source,
        "camera": {"focal": track.focal, "centre": list(track.centre), "size": list(track.size)},
        "names": list(track.names),
        "identity": _numbers(track.identity, 5),
        "landmarks": _numbers(track.landmarks, 6),
        "eyes": _numbers(track.eyes, 6),
        "frames": [_frame_to_json(frame, rig) for frame in track.frames],
    }


def _frame_to_json(frame: TrackFrame, rig: LandmarkRig) -> dict[str, Any]:
    return {
        "time": round(frame.time, 6),
        "found": frame.found,
        "coefficients": _numbers(frame.expression, 4),
        "head_rotation": _numbers(frame.rotation, 6),
        "eye_rotations": _numbers(eye_rotations(rig, frame.expression.astype(np.float64)), 5),
        "translation": _numbers(frame.translation, 6),
        "landmark_error": round(frame.landmark_error, 6) if math.isfinite(frame.landmark_error) else None,
    }


def eye_rotations(
    rig: LandmarkRig,
    expression: F64,  # [K]
) -> F64:  # [2, 3] rad, right and left
    """How far an expression turns the eyeballs, from where it takes the irises."""
    out = np.zeros((2, 3))
    moved = expression @ rig.basis[:, rig.modes :]
    for side, iris in enumerate((RIGHT_IRIS, LEFT_IRIS)):
        rest = rig.neutral[:, iris] - rig.eyes[side]
        gaze = rest + moved[:, iris]
        axis = np.cross(rest, gaze)
        sine, cosine = float(np.linalg.norm(axis)), float(rest @ gaze)
        if sine > 1e-12:
            out[side] = axis / sine * np.arctan2(sine, cosine)
    return out


def write_track(path: Path, track: Track, rig: LandmarkRig) -> None:
    """Write a track file whole or not at all."""
    text = json.dumps(track_to_json(track, rig), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    write_file(Path(path), text.encode())


def read_track(path: Path) -> Track:
    """Read and check a track file; UnreadableInput says what is wrong with it."""
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnreadableInput(f"There is no track file {path}.", "Make one with `meshlam track`.") from error
    except (OSError, ValueError) as error:
        raise _bad(path, f"it is not JSON ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _bad(path, f'its "format" is not "{FORMAT}"')
    if data.get("version") != VERSION:
        raise _bad(path, f"its version is {data.get('version')}, and only {VERSION} is known")
    try:
        return _parse(data, path)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _bad(path, f"a value is missing or of the wrong kind ({error})") from error


def _parse(data: dict[str, Any], path: Path) -> Track:
    camera, names = data["camera"], tuple(str(name) for name in data["names"])
    frames = tuple(
        TrackFrame(
            float(frame["time"]),
            bool(frame["found"]),
            _array(frame["coefficients"], (len(names),), "coefficients", path),
            _array(frame["head_rotation"], (3,), "head_rotation", path),
            _array(frame["translation"], (3,), "translation", path),
            math.nan if frame.get("landmark_error") is None else float(frame["landmark_error"]),
        )
        for frame in data["frames"]
    )
    if not frames:
        raise _bad(path, "it has no frames")
    width, height = (int(side) for side in camera["size"])
    x, y = (float(value) for value in camera["centre"])
    focal = float(camera["focal"])
    if not (0 < width <= 1 << 15 and 0 < height <= 1 << 15 and 0 < focal < 1e7 and math.isfinite(x + y)):
        raise _bad(path, "its camera is not a possible one")
    return Track(
        size=(width, height),
        focal=focal,
        centre=(x, y),
        names=names,
        identity=_array(data["identity"], (len(data["identity"]),), "identity", path),
        landmarks=_array(data["landmarks"], (COUNT, 3), "landmarks", path),
        eyes=_array(data["eyes"], (2, 3), "eyes", path),
        frames=frames,
        source=str(data.get("source", "")),
    )


def _array(values: Any, shape: tuple[int, ...], name: str, path: Path) -> NDArray[np.float32]:
    array = np.array(values, dtype=np.float32)
    if array.shape != shape or not np.isfinite(array).all():
        raise _bad(path, f"{name}: expected finite numbers of shape {shape}, got shape {array.shape}")
    return array


def _numbers(values: NDArray[np.floating], digits: int) -> Any:
    return np.round(values.astype(np.float64), digits).tolist()


def _bad(path: Path, reason: str) -> UnreadableInput:
    return UnreadableInput(
        f"{path.name} is not a track file that can be used: {reason}.", "Make it again with `meshlam track`."
    )
