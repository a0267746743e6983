"""Progress reports: how a long job tells what it is doing, and how it is asked to stop."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import TextIO

Progress = Callable[[str, float, str], None]
"""(stage, fraction in 0..1 of the whole job, message). It may raise Cancelled, which ends the job."""


def silent(stage: str, fraction: float, message: str) -> None:
    """Report nothing."""


class TerminalProgress:
    """One line on a terminal, rewritten in place; nothing where the output is a file or a pipe."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = False
        self._live = self._stream.isatty()

    def __call__(self, stage: str, fraction: float, message: str) -> None:
        if not self._live:
            return
        filled = round(20 * min(max(fraction, 0.0), 1.0))
        line = f"[{'#' * filled}{'.' * (20 - filled)}] {stage}{': ' if message else ''}{message}"
        self._stream.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        self._stream.flush()
        self._shown = True

    def close(self) -> None:
        """Clear the line, so that what is printed next starts on an empty one."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False
