"""The backend's buttons: install, repair, remove, check. Each works in a thread; a script that calls one waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.io_utils import ImportHelper

from . import backend_state, state
from .backend import install
from .backend.check import check_backend
from .backend.layout import BackendError
from .backend.meter import Meter, Report
from .backend.setup import Job, SetupState
from .preferences import settings, stored
from .report_operators import CopiesReport, HidesMessage

_TICK_SECONDS = 0.2
_CHECK_SECONDS = 15.0


class _SetupOperator(bpy.types.Operator):  # type: ignore[misc]
    """Starts a job on the backend; without a window it waits for its end."""

    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        if backend_state.setup.active or state.session.active:
            cls.poll_message_set("Something is running; wait for it, or stop it")
            return False
        return True

    def invoke(self, context: Any, _event: Any) -> set[str]:
        if context.window is None or bpy.app.background:
            return self.execute(context)
        if not self._start():
            return {"CANCELLED"}
        if not bpy.app.timers.is_registered(_tick):
            bpy.app.timers.register(_tick, first_interval=_TICK_SECONDS, persistent=True)
        return {"FINISHED"}

    def execute(self, _context: Any) -> set[str]:
        if not self._start():
            return {"CANCELLED"}
        setup = backend_state.setup
        if setup.wait() is SetupState.DONE:
            backend_state.look_again()
            self.report({"INFO"}, setup.message)
            return {"FINISHED"}
        self.report({"ERROR"}, setup.message)
        return {"CANCELLED"}

    def _start(self) -> bool:
        try:
            job = self.job()
        except BackendError as error:
            self.report({"ERROR"}, str(error))
            return False
        backend_state.setup.start(self.bl_label, job)
        state.redraw()
        return True

    def job(self) -> Job:
        """What is to be done, with everything that is Blender's already read."""
        raise NotImplementedError


class InstallBackend(_SetupOperator):
    """Bring what makes the heads onto this computer. What was downloaded before is used, so a stopped one goes on"""

    bl_idname = "meshlam.install_backend"
    bl_label = "Install Backend"

    def job(self) -> Job:
        return _installer_job(lambda installer: f"The backend is ready: {installer.install()}")


class RepairBackend(_SetupOperator):
    """Put right what is missing or damaged, download it anew where that is needed, and test it"""

    bl_idname = "meshlam.repair_backend"
    bl_label = "Repair"

    def job(self) -> Job:
        return _installer_job(lambda installer: f"The backend is whole: {installer.repair()}")


class RemoveBackend(_SetupOperator):
    """Delete the backend and its models from this computer. Your heads stay"""

    bl_idname = "meshlam.remove_backend"
    bl_label = "Remove"

    def invoke(self, context: Any, event: Any) -> set[str]:
        if context.window is None or bpy.app.background:
            return self.execute(context)
        answer: set[str] = context.window_manager.invoke_confirm(self, event)
        return answer

    def job(self) -> Job:
        state.session.close()
        home = settings().data_path()
        return lambda _report, _stop: install.remove(home)


class CheckBackend(_SetupOperator):
    """Test everything that Reconstruct Head needs: the program, its packages, the models, the kernels"""

    bl_idname = "meshlam.check_backend"
    bl_label = "Check Backend"

    def job(self) -> Job:
        backend = settings().backend()

        def check(report: Callable[[Report], None], stop: threading.Event) -> str:
            meter = Meter([("Checking", _CHECK_SECONDS)], report)
            return f"The backend works: {check_backend(backend, stop, meter.tick)}"

        return check


class ChooseBundle(bpy.types.Operator, ImportHelper):  # type: ignore[misc]
    """Install without a network, from an archive that was made on another computer"""

    bl_idname = "meshlam.choose_bundle"
    bl_label = "Use Offline Bundle..."
    bl_options = {"INTERNAL"}

    filter_glob: bpy.props.StringProperty(default="*.zip", options={"HIDDEN"})  # type: ignore[valid-type]

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return not backend_state.setup.active and stored() is not None

    def execute(self, _context: Any) -> set[str]:
        if not self.filepath:
            return {"CANCELLED"}
        path = Path(self.filepath)
        stored().bundle = str(path if path.is_file() else path.parent)
        state.redraw()
        return {"FINISHED"}


class CancelSetup(bpy.types.Operator):  # type: ignore[misc]
    """Stop. What was downloaded is kept, and what was installed before still works"""

    bl_idname = "meshlam.cancel_setup"
    bl_label = "Stop"
    bl_options = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        backend_state.setup.cancel()
        state.redraw()
        return {"FINISHED"}


class CopySetupReport(CopiesReport, bpy.types.Operator):  # type: ignore[misc]
    """Copy what went wrong, and what this computer is, to the clipboard"""

    bl_idname = "meshlam.copy_setup_report"

    def details(self) -> str:
        setup = backend_state.setup
        return f"{setup.name}: {setup.message}\n{backend_state.machine()}\n{setup.trace}"


class DismissSetup(HidesMessage, bpy.types.Operator):  # type: ignore[misc]
    """Hide this message"""

    bl_idname = "meshlam.dismiss_setup"

    def forget(self) -> None:
        backend_state.setup.forget()


def _installer_job(work: Callable[[install.Installer], str]) -> Job:
    requirements = backend_state.chosen_requirements()
    state.session.close()  # a worker holds files of the backend
    state.session.forget()
    chosen = settings()
    task = install.Task(chosen.data_path(), requirements, chosen.bundle_path())
    return lambda report, stop: work(install.Installer(task, report, stop))


def _tick() -> float | None:
    """Keeps the bar moving until the job has ended."""
    state.redraw()
    if backend_state.setup.active:
        return _TICK_SECONDS
    backend_state.look_again()
    return None


def unregister() -> None:
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    backend_state.setup.close()
    backend_state.setup.forget()


CLASSES = (
    InstallBackend,
    RepairBackend,
    RemoveBackend,
    CheckBackend,
    ChooseBundle,
    CancelSetup,
    CopySetupReport,
    DismissSetup,
)
