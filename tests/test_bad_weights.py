"""Weights and head models that cannot be used: exit code 4, one sentence, nothing half-written, and no work done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from meshlam_core import cli
from meshlam_core.head.io import load_head, save_head
from meshlam_core.model import files
from meshlam_core.model.config import preset
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.neural import PortraitRenderer
from meshlam_core.model.weights import save_weights
from meshlam_core.tracker import track
from tests.model.tiny import rewrite

SMALL = preset("small")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the default preset and head, as training writes them."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(MeshLAM(SMALL), SMALL, load_head(), path, "CC0-1.0")
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1001] ^= 1
    path.write_bytes(bytes(data))


def of_another_head(path: Path) -> None:
    head = dataclasses.replace(load_head(), name="FLAME 2020")
    save_weights(MeshLAM(SMALL), SMALL, head, path, "CC0-1.0")


def of_a_wider_network(path: Path) -> None:
    wider = SMALL.with_changes(width=256)
    save_weights(MeshLAM(wider), wider, load_head(), path, "CC0-1.0")


def preset_of(name: str) -> str:
    return json.dumps(SMALL.to_dict() | {"name": name})


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "are missing"),
    "truncated": (truncate, "not a whole safetensors file"),
    "one bit": (flip_a_bit, "were altered: expected content"),
    "a poem": (lambda path: path.write_text("I am a poem"), "not a whole safetensors file"),
    "empty": (lambda path: path.write_bytes(b""), "not a whole safetensors file"),
    "a foreign file": (lambda path: save_file({"a": torch.zeros(1)}, path), "Expected a meshlam-weights file"),
    "another version": (lambda path: rewrite(path, version="2"), "expected version 1, got 2"),
    "another preset": (
        lambda path: rewrite(path, preset=preset_of("paper")),
        "expected preset small, got preset paper",
    ),
    "an unknown preset": (lambda path: rewrite(path, preset=preset_of("giant")), "got preset giant"),
    "another size": (of_a_wider_network, "expected width 128 in preset small, got 256"),
    "another head model": (of_another_head, "belong to the head model FLAME 2020"),
    "damaged header": (lambda path: rewrite(path, preset="{"), "damaged header"),
    "NaN": (
        lambda path: rewrite(path, {"fusion.fuse.bias": torch.full((128,), torch.nan)}),
        "expected finite numbers, got NaN or infinity in fusion.fuse.bias",
    ),
    "a foreign tensor": (lambda path: rewrite(path, {"extra": torch.zeros(1)}), "tensor extra is unexpected"),
    "another type": (
        lambda path: rewrite(path, {"fusion.fuse.bias": torch.zeros(128, dtype=torch.float64)}),
        "expected fusion.fuse.bias as torch.float32 (128,), got torch.float64 (128,)",
    ),
}


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    """The error of a command that must end with exit code 4, in one sentence and without a traceback."""
    code = cli.main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (code, result.get("exit_code"), result.get("error", {}).get("kind")) == (4, 4, "asset"), result
    error: dict[str, Any] = result["error"]
    assert error["message"].endswith(".")
    assert not error["message"].endswith("..")
    assert "\n" not in error["message"]
    assert "Traceback" not in captured.err
    return error


@pytest.fixture
def no_photo_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts the work before checking the weights fails."""
    monkeypatch.setattr(track, "track_photo", lambda *_: pytest.fail("the photo was looked at first"))


