"""The worker as Blender starts it: a process with pipes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from meshlam_core.avatar.io import write_avatar
from meshlam_core.files.images import read_clip
from meshlam_core.worker import protocol
from meshlam_core.worker.protocol import Done, Failed, Ready, decode_reply, encode
from tests.sample_avatar import make_avatar

ROOT = Path(__file__).resolve().parent.parent.parent


class Worker:
    """A running worker; every wait is bounded by a timer that ends it."""

    def __init__(self, home: Path | None = None) -> None:
        environment = dict(os.environ) | ({"MESHLAM_HOME": str(home)} if home else {})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "meshlam_core.worker"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.timer = threading.Timer(90, self.process.kill)
        self.timer.start()
        self.send(protocol.Hello(protocol.PROTOCOL))

    def send(self, message: protocol.Request | bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(message if isinstance(message, bytes) else encode(message))
        self.process.stdin.flush()

    def next(self) -> protocol.Reply:
        """The next message; each line of stdout must be one."""
        assert self.process.stdout is not None
        return decode_reply(self.process.stdout.readline())

    def reply(self) -> protocol.Reply:
        """The next message that is no progress."""
        while isinstance(reply := self.next(), protocol.ProgressReport):
            pass
        return reply

    def close(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        code = self.process.wait(60)
        self.process.stdout.close()
        self.timer.cancel()
        return code


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    if worker.process.poll() is None:
        worker.close()


def test_a_conversation_with_good_bad_and_senseless_messages(worker: Worker, tmp_path: Path) -> None:
    ready = worker.reply()
    assert isinstance(ready, Ready)
    assert ready.device in ("cpu", "cuda", "mps")
    assert set(ready.assets) == {"face_landmarker", "selfie_segmentation"}

    worker.send(b"this is no message\n")
    answer = worker.reply()
    assert isinstance(answer, Failed)
    assert (answer.id, answer.kind) == (None, "protocol")

    missing = tmp_path / "no such photo.jpg"
    worker.send(protocol.Reconstruct("one", str(missing), str(tmp_path / "one.meshlam")))
    answer = worker.reply()
    assert isinstance(answer, Failed)
    assert (answer.id, answer.kind) == ("one", "unreadable"), answer
    assert "no such photo.jpg" in answer.message
    assert "Traceback" in answer.trace
    assert not (tmp_path / "one.meshlam").exists()

    avatar = tmp_path / "Zoë.meshlam"
    write_avatar(make_avatar(), avatar)
    worker.send(protocol.Render("two", str(avatar), str(tmp_path / "two.png"), protocol.RenderFields(size=64)))
    answer = worker.reply()
    assert isinstance(answer, Done), answer
    assert answer.result["size"] == [64, 64]
    assert (tmp_path / "two.png").is_file()

    assert worker.close() == 0


def test_the_worker_goes_on_after_weights_that_cannot_be_used(
    worker: Worker, tmp_path: Path, assets: dict[str, Path], portrait_file: Path
) -> None:
    assert isinstance(worker.reply(), Ready)
    (tmp_path / "w.safetensors").write_text("I am a poem")
    photo, out = portrait_file, tmp_path / "one.meshlam"
    for name, weights in (("one", str(tmp_path / "w.safetensors")), ("two", str(tmp_path / "missing"))):
        options = protocol.ReconstructFields(weights=weights)
        worker.send(protocol.Reconstruct(name, str(photo), str(out), options))
        answer = worker.reply()
        assert isinstance(answer, Failed)
        assert (answer.id, answer.kind) == (name, "asset"), answer
        assert not out.exists()
    worker.send(protocol.Reconstruct("three", str(photo), str(out), protocol.ReconstructFields(texture_size=256)))
    answer = worker.reply()
    assert isinstance(answer, Done), answer
    assert answer.result["refined"] in (True, False)
    assert out.is_file()
    assert worker.close() == 0


def test_without_assets_the_worker_starts_and_each_job_says_how_to_get_them(tmp_path: Path) -> None:
    worker = Worker(home=tmp_path)
    ready = worker.reply()
    assert isinstance(ready, Ready)
    assert ready.assets == {"face_landmarker": "missing", "selfie_segmentation": "missing"}
    worker.send(protocol.Reconstruct("one", "photo.jpg", str(tmp_path / "one.meshlam")))
    answer = worker.reply()
    assert isinstance(answer, Failed)
    assert answer.kind == "asset"
    assert "meshlam assets fetch" in answer.hint
    assert worker.close() == 0


def make_camera(path: Path, seconds: int) -> str:
    """A video that takes the place of a camera: large pictures, 20 a second, which are some work to record."""
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    with av.open(str(path), "w") as clip:
        stream = clip.add_stream("mjpeg", 20)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuvj420p"
        (picture,) = [
            *stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuvj420p")),
            *stream.encode(),
        ]
        for index in range(20 * seconds):
            packet = av.Packet(bytes(picture))
            packet.stream, packet.time_base, packet.pts = stream, picture.time_base, index
            clip.mux(packet)
    return str(path)


def test_a_camera_is_recorded_until_its_time_is_over_or_it_is_stopped(worker: Worker, tmp_path: Path) -> None:
    assert isinstance(worker.reply(), Ready)
    camera, out = make_camera(tmp_path / "camera.mkv", 100), tmp_path / "takes"
    out.mkdir()
    worker.send(protocol.Record("one", str(out / "one.mp4"), protocol.RecordFields(camera, 0.5)))
    answer = worker.reply()
    assert isinstance(answer, Done), answer
    assert (answer.result["frames"], answer.result["size"]) == (10, [1280, 720])
    assert len(list(read_clip(out / "one.mp4"))) == 10

    worker.send(protocol.Record("two", str(out / "two.mp4"), protocol.RecordFields(camera, 100)))
    while getattr(reply := worker.next(), "stage", "") != "recording":
        assert isinstance(reply, protocol.ProgressReport)
    worker.send(protocol.Cancel("two"))
    assert worker.reply() == protocol.CancelledJob("two")
    assert [path.name for path in out.iterdir()] == ["one.mp4"]

    for source, seconds, kind in (("77", 1.0, "unreadable"), (camera, 0.0, "usage")):
        worker.send(protocol.Record("three", str(out / "three.mp4"), protocol.RecordFields(source, seconds)))
        answer = worker.reply()
        assert isinstance(answer, Failed)
        assert (answer.id, answer.kind) == ("three", kind), answer
    assert [path.name for path in out.iterdir()] == ["one.mp4"]
    assert worker.close() == 0
