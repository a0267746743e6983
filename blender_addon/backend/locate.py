"""Where the backend is: the Python that has `meshlam`, its data folder, its environment. Knows no Blender."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from . import layout
from .layout import WINDOWS, BackendError

__all__ = ["Backend", "BackendError", "base_python", "cannot_run", "default_data_folder", "find_backend"]

# These steer another Python's imports (Blender may set them for its own) and would break the backend's
_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__", "PYTHONUSERBASE")


@dataclass(frozen=True)
class Backend:
    """A Python with `meshlam`, and where its assets lie."""

    python: Path
    data_folder: Path | None = None  # None: the backend's own default
    arguments: tuple[str, ...] = ("-m", "meshlam_core.worker")
    packages: Path | None = None  # where its packages are when it is no environment of its own
    kernels: Path | None = None  # where its compiled kernels are kept; None: the backend's own default

    @property
    def command(self) -> list[str]:
        return [str(self.python), *self.arguments]

    def environment(self) -> dict[str, str]:
        """The worker's environment variables."""
        environment = clean_environment() | {"PYTHONUNBUFFERED": "1"}
        if self.packages is not None:
            environment["PYTHONPATH"] = str(self.packages)
        if self.kernels is not None:
            environment["WARP_CACHE_PATH"] = str(self.kernels)
        if self.data_folder is not None:
            environment["MESHLAM_HOME"] = str(self.data_folder)
        return environment


def clean_environment() -> dict[str, str]:
    """This process' environment variables without those that steer Python's imports."""
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    # nor may what happens to lie in the present folder be imported
    return environment | {"PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}


def default_data_folder() -> Path:
    """The per-user folder that all Blender versions share; the same one that the backend uses by itself."""
    if named := os.environ.get("MESHLAM_HOME"):
        return Path(named)
    if WINDOWS:
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "meshlam"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "meshlam"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "meshlam"


def find_backend(preference: str, data_folder: str) -> Backend:
    """The backend of the preferences; BackendError when there is none.

    The preference may name a Python program, a virtual environment, or a folder that holds one as .venv.
    Left empty, the environment variable MESHLAM_BACKEND and then what Install Backend has made are looked at.
    """
    home = Path(data_folder).expanduser() if data_folder else None
    for named in (preference, os.environ.get("MESHLAM_BACKEND", "")):
        if named.strip():
            python = _python_in(Path(named.strip()).expanduser())
            if python is None:
                raise BackendError(f"Expected a Python program or an environment at {named}; there is none.")
            return Backend(python, home)
    return installed_backend(home or default_data_folder())


def installed_backend(home: Path) -> Backend:
    """What Install Backend has made for this Python; BackendError when there is nothing."""
    installation = layout.read_installation(home)
    if installation is None:
        raise BackendError("The backend is not installed: click Install Backend in the MeshLAM panel.")
    backend = backend_of(home, installation)
    if not backend.python.exists() or not Path(installation.base).exists():
        raise BackendError("The Blender that the backend was installed with is gone: click Repair.")
    return backend


def backend_of(home: Path, installation: layout.Installation) -> Backend:
    """The backend in an environment."""
    folder = layout.environment_folder(home, installation)
    python = folder / installation.python
    packages = None
    if installation.packages:
        python, packages = Path(installation.base), folder / installation.packages
    return Backend(python, home, packages=packages, kernels=folder / "kernels")


def base_python() -> Path:
    """The Python program that belongs to this Blender; BackendError where Blender has none beside it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = ("python.exe",) if WINDOWS else (f"python{version}", "python3", "python")
    candidates = [Path(sys.executable)] if sys.executable else []
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix)):
        candidates += [Path(prefix) / folder / name for folder in ("bin", ".") for name in names]
    for candidate in candidates:
        if candidate.name.lower().startswith("python") and candidate.is_file():
            return candidate
    raise BackendError(
        f"This Blender has no Python program beside it (looked in {sys.prefix}); install Blender from blender.org, "
        "or choose Backend Python in the preferences."
    )


def cannot_run(python: Path, error: OSError) -> str:
    """Why a file could not be started as a Python, as one sentence."""
    if isinstance(error, FileNotFoundError):
        return f"There is no program at {python}; choose Backend Python anew, or clear it and click Install Backend."
    return f"{python} is not a program that can be run; choose a Python program as Backend Python, or clear the field."


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
    inside = ("Scripts/python.exe", "python.exe") if WINDOWS else ("bin/python3", "bin/python")
    for folder in (place, place / ".venv"):
        for name in inside:
            if (folder / name).is_file():
                return folder / name
    return None
