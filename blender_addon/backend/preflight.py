"""What would stop an installation, or is good to know before it: one sentence each."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from .layout import BackendError, can_write
from .machine import CUDA_DRIVER, Machine
from .requirements import Requirements, requirements_for

ASSETS = 45_000_000  # bytes that the models take to download, at most
UNPACKED = 3.5  # an environment's size over that of its wheels (measured: 3.3)
LINE_SPEED = 50e6 / 8  # bytes a second: the line that times are told for
_WORK_SECONDS = 60.0  # unpacking, compiling, testing
_LEAST_MEMORY = 4 << 30  # bytes
_MACOS = (14, 0)
_GLIBC = (2, 28)


@dataclass(frozen=True)
class Finding:
    """One sentence; `stops` tells whether installing makes no sense."""

    sentence: str
    stops: bool = False


@dataclass(frozen=True)
class Preflight:
    """All that was found, and what would be installed (None where nothing can be)."""

    findings: tuple[Finding, ...]
    requirements: Requirements | None

    @property
    def ready(self) -> bool:
        return self.requirements is not None and not any(finding.stops for finding in self.findings)


def preflight(machine: Machine, device: str, home: Path, online: bool, bundle: Path | None) -> Preflight:
    """Look before anything is touched. `online`: Blender allows going online."""
    requirements: Requirements | None = None
    findings: list[Finding] = []
    try:
        requirements = requirements_for(machine, device)
    except BackendError as error:
        findings.append(Finding(str(error), stops=True))
    findings += _system(machine)
    if not can_write(home):
        findings.append(
            Finding(f"The data folder {home} cannot be written: choose another in the preferences.", stops=True)
        )
    if requirements is not None:
        findings += _room(home, requirements)
    if bundle is not None and not bundle.exists():
        findings.append(Finding(f"There is no offline bundle at {bundle}: choose it again, or clear it.", stops=True))
    elif bundle is None and not online:
        findings.append(
            Finding("Blender may not go online: allow it, or choose an offline bundle.", stops=True),
        )
    elif bundle is None and machine.proxy:
        findings.append(Finding(f"Downloads go through the proxy {machine.proxy}."))
    return Preflight(tuple(findings), requirements)


def seconds_needed(requirements: Requirements, from_bundle: bool) -> float:
    """About how long an installation takes, over a line of LINE_SPEED."""
    return _WORK_SECONDS + (0.0 if from_bundle else (requirements.size + ASSETS) / LINE_SPEED)


def _system(machine: Machine) -> list[Finding]:
    findings = []
    version = machine.system_version
    if machine.system == "macos-arm64" and version and version < _MACOS:
        findings.append(Finding("The backend needs macOS 14 or later.", stops=True))
    if machine.system.startswith("linux") and version and version < _GLIBC:
        findings.append(Finding("The backend needs a newer Linux (C library 2.28, of 2018, or later).", stops=True))
    if not machine.has_runtime:
        findings.append(
            Finding("Windows lacks Microsoft's Visual C++ runtime: install the x64 Redistributable first.", stops=True)
        )
    if 0 < machine.memory < _LEAST_MEMORY:
        findings.append(Finding(f"This computer has {machine.memory / 2**30:.0f} GB of memory; 4 GB are wanted."))
    gpu = machine.gpu
    if gpu is not None and not gpu.usable:
        findings.append(
            Finding(
                f"{gpu.name} with driver {gpu.driver} cannot be used (driver {CUDA_DRIVER} and 3 GB are needed): "
                "the processor will be."
            )
        )
    return findings


def _room(home: Path, requirements: Requirements) -> list[Finding]:
    existing = next((place for place in (home, *home.absolute().parents) if place.is_dir()), None)
    if existing is None:
        return []
    free = shutil.disk_usage(existing).free
    needed = int(requirements.size * (1 + UNPACKED)) + 2 * ASSETS
    if free >= needed:
        return []
    return [Finding(f"{home} needs {needed / 1e9:.1f} GB and has {free / 1e9:.1f} GB free: make room.", stops=True)]
