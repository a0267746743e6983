"""What Windows and macOS do otherwise, as it is documented of them: names, folders, programs and what they print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from blender_addon.backend import layout, locate, machine, process


@pytest.fixture
def windows(monkeypatch, tmp_path):
    """The modules take this computer for one with Windows, whose system's folder lies in `tmp_path`."""
    for module in (layout, locate, machine, process):
        monkeypatch.setattr(module, "WINDOWS", True)
    (tmp_path / "Windows" / "System32").mkdir(parents=True)
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path / "Windows"))
    return tmp_path / "Windows" / "System32"


@pytest.fixture
def mac(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


# sys.platform and platform.machine() as the Pythons of blender.org say them
@pytest.mark.parametrize(
    ("system", "name", "tag"),
    [
        ("win32", "AMD64", "windows-x86_64"),
        ("win32", "ARM64", "windows-arm64"),
        ("darwin", "arm64", "macos-arm64"),
        ("darwin", "x86_64", "macos-x86_64"),
        ("linux", "x86_64", "linux-x86_64"),
        ("linux", "aarch64", "linux-arm64"),
    ],
)
def test_each_kind_of_computer_has_its_tag(monkeypatch, system, name, tag):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(layout.platform, "machine", lambda: name)
    assert layout.system_tag() == tag


def test_the_data_folder_is_where_the_system_wants_it(monkeypatch, windows, tmp_path):
    monkeypatch.delenv("MESHLAM_HOME", raising=False)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData" / "Local"))
    assert locate.default_data_folder() == tmp_path / "AppData" / "Local" / "meshlam"


def test_on_a_mac_it_is_the_librarys(monkeypatch, mac):
    monkeypatch.delenv("MESHLAM_HOME", raising=False)
    assert locate.default_data_folder() == Path.home() / "Library" / "Application Support" / "meshlam"


def test_blenders_python_is_found_where_blender_for_windows_has_it(monkeypatch, windows, tmp_path):
    folder = tmp_path / "Blender Foundation" / "Blender 4.5" / "4.5" / "python"
    python = touch(folder / "bin" / "python.exe")
    touch(tmp_path / "Blender Foundation" / "Blender 4.5" / "blender.exe")
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, str(folder))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "Blender Foundation" / "Blender 4.5" / "blender.exe"))
    assert locate.base_python() == python


def test_blenders_python_is_found_within_the_app_of_a_mac(monkeypatch, mac, tmp_path):
    folder = tmp_path / "Blender.app" / "Contents" / "Resources" / "4.5" / "python"
    python = touch(folder / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, str(folder))
    monkeypatch.setattr(sys, "executable", "")
    assert locate.base_python() == python


def test_an_environment_of_windows_has_its_program_in_scripts(windows, tmp_path):
    python = touch(tmp_path / "project" / ".venv" / "Scripts" / "python.exe")
    assert locate.find_backend(str(tmp_path / "project"), "").python == python


def test_windows_ends_a_program_with_all_that_it_started(monkeypatch, windows):
    asked = []
    plain = subprocess.run
    monkeypatch.setattr(process.subprocess, "run", lambda command, **options: asked.append((command, options)))
    running = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process._end(running)
    monkeypatch.setattr(process.subprocess, "run", plain)
    ((command, options),) = asked
    assert command == [str(windows / "taskkill.exe"), "/T", "/F", "/PID", str(running.pid)]
    assert options["timeout"] <= 10
    assert running.poll() is not None  # and by itself where taskkill is missing


def test_a_card_is_asked_for_where_windows_keeps_the_program(monkeypatch, windows):
    monkeypatch.setattr(machine.shutil, "which", lambda _name: None)
    asked = []
    monkeypatch.setattr(machine, "_ask", lambda *command: asked.append(command) or "RTX 4090, 580.95, 24564\r\n")
    assert machine._nvidia() is None
    touch(windows / "nvidia-smi.exe")
    found = machine._nvidia()
    assert found is not None
    assert found.name == "RTX 4090"
    assert asked == [(str(windows / "nvidia-smi.exe"), *machine._NVIDIA_QUERY)]


def test_the_runtime_that_torch_needs_is_looked_for(windows):
    touch(windows / "msvcp140.dll")
    assert not machine._has_microsoft_runtime()
    touch(windows / "vcruntime140_1.dll")
    assert machine._has_microsoft_runtime()


@pytest.mark.parametrize(("answer", "memory"), [("17179869184\n", 16 << 30), ("", 0), ("sysctl: unknown oid\n", 0)])
def test_a_macs_memory_and_version_are_read(monkeypatch, mac, answer, memory):
    asked = []
    monkeypatch.setattr(machine, "_ask", lambda *command: asked.append(command) or answer)
    monkeypatch.setattr(machine.platform, "mac_ver", lambda: ("14.5", ("", "", ""), "arm64"))
    assert machine._memory() == memory
    assert asked == [("/usr/sbin/sysctl", "-n", "hw.memsize")]
    assert machine._system_version() == (14, 5)
