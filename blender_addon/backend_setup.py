"""Where the backend is: the Python that has `meshlam`, its data folder, its environment. Knows no Blender."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_CHECK_SECONDS = 60
_WINDOWS = sys.platform == "win32"
# These steer another Python's imports (Blender may set them for its own) and would break the backend's
_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__", "PYTHONUSERBASE")


class BackendError(RuntimeError):
    """No usable backend; one sentence that says what to do."""


@dataclass(frozen=True)
class Backend:
    """A Python with `meshlam`, and where its assets lie."""

    python: Path
    data_folder: Path | None = None  # None: the backend's own default
    arguments: tuple[str, ...] = ("-m", "meshlam_core.worker")

    @property
    def command(self) -> list[str]:
        return [str(self.python), *self.arguments]

    def environment(self) -> dict[str, str]:
        """The worker's environment variables."""
        environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        environment |= {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"}
        if self.data_folder is not None:
            environment["MESHLAM_HOME"] = str(self.data_folder)
        return environment


def default_data_folder() -> Path:
    """The per-user folder that all Blender versions share; the same one that the backend uses by itself."""
    if named := os.environ.get("MESHLAM_HOME"):
        return Path(named)
    if _WINDOWS:
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "meshlam"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "meshlam"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "meshlam"


def find_backend(preference: str, data_folder: str) -> Backend:
    """The backend of the preferences; BackendError when there is none.

    The preference may name a Python program, a virtual environment, or a folder that holds one as .venv.
    Left empty, the environment variable MESHLAM_BACKEND and then the data folder's `backend` are looked at.
    """
    home = Path(data_folder).expanduser() if data_folder else None
    for named in (preference, os.environ.get("MESHLAM_BACKEND", "")):
        if named.strip():
            python = _python_in(Path(named.strip()).expanduser())
            if python is None:
                raise BackendError(f"Expected a Python program or an environment at {named}; there is none.")
            return Backend(python, home)
    python = _python_in((home or default_data_folder()) / "backend")
    if python is None:
        raise BackendError("No backend is set: choose Backend Python in the add-on's preferences.")
    return Backend(python, home)


def check_backend(backend: Backend) -> str:
    """The backend's version and Python, or BackendError with what is wrong."""
    code = "import sys, meshlam_core as m; print(m.__version__, sys.version.split()[0])"
    try:
        run = subprocess.run(
            [str(backend.python), "-c", code],
            env=backend.environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CHECK_SECONDS,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) if _WINDOWS else 0,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"{backend.python} could not be run: {error}.") from error
    words = run.stdout.split()
    if run.returncode or len(words) < 2:
        if "No module named" in run.stderr:
            raise BackendError(
                f"{backend.python} has no meshlam package; choose the Python that it was installed into."
            )
        raise BackendError(f"{backend.python} could not load meshlam: {run.stderr.strip()[-200:]}")
    return f"meshlam {words[0]} on Python {words[1]}"


def free_avatar_path(data_folder: Path, photo: Path) -> Path:
    """A name for the new avatar file in `data_folder`/avatars that no file has yet; the folder is made."""
    folder = data_folder / "avatars"
    folder.mkdir(parents=True, exist_ok=True)
    stem = photo.stem[:80] or "head"
    path = folder / f"{stem}.meshlam"
    number = 2
    while path.exists():
        path = folder / f"{stem}-{number}.meshlam"
        number += 1
    return path


def _python_in(place: Path) -> Path | None:
    if place.is_file():
        return place
    inside = ("Scripts/python.exe", "python.exe") if _WINDOWS else ("bin/python3", "bin/python")
    for folder in (place, place / ".venv"):
        for name in inside:
            if (folder / name).is_file():
                return folder / name
    return None
