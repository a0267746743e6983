"""What the buttons have in common that give the worker a job: start it, keep the bar moving, take in the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from . import backend_state, state
from .backend.locate import Backend, BackendError
from .job import Request, State
from .preferences import settings

_TICK_SECONDS = 0.1
_TICKS = 5  # after so many the bar is drawn anew even where the worker said nothing: it moves by itself then


class WorkerJob:
    """Base of operators that give the worker a job; without a window they wait for its end."""

    bl_options = {"UNDO"}

    _timer: Any = None
    _ticks = 0

    @classmethod
    def may_start(cls) -> bool:
        """Whether nothing else runs; for `poll`, which says what does."""
        busy = ""
        if state.session.active:
            busy = "Something is running; wait for it, or stop it"
        elif backend_state.setup.active:
            busy = "The backend is being worked on"
        if busy:
            cls.poll_message_set(busy)  # type: ignore[attr-defined]
        return not busy

    def start(self, context: Any) -> bool:
        """Give the job to the session; False where something is missing, which has been reported."""
        raise NotImplementedError

    def prepare(self, place: Callable[[Path], Path]) -> tuple[Backend, Path] | None:
        """The backend, and the output that `place` finds in the data folder; None where one is missing, reported."""
        chosen = settings()
        try:
            return chosen.backend(), place(chosen.data_path())
        except BackendError as error:
            self._tell("ERROR", str(error))
        except OSError as error:
            self._tell("ERROR", f"The data folder cannot be written: {error}. Choose another in the preferences.")
        return None

    def go_on(self, _context: Any) -> bool:
        """Begin the next job after one has ended; False where there is none."""
        return False

    def finish(self, context: Any, request: Request, result: dict[str, Any]) -> set[str]:
        """Bring the result of a job that is done into the scene."""
        raise NotImplementedError

    def invoke(self, context: Any, _event: Any) -> set[str]:
        if context.window is None or bpy.app.background:
            return self.execute(context)
        if not self.start(context):
            return {"CANCELLED"}
        state.redraw()
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TICK_SECONDS, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        # Everything passes through: the user goes on working while the backend computes
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        self._ticks += 1
        if state.session.pump() or self._ticks % _TICKS == 0:
            state.redraw()
        if state.session.active or self.go_on(context):
            return {"PASS_THROUGH"}
        self._stop_timer(context)
        state.redraw()
        return self._end(context)

    def cancel(self, context: Any) -> None:
        """Blender ends the operator: a file is loaded, or the window closes."""
        self._stop_timer(context)
        state.session.cancel()

    def execute(self, context: Any) -> set[str]:
        """The same without a window: waits until the job is done."""
        if not self.start(context):
            return {"CANCELLED"}
        state.session.wait()
        while self.go_on(context):
            state.session.wait()
        return self._end(context)

    def _end(self, context: Any) -> set[str]:
        session = state.session
        if session.state is State.FAILED and session.error is not None:
            self._tell("ERROR", f"{session.error.message} {session.error.hint}".strip())
            return {"CANCELLED"}
        if session.state is not State.DONE or session.request is None:
            self._tell("INFO", "Stopped")
            return {"CANCELLED"}
        return self.finish(context, session.request, session.result)

    def _stop_timer(self, context: Any) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None

    def _tell(self, kind: str, sentence: str) -> None:
        self.report({kind}, sentence)  # type: ignore[attr-defined]
