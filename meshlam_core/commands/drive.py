"""A performance laid onto an avatar: what Blender asks the worker for to drive a head with a clip.

The result is a track file of the avatar's own: its expression names, and in every frame the rotation and translation
that put the avatar onto the clip's person, as seen by the clip's camera.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshlam_core.avatar.io import read_avatar
from meshlam_core.commands.neural import head_of
from meshlam_core.commands.sessions import Sessions
from meshlam_core.commands.track import describe, track_source
from meshlam_core.files.outputs import check_output_file
from meshlam_core.progress import Progress

if TYPE_CHECKING:
    from meshlam_core.avatar.record import Avatar
    from meshlam_core.head.model import HeadModel
    from meshlam_core.tracker.rig import LandmarkRig
    from meshlam_core.tracker.track import Track, TrackFrame

_TRACKED = 0.9  # of the job, when the clip is tracked; the rest lays the avatar onto it


def drive_file(
    source: Path,  # clip or photo, track file, or CSV in the layout of Live Link Face
    out: Path,
    avatar_path: Path,
    face: int | str,
    device: str,
    sessions: Sessions,
    progress: Progress,
    landmarks: str = "mediapipe",
) -> dict[str, Any]:
    """Performance and avatar -> the avatar's track file; the same report as of `track`."""
    check_output_file(out)
    progress("starting", 0.0, "loading the models")
    from meshlam_core.tracker.retarget import avatar_rig, retarget, tracking_rig
    from meshlam_core.tracker.rig import eye_joints
    from meshlam_core.tracker.track_io import write_track

    start = time.perf_counter()
    avatar = read_avatar(avatar_path)
    head = head_of(avatar, "open")
    rig = replace(avatar_rig(avatar, head), eyes=avatar.joints[list(eye_joints(head))].astype(float))
    if source.suffix.lower() in (".json", ".csv"):
        track, fitted = read_performance(source, avatar, rig, head)
    else:
        session = sessions.get_tracker(device, landmarks)
        track = track_source(source, session, face, lambda stage, done, text: progress(stage, done * _TRACKED, text))
        fitted = tracking_rig(session.head)
    frames: list[TrackFrame] = []
    for frame, pose in zip(track.frames, retarget(track, rig, len(avatar.joints), fitted), strict=True):
        progress("retarget", _TRACKED + (1 - _TRACKED) * len(frames) / len(track.frames), f"{len(frames)} frames")
        frames.append(
            replace(frame, expression=pose.expression, rotation=pose.rotations[0], translation=pose.translation)
        )
    own = replace(
        track,
        names=avatar.blendshape_names,
        landmarks=rig.neutral.T.astype("f4"),
        eyes=rig.eyes.astype("f4"),
        frames=tuple(frames),
    )
    write_track(out, own, rig)
    return describe(own, out, time.perf_counter() - start)


def read_performance(
    path: Path,
    avatar: Avatar,
    rig: LandmarkRig,  # of the avatar
    head: HeadModel,  # of the avatar, and of the track
) -> tuple[Track, LandmarkRig | None]:
    """The track in a file, and the rig it was fitted with: a clip's, or a CSV's, which was fitted to no picture.

    A CSV has no camera and stays where the avatar's photo has it.
    """
    from meshlam_core.tracker.live_link import read_live_link, track_of
    from meshlam_core.tracker.retarget import tracking_rig
    from meshlam_core.tracker.track_io import read_track

    if path.suffix.lower() == ".csv":
        return track_of(read_live_link(path), avatar, rig, path.name), None
    return read_track(path), tracking_rig(head)
