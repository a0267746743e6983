"""The add-on's end of the worker protocol: JSON lines over the pipes of a process. Knows no Blender.

The worker is `python -m meshlam_core.worker`, run by the backend's own Python. A thread reads its answers into a queue,
another keeps the last lines of its log; nobody but the caller's thread touches Blender.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, ClassVar

PROTOCOL = 1
MAX_LINE = 1 << 20  # bytes
_LOG_LINES = 400


@dataclass(frozen=True)
class Ready:
    """The worker has answered the greeting."""

    type: ClassVar[str] = "ready"
    version: str
    device: str
    presets: list[str]
    assets: dict[str, str]  # state by name: ok, missing or altered


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    type: ClassVar[str] = "progress"
    id: str
    stage: str
    fraction: float  # of the whole job, 0..1
    message: str


@dataclass(frozen=True)
class Done:
    """A job's result."""

    type: ClassVar[str] = "done"
    id: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """Why a job failed; `trace` is the worker's own traceback."""

    type: ClassVar[str] = "failed"
    id: str | None
    kind: str
    message: str
    hint: str
    trace: str


@dataclass(frozen=True)
class Cancelled:
    """A job was stopped as asked."""

    type: ClassVar[str] = "cancelled"
    id: str


@dataclass(frozen=True)
class Exited:
    """The process has ended; made by the client, never sent by the worker."""

    code: int
    log: str


Reply = Ready | Progress | Done | Failed | Cancelled
Event = Reply | Exited
REPLIES: dict[str, type[Any]] = {kind.type: kind for kind in (Ready, Progress, Done, Failed, Cancelled)}


def encode(kind: str, /, **content: Any) -> bytes:
    """One line of the protocol, newline included."""
    return json.dumps({"type": kind, **content}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Reply | None:
    """The reply on a line, or None when it is none; unknown fields are ignored: a newer worker may send more."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    cls = REPLIES.get(content.get("type", "")) if isinstance(content, dict) else None
    if cls is None or not all(item.name in content for item in fields(cls)):
        return None
    reply: Reply = cls(**{item.name: content[item.name] for item in fields(cls)})
    fraction_ok = not isinstance(reply, Progress) or isinstance(reply.fraction, int | float)
    result_ok = not isinstance(reply, Done) or isinstance(reply.result, dict)
    return reply if fraction_ok and result_ok else None


@contextmanager
def _broken_pipes_raise() -> Iterator[None]:
    """Writing to a worker that is gone is an error here, not the end of Blender.

    Python by itself ignores SIGPIPE; the one within Blender leaves it at what the system does: end the program.
    """
    if not hasattr(signal, "SIGPIPE"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        yield
    finally:
        if signal.SIGPIPE not in before:
            if signal.SIGPIPE in signal.sigpending():
                signal.sigwait({signal.SIGPIPE})
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WorkerClient:
    """One worker process. Every method returns at once; `stop` waits for the process, for a bounded time."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        # without a console window of its own on Windows
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0) if os.name == "nt" else 0
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment) if environment is not None else None,
            cwd=str(Path.home()),
            creationflags=flags,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._errors = threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)
        self._reader = threading.Thread(target=self._read_replies, args=(self._process.stdout,), daemon=True)
        self._errors.start()
        self._reader.start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, kind: str, /, **content: Any) -> None:
        """Send a message; when the worker is gone, its Exited event says so."""
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError, ValueError), _broken_pipes_raise():
            stdin.write(encode(kind, **content))
            stdin.flush()

    def events(self) -> list[Event]:
        """Everything that has arrived since the last call."""
        found: list[Event] = []
        with suppress(queue.Empty):
            while True:
                found.append(self._events.get_nowait())
        return found

    def log(self) -> str:
        """The last lines of the worker's log."""
        return "\n".join(self._log)

    def stop(self, grace_seconds: float = 2.0) -> None:
        """Ask the worker to end, then make it end."""
        self.send("shutdown")
        with suppress(OSError, ValueError), _broken_pipes_raise():
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5.0)
        self._reader.join(1.0)
        self._errors.join(1.0)

    def kill(self) -> None:
        """End the worker now."""
        self._process.kill()
        self.stop(0.5)

    def _read_replies(self, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(MAX_LINE + 2):
                reply = decode(line)
                if reply is not None:
                    self._events.put(reply)
                elif line.strip():  # a library that prints to stdout must not stop the conversation
                    self._log.append("(not a message) " + line[:500].decode(errors="replace").rstrip())
        code = self._process.wait()
        self._errors.join(1.0)
        self._events.put(Exited(code, self.log()))

    def _read_log(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._log.append(line.decode(errors="replace").rstrip())
