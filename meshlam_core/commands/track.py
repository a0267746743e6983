"""`meshlam track`: the face of a clip or a photo, frame by frame."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshlam_core.commands.sessions import Sessions
from meshlam_core.files.outputs import check_output_file
from meshlam_core.progress import Progress

if TYPE_CHECKING:
    from meshlam_core.files.images import Frame
    from meshlam_core.pipeline import Session
    from meshlam_core.tracker.track import Track

# where each stage of track_clip ends, as a fraction of the whole job
_STAGES = {"landmarks": (0.05, 0.7), "person": (0.7, 0.75), "fit": (0.75, 0.97)}
_TYPICAL_CLIP = 300  # frames; how many there will be is known only at the end


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Track and report."""
    given = arguments
    kind = (given.landmarks, given.csv)
    return track_file(given.source, given.out, given.face, given.device, Sessions(), progress, *kind)


def track_file(
    source: Path,
    out: Path,
    face: int | str,
    device: str,
    sessions: Sessions,
    progress: Progress,
    landmarks: str = "mediapipe",
    as_csv: bool = False,  # as is a path that ends in .csv
) -> dict[str, Any]:
    """Clip or photo -> track file, JSON or CSV."""
    check_output_file(out)
    progress("starting", 0.0, "loading the models")
    from meshlam_core.tracker.live_link import write_live_link
    from meshlam_core.tracker.rig import landmark_rig
    from meshlam_core.tracker.track_io import write_track

    session = sessions.get_tracker(device, landmarks)
    start = time.perf_counter()
    track = track_source(source, session, face, progress)
    seconds = time.perf_counter() - start
    write = write_live_link if as_csv or out.suffix.lower() == ".csv" else write_track
    write(out, track, landmark_rig(session.head))
    return describe(track, out, seconds)


def describe(track: Track, out: Path, seconds: float) -> dict[str, Any]:
    """What is reported of a track."""
    errors = [frame.landmark_error for frame in track.frames if math.isfinite(frame.landmark_error)]
    return {
        "out": str(out),
        "size": list(track.size),
        "frames": len(track.frames),
        "found": (found := sum(frame.found for frame in track.frames)),
        "bridged": len(track.frames) - found - track.refused,
        "refused": track.refused,
        "duration": round(track.frames[-1].time, 3),
        "landmark_error": round(float(np.median(errors)), 5) if errors else None,
        "seconds": round(seconds, 3),
    }


def track_source(source: Path, session: Session, face: int | str, progress: Progress) -> Track:
    """The track of a clip, or of a photo as a clip of one frame, on the photo's own pixel grid."""
    from meshlam_core.files.images import PHOTO_SUFFIXES, Frame, load_photo, read_clip
    from meshlam_core.tracker.track import track_clip

    scale, native = 1.0, None
    if source.suffix.lower() in PHOTO_SUFFIXES:
        photo = load_photo(source)
        scale, native = photo.scale, photo.native_size
        frames: Iterator[Frame] = iter([Frame(0.0, photo.pixels)])
    else:
        frames = read_clip(source)
    counted = 0

    def report(stage: str, fraction: float) -> None:
        nonlocal counted
        first, last = _STAGES.get(stage, (0.0, 1.0))
        if stage == "landmarks":
            counted += 1
            fraction = 1 - math.exp(-counted / _TYPICAL_CLIP)
        progress(stage, first + (last - first) * fraction, f"{counted} frames")

    track = track_clip(frames, session.detector, session.head, face, source.name, report)
    if native is None or scale == 1.0:
        return track
    centre = (track.centre[0] / scale, track.centre[1] / scale)
    return replace(track, size=native, focal=track.focal / scale, centre=centre)


def show(result: dict[str, Any]) -> str:
    """A few lines for people."""
    left = [f"{result[kind]} {kind}" for kind in ("bridged", "refused") if result[kind]]
    missing = f" ({', '.join(left)})" if left else ""
    return (
        f"{result['out']}: {result['found']} of {result['frames']} frames with a face{missing}, "
        f"{result['duration']:.1f} s\n"
        f"  landmark error {result['landmark_error']:.2%} of the face height (median)\n"
        f"  {result['frames'] / result['seconds']:.1f} frames a second"
    )
