"""The worker: reads jobs from a stream of lines, does them one at a time, answers on another stream.

The reading thread answers at once (hello, cancel, mistakes); one working thread does the jobs, so that a job can be
cancelled while it waits and, at its next progress report, while it runs. No job can end the worker: whatever it raises
becomes a `failed`. The worker ends when its input ends or on shutdown.
"""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from collections.abc import Callable
from enum import Enum
from typing import IO, Any, Protocol

from meshlam_core.commands.failures import foreseen
from meshlam_core.errors import Cancelled, MeshlamError
from meshlam_core.progress import Progress
from meshlam_core.worker.protocol import (
    MAX_LINE,
    PROTOCOL,
    Cancel,
    CancelledJob,
    Done,
    Failed,
    Hello,
    Job,
    ProgressReport,
    ProtocolError,
    Ready,
    Reply,
    Request,
    Shutdown,
    decode_request,
    encode,
)

IDLE_SECONDS = 300.0
_FINISH_SECONDS = 10.0  # how long a running job may take to notice that the worker ends


class _Order(Enum):
    """What the working thread is told besides jobs."""

    WARM = "warm"
    END = "end"


class Engine(Protocol):
    """What does the work; engine.py holds the real one, tests use a toy."""

    def ready(self) -> Ready: ...

    def run(self, job: Job, progress: Progress) -> dict[str, Any]: ...

    def warm(self) -> None:
        """Load what most jobs need, ahead of the first one."""

    def tidy(self) -> None:
        """Give back what the last job needed, while nobody waits."""

    def free(self) -> None:
        """Let go of models and memory; the next job loads them again."""


class Server:
    """One conversation over a pair of streams."""

    def __init__(
        self, source: IO[bytes], target: IO[bytes], engine: Engine, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._source = source
        self._target = target
        self._engine = engine
        self._idle_seconds = idle_seconds
        self._jobs: queue.SimpleQueue[Job | _Order] = queue.SimpleQueue()
        self._writing = threading.Lock()  # keeps the lines of the output whole
        self._lock = threading.Lock()  # guards the three below
        self._waiting: dict[str, Job] = {}
        self._running: str | None = None
        self._stop_running = False
        self._greeted = False
        self.warmed = threading.Event()  # the first start compiles kernels: a job that comes meanwhile waits for it

    def serve(self) -> bool:
        """Talk until the input ends or shutdown; False when a job did not stop in time and still runs."""
        worker = threading.Thread(target=self._work, name="jobs", daemon=True)
        worker.start()
        try:
            while line := self._source.readline(MAX_LINE + 2):
                if not self._handle(line):
                    break
        finally:
            with self._lock:
                self._waiting.clear()
                self._stop_running = True
            self._jobs.put(_Order.END)
            worker.join(_FINISH_SECONDS)
        return not worker.is_alive()

    def _handle(self, line: bytes) -> bool:
        """Answer one line; False on shutdown."""
        if not line.strip():
            return True
        if not line.endswith(b"\n"):
            self._skip_line(len(line))
        try:
            request = decode_request(line)
            return self._accept(request)
        except ProtocolError as error:
            self._send(Failed(error.job, "protocol", error.message, "Send the messages of worker/protocol.py.", ""))
        except Exception as error:  # greeting touches devices and disks; none of it may end the worker
            self._send(self._failure(None, error))
        return True

    def _skip_line(self, length: int) -> None:
        """Drop the rest of a line that is too long; a last line without an end is simply short."""
        if length > MAX_LINE:
            while (rest := self._source.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass

    def _accept(self, request: Request) -> bool:
        if isinstance(request, Shutdown):
            return False
        if isinstance(request, Hello):
            if request.protocol != PROTOCOL:
                raise ProtocolError(f"This worker speaks protocol {PROTOCOL}, the caller {request.protocol}.")
            self._send(self._engine.ready())
            self._greeted = True
            self._jobs.put(_Order.WARM)
            return True
        if not self._greeted:
            raise ProtocolError("The first message must be hello.", request.id)
        if isinstance(request, Cancel):
            self._cancel(request.id)
            return True
        with self._lock:
            if request.id in self._waiting or request.id == self._running:
                raise ProtocolError(f"The id {request.id!r} belongs to a job that has not ended.")
            self._waiting[request.id] = request
        if not self.warmed.is_set():
            self._send(ProgressReport(request.id, "kernels", 0.0, "preparing the kernels"))
        self._jobs.put(request)
        return True

    def _cancel(self, job: str) -> None:
        with self._lock:
            waiting = self._waiting.pop(job, None)
            self._stop_running |= job == self._running
            known = waiting is not None or job == self._running
        if waiting is not None:
            self._send(CancelledJob(job))
        elif not known:
            raise ProtocolError(f"There is no job {job!r} to cancel.")

    def _work(self) -> None:
        warm = False
        while True:
            try:
                order = self._jobs.get(timeout=self._idle_seconds)
            except queue.Empty:
                if warm:
                    self._guarded(self._engine.free)
                    warm = False
                continue
            if order is _Order.END:
                return
            warm = True
            if isinstance(order, _Order):
                self._guarded(self._engine.warm)
                self.warmed.set()
            else:
                self._do(order)
                self._guarded(self._engine.tidy)

    def _do(self, job: Job) -> None:
        with self._lock:
            if self._waiting.get(job.id) is not job:  # cancelled while it waited
                return
            del self._waiting[job.id]
            self._running, self._stop_running = job.id, False

        def report(stage: str, fraction: float, message: str) -> None:
            if self._stop_running:
                raise Cancelled("Stopped.")
            self._send(ProgressReport(job.id, stage, round(min(max(float(fraction), 0.0), 1.0), 4), message))

        reply: Reply
        try:
            reply = Done(job.id, self._engine.run(job, report))
        except Cancelled:
            reply = CancelledJob(job.id)
        except BaseException as error:  # SystemExit and the like included: a job never ends the worker
            reply = self._failure(job.id, error)
        with self._lock:
            self._running = None
        self._send(reply)

    def _failure(self, job: str | None, error: BaseException) -> Failed:
        trace = "".join(traceback.format_exception(error))
        known = foreseen(error)
        if known is None:
            sys.stderr.write(trace)
            message = f"Something went wrong: {type(error).__name__}: {error}."
            return Failed(job, "internal", message, "The trace says where; please report it.", trace)
        return Failed(job, known.kind, known.message, known.hint, trace)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            if not isinstance(error, MeshlamError):
                traceback.print_exception(error, file=sys.stderr)

    def _send(self, reply: Reply) -> None:
        try:
            line = encode(reply)
        except (TypeError, ValueError) as error:  # a result that is no JSON is the job's fault
            line = encode(Failed(getattr(reply, "id", None), "internal", f"The result is no JSON: {error}.", "", ""))
        with self._writing:
            try:
                self._target.write(line)
                self._target.flush()
            except (OSError, ValueError):  # the caller is gone; the input will end too
                return
