"""The pinned packages, and what they are for which computer."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from blender_addon.backend.layout import BackendError
from blender_addon.backend.machine import Gpu, Machine, parse_meminfo, parse_nvidia_smi, this_machine
from blender_addon.backend.preflight import Finding, preflight, seconds_needed
from blender_addon.backend.requirements import TABLE, requirements_for

ROOT = Path(__file__).parents[3]
CONTENT = json.loads(TABLE.read_text("utf-8"))
GB = 1 << 30


def computer(system: str = "linux-x86_64", python: str = "cp311", **facts: object) -> Machine:
    return Machine(**({"system": system, "python": python, "memory": 16 * GB, "gpu": None, "proxy": ""} | facts))


@pytest.mark.parametrize("target", CONTENT["targets"])
def test_every_kind_of_computer_gets_all_that_meshlam_requires_in_the_tested_versions(target):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = re.findall(r"^([\w-]+)(?:\[.*?\])?==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    pinned = {name.lower().replace("_", "-"): version for name, version in lines}
    wheels = [CONTENT["files"][name] for name in CONTENT["targets"][target]]
    versions = {wheel["name"]: wheel["version"] for wheel in wheels}
    for requirement in project["dependencies"]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert versions[name].split("+")[0] == pinned[name]
    assert all(re.fullmatch(r"[0-9a-f]{64}", wheel["sha256"]) and wheel["size"] > 0 for wheel in wheels)
    python = target.split("-")[2]
    for name in CONTENT["targets"][target]:
        tag, abi, platforms = name.removesuffix(".whl").split("-")[-3:]
        assert tag == python or abi in ("abi3", "none")
        system = {"linux": "manylinux", "windows": "win_amd64", "macos": "macosx"}[target.split("-")[0]]
        assert system in platforms or platforms == "any"


def test_only_the_makers_own_address_is_named():
    addresses = {wheel["url"].split("/")[2] for wheel in CONTENT["files"].values() if "url" in wheel}
    assert addresses == {"download.pytorch.org"}


@pytest.mark.parametrize(
    ("system", "device", "python"),
    [
        ("linux-x86_64", "cpu", "cp311"),
        ("linux-x86_64", "cpu", "cp313"),
        ("linux-x86_64", "cpu", "cp314"),  # Blender from a Linux distribution, with the system's Python
        ("windows-x86_64", "cpu", "cp311"),
        ("windows-x86_64", "cpu", "cp313"),
        ("macos-arm64", "apple", "cp311"),
        ("macos-arm64", "apple", "cp313"),
    ],
)
def test_the_usual_installation_takes_less_than_three_minutes_at_50_mbit(system, device, python):
    machine = computer(system, python)
    assert machine.devices[0] == device
    assert seconds_needed(requirements_for(machine, device), from_bundle=False) < 180


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (computer("macos-x86_64"), "Macs with Intel processors cannot run the backend"),
        (computer("windows-arm64"), "Windows on ARM cannot run the backend yet"),
        (computer("freebsd-x86_64"), "not made for this kind of computer (freebsd-x86_64)"),
        (computer(python="cp312"), "This Blender runs Python 3.12; a backend is made for Python 3.11, 3.13 and 3.14:"),
        (
            computer("windows-x86_64", "cp314"),
            "This Blender runs Python 3.14; a backend is made for Python 3.11 and 3.13: use Blender from blender.org",
        ),
    ],
)
def test_a_computer_without_a_backend_is_told_why(machine, words):
    with pytest.raises(BackendError) as raised:
        requirements_for(machine, machine.devices[0])
    assert words in str(raised.value)


def test_a_card_is_read_from_what_nvidia_prints():
    one = "NVIDIA GeForce RTX 4090, 580.95.05, 24564\n"
    assert parse_nvidia_smi(one) == Gpu("NVIDIA GeForce RTX 4090", "580.95.05", 24564 << 20)
    two = "NVIDIA T400, Inc, 581.15, 2048\r\nNVIDIA RTX A6000, 581.15, 49140\r\n"
    assert parse_nvidia_smi(two) == Gpu("NVIDIA RTX A6000", "581.15", 49140 << 20)
    failed = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
    assert parse_nvidia_smi(failed) is None
    assert parse_nvidia_smi("Unable to determine the device handle, [N/A], [N/A]") is None


@pytest.mark.parametrize(
    ("driver", "memory", "usable"), [("580.65.06", 8, True), ("576.80", 8, False), ("581.15", 2, False), ("", 8, False)]
)
def test_a_card_needs_a_driver_for_cuda_13_and_memory(driver, memory, usable):
    gpu = Gpu("NVIDIA GeForce RTX 3060", driver, memory * GB)
    assert gpu.usable is usable
    assert computer(gpu=gpu).devices == (("cpu", "cuda") if usable else ("cpu",))


def test_memory_is_read_from_what_linux_prints():
    assert parse_meminfo("MemFree:  1 kB\nMemTotal:       24683656 kB\n") == 24683656 << 10
    assert parse_meminfo("nothing") == 0


def test_this_computer_is_looked_at():
    found = this_machine()
    assert found.memory > GB
    assert re.fullmatch(r"cp3\d+", found.python)


def test_preflight_finds_nothing_wrong_with_a_good_computer(tmp_path):
    looked = preflight(computer(), "cpu", tmp_path, True, None)
    assert looked.findings == ()
    assert looked.ready


@pytest.mark.parametrize(
    ("machine", "online", "bundle", "words", "stops"),
    [
        (computer(), False, None, "Blender may not go online: allow it, or choose an offline bundle", True),
        (computer(), False, "gone.zip", "There is no offline bundle at", True),
        (computer(proxy="http://proxy:3128"), True, None, "Downloads go through the proxy http://proxy:3128", False),
        (computer(memory=2 * GB), True, None, "This computer has 2 GB of memory; 4 GB are wanted", False),
        (computer("macos-arm64", system_version=(13, 6)), True, None, "needs macOS 14 or later", True),
        (computer(system_version=(2, 17)), True, None, "needs a newer Linux", True),
        (computer("windows-x86_64", has_runtime=False), True, None, "Visual C++ runtime", True),
        (
            computer(gpu=Gpu("GTX 1080", "560.94", 8 * GB)),
            True,
            None,
            "GTX 1080 with driver 560.94 cannot be used",
            False,
        ),
        (computer("macos-x86_64"), True, None, "Intel", True),
    ],
)
def test_preflight_says_what_stops_or_is_good_to_know(tmp_path, machine, online, bundle, words, stops):
    device = machine.devices[0]
    looked = preflight(machine, device, tmp_path, online, tmp_path / bundle if bundle else None)
    (finding,) = looked.findings
    assert words in finding.sentence
    assert finding.stops is stops
    assert looked.ready is not stops


def test_a_bundle_needs_no_network(tmp_path):
    assert preflight(computer(proxy="http://proxy"), "cpu", tmp_path, False, tmp_path).findings == ()


def test_a_full_disk_is_found_before_anything_is_touched(tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10 * GB, 9 * GB, GB))
    (finding,) = preflight(computer(), "cpu", tmp_path, True, None).findings
    assert finding == Finding(finding.sentence, stops=True)
    assert re.fullmatch(rf"{tmp_path} needs 2\.\d GB and has 1\.1 GB free: make room\.", finding.sentence)
