"""How fast the real backend follows the face of a clip, and how soon after it the key frames are in the scene.

    PYTHONPATH=. MESHLAM_BACKEND=$PWD/.venv/bin/python BPY/bin/python tests/blender/clip_speed.py AVATAR CLIP...

Everything is held to two processor cores (Linux). The backend has its models loaded, and has tracked the first clip
once before. Printed for each clip: frames, frames a second from the click to the last key frame, the backend's
processor time a frame, the longest time without news of how far it is, the time from the last news to the key frames,
and the time from a click onto the cross, half way, to the job's end. Then: tracks of 52 keys from file to key frames
(median of 5), and a frame of the driven head worked out, without drawing it (median of 60).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy
from sample import ARKIT_NAMES
from takes import track_file

import blender_addon
from blender_addon import state
from blender_addon.avatar_reader import read_avatar
from blender_addon.backend.locate import default_data_folder
from blender_addon.clip_operators import apply_clip
from blender_addon.job import Request, Session, State
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import find_avatar


class Timed(Session):
    """Keeps when news came."""

    def __init__(self) -> None:
        super().__init__()
        self.news: list[float] = []  # s

    def start(self, backend: Any, request: Request) -> None:
        self.news = [time.perf_counter()]
        super().start(backend, request)

    def pump(self) -> bool:
        changed = super().pump()
        if changed and self.active:
            self.news.append(time.perf_counter())
        return changed


def processor_seconds() -> float:
    """Of the backend, which is this process's one child."""
    (child,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drive(clip: Path) -> float:  # s
    bpy.context.scene.meshlam_clip.clip = str(clip)
    start = time.perf_counter()
    assert bpy.ops.meshlam.drive_from_clip() == {"FINISHED"}
    return time.perf_counter() - start


def seconds_to_stop(session: Timed) -> float:
    """From the cross, half way through the same clip again, to the end of the job."""
    assert session._backend is not None
    assert session.request is not None
    session.start(session._backend, session.request)
    while session.active and session.fraction < 0.4:
        session.pump()
        time.sleep(0.005)
    start = time.perf_counter()
    session.cancel()
    assert session.wait(0.005) is State.CANCELLED
    return time.perf_counter() - start


def main() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    avatar, *clips = (Path(argument).resolve() for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:  # where tracks are kept
        (Path(folder) / "assets").symlink_to(default_data_folder() / "assets", target_is_directory=True)
        os.environ["MESHLAM_HOME"] = folder
        measure(avatar, clips)


def measure(avatar: Path, clips: list[Path]) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    bpy.context.view_layer.objects.active = build_avatar(read_avatar(avatar), "Ada").head
    session = state.session = Timed()
    drive(clips[0])
    for clip in clips:
        before = processor_seconds()
        seconds = drive(clip)
        done = time.perf_counter()
        used, frames = processor_seconds() - before, session.result["frames"]
        gap = max(b - a for a, b in zip(session.news, session.news[1:], strict=False))
        print(
            f"{clip.name}: {frames} frames, {frames / seconds:.0f} frames/s, "
            f"{1000 * used / frames:.0f} ms processor time a frame, at most {gap:.1f} s without news, "
            f"key frames {done - session.news[-1]:.2f} s after the last, stopped in {seconds_to_stop(session):.2f} s",
            flush=True,
        )
    session.close()
    for count in (250, 1000, 10_000):
        path = track_file(Path(os.environ["MESHLAM_HOME"]) / "long.json", count, names=ARKIT_NAMES)
        print(f"{count} frames: key frames in {statistics.median(seconds_to_apply(path) for _ in range(5)):.2f} s")
    print(f"a frame: {1000 * statistics.median(seconds_of_frame(1 + index) for index in range(60)):.1f} ms", flush=True)


def seconds_to_apply(track: Path) -> float:
    built = find_avatar(bpy.context.view_layer.objects.active)
    assert built is not None
    start = time.perf_counter()
    apply_clip(bpy.context.scene, built, track, track)
    return time.perf_counter() - start


def seconds_of_frame(frame: int) -> float:
    start = time.perf_counter()
    bpy.context.scene.frame_set(frame)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
