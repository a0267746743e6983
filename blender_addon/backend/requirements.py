"""The exact files that a backend is made of, by the kind of computer: pinned, and known by their hashes.

requirements.json is written by `make lock` (blender_addon/building/lock.py). `files` holds each wheel's name, version,
sha256 and size; `targets` the wheels for a system, a Python and a device. Wheels that are not in pip's index have their
official address as `url`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from .layout import BackendError
from .machine import Machine

TABLE = Path(__file__).with_name("requirements.json")
OWN_WHEELS = Path(__file__).with_name("wheels")  # meshlam and pip, put into the add-on's zip by its builder
DEVICES = {"cpu": "Processor", "cuda": "NVIDIA graphics card", "apple": "Apple processor"}


@dataclass(frozen=True)
class Wheel:
    """One file."""

    file: str
    name: str
    version: str
    sha256: str
    size: int  # bytes
    url: str = ""  # the official address of what is not in pip's index

    @property
    def line(self) -> str:
        """As a line of a requirements file."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"

    @property
    def line_with_url(self) -> str:
        return f"{self.name} @ {self.url} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class Requirements:
    """What a backend for one target is made of."""

    target: str  # linux-x86_64-cp311-cpu
    wheels: tuple[Wheel, ...]  # from the network or a bundle
    own: tuple[Path, ...] = ()  # wheels that came with the add-on

    @property
    def device(self) -> str:
        return self.target.rsplit("-", 1)[1]

    @property
    def size(self) -> int:
        """Bytes to get."""
        return sum(wheel.size for wheel in self.wheels)

    @property
    def digest(self) -> str:
        """Names this list of packages."""
        return hashlib.sha256("\n".join(sorted(wheel.line for wheel in self.wheels)).encode()).hexdigest()

    def own_wheel(self, name: str) -> Path:
        """A wheel that came with the add-on; BackendError when this copy of the add-on has none."""
        for wheel in self.own:
            if wheel.name.startswith(f"{name}-"):
                return wheel
        raise BackendError(f"This copy of the add-on holds no {name}; install the zip that `make extension` builds.")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def own_requirement(wheel: Path) -> str:
    """A wheel that came with the add-on, as a line of a requirements file."""
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{sha256_of(wheel)}"


def target_of(machine: Machine, device: str) -> str:
    return f"{machine.system}-{machine.python}-{device}"


def requirements_for(machine: Machine, device: str, table: Path = TABLE, own_wheels: Path = OWN_WHEELS) -> Requirements:
    """The files for a computer; BackendError with the reason when there are none."""
    content = json.loads(table.read_text(encoding="utf-8"))
    target = target_of(machine, device)
    names = content["targets"].get(target)
    if names is None:
        raise BackendError(_unsupported(machine, device, content["targets"]))
    wheels = tuple(Wheel(file=name, **content["files"][name]) for name in names)
    return Requirements(target, wheels, tuple(sorted(own_wheels.glob("*.whl"))))


def _unsupported(machine: Machine, device: str, targets: dict[str, list[str]]) -> str:
    systems = {"-".join(target.split("-")[:2]) for target in targets}
    if machine.system == "macos-x86_64":
        return "Macs with Intel processors cannot run the backend: its libraries are no longer made for them."
    if machine.system == "windows-arm64":
        return "Windows on ARM cannot run the backend yet: its libraries are not made for it."
    if machine.system not in systems:
        return f"The backend's libraries are not made for this kind of computer ({machine.system})."
    pythons = sorted({target.split("-")[2] for target in targets if target.startswith(f"{machine.system}-")})
    if machine.python not in pythons:
        *others, last = (_version(python) for python in pythons)
        known = f"{', '.join(others)} and {last}" if others else last
        return (
            f"This Blender runs Python {_version(machine.python)}; a backend is made for Python {known}: "
            "use Blender from blender.org, or choose Backend Python in the preferences."
        )
    return f"For Python {_version(machine.python)} on this system there is no backend for: {DEVICES[device]}."


def _version(python: str) -> str:
    return re.sub(r"cp(\d)(\d+)", r"\1.\2", python)
