"""Reconstruction around a stub of the pipeline: what happens when memory runs out, and to the output file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meshlam_core import pipeline
from meshlam_core.avatar.io import read_avatar
from meshlam_core.commands.sessions import Sessions, reconstruct_file
from meshlam_core.errors import Cancelled, DeviceError, NoFace, UsageError
from meshlam_core.pipeline import Reconstruction, ReconstructOptions
from meshlam_core.progress import silent
from tests.sample_avatar import make_avatar

Fail = Callable[[ReconstructOptions], Exception | None]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices of the sessions that were opened."""
    devices: list[str] = []

    def open_session(options: ReconstructOptions) -> str:
        devices.append(options.device)
        return f"session on {options.device}"

    monkeypatch.setattr(pipeline.Session, "open", open_session)
    return devices


def _stub(monkeypatch: pytest.MonkeyPatch, fail: Fail) -> list[ReconstructOptions]:
    tried: list[ReconstructOptions] = []

    def reconstruct(path: Path, options: ReconstructOptions, session: object, progress: object) -> Reconstruction:
        tried.append(options)
        error = fail(options)
        if error is not None:
            raise error
        return Reconstruction(make_avatar(8, 12, 32), {"warnings": ["the photo is dark"], "device": options.device})

    monkeypatch.setattr(pipeline, "reconstruct", reconstruct)
    return tried


def test_the_report_names_the_file_that_was_written(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _stub(monkeypatch, lambda options: None)
    out = tmp_path / "out.meshlam"
    report = reconstruct_file(Path("p.jpg"), out, ReconstructOptions(), Sessions(), silent)
    assert report["avatar"] == str(out)
    assert len(read_avatar(out).vertices) == 258


def test_out_of_memory_is_retried_smaller_and_then_on_the_cpu_and_says_so(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = _stub(monkeypatch, lambda o: RuntimeError("CUDA out of memory") if o.device == "auto" else None)
    out = tmp_path / "out.meshlam"
    report = reconstruct_file(Path("p.jpg"), out, ReconstructOptions(texture_size=2048), Sessions(), silent)
    assert [(o.device, o.texture_size) for o in tried] == [("auto", 2048), ("auto", 512), ("cpu", 512)]
    assert len(report["warnings"]) == 3
    assert "CPU" in report["warnings"][1]
    assert read_avatar(out).provenance["warnings"] == report["warnings"]


def test_when_nothing_helps_it_is_a_device_error_and_no_file(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _stub(monkeypatch, lambda options: MemoryError())
    with pytest.raises(DeviceError, match="not enough memory"):
        reconstruct_file(Path("p.jpg"), tmp_path / "x.meshlam", ReconstructOptions(), Sessions(), silent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [NoFace("no face"), Cancelled("stop"), RuntimeError("a bug")])
def test_other_failures_are_not_retried(
    error: Exception, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = _stub(monkeypatch, lambda options: error)
    with pytest.raises(type(error)):
        reconstruct_file(Path("p.jpg"), tmp_path / "x.meshlam", ReconstructOptions(), Sessions(), silent)
    assert len(tried) == 1


def test_an_unwritable_output_is_told_before_the_work(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = _stub(monkeypatch, lambda options: None)
    with pytest.raises(UsageError, match="there is no folder"):
        reconstruct_file(Path("p.jpg"), tmp_path / "no" / "x.meshlam", ReconstructOptions(), Sessions(), silent)
    assert tried == []
    assert opened == []


def test_a_session_is_opened_once_for_jobs_alike(opened: list[str]) -> None:
    sessions = Sessions()
    first = sessions.get(ReconstructOptions(seed=1))
    assert sessions.get(ReconstructOptions(seed=2)) is first
    sessions.get(ReconstructOptions(device="cpu"))
    sessions.free()
    sessions.get(ReconstructOptions(device="cpu"))
    assert opened == ["auto", "cpu", "cpu"]


def test_weights_trained_anew_under_their_old_name_are_loaded(opened: list[str], tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"old")
    sessions, options = Sessions(), ReconstructOptions(weights=str(weights))
    sessions.get(options)
    sessions.get(options)
    assert len(opened) == 1
    weights.write_bytes(b"newer")
    sessions.get(options)
    assert len(opened) == 2


def test_tracking_takes_the_open_session_and_opens_none_with_a_network(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    wanted: list[ReconstructOptions] = []
    real = pipeline.Session.open
    monkeypatch.setattr(pipeline.Session, "open", lambda options: wanted.append(options) or real(options))  # type: ignore[func-returns-value]
    sessions = Sessions()
    sessions.get_tracker("cpu")
    assert [options.weights for options in wanted] == ["none"]
    warm = sessions.get(ReconstructOptions(weights=str(tmp_path / "w.safetensors")))
    assert sessions.get_tracker("auto") is warm
    assert sessions.get_tracker("cpu") is not warm
