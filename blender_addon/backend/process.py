"""Running a program so that its lines are seen as they come, and so that it and all it started can be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .layout import WINDOWS

_LOG_LINES = 400
_TICK_SECONDS = 0.1


class Stopped(Exception):
    """The user asked to stop; the program has ended."""


@dataclass(frozen=True)
class Finished:
    """A program that has ended."""

    code: int
    output: str  # the last lines of its standard output
    log: str  # and of its standard error

    @property
    def everything(self) -> str:
        return f"{self.output}\n{self.log}".strip()


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    stop: threading.Event,
    on_line: Callable[[str], None] | None = None,  # each line of the standard output
    on_tick: Callable[[], None] | None = None,  # several times a second
    seconds: float = 3600.0,  # then it is ended, with TimeoutError
) -> Finished:
    """Run a program to its end. OSError when it cannot be started, Stopped when `stop` was set, even at its end."""
    if stop.is_set():
        raise Stopped
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        # a group of its own, so that what it starts ends with it; no console window on Windows
        start_new_session=not WINDOWS,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) if WINDOWS else 0,
    )
    output: deque[str] = deque(maxlen=_LOG_LINES)
    log: deque[str] = deque(maxlen=_LOG_LINES)
    readers = [
        threading.Thread(target=_read, args=(process.stdout, output, on_line), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, log, None), daemon=True),
    ]
    for reader in readers:
        reader.start()
    end = time.monotonic() + seconds
    try:
        while process.poll() is None:
            if stop.wait(_TICK_SECONDS):
                raise Stopped
            if time.monotonic() > end:
                raise TimeoutError(f"{command[0]} did not finish within {seconds:.0f} s")
            if on_tick is not None:
                on_tick()
        if stop.is_set():
            raise Stopped
    finally:
        _end(process)
        for reader in readers:
            reader.join(2.0)
    return Finished(process.returncode, "\n".join(output), "\n".join(log))


def _read(stream: IO[bytes], lines: deque[str], on_line: Callable[[str], None] | None) -> None:
    with stream:
        for raw in stream:
            line = raw.decode(errors="replace").rstrip()
            lines.append(line)
            if on_line is not None:
                on_line(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program, and on a stop all that it started."""
    if process.poll() is not None:
        return
    if WINDOWS:
        kill = [
            str(Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "taskkill.exe"),
            "/T",
            "/F",
            "/PID",
        ]
        with suppress(OSError):
            subprocess.run([*kill, str(process.pid)], check=False, capture_output=True, timeout=10)
    else:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait(10.0)
