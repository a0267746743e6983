"""Fixtures for installing: tiny wheels, among them a meshlam that answers as the real one does, and the real pip."""

from __future__ import annotations

import base64
import hashlib
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from blender_addon.backend.install import Installer, Task
from blender_addon.backend.meter import Report
from blender_addon.backend.requirements import Requirements, Wheel, sha256_of
from blender_addon.building import own_wheels

TARGET = "linux-x86_64-cp311-cpu"

# A backend whose models are one file and whose doctor looks at it and at the module of the other wheel
_MAIN = """
import json, os, sys
from pathlib import Path
model = Path(os.environ["MESHLAM_HOME"]) / "assets" / "model.bin"
if "fetch" in sys.argv:
    if "--offline" in sys.argv and not model.exists():
        print(json.dumps({"error": {"message": "The file model.bin could not be had."}, "exit_code": 4}))
        sys.exit(4)
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_text("model")
    print(json.dumps({"assets": []}))
if "doctor" in sys.argv:
    import parts
    state = "ok" if model.exists() else "error"
    checks = [dict(name="device", state="ok", found="cpu, 1 threads", advice="")]
    checks += [dict(name="asset model", state=state, found="ok" if state == "ok" else "missing", advice="")]
    print(json.dumps({"checks": checks}))
"""


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """A wheel as build tools make it, with its list of files and hashes."""
    info = f"{name}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}")
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return wheel


def make_meshlam(folder: Path, version: str = "0.1.0", protocol: int = 1) -> Path:
    files = {
        "meshlam_core/__init__.py": f'__version__ = "{version}"\n',
        "meshlam_core/__main__.py": _MAIN,
        "meshlam_core/worker/__init__.py": "",
        "meshlam_core/worker/protocol.py": f"PROTOCOL = {protocol}\n",
    }
    return make_wheel(folder, "meshlam", version, files)


@pytest.fixture(scope="session")
def pip_wheel() -> Path:
    folder = own_wheels.ROOT / "build" / "pip"
    folder.mkdir(parents=True, exist_ok=True)
    return own_wheels.bring_pip(folder)


@dataclass(frozen=True)
class Site:
    """A data folder to install into, and what is installed."""

    home: Path
    source: Path  # a folder of wheels with assets, which is a bundle
    requirements: Requirements

    def installer(
        self, report: Callable[[Report], None] = lambda _: None, stop: threading.Event | None = None
    ) -> Installer:
        return Installer(Task(self.home, self.requirements, self.source), report, stop or threading.Event())

    def online(self, report: Callable[[Report], None] = lambda _: None) -> Installer:
        """Without the bundle: through pip's own index."""
        return Installer(Task(self.home, self.requirements, None), report, threading.Event())

    def with_meshlam(self, wheel: Path) -> Site:
        own = (wheel, self.requirements.own_wheel("pip"))
        return replace(self, requirements=replace(self.requirements, own=own))


@pytest.fixture
def site(tmp_path: Path, pip_wheel: Path) -> Site:
    """Everything lies in folders with spaces and letters that are no ASCII."""
    source = tmp_path / "my wheels é"
    parts = make_wheel(source, "parts", "1.0", {"parts.py": "VALUE = 1\n"})
    more = make_wheel(source, "more", "2.0", {"more.py": "VALUE = 2\n" * 1000})
    (source / "assets").mkdir()
    (source / "assets" / "model.bin").write_text("model")
    wheels = tuple(
        Wheel(wheel.name, name, version, sha256_of(wheel), wheel.stat().st_size)
        for wheel, name, version in ((parts, "parts", "1.0"), (more, "more", "2.0"))
    )
    meshlam = make_meshlam(tmp_path / "own")
    return Site(tmp_path / "data 头 folder", source, Requirements(TARGET, wheels, (meshlam, pip_wheel)))
