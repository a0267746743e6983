"""What this computer is: its system, memory and graphics card.

Each fact is read by a small function from what the system prints, so that the reading is tested on recorded output of
systems that are not at hand.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .layout import WINDOWS, python_tag, system_tag

CUDA_DRIVER = 580  # the first NVIDIA driver that runs CUDA 13, which the pinned torch is built with
_CUDA_MEMORY = 3 << 30  # bytes; with less a card gives no gain
_ASK_SECONDS = 10.0
_NVIDIA_QUERY = ("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA graphics card."""

    name: str
    driver: str
    memory: int  # bytes

    @property
    def usable(self) -> bool:
        major = self.driver.split(".")[0]
        return major.isdigit() and int(major) >= CUDA_DRIVER and self.memory >= _CUDA_MEMORY


@dataclass(frozen=True)
class Machine:
    """The facts that an installation depends on."""

    system: str  # linux-x86_64, windows-x86_64, macos-arm64, ...
    python: str  # cp311
    memory: int  # bytes; 0 where it could not be found out
    gpu: Gpu | None
    proxy: str  # the proxy that downloads go through; empty: none
    system_version: tuple[int, ...] = ()  # of macOS, or of the C library on Linux
    has_runtime: bool = True  # Microsoft's C++ runtime, on Windows

    @property
    def devices(self) -> tuple[str, ...]:
        """What a backend can be installed for here; the first one is the usual choice."""
        if self.system.startswith("macos"):
            return ("apple",)
        return ("cpu", "cuda") if self.gpu is not None and self.gpu.usable else ("cpu",)


def this_machine() -> Machine:
    """Look at this computer; takes up to a second where there is an NVIDIA card."""
    return Machine(
        system=system_tag(),
        python=python_tag(),
        memory=_memory(),
        gpu=_nvidia(),
        proxy=_proxy(),
        system_version=_system_version(),
        has_runtime=not WINDOWS or _has_microsoft_runtime(),
    )


def parse_nvidia_smi(text: str) -> Gpu | None:
    """The card with the most memory in nvidia-smi's answer to _NVIDIA_QUERY."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 2)]
        if len(parts) == 3 and re.fullmatch(r"\d+(\.\d+)*", parts[1]) and parts[2].isdigit():
            found.append(Gpu(parts[0], parts[1], int(parts[2]) << 20))
    return max(found, key=lambda gpu: gpu.memory, default=None)


def parse_meminfo(text: str) -> int:
    """Bytes of memory in Linux' /proc/meminfo."""
    found = re.search(r"^MemTotal:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def _nvidia() -> Gpu | None:
    program = shutil.which("nvidia-smi")
    if program is None and WINDOWS:
        usual = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "nvidia-smi.exe"
        program = str(usual) if usual.is_file() else None
    return parse_nvidia_smi(_ask(program, *_NVIDIA_QUERY)) if program else None


def _memory() -> int:
    if sys.platform == "darwin":
        answer = _ask("/usr/sbin/sysctl", "-n", "hw.memsize").strip()
        return int(answer) if answer.isdigit() else 0
    if WINDOWS:
        return _windows_memory()
    with suppress(OSError):
        return parse_meminfo(Path("/proc/meminfo").read_text())
    return 0


class _MemoryStatus(ctypes.Structure):
    """Windows' MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 6),
    )


def _windows_memory() -> int:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    windll = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return 0
    return int(status.total)


def _has_microsoft_runtime() -> bool:
    """Whether the libraries that torch's Windows wheels need are in the system's folder."""
    folder = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32"
    return all((folder / name).is_file() for name in ("vcruntime140_1.dll", "msvcp140.dll"))


def _system_version() -> tuple[int, ...]:
    if WINDOWS:
        return ()
    text = platform.mac_ver()[0] if sys.platform == "darwin" else platform.libc_ver()[1]
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def _proxy() -> str:
    """The proxy for https, from the environment or the system's settings, without a password."""
    proxies = urllib.request.getproxies()
    return re.sub(r"//[^@/]*@", "//", proxies.get("https") or proxies.get("all") or "")


def _ask(program: str, *arguments: str) -> str:
    """What a program of the system prints; empty where it is missing, fails or takes too long."""
    try:
        answer = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_SECONDS,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) if WINDOWS else 0,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""
