"""The wheels that travel in the add-on's zip: meshlam itself, built from this folder, and the pinned pip.

pip comes along because a Blender's Python may lack one, and so that its progress and errors are the known ones.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from blender_addon.backend.requirements import sha256_of

ROOT = Path(__file__).resolve().parents[2]
PIP = "pip==26.3"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
_SOURCES = ("pyproject.toml", "README.md", "LICENSE")


def gather(folder: Path, python: str = sys.executable) -> None:
    """Put both wheels into `folder`; `python` is one with pip."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        # from a copy: setuptools leaves a build folder whose old files would come along the next time
        copy = Path(scratch) / "meshlam"
        copy.mkdir()
        for name in _SOURCES:
            shutil.copy2(ROOT / name, copy / name)
        for name in packages():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "wheels"))
        _pip(python, "wheel", "--no-deps", "--wheel-dir", str(folder), str(copy))
    bring_pip(folder, python)


def bring_pip(folder: Path, python: str = sys.executable) -> Path:
    """Have the pinned pip in `folder`."""
    wheel = folder / f"{PIP.replace('==', '-')}-py3-none-any.whl"
    if not wheel.is_file():
        _pip(python, "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), PIP)
    if sha256_of(wheel) != PIP_SHA256:
        raise RuntimeError(f"Expected {PIP} with the sha256 {PIP_SHA256}, got another file.")
    return wheel


def packages() -> tuple[str, ...]:
    """The top folders of what pyproject.toml packs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["packages"]["find"]["include"]
    return tuple(re.sub(r"\W", "", pattern) for pattern in patterns)


def _pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check", "--no-input"]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"pip {arguments[0]} failed: {run.stderr.strip()[-500:]}")
