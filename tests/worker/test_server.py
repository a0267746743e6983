from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from meshlam_core.errors import NoFace
from meshlam_core.progress import Progress
from meshlam_core.worker import protocol
from meshlam_core.worker.protocol import Job, Ready, Reconstruct, decode_reply, encode
from meshlam_core.worker.server import Server


class Toy:
    """Does what the photo's name says."""

    def __init__(self, warms_slowly: bool = False) -> None:
        self.warms_slowly = warms_slowly
        self.may_be_warm = threading.Event()
        self.started = threading.Event()
        self.may_finish = threading.Event()
        self.log: list[str] = []

    def ready(self) -> Ready:
        return Ready("test", "cpu", ["small"], {})

    def warm(self) -> None:
        self.log.append("warm")
        if self.warms_slowly:
            assert self.may_be_warm.wait(5)
        raise RuntimeError("warming failed, which is no reason to end")

    def tidy(self) -> None:
        self.log.append("tidy")

    def free(self) -> None:
        self.log.append("free")

    def run(self, job: Job, progress: Progress) -> dict[str, Any]:
        assert isinstance(job, Reconstruct)
        self.log.append(job.id)
        progress("detect", 0.1, "looking")
        self.started.set()
        match job.photo:
            case "slow":
                assert self.may_finish.wait(5)
                progress("texture", 0.9, "painting")
            case "no face":
                raise NoFace("No face was found.", "Choose a portrait.")
            case "bug":
                raise ZeroDivisionError("a bug")
            case "exit":
                raise SystemExit(3)
            case "memory":
                raise RuntimeError("CUDA out of memory")
            case "not json":
                return {"x": object()}
        return {"photo": job.photo}


