"""Recording what a camera shows into a clip.

A camera is a number of the system's (0 is the first), or whatever else OpenCV opens by name: the address of a network
camera, a device, a video file, which plays as a camera would.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import UnreadableInput, UsageError
from meshlam_core.files.outputs import atomic_file
from meshlam_core.opencv import cv2
from meshlam_core.progress import Progress

U8 = NDArray[np.uint8]

WANTED_SIZE = (1280, 720)  # px; a camera gives the nearest that it has
BLACK = 24  # of 255; a picture without a brighter value is none: sensors that see nothing stay well below
WAIT_SECONDS = 3.0  # for the first picture that is not black, as cameras wake up
STALLED_MS = 4000  # after which a camera counts as gone, where OpenCV lets one choose: on Linux and of network cameras
_CODECS = ("libx264", "mpeg4")  # what PyAV's own builds have, the better one first
_TICKS = 10_000  # a second, in which the file keeps the frames' times


@dataclass(frozen=True)
class Recording:
    """What was recorded."""

    size: tuple[int, int]  # px, (width, height)
    frames: int
    duration: float  # s, from the first frame to the last
    whole: bool  # False: the camera went away before the time was over


def record_clip(camera: str, out: Path, seconds: float, progress: Progress) -> Recording:
    """Record so many seconds without sound as MP4, every frame at the time at which it came.

    The file is there whole or, where it is cancelled, not at all; what a camera showed that goes away is kept.
    UnreadableInput where there is no camera or no picture, UsageError where the file cannot be written.
    """
    if out.suffix.lower() != ".mp4":
        raise UsageError(f"A recording is an MP4, and {out.name} does not end in .mp4.", "Choose a name in .mp4.")
    with atomic_file(out) as file, _silent():
        progress("camera", 0.0, "opening the camera")
        capture = _open(camera)
        try:
            pictures = _lit(_pictures(capture, camera), camera, progress)
            start, first = next(pictures)
            clip = _Clip(file, first)
            last, whole = start, False
            for moment, pixels in chain([(start, first)], pictures):
                whole = moment - start >= seconds
                if whole or pixels.shape != first.shape:
                    break
                clip.add(moment - start, pixels)
                last = moment
                progress("recording", (moment - start) / seconds, f"{moment - start:.1f} of {seconds:g} s")
            progress("recording", 1.0, "saving")  # a camera that hung may have been given up meanwhile
            clip.close()
        finally:
            capture.release()
    return Recording(clip.size, clip.frames, last - start, whole)


@contextmanager
def _silent() -> Iterator[None]:
    """OpenCV writes nothing to stderr: what goes wrong is told as an error."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def _open(camera: str) -> cv2.VideoCapture:
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(STALLED_MS // 1000))
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # OpenCV asks macOS for leave in the main thread alone; without this the system itself asks
    os.environ.setdefault("OPENCV_AVFOUNDATION_SKIP_AUTH", "1")
    if camera.isdecimal() and len(camera) < 3:  # OpenCV reads more into larger numbers
        capture = cv2.VideoCapture(int(camera))
        if capture.isOpened():
            _ask_for_size(capture)
    else:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 2 * STALLED_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, STALLED_MS]
        capture = cv2.VideoCapture(camera, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            capture = cv2.VideoCapture(camera)
    if not capture.isOpened():
        raise UnreadableInput(f"There is no camera {camera} that can be opened.", _hint("Connect it, close other"))
    return capture


def _ask_for_size(capture: cv2.VideoCapture) -> None:
    if capture.getBackendName() == "V4L2":  # which else takes raw pictures, at this size too many bytes for 30 a second
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, WANTED_SIZE[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, WANTED_SIZE[1])


def _pictures(capture: cv2.VideoCapture, camera: str) -> Iterator[tuple[float, U8]]:  # s, [H, W, 3] BGR
    """What comes until nothing more does, at the clock's times or, of a file, at its own; sizes are even."""
    is_file, last = Path(camera).is_file(), -1.0
    while capture.grab():
        moment = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if is_file else time.monotonic()
        found, pixels = capture.retrieve()
        if found and moment - last >= 1 / _TICKS:
            last = moment
            height, width = pixels.shape[:2]
            yield moment, np.ascontiguousarray(pixels[: height // 2 * 2, : width // 2 * 2], np.uint8)


def _lit(pictures: Iterator[tuple[float, U8]], camera: str, progress: Progress) -> Iterator[tuple[float, U8]]:
    """From the first picture on that is not black."""
    begun = None
    for moment, pixels in pictures:
        begun = moment if begun is None else begun
        if pixels.max() >= BLACK:
            yield moment, pixels
            yield from pictures
            return
        if moment - begun > WAIT_SECONDS:
            break
        progress("camera", 0.0, "waiting for a picture")
    shows = "gives no picture" if begun is None else "shows nothing but black"
    raise UnreadableInput(f"The camera {camera} {shows}.", _hint("Uncover it, close other"))


def _hint(first: str) -> str:
    leave = {
        "darwin": " The system must allow it: System Settings > Privacy & Security > Camera.",
        "win32": " The system must allow it: Settings > Privacy > Camera > desktop apps.",
    }
    return f"{first} programs that use it, or choose another camera.{leave.get(sys.platform, '')}"


class _Clip:
    """An MP4 that is being written."""

    def __init__(
        self,
        file: Any,
        first: U8,  # [H, W, 3] any picture of the clip's size
    ) -> None:
        import av  # a shared library of 30 MB that stills do not need

        self._frame = av.VideoFrame.from_ndarray
        self._container = av.open(file, "w", format="mp4")
        self.size = (first.shape[1], first.shape[0])
        self.frames = 0
        codec = next(name for name in _CODECS if name in av.codecs_available)
        # sharp, fast enough to keep step, and quick to jump about in
        options = {"preset": "veryfast", "crf": "18", "bf": "0"} if codec == "libx264" else {"b": "12M"}
        stream: Any = self._container.add_stream(codec, 30, options)
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 12
        stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream = stream

    def add(
        self,
        moment: float,  # s since the first frame
        pixels: U8,  # [H, W, 3] BGR
    ) -> None:
        """Write the next frame."""
        frame = self._frame(cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420), format="yuv420p")
        frame.pts, frame.time_base = round(moment * _TICKS), Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """Write what is left."""
        self._container.mux(self._stream.encode())
        self._container.close()
