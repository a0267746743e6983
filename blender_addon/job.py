"""One worker kept warm, and at most one job at a time. Knows no Blender.

A plain state machine: `pump` is called often (by a timer, by a modal operator, or in a loop) and never waits.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .backend.locate import Backend, cannot_run
from .worker_client import PROTOCOL, Cancelled, Done, Event, Exited, Failed, Progress, Ready, WorkerClient

START_SECONDS = 180.0  # a first start may compile kernels and read assets from a slow disk
_ENDED_FROM_OUTSIDE = (-9, 137)  # SIGKILL, as Linux and macOS send it when memory runs out
CANCEL_SECONDS = 5.0  # then the worker is ended
_SOURCE_FIELDS = {"reconstruct": "photo", "track": "source", "faces": "photo"}  # what the protocol calls a job's input


class State(Enum):
    """Where the job is."""

    IDLE = "idle"
    STARTING = "starting"  # the worker has not answered the greeting yet
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = frozenset({State.STARTING, State.RUNNING, State.CANCELLING})


@dataclass(frozen=True)
class JobError:
    """Why a job failed: a sentence, what helps, and the rest for the error report."""

    kind: str
    message: str
    hint: str
    report: str


@dataclass(frozen=True)
class Request:
    """A job to do: a head of a photo, the performance of a clip, the faces of a photo, or a clip from a camera."""

    source: Path  # the output itself where the job makes it of no file
    out: Path
    options: dict[str, Any] = field(default_factory=dict)
    kind: str = "reconstruct"  # or "track", "faces" or "record"


class Session:
    """The worker and its job; attributes are there to be drawn."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.state = State.IDLE
        self.stage = ""
        self.fraction = 0.0
        self.message = ""
        self.result: dict[str, Any] = {}
        self.error: JobError | None = None
        self.request: Request | None = None
        self.worker: Ready | None = None
        self._clock = clock
        self._client: WorkerClient | None = None
        self._backend: Backend | None = None
        self._id = ""
        self._since = clock()  # when the state began
        self._stage_since = self._heard = clock()

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def stage_seconds(self) -> float:
        """How long the stage has lasted."""
        return self._clock() - self._stage_since

    @property
    def silent_seconds(self) -> float:
        """How long the worker has said nothing, while a job runs."""
        return self._clock() - max(self._heard, self._since) if self.state is State.RUNNING else 0.0

    def start(self, backend: Backend, request: Request) -> None:
        """Begin a job; the worker is started when there is none, or another backend is asked for."""
        if self.active:
            raise RuntimeError("A job is running already.")
        self.request, self.result, self.error = request, {}, None
        self.stage, self.fraction, self.message = "starting", 0.0, "Starting the backend"
        self._stage_since = self._clock()
        self._id = uuid.uuid4().hex
        self._keep(backend)
        if self._client is not None and self.worker is not None:
            self._send_job()
            return
        self._enter(State.STARTING)
        try:
            self._launch(backend)
        except OSError as error:
            self._fail("backend", cannot_run(backend.python, error), "", str(error))

    def prepare(self, backend: Backend) -> None:
        """Start the worker ahead of the first job, so that this finds it warm. What goes wrong shows with the job."""
        if self.active:
            return
        self._keep(backend)
        with suppress(OSError):
            self._launch(backend)

    def _keep(self, backend: Backend) -> None:
        """Take in what an idle worker has said since, and end it where another backend is asked for or it is gone."""
        self.pump()
        if self._backend != backend or self._client is None or not self._client.alive:
            self.close()

    def _launch(self, backend: Backend) -> None:
        """Start and greet a worker where there is none."""
        if self._client is None:
            self._client = WorkerClient(backend.command, backend.environment())
            self._backend, self._since = backend, self._clock()
            self._client.send("hello", protocol=PROTOCOL)

    def pump(self) -> bool:
        """Take in what the worker has said; True when something changed."""
        if self._client is None:
            return False
        events = self._client.events()
        self._heard = self._clock() if events else self._heard
        for event in events:
            self._take(event)
        return self._check_time() or bool(events)

    def cancel(self) -> None:
        """Ask for the job to stop; `pump` ends the worker if it does not."""
        if self.state is State.STARTING:
            self.close()
            self._enter(State.CANCELLED)
        elif self.state is State.RUNNING and self._client is not None:
            self._client.send("cancel", id=self._id)
            self.message = "Stopping"
            self._enter(State.CANCELLING)

    def wait(self, poll_seconds: float = 0.05) -> State:
        """Pump until the job has ended: for scripts and tests, where no timer runs."""
        while self.active:
            if not self.pump():
                time.sleep(poll_seconds)
        return self.state

    def end_if_idle(self, seconds: float) -> bool:
        """End a worker that has had nothing to do for so long; True when it was ended. 0 means never."""
        if seconds <= 0 or self._client is None or self.active or self._clock() - self._since < seconds:
            return False
        self.close()
        return True

    def close(self) -> None:
        """End the worker; a job that runs is cancelled."""
        client, self._client, self._backend, self.worker = self._client, None, None, None
        if client is not None:
            client.kill() if self.active else client.stop()
        if self.active:
            self._enter(State.CANCELLED)

    def forget(self) -> None:
        """Back to idle, so that an old result or error is no longer shown."""
        if not self.active:
            self.result, self.error, self.stage, self.message = {}, None, "", ""
            self._enter(State.IDLE)

    def _take(self, event: Event) -> None:
        if isinstance(event, Exited):
            self._worker_ended(event)
        elif isinstance(event, Ready):
            self.worker = event
            if self.state is State.STARTING:
                self._send_job()
        elif isinstance(event, Failed) and event.id is None and self.worker is None:
            if self.state is State.STARTING:
                self._fail(event.kind, event.message, event.hint or "Update the add-on and the backend.", event.trace)
            self.close()
        elif not self.active or event.id != self._id:
            return  # of a job that was given up
        elif isinstance(event, Progress):
            if event.stage != self.stage:
                self._stage_since = self._clock()
            self.stage, self.message = event.stage, event.message
            self.fraction = min(max(float(event.fraction), 0.0), 1.0)
        elif isinstance(event, Done):
            self.result, self.fraction = event.result, 1.0
            self._enter(State.DONE)
        elif isinstance(event, Cancelled):
            self._enter(State.CANCELLED)
        else:
            self._fail(event.kind, event.message, event.hint, event.trace)

    def _worker_ended(self, event: Exited) -> None:
        was_active, was = self.active, self.state
        if self._client is not None:
            self._client.stop()  # closes the pipes of the ended process
        self._client = self._backend = self.worker = None
        if was is State.CANCELLING:
            self._enter(State.CANCELLED)
        elif was_active:
            missing = "No module named" in event.log and "meshlam_core" in event.log
            if missing:
                message = "The chosen Python has no meshlam package."
                hint = (
                    "Choose the Python that it was installed into, or clear Backend Python and click Install Backend."
                )
            elif sys.platform == "darwin" and self.request is not None and self.request.kind == "record":
                # the system ends a program that asks for the camera where the one that started it may not have it
                message = "macOS does not let Blender use the camera."
                hint = "Start Blender from Terminal, or record with another program and choose the clip."
            elif event.code in _ENDED_FROM_OUTSIDE:
                message = "The system ended the backend; mostly that means that memory ran out."
                hint = "Close other programs or choose a smaller texture, and try again."
            else:
                message = f"The backend ended unexpectedly (code {event.code})."
                hint = "Try again; if it happens again, Check Backend tells more."
            self._fail("backend", message, hint, event.log)

    def _check_time(self) -> bool:
        waited = self._clock() - self._since
        if self.state is State.STARTING and waited > START_SECONDS:
            log = self._client.log() if self._client is not None else ""
            self.close()
            self._fail("backend", f"The backend did not answer within {START_SECONDS:.0f} s.", "Try again.", log)
            return True
        if self.state is State.CANCELLING and waited > CANCEL_SECONDS:
            self.close()
            return True
        return False

    def _send_job(self) -> None:
        assert self._client is not None
        assert self.request is not None
        self._enter(State.RUNNING)
        request = self.request
        source = {_SOURCE_FIELDS[request.kind]: str(request.source)} if request.kind in _SOURCE_FIELDS else {}
        self._client.send(request.kind, id=self._id, out=str(request.out), options=request.options, **source)

    def _fail(self, kind: str, message: str, hint: str, trace: str) -> None:
        log = self._client.log() if self._client is not None else ""
        report = "\n\n".join(part for part in (f"{message} {hint}".strip(), trace.strip(), log.strip()) if part)
        self.error = JobError(kind, message, hint, report)
        self._enter(State.FAILED)

    def _enter(self, state: State) -> None:
        self.state = state
        self._since = self._clock()
