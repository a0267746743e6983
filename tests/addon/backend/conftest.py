"""Fixtures for installing: tiny wheels, among them a meshlam that answers as the real one does, and the real pip."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from blender_addon.backend.install import Installer, Task
from blender_addon.backend.meter import Report
from blender_addon.backend.requirements import Requirements, Wheel, sha256_of
from blender_addon.building import own_wheels
from tests.addon.backend.fake_wheels import make_meshlam, make_wheel

TARGET = "linux-x86_64-cp311-cpu"


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