@pytest.mark.parametrize("kind", HARM)
def test_weights_that_cannot_be_used_are_refused_before_any_work(
    kind: str,
    good: Path,
    tmp_path: Path,
    portrait_file: Path,
    assets: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    no_photo_is_read: None,
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    weights = tmp_path / "the weights.safetensors"
    weights.write_bytes(good.read_bytes())
    harm, words = HARM[kind]
    harm(weights)
    error = refuse(capsys, "reconstruct", portrait_file, "-o", folder / "head.meshlam", "--weights", weights)
    assert words in error["message"]
    assert weights.name in error["message"]
    assert list(folder.iterdir()) == []


def test_weights_of_the_package_are_checked_like_any(
    good: Path,
    tmp_path: Path,
    portrait_file: Path,
    assets: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "DATA", tmp_path)
    (tmp_path / "small.safetensors").write_bytes(good.read_bytes()[:999])
    refuse(capsys, "reconstruct", portrait_file, "-o", tmp_path / "head.meshlam")
    assert not (tmp_path / "head.meshlam").exists()


def test_finite_weights_too_large_to_compute_with_are_refused_by_name(
    tmp_path: Path, portrait_file: Path, assets: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    network = MeshLAM(SMALL)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.fill_(1e30)
    save_weights(network, SMALL, load_head(), tmp_path / "huge.safetensors", "CC0-1.0")
    out = tmp_path / "head.meshlam"
    options = ["--texture-size", "256", "--weights", tmp_path / "huge.safetensors"]
    error = refuse(capsys, "reconstruct", portrait_file, "-o", out, *options)
    assert "huge.safetensors" in error["message"]
    assert "finite" in error["message"]
    assert not out.exists()


@pytest.mark.parametrize("lack", ["texture coordinates", "parts"])
def test_a_head_model_without_uvs_or_parts_is_refused(
    lack: str,
    good: Path,
    tmp_path: Path,
    portrait_file: Path,
    assets: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    no_photo_is_read: None,
) -> None:
    head = load_head()
    if lack == "parts":
        head = dataclasses.replace(head, parts=())
    else:
        head = dataclasses.replace(head, uvs=head.uvs[:0], uv_faces=np.zeros((0, 3), np.int32))
    save_head(head, tmp_path / "bare.npz", {})
    out = tmp_path / "head.meshlam"
    error = refuse(capsys, "reconstruct", portrait_file, "-o", out, "--head", tmp_path / "bare.npz", "--weights", good)
    assert "bare.npz" in error["message"]
    assert not out.exists()


def of_preset_paper(path: Path, **notes: str) -> None:
    """A file that says it is of preset paper; its tensors are never looked at in these tests."""
    save_weights(torch.nn.Linear(2, 2), preset("paper"), load_head(), path, "CC0-1.0", notes)


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ({"backbone_sha256": "0" * 64}, "DINOv2: expected config.json and model.safetensors in"),
        ({}, "expected backbone_sha256 among their notes, got none"),
    ],
)
def test_the_preset_paper_needs_the_dinov2_that_its_weights_name(
    notes: dict[str, str],
    words: str,
    tmp_path: Path,
    portrait_file: Path,
    assets: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights, folder = tmp_path / "paper.safetensors", tmp_path / "dino"
    of_preset_paper(weights, **notes)
    out = tmp_path / "head.meshlam"
    options = ["--preset", "paper", "--weights", weights, "--backbone", folder]
    error = refuse(capsys, "reconstruct", portrait_file, "-o", out, *options)
    assert words in error["message"]
    assert not out.exists()
    if notes:
        assert str(folder) in error["message"]
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"not the one")
        error = refuse(capsys, "reconstruct", portrait_file, "-o", out, *options)
        assert f"with sha256 {'0' * 64}, got" in error["message"] or "transformers" in error["message"]


# ---- the image-space renderer


@pytest.fixture(scope="module")
def avatar_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from meshlam_core.avatar.io import write_avatar
    from tests.sample_avatar import make_avatar

    path = tmp_path_factory.mktemp("avatar") / "head.meshlam"
    write_avatar(make_avatar(8, 12, 32), path)
    return path


def test_without_the_renderers_weights_neural_names_the_file_and_what_to_do(
    avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "DATA", tmp_path)
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path))
    error = refuse(capsys, "render", avatar_file, "-o", tmp_path / "a.png", "--neural")
    assert str(tmp_path / "weights" / "small_renderer.safetensors") in error["message"]
    assert "without --neural" in error["hint"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["missing", "truncated", "one bit", "the network's"])
def test_renderer_weights_that_cannot_be_used_are_refused(
    kind: str, good: Path, avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "renderer.safetensors"
    if kind == "the network's":
        weights.write_bytes(good.read_bytes())
    else:
        save_weights(PortraitRenderer(), SMALL, load_head(), weights, "CC0-1.0")
        HARM[kind][0](weights)
    out = tmp_path / "a.png"
    refuse(capsys, "render", avatar_file, "-o", out, "--neural", "--weights", weights)
    assert not out.exists()