class Caller:
    """The other end of the streams."""

    def __init__(self, engine: Toy, idle_seconds: float = 60) -> None:
        to_worker, self._write = os.pipe()
        self._read, from_worker = os.pipe()
        self.source, self.target = os.fdopen(to_worker, "rb"), os.fdopen(from_worker, "wb")
        self.replies = os.fdopen(self._read, "rb")
        self.server = Server(self.source, self.target, engine, idle_seconds)
        self.finished: bool | None = None
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        self.finished = self.server.serve()

    def send(self, *messages: protocol.Request | bytes) -> None:
        for message in messages:
            os.write(self._write, message if isinstance(message, bytes) else encode(message))

    def reply(self) -> protocol.Reply:
        return decode_reply(self.replies.readline())

    def close(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1


@contextmanager
def talking(engine: Toy, idle_seconds: float = 60) -> Iterator[Caller]:
    caller = Caller(engine, idle_seconds)
    try:
        caller.send(protocol.Hello(1))
        assert caller.reply() == engine.ready()
        if not engine.warms_slowly:
            assert caller.server.warmed.wait(5)
        yield caller
    finally:
        engine.may_finish.set()
        caller.close()
        caller.thread.join(5)
        assert not caller.thread.is_alive()
        for stream in (caller.source, caller.target, caller.replies):
            stream.close()


def job(name: str, photo: str) -> Reconstruct:
    return Reconstruct(name, photo, "out.meshlam")


def test_a_job_reports_progress_and_ends_with_its_result() -> None:
    with talking(Toy()) as caller:
        caller.send(job("a", "fine"))
        assert caller.reply() == protocol.ProgressReport("a", "detect", 0.1, "looking")
        assert caller.reply() == protocol.Done("a", {"photo": "fine"})


@pytest.mark.parametrize(
    ("photo", "kind", "words"),
    [
        ("no face", "no_face", "No face was found."),
        ("bug", "internal", "ZeroDivisionError: a bug"),
        ("exit", "internal", "SystemExit"),
        ("memory", "device", "not enough memory"),
        ("not json", "internal", "no JSON"),
    ],
)
def test_the_worker_survives_a_job_that_fails(photo: str, kind: str, words: str) -> None:
    with talking(Toy()) as caller:
        caller.send(job("a", photo), job("b", "fine"))
        caller.reply()
        failed = caller.reply()
        assert isinstance(failed, protocol.Failed)
        assert (failed.id, failed.kind) == ("a", kind)
        assert words in failed.message
        assert photo == "not json" or "Traceback" in failed.trace
        caller.reply()
        assert caller.reply() == protocol.Done("b", {"photo": "fine"})


def test_a_running_job_stops_at_its_next_report() -> None:
    engine = Toy()
    with talking(engine) as caller:
        caller.send(job("a", "slow"))
        caller.reply()
        caller.send(protocol.Cancel("a"), b"!\n")  # the answer to the second line shows that the first was read
        assert caller.reply().type == "failed"
        engine.may_finish.set()
        assert caller.reply() == protocol.CancelledJob("a")


def test_a_waiting_job_is_cancelled_at_once_and_never_starts() -> None:
    engine = Toy()
    with talking(engine) as caller:
        caller.send(job("a", "slow"), job("b", "fine"))
        caller.reply()
        caller.send(protocol.Cancel("b"))
        assert caller.reply() == protocol.CancelledJob("b")
        engine.may_finish.set()
        assert [caller.reply().type for _ in range(2)] == ["progress", "done"]
    assert "b" not in engine.log


def test_lines_that_are_no_messages_are_answered_and_the_worker_goes_on() -> None:
    with talking(Toy()) as caller:
        caller.send(b"garbage\n", b"\n", b'{"type":"reconstruct","id":"x"}\n', b"\xff\xfe\n")
        answers = [caller.reply() for _ in range(3)]
        assert [(answer.kind, answer.id) for answer in answers if isinstance(answer, protocol.Failed)] == [
            ("protocol", None),
            ("protocol", "x"),
            ("protocol", None),
        ]
        caller.send(job("a", "fine"))
        assert [caller.reply().type for _ in range(2)] == ["progress", "done"]


def test_a_line_without_end_is_refused_as_one_message() -> None:
    with talking(Toy()) as caller:
        feeder = threading.Thread(target=caller.send, args=(b"x" * (3 * protocol.MAX_LINE) + b"\n", job("a", "fine")))
        feeder.start()
        assert [caller.reply().type for _ in range(3)] == ["failed", "progress", "done"]
        feeder.join()


def test_a_second_job_may_not_take_the_id_of_one_that_runs() -> None:
    engine = Toy()
    with talking(engine) as caller:
        caller.send(job("a", "slow"))
        caller.reply()
        caller.send(job("a", "fine"))
        answer = caller.reply()
        assert isinstance(answer, protocol.Failed)
        assert answer.id is None, "a failed with the id would read as the end of the job that runs"


def test_a_job_before_hello_and_another_protocol_are_refused() -> None:
    caller = Caller(Toy())
    caller.send(job("a", "fine"), protocol.Hello(99))
    answers = [caller.reply(), caller.reply()]
    caller.close()
    caller.thread.join(5)
    for stream in (caller.source, caller.target, caller.replies):
        stream.close()
    assert [getattr(answer, "kind", "") for answer in answers] == ["protocol", "protocol"]


def test_a_job_that_comes_while_the_kernels_compile_is_told_so() -> None:
    engine = Toy(warms_slowly=True)
    with talking(engine) as caller:
        caller.send(job("a", "fine"))
        waiting = caller.reply()
        assert isinstance(waiting, protocol.ProgressReport)
        assert (waiting.id, waiting.stage, waiting.fraction) == ("a", "kernels", 0.0)
        engine.may_be_warm.set()
        assert [caller.reply(), caller.reply()][1] == protocol.Done("a", {"photo": "fine"})


def test_the_models_are_warmed_after_hello_and_freed_when_idle() -> None:
    engine = Toy()
    with talking(engine, idle_seconds=0.05):
        deadline = time.monotonic() + 5
        while engine.log != ["warm", "free"] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert engine.log == ["warm", "free"]


def test_the_worker_ends_when_its_input_ends_and_drops_what_waits() -> None:
    engine = Toy()
    with talking(engine) as caller:
        caller.send(job("a", "slow"), job("b", "fine"))
        caller.reply()
        caller.close()
        deadline = time.monotonic() + 5
        while not caller.server._stop_running and time.monotonic() < deadline:
            time.sleep(0.01)  # until the worker has seen the end of its input
        engine.may_finish.set()
        caller.thread.join(5)
        assert caller.finished
    assert "b" not in engine.log


def test_shutdown_ends_the_worker() -> None:
    with talking(Toy()) as caller:
        caller.send(protocol.Shutdown())
        caller.thread.join(5)
        assert caller.finished
