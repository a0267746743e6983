"""The folders of the installed backend, shared by all Blender versions of a user.

    DATA/backend/KEY.json     the environment in use for a Python on a kind of computer (KEY: cp311-linux-x86_64)
    DATA/backend/KEY-NUMBER/  environments; one that no KEY.json names is unfinished or left over
    DATA/backend/wheels/      downloaded packages, kept until an installation is finished
    DATA/backend/scratch/     temporary files of the installation
    DATA/assets/              the models

An environment is built under a name of its own and then KEY.json is replaced, so that at any moment there is a whole
backend or none.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

WINDOWS = sys.platform == "win32"
_SYSTEMS = {"win32": "windows", "darwin": "macos"}
_MACHINES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}


class BackendError(RuntimeError):
    """No usable backend, or none could be made; one sentence that says what to do."""


@dataclass(frozen=True)
class Installation:
    """An environment in use, as KEY.json tells of it."""

    folder: str  # its name in DATA/backend
    python: str  # its program, within the folder
    base: str  # the Python it was made with: Blender's own
    packages: str  # where the packages are when it is no virtual environment, within the folder; else empty
    target: str  # for what computer: linux-x86_64-cp311-cpu
    requirements: str  # sha256 of the list of its packages
    meshlam: str  # sha256 of the wheel of meshlam
    version: str  # of meshlam


def python_tag() -> str:
    """This Python, as wheels name it: cp311."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def system_tag() -> str:
    """This kind of computer: linux-x86_64."""
    machine = platform.machine().lower()
    return f"{_SYSTEMS.get(sys.platform, 'linux')}-{_MACHINES.get(machine, machine)}"


def key() -> str:
    """What an environment belongs to: a version of Python on a kind of computer."""
    return f"{python_tag()}-{system_tag()}"


def backend_folder(home: Path) -> Path:
    return home / "backend"


def wheels_folder(home: Path) -> Path:
    return backend_folder(home) / "wheels"


def scratch_folder(home: Path) -> Path:
    return backend_folder(home) / "scratch"


def environment_folder(home: Path, installation: Installation) -> Path:
    return backend_folder(home) / installation.folder


def new_environment_folder(home: Path) -> Path:
    """A name that no environment has, not even one that is in use and was deleted by hand."""
    used, number = read_installation(home), 1
    while (folder := backend_folder(home) / f"{key()}-{number}").exists() or (used and used.folder == folder.name):
        number += 1
    return folder


def read_installation(home: Path) -> Installation | None:
    """This Python's environment; None where there is none."""
    try:
        content = json.loads(_pointer(home).read_text(encoding="utf-8"))
        return Installation(**{item.name: str(content[item.name]) for item in fields(Installation)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_installation(home: Path, installation: Installation) -> None:
    """From now on this environment is the one in use: in one step, or not at all."""
    pointer = _pointer(home)
    part = pointer.with_suffix(".part")
    part.write_text(json.dumps(asdict(installation), indent=1), encoding="utf-8")
    part.replace(pointer)


def forget_installation(home: Path) -> None:
    _pointer(home).unlink(missing_ok=True)


def unused_environments(home: Path) -> list[Path]:
    """Environments of this key that are not in use: unfinished ones and predecessors."""
    used = read_installation(home)
    folders = backend_folder(home).glob(f"{key()}-*")
    return [folder for folder in folders if folder.is_dir() and (used is None or folder.name != used.folder)]


def other_environments(home: Path) -> bool:
    """Whether another version of Python has an environment here."""
    return any(found != _pointer(home) for found in backend_folder(home).glob("*.json"))


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Let one Blender work on the backend at a time. The system releases the lock when that ends, however it ends."""
    backend_folder(home).mkdir(parents=True, exist_ok=True)
    with (backend_folder(home) / "lock").open("a+b") as file:
        if not _lock(file):
            raise BackendError("Another Blender is working on the backend; wait until it has finished.")
        try:
            yield
        finally:
            _unlock(file)


def _pointer(home: Path) -> Path:
    return backend_folder(home) / f"{key()}.json"


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        with suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a network folder without locks
            return True
        return True

    def _unlock(file: IO[bytes]) -> None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def can_write(folder: Path) -> bool:
    """Whether files can be made in `folder`, or in the nearest folder above it that exists."""
    existing = next((place for place in (folder, *folder.absolute().parents) if place.is_dir()), None)
    if existing is None:
        return False
    trial = existing / f".meshlam-{os.getpid()}"
    try:
        trial.write_bytes(b"")
        trial.unlink()
    except OSError:
        return False
    return True
