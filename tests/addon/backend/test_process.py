"""A program that is to be stopped: never started, or stopped, even where it ends at the same moment."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from blender_addon.backend.process import Stopped, run


def test_what_is_stopped_beforehand_never_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, trace = threading.Event(), tmp_path / "started"
    monkeypatch.setattr(subprocess, "Popen", ended_program(stop))
    stop.set()
    with pytest.raises(Stopped):
        run([sys.executable, "-c", f"open({str(trace)!r}, 'w')"], {}, stop)
    assert not trace.exists()


def test_a_program_that_ends_while_it_is_stopped_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(subprocess, "Popen", ended_program(stop))
    with pytest.raises(Stopped):
        run([sys.executable, "-c", ""], {}, stop)


def ended_program(stop: threading.Event) -> type[subprocess.Popen[bytes]]:
    """A real program that is asked to stop and has ended before anybody looks at it again."""

    class Ended(subprocess.Popen[bytes]):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **options)
            self.wait()
            stop.set()

    return Ended
