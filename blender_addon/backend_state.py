"""The backend as the panel sees it: is it there, is it this add-on's, what would installing take. Nothing here waits.

What Blender's thread asks at every redraw is remembered for a moment; looking at the computer happens in a thread.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import bpy

from .backend import install, layout
from .backend.layout import BackendError
from .backend.machine import Machine, this_machine
from .backend.preflight import Finding, Preflight, preflight
from .backend.requirements import Requirements, requirements_for, sha256_of
from .backend.setup import Setup
from .preferences import Settings, settings

_REMEMBER_SECONDS = 2.0
_REMEMBER_PREFLIGHT_SECONDS = 15.0  # it writes a file to see whether it may

setup = Setup()


class Status(Enum):
    """Whether there is a backend."""

    READY = "ready"
    MISSING = "missing"
    MOVED = "moved"  # the Blender it was made with is gone
    OUTDATED = "outdated"  # made by another version of the add-on


@dataclass
class _Memory:
    """What was found out, and when."""

    machine: Machine | None = None
    looking: threading.Thread | None = None
    status: Status = Status.READY
    status_at: float = -1e9
    preflight: Preflight | None = None
    preflight_at: float = -1e9
    own_meshlam: str = ""


_memory = _Memory()


def look_again() -> None:
    """Something has changed: forget what was remembered."""
    _memory.status_at = _memory.preflight_at = -1e9


def machine() -> Machine | None:
    """This computer; None until the thread that looks at it has finished."""
    if _memory.machine is None and _memory.looking is None:
        _memory.looking = threading.Thread(target=_look, name="meshlam machine", daemon=True)
        _memory.looking.start()
    return _memory.machine


def machine_now() -> Machine:
    """The same, waiting for it: for when a button was pressed."""
    while machine() is None:
        time.sleep(0.02)
    assert _memory.machine is not None
    return _memory.machine


def status() -> Status:
    """Whether the backend of the preferences is there."""
    now = time.monotonic()
    if now - _memory.status_at > _REMEMBER_SECONDS:
        _memory.status, _memory.status_at = _status(settings()), now
    return _memory.status


def before_install() -> Preflight | None:
    """What installing would take and what stands in its way; None until the computer has been looked at."""
    found = machine()
    now = time.monotonic()
    if found is not None and now - _memory.preflight_at > _REMEMBER_PREFLIGHT_SECONDS:
        chosen = settings()
        device = chosen.device_for(found)
        online = bool(getattr(bpy.app, "online_access", True))
        _memory.preflight = preflight(found, device, chosen.data_path(), online, chosen.bundle_path())
        _memory.preflight_at = now
    return _memory.preflight if found is not None else None


def chosen_requirements() -> Requirements:
    """What the preferences ask for on this computer; BackendError when that is not to be had, or may not be begun."""
    look_again()
    found = machine_now()
    looked = before_install()
    assert looked is not None
    stopping = [finding for finding in looked.findings if finding.stops]
    if stopping:
        raise BackendError(stopping[0].sentence)
    return requirements_for(found, settings().device_for(found))


def may_not_go_online(findings: tuple[Finding, ...]) -> bool:
    return not getattr(bpy.app, "online_access", True) and any("go online" in finding.sentence for finding in findings)


def tie_to_this_blender() -> None:
    """In a thread at start: an environment whose Blender was moved or replaced is tied to this one, without a click."""
    home = settings().data_path()
    threading.Thread(target=_relink, args=(home,), name="meshlam relink", daemon=True).start()


def _relink(home: Path) -> None:
    try:
        if install.moved(home):
            with layout.only_one(home):
                install.relink(home, threading.Event())
            look_again()
    except (BackendError, OSError):
        return  # the panel offers Repair


def _look() -> None:
    _memory.machine = this_machine()
    _memory.looking = None


def _status(chosen: Settings) -> Status:
    home = chosen.data_path()
    try:
        backend = chosen.backend()
    except BackendError:
        return Status.MISSING if layout.read_installation(home) is None or chosen.backend_python else Status.MOVED
    installation = layout.read_installation(home)
    found = machine()
    if installation is None or backend.kernels is None or found is None:  # chosen by hand, or not looked at yet
        return Status.READY
    try:
        wanted = requirements_for(found, installation.target.rsplit("-", 1)[1])
        meshlam = wanted.own_wheel("meshlam")
    except BackendError:
        return Status.READY  # an add-on run from its sources
    _memory.own_meshlam = _memory.own_meshlam or sha256_of(meshlam)
    same = installation.requirements == wanted.digest and installation.meshlam == _memory.own_meshlam
    return Status.READY if same else Status.OUTDATED
