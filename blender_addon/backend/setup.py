"""One job on the backend at a time, in a thread of its own; its state is there to be drawn."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from enum import Enum

from .layout import BackendError
from .meter import Report
from .process import Stopped

Job = Callable[[Callable[[Report], None], threading.Event], str]


class SetupState(Enum):
    """Where the job is."""

    IDLE = "idle"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Setup:
    """Runs a job; the attributes are written by its thread and read by Blender's."""

    def __init__(self) -> None:
        self.state = SetupState.IDLE
        self.name = ""  # of the job: Install, Repair, ...
        self.report = Report("", 0.0)
        self.message = ""  # what came of it, or why nothing did
        self.trace = ""  # for the error report, where nobody foresaw the error
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def active(self) -> bool:
        return self.state is SetupState.RUNNING

    @property
    def stopping(self) -> bool:
        return self.active and self._stop.is_set()

    def start(self, name: str, job: Job) -> None:
        if self.active:
            raise RuntimeError("The backend is being worked on already.")
        self.state, self.name, self.report = SetupState.RUNNING, name, Report("Preparing", 0.0)
        self.message = self.trace = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(job, self._stop), name="meshlam setup", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Ask the job to stop; it does within a moment."""
        self._stop.set()

    def wait(self) -> SetupState:
        """Until the job has ended: for scripts and tests."""
        while self.active:
            time.sleep(0.05)
        return self.state

    def close(self) -> None:
        """Stop, and wait for a bounded time: Blender ends, or the add-on is disabled."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(5.0)

    def forget(self) -> None:
        """Back to idle, so that an old message is no longer shown."""
        if not self.active:
            self.state, self.message, self.trace, self._stop = SetupState.IDLE, "", "", threading.Event()

    def _run(self, job: Job, stop: threading.Event) -> None:
        def report(now: Report) -> None:
            self.report = now

        try:
            message = job(report, stop)
            state = SetupState.DONE
        except Stopped:
            message, state = "Stopped", SetupState.CANCELLED
        except BackendError as error:
            message, state = str(error), SetupState.FAILED
        except Exception as error:  # whatever else: the panel must not stay at a bar that never moves
            self.trace = traceback.format_exc()
            message, state = f"Something went wrong ({type(error).__name__}: {error}).", SetupState.FAILED
        self.message = message
        self.state = state  # last: it is what Blender's thread looks at
