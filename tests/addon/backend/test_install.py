"""Installing with the real pip into real environments, from tiny wheels; and every way in which it can go wrong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from blender_addon.backend import install, layout
from blender_addon.backend.check import check_backend
from blender_addon.backend.layout import BackendError
from blender_addon.backend.locate import find_backend, installed_backend
from blender_addon.backend.meter import Report
from blender_addon.backend.process import Stopped
from tests.addon.backend.conftest import Site
from tests.addon.backend.fake_wheels import make_meshlam, make_wheel


@pytest.fixture(autouse=True)
def no_named_backend(monkeypatch):
    monkeypatch.delenv("MESHLAM_BACKEND", raising=False)


def folders(site: Site) -> set[str]:
    """What lies in the backend's folder, the lock's file apart."""
    return {path.name for path in layout.backend_folder(site.home).iterdir()} - {"lock"}


def in_use(site: Site) -> str:
    installation = layout.read_installation(site.home)
    assert installation is not None
    return installation.folder


def test_a_bundle_is_installed_tested_and_found_and_nothing_else_is_left(site):
    reports: list[Report] = []
    assert "meshlam 0.1.0 on Python" in site.installer(reports.append).install()
    backend = find_backend("", str(site.home))
    assert backend.python.is_relative_to(site.home)
    assert "cpu, 1 threads" in check_backend(backend)
    assert folders(site) == {in_use(site), f"{layout.key()}.json"}
    assert [report.fraction for report in reports] == sorted(report.fraction for report in reports)
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == [install.PREPARING, install.GETTING, install.UNPACKING, install.MODELS, install.TESTING]
    getting = [report for report in reports if report.stage == install.GETTING and report.total]
    assert getting[-1].done == getting[-1].total == site.requirements.size


def test_without_a_bundle_pip_downloads_and_tells_the_bytes(site, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", site.source.as_uri())
    reports: list[Report] = []
    site.online(reports.append).install()
    assert max(report.done for report in reports) == site.requirements.size
    assert (site.home / "assets" / "model.bin").is_file()


def test_an_altered_package_is_not_installed_and_what_was_there_still_works(site, monkeypatch):
    site.installer().install()
    before = in_use(site)
    make_wheel(site.source, "parts", "1.1", {"parts.py": "VALUE = 3\n"})
    wheels = (replace(site.requirements.wheels[0], version="1.1", file="parts-1.1-py3-none-any.whl"),)
    newer = replace(site, requirements=replace(site.requirements, wheels=wheels))
    with pytest.raises(
        BackendError, match=r"parts-1.1-py3-none-any.whl in my wheels é is damaged \(its hash is wrong\)"
    ):
        newer.installer().install()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", site.source.as_uri())
    with pytest.raises(BackendError, match=r"arrived altered \(its hash is wrong\), so nothing was installed"):
        newer.online().install()
    assert in_use(site) == before
    assert check_backend(installed_backend(site.home))
    assert folders(site) - {"wheels"} == {before, f"{layout.key()}.json"}


@pytest.mark.parametrize(
    "stage", [install.PREPARING, install.GETTING, install.UNPACKING, install.MODELS, install.TESTING]
)
def test_stopped_at_any_stage_it_leaves_no_environment_and_goes_on_when_asked_again(site, stage):
    stop = threading.Event()

    def report(now: Report) -> None:
        if now.stage == stage:
            stop.set()

    with pytest.raises(Stopped):
        site.installer(report, stop).install()
    assert layout.read_installation(site.home) is None
    assert folders(site) <= {"wheels"}
    if stage in (install.UNPACKING, install.MODELS, install.TESTING):
        kept = layout.wheels_folder(site.home)
        assert {wheel.file for wheel in site.requirements.wheels} == {path.name for path in kept.iterdir()}
        shutil.rmtree(site.source)  # what was got is not asked for again
        (site.source / "assets").mkdir(parents=True)
        (site.source / "assets" / "model.bin").write_text("model")
    assert site.installer().install()


def test_a_blender_that_is_killed_leaves_nothing_in_the_way(site, tmp_path):
    script = tmp_path / "blender.py"
    script.write_text(
        "import sys, threading\nfrom pathlib import Path\n"
        "from blender_addon.backend.install import Installer, Task\n"
        "from blender_addon.backend.requirements import Requirements, Wheel\n"
        f"requirements = {site.requirements!r}\n".replace("PosixPath", "Path").replace("WindowsPath", "Path")
        + "def report(now):\n    print(now.stage, flush=True)\n"
        f"task = Task(Path({str(site.home)!r}), requirements, Path({str(site.source)!r}))\n"
        "Installer(task, report, threading.Event()).install()\n"
    )
    blender = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert blender.stdout is not None
    for line in blender.stdout:
        if line.strip() == install.UNPACKING:
            break
    blender.kill()
    blender.stdout.close()
    blender.wait()
    assert layout.read_installation(site.home) is None
    assert site.installer().install()
    assert folders(site) == {in_use(site), f"{layout.key()}.json"}


def test_no_network_is_said_in_one_sentence(site, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens there
    with pytest.raises(BackendError, match=r"^The network did not answer: .*offline bundle\.$"):
        site.online().install()
    assert folders(site) <= {"wheels"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_in_one_sentence(site):
    folder = layout.wheels_folder(site.home)
    folder.mkdir(parents=True)
    (folder / site.requirements.wheels[0].file).symlink_to("/dev/full")
    with pytest.raises(BackendError, match=r"^The disk of .* is full: make room, .*is kept\.$"):
        site.installer().install()


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="needs a folder that even root cannot write")
def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(site):
    with pytest.raises(BackendError, match=r"^The data folder /sys/kernel/x cannot be written"):
        replace(site, home=Path("/sys/kernel/x")).installer().install()


def test_a_second_blender_waits_for_its_turn(site):
    with layout.only_one(site.home), pytest.raises(BackendError, match="Another Blender is working on the backend"):
        site.installer().install()


def test_a_bundle_without_what_is_needed_says_so(site):
    wheel = site.source / site.requirements.wheels[1].file
    away = wheel.rename(site.source / "elsewhere")
    with pytest.raises(BackendError, match=r"does not hold more-2\.0-py3-none-any\.whl: it was made for another"):
        site.installer().install()
    shutil.rmtree(site.source / "assets")
    away.rename(wheel)
    with pytest.raises(BackendError, match=r"The models could not be had: The file model\.bin could not be had"):
        site.installer().install()


def test_a_newer_addon_changes_only_its_own_package(site, tmp_path):
    site.installer().install()
    before = in_use(site)
    newer = site.with_meshlam(make_meshlam(tmp_path / "newer", "0.2.0"))
    shutil.rmtree(site.source / "assets")
    shutil.rmtree(site.source)
    site.source.mkdir()
    assert "meshlam 0.2.0" in newer.installer().install()
    assert in_use(site) == before
    installation = layout.read_installation(site.home)
    assert installation is not None
    assert installation.version == "0.2.0"


def test_other_packages_are_installed_beside_and_then_put_into_use(site):
    site.installer().install()
    before = in_use(site)
    fewer = replace(site, requirements=replace(site.requirements, wheels=site.requirements.wheels[:1]))
    fewer.installer().install()
    assert in_use(site) != before
    assert folders(site) == {in_use(site), f"{layout.key()}.json"}


def test_repair_brings_back_what_is_missing_or_changed(site):
    site.installer().install()
    before = in_use(site)
    packages = next((layout.backend_folder(site.home) / before).rglob("parts.py")).parent
    (packages / "parts.py").unlink()
    (packages / "more.py").write_text("VALUE = 'changed'\n")
    shutil.rmtree(packages / "pip")
    (site.home / "assets" / "model.bin").unlink()
    assert site.installer().repair()
    assert in_use(site) == before
    assert "VALUE = 2" in (packages / "more.py").read_text()
    assert (packages / "pip" / "__init__.py").is_file()
    assert (site.home / "assets" / "model.bin").is_file()


def test_repair_makes_anew_what_cannot_be_mended(site):
    site.installer().install()
    before = in_use(site)
    shutil.rmtree(layout.backend_folder(site.home) / before)
    assert site.installer().repair()
    assert check_backend(installed_backend(site.home))


@pytest.mark.skipif(sys.platform == "win32", reason="a link to a program")
def test_an_environment_whose_blender_is_gone_is_tied_to_this_one(site, tmp_path):
    site.installer().install()
    installation = layout.read_installation(site.home)
    assert installation is not None
    gone = tmp_path / "Blender 5.0" / "python3.11"
    layout.write_installation(site.home, replace(installation, base=str(gone)))
    for name in ("python", "python3", layout.python_tag().replace("cp3", "python3.")):
        link = layout.environment_folder(site.home, installation) / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(gone)
    with pytest.raises(BackendError, match="is gone: click Repair"):
        installed_backend(site.home)
    assert install.relink(site.home, threading.Event())
    assert check_backend(installed_backend(site.home))
    assert not install.relink(site.home, threading.Event())


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script as the program")
def test_a_python_that_makes_no_environments_gets_a_folder_of_packages(site, tmp_path, monkeypatch):
    python = tmp_path / "bin" / "python3.11"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\n[ "$2" = venv ] && exit 1\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    site.installer().install()
    backend = installed_backend(site.home)
    assert backend.python == python
    assert backend.packages is not None
    assert check_backend(backend)
    (backend.packages / "parts.py").unlink()
    assert site.installer().repair()
    assert check_backend(backend)


def test_removing_keeps_the_heads(site):
    site.installer().install()
    head = site.home / "avatars" / "Ada.meshlam"
    head.parent.mkdir()
    head.write_text("a head")
    assert install.remove(site.home) == "The backend is removed"
    assert head.exists()
    assert folders(site) == set()
    assert not (site.home / "assets").exists()
    with pytest.raises(BackendError, match="not installed: click Install Backend"):
        find_backend("", str(site.home))


def test_removing_leaves_the_models_to_another_python(site):
    site.installer().install()
    (layout.backend_folder(site.home) / "cp399-linux-x86_64.json").write_text("{}")
    install.remove(site.home)
    assert (site.home / "assets" / "model.bin").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_stopped_program_takes_along_what_it_started(tmp_path):
    from blender_addon.backend.locate import clean_environment
    from blender_addon.backend.process import run

    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    stop, seen = threading.Event(), []

    def line(text: str) -> None:
        seen.append(int(text))
        stop.set()

    with pytest.raises(Stopped):
        run([sys.executable, "-c", code], clean_environment(), stop, line)
    deadline = time.monotonic() + 5
    while _alive(seen[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(seen[0])


def _alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits to be fetched does not."""
    try:
        os.kill(pid, signal.SIG_DFL)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
