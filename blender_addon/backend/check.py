"""Whether a backend has everything that Reconstruct needs, models included: one sentence where it has not."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..worker_client import PROTOCOL
from .locate import Backend, BackendError, cannot_run
from .process import Finished, run

_START_SECONDS = 120.0
_TEST_SECONDS = 600.0
_ASK = (
    "import json, sys, meshlam_core as m; from meshlam_core.worker.protocol import PROTOCOL; "
    "print(json.dumps([m.__version__, PROTOCOL, sys.version.split()[0]]))"
)


def check_backend(
    backend: Backend,
    stop: threading.Event | None = None,
    on_tick: Callable[[], None] | None = None,
    test: bool = True,  # draw and load as Reconstruct does; this also compiles the kernels
) -> str:
    """The backend's version, Python and device; BackendError with what is wrong and what helps."""
    stop = stop or threading.Event()
    version, python = _ask_version(backend, stop, on_tick)
    if not test:
        return f"meshlam {version} on Python {python}"
    command = ["-m", "meshlam_core", "doctor", "--self-test", "--json"]
    report = _as_json(_run(backend, command, stop, on_tick, _TEST_SECONDS))
    checks = {str(check["name"]): check for check in report.get("checks", [])}
    if not checks:
        raise BackendError("The backend's own test did not run: click Repair.")
    for name, check in checks.items():
        if check["state"] == "error":
            raise BackendError(_sentence(name, check))
    device = checks["device"]["found"] if "device" in checks else "unknown device"
    return f"meshlam {version} on Python {python}, {device}"


def damaged_packages(site: Path) -> set[str]:
    """Names of the packages in a folder of packages whose files are missing or changed, by their own lists."""
    damaged = set()
    for info in site.glob("*.dist-info"):
        try:
            with (info / "RECORD").open(encoding="utf-8", newline="") as file:
                whole = all(_as_recorded(site, row) for row in csv.reader(file))
        except (OSError, ValueError):
            whole = False
        if not whole:
            damaged.add(package_name(info.name))
    return damaged


def installed_packages(site: Path) -> set[str]:
    return {package_name(info.name) for info in site.glob("*.dist-info")}


def package_name(file: str) -> str:
    """The package of a dist-info folder or a wheel, as it is compared."""
    return file.split("-")[0].lower().replace("-", "_").replace(".", "_")


def _as_recorded(site: Path, row: list[str]) -> bool:
    """Whether a file is as RECORD says; what has no hash there (compiled files) is not looked at."""
    name, recorded, size = row
    if not recorded:
        return True
    path = site / name
    kind, _, expected = recorded.partition("=")
    if kind != "sha256" or path.stat().st_size != int(size or path.stat().st_size):
        return kind != "sha256"
    with path.open("rb") as file:
        found = base64.urlsafe_b64encode(hashlib.file_digest(file, "sha256").digest()).rstrip(b"=").decode()
    return found == expected


def _ask_version(backend: Backend, stop: threading.Event, on_tick: Callable[[], None] | None) -> tuple[str, str]:
    done = _run(backend, ["-c", _ASK], stop, on_tick, _START_SECONDS)
    try:
        version, protocol, python = json.loads(done.output.splitlines()[-1])
    except (ValueError, IndexError, TypeError) as error:
        raise BackendError(_not_a_backend(backend, done)) from error
    if protocol != PROTOCOL:
        older = "older" if isinstance(protocol, int) and protocol < PROTOCOL else "newer"
        raise BackendError(
            f"The backend (meshlam {version}) is {older} than this add-on: update "
            f"{'it' if older == 'older' else 'the add-on'}."
        )
    return version, python


def _not_a_backend(backend: Backend, done: Finished) -> str:
    if "No module named 'meshlam_core.worker" in done.log:
        return f"The meshlam in {backend.python} is older than this add-on: update it."
    if "No module named 'meshlam_core'" in done.log:
        return (
            f"{backend.python} has no meshlam package: choose the Python that it was installed into, or clear Backend "
            "Python and click Install Backend."
        )
    if not done.log.strip():
        return f"{backend.python} is no Python program: choose one as Backend Python, or clear the field."
    why = done.log.splitlines()[-1][-160:]
    return f"{backend.python} could not load meshlam ({why}): click Repair, or choose another."


def _run(
    backend: Backend,
    arguments: list[str],
    stop: threading.Event,
    on_tick: Callable[[], None] | None,
    seconds: float,
) -> Finished:
    try:
        return run([backend.python, *arguments], backend.environment(), stop, on_tick=on_tick, seconds=seconds)
    except TimeoutError as error:
        raise BackendError(f"The backend did not answer within {seconds:.0f} s: try again, or click Repair.") from error
    except OSError as error:
        raise BackendError(cannot_run(backend.python, error)) from error


def _as_json(done: Finished) -> dict[str, Any]:
    for line in reversed(done.output.splitlines()):
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            return content
    return {}


def _sentence(name: str, check: dict[str, Any]) -> str:
    """A finding of the backend's doctor in an artist's words: its advice names commands, here there are buttons."""
    if name.startswith("asset "):
        return f"A model is {check['found']} ({name.removeprefix('asset ')}): click Repair."
    if name.startswith("package "):
        return f"A package of the backend is {check['found']} ({name.removeprefix('package ')}): click Repair."
    if name == "data folder":
        return f"The data folder cannot be used ({check['found']}): choose another in the preferences."
    return f"The backend does not work ({name}: {check['found']}): click Repair."
