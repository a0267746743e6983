"""Recording from a camera; video files take the place of cameras."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from meshlam_core.errors import Cancelled, UnreadableInput, UsageError
from meshlam_core.files import camera as camera_file
from meshlam_core.files.camera import Recording, record_clip
from meshlam_core.files.images import read_clip
from meshlam_core.opencv import cv2
from meshlam_core.progress import silent

TIMES = (0.0, 0.04, 0.1, 0.12, 0.3, 0.35, 0.5, 0.9, 1.0)  # s, as a camera in the dusk
LIGHT = tuple(range(60, 240, 20))  # a grey for each


@pytest.fixture
def camera(tmp_path: Path) -> Callable[..., str]:
    def play(
        times: tuple[float, ...] = TIMES,
        light: tuple[int, ...] = LIGHT,
        size: tuple[int, int] = (64, 48),
        pixels: str = "yuv420p",
    ) -> str:
        path = tmp_path / "a camera.mp4"
        with av.open(str(path), "w") as clip:
            stream = clip.add_stream("libx264", 30, {"crf": "10"})
            stream.width, stream.height, stream.pix_fmt = *size, pixels
            stream.codec_context.time_base = Fraction(1, 1000)
            for moment, grey in zip(times, light, strict=True):
                frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), grey, np.uint8), format="rgb24")
                frame.pts, frame.time_base = round(moment * 1000), Fraction(1, 1000)
                clip.mux(stream.encode(frame))
            clip.mux(stream.encode())
        return str(path)

    return play


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def told(path: Path) -> tuple[list[float], list[float]]:
    """Times and greys of a clip's frames."""
    frames = list(read_clip(path))
    return [frame.time for frame in frames], [float(frame.pixels.mean()) for frame in frames]


def test_every_frame_is_kept_at_its_own_time(camera: Callable[..., str], folder: Path) -> None:
    source = camera()
    made = record_clip(source, folder / "clip.mp4", 0.95, silent)
    assert made == Recording((64, 48), 8, 0.9, whole=True)
    times, greys = told(folder / "clip.mp4")
    assert times == pytest.approx(TIMES[:8], abs=1e-4)
    assert greys == pytest.approx(told(Path(source))[1][:8], abs=3)
    assert [path.name for path in folder.iterdir()] == ["clip.mp4"]


def test_what_a_camera_showed_that_goes_away_is_kept(camera: Callable[..., str], folder: Path) -> None:
    made = record_clip(camera(), folder / "clip.mp4", 10, silent)
    assert (made.frames, made.duration, made.whole) == (9, 1.0, False)
    assert told(folder / "clip.mp4")[0] == pytest.approx(TIMES, abs=1e-4)


def test_a_network_camera_is_recorded_by_the_clock_until_it_hangs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(camera_file, "STALLED_MS", 1000)
    monkeypatch.setattr(camera_file, "time", SimpleNamespace(monotonic=count(7, 0.25).__next__))
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for index in range(30):
                jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 60 + 5 * index, np.uint8))[1].tobytes()
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                self.wfile.write(jpeg + b"\r\n")
            over.wait(20)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            made = record_clip(f"http://127.0.0.1:{server.server_port}/video", folder / "clip.mp4", 100, silent)
        finally:
            over.set()
            server.shutdown()
    assert not made.whole
    assert 10 < made.frames <= 30  # the last ones may be on their way when it hangs
    assert told(folder / "clip.mp4")[0] == pytest.approx([0.25 * index for index in range(made.frames)], abs=1e-4)
    assert capfd.readouterr().err == ""


def test_a_camera_that_wakes_up_in_the_dark_is_recorded_from_its_first_picture_on(
    camera: Callable[..., str], folder: Path
) -> None:
    made = record_clip(camera(light=(0, 0, *LIGHT[2:])), folder / "clip.mp4", 0.35, silent)
    assert (made.frames, made.whole) == (4, True)
    times, greys = told(folder / "clip.mp4")
    assert times == pytest.approx([0, 0.02, 0.2, 0.25], abs=1e-4)
    assert min(greys) > 80


@pytest.mark.parametrize(
    ("times", "light"), [(TIMES, (0,) * 9), ((0.0, 1.0, 2.0, 3.5, 4.0), (0, 0, 0, 0, 200))], ids=["never", "too late"]
)
def test_a_camera_that_shows_nothing_is_refused(
    camera: Callable[..., str], folder: Path, times: tuple[float, ...], light: tuple[int, ...]
) -> None:
    with pytest.raises(UnreadableInput, match="shows nothing but black"):
        record_clip(camera(times, light), folder / "clip.mp4", 1, silent)
    assert list(folder.iterdir()) == []


def test_a_picture_of_odd_size_loses_its_last_row_and_column(camera: Callable[..., str], folder: Path) -> None:
    source = camera(size=(65, 49), pixels="yuv444p")
    assert record_clip(source, folder / "clip.mp4", 10, silent).size == (64, 48)
    assert told(folder / "clip.mp4")[0] == pytest.approx(TIMES, abs=1e-4)


@pytest.mark.parametrize("at", ["opening the camera", "0.3 of 2 s", "saving"])
def test_a_recording_that_is_stopped_leaves_nothing(camera: Callable[..., str], folder: Path, at: str) -> None:
    messages = []

    def stop(stage: str, fraction: float, message: str) -> None:
        assert stage == ("camera" if message == "opening the camera" else "recording")
        messages.append(message)
        if message == at:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        record_clip(camera(), folder / "clip.mp4", 2, stop)
    assert messages[-1] == at
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("room", [0, 500])  # bytes
def test_a_full_disk_is_said_and_leaves_nothing(camera: Callable[..., str], folder: Path, room: int) -> None:
    resource = pytest.importorskip("resource")
    source, limits = camera(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(UsageError, match="cannot be written"):
            record_clip(source, folder / "clip.mp4", 1, silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(folder.iterdir()) == []
