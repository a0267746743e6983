"""Offline bundles: what is refused, and how the bar counts."""

from __future__ import annotations

import json
import threading
import zipfile
from pathlib import Path

import pytest

from blender_addon.backend.bundle import FORMAT, opened
from blender_addon.backend.layout import BackendError
from blender_addon.backend.meter import Meter, Report
from blender_addon.backend.wheels import explain


def bundle(path: Path, target: str = "linux-x86_64-cp311-cpu", **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bundle.json", json.dumps({"format": FORMAT, "target": target}))
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_bundle_for_another_computer_is_refused(tmp_path):
    path = bundle(tmp_path / "b.zip", "windows-x86_64-cp313-cpu")
    with opened(path) as found, pytest.raises(BackendError, match="was made for windows-x86_64-cp313-cpu, and this"):
        found.check_target("linux-x86_64-cp311-cpu")


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut off", b"no zip at all"])
def test_a_file_that_is_no_bundle_is_refused(tmp_path, content):
    path = tmp_path / "b.zip"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"b.zip is no offline bundle, or it is damaged"), opened(path):
        pass


def test_another_zip_is_refused(tmp_path):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bundle.json", "[1]")
    with opened(path) as found, pytest.raises(BackendError, match=r"its bundle\.json is not one's"):
        found.check_target("x")


@pytest.mark.parametrize("name", ["assets/../../evil", "assets//etc/evil", "assets/C:evil", "assets/a\\..\\..\\evil"])
def test_a_bundle_may_not_write_outside_its_place(tmp_path, name):
    with (
        opened(bundle(tmp_path / "b.zip", **{name: "x"})) as found,
        pytest.raises(BackendError, match="it holds a file named"),
    ):
        found.assets()


def test_damage_within_an_archive_is_said(tmp_path):
    path = bundle(tmp_path / "b.zip", **{"wheels/a.whl": "some bytes that are there"})
    content = bytearray(path.read_bytes())
    content[content.index(b"some bytes")] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"b\.zip is damaged: copy it again"), opened(path) as found:
        found.copy_wheel("a.whl", "", tmp_path / "a.whl", lambda _: None, threading.Event())


def test_the_bar_never_goes_back_and_tells_bytes_and_the_time_left():
    now = [0.0]
    reports: list[Report] = []
    meter = Meter([("Getting", 10.0), ("Testing", 10.0)], reports.append, lambda: now[0])
    meter.enter("Getting")
    meter.tick(0, 100_000_000)
    for second in range(1, 6):
        now[0] = float(second)
        meter.tick(second * 10_000_000, 100_000_000)
    assert reports[-1].text == "Getting, 50 of 100 MB, 15 s left"
    meter.enter("Testing")
    for second in (6.0, 30.0, 300.0):
        now[0] = second
        meter.tick()
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 1.0
    assert [report.text for report in reports[-3:]] == ["Testing, 10 s left", "Testing", "Testing"]


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "its hash is wrong"),
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("[WinError 112] There is not enough space on the disk", "The disk is full"),
        ("Retrying after connection broken by 'ProxyError('Cannot connect to proxy.'", "The proxy refused"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "The connection is not trusted"),
        ("connection broken by 'NewConnectionError(... Failed to establish a new connection", "network did not answer"),
        ("ERROR: Could not install packages: [WinError 5] Access is denied: 'C:\\x'", "cannot be written"),
        ("ERROR: No matching distribution found for torch==2.13.0", "torch==2.13.0 could not be found"),
        ("blah\nERROR: something new\n", "A package could not be installed: something new"),
    ],
)
def test_what_pip_says_becomes_one_sentence(output, words):
    sentence = explain(output)
    assert words in sentence
    assert "\n" not in sentence
