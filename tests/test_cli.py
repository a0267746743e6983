from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from meshlam_core import cli
from meshlam_core.avatar.io import write_avatar
from meshlam_core.commands import info
from meshlam_core.errors import AssetError, BadAvatar, Cancelled, DeviceError, MeshlamError, NoFace, UsageError
from meshlam_core.head.io import load_head, save_head
from meshlam_core.model.config import preset
from meshlam_core.model.neural import PortraitRenderer
from meshlam_core.model.weights import save_weights
from tests.sample_avatar import make_avatar

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def avatar_file(tmp_path: Path) -> Path:
    path = tmp_path / "the head.meshlam"
    write_avatar(make_avatar(8, 12, 32), path)
    return path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """The exit code and the one object on stdout."""
    code = cli.main([*map(str, arguments), "--json"])
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    return code, json.loads(output)


def test_info_tells_what_is_in_an_avatar(avatar_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result = run_json(capsys, "info", avatar_file)
    assert code == 0
    assert result["vertices"] == 258
    assert result["joints"] == ["root", "neck", "jaw", "left_eye", "right_eye"]
    assert result["photo"]["expression"] == {"jawOpen": 0.25}
    assert cli.main(["info", str(avatar_file)]) == 0
    assert "52 (arkit)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["small", "paper"])
def test_info_tells_what_a_preset_costs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, result = run_json(capsys, "info", "--preset", name)
    assert code == 0
    assert result["parameters"] == sum(part["parameters"] for part in result["parts"])
    assert result["flops"] == sum(part["flops"] for part in result["parts"])
    assert result["settings"]["width"] == {"small": 128, "paper": 1024}[name]
    assert cli.main(["info", "--preset", name]) == 0
    text = capsys.readouterr().out
    assert f"{result['parameters']:,}" in text
    assert "GFLOPs" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "--preset", "giant"], "invalid choice: 'giant'"),
        (["info"], "AVATAR --preset is required"),
        (["info", "a.meshlam", "--preset", "small"], "not allowed with"),
        (["render", "a.meshlam", "-o", "x.png", "--weights", "w"], "belongs to --neural"),
        ([], "A command was expected: reconstruct"),
        (["paint"], "invalid choice: 'paint'"),
        (["render", "a.meshlam"], "required: -o"),
        (["render", "a.meshlam", "-o", "x.png", "--view", "up"], "invalid choice: 'up'"),
        (["render", "a.meshlam", "-o", "x.png", "--size", "0"], "expected a size in pixels"),
        (["render", "a.meshlam", "-o", "x.png", "--set", "jawOpen"], "expected NAME=VALUE"),
        (["render", "a.meshlam", "-o", "x.png", "--set", "jawOpen=nan"], "expected NAME=VALUE"),
        (["reconstruct", "p.jpg", "-o", "x", "--texture-size", "huge"], "expected one of 64, 128"),
        (["reconstruct", "p.jpg", "-o", "x", "--texture-size", "1000"], "expected one of 64, 128"),
        (["reconstruct", "p.jpg", "-o", "x", "--face", "0"], "a face's number"),
        (["reconstruct", "p.jpg", "-o", "/no/such/folder/x.meshlam"], "there is no folder"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_one_json_object(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = run_json(capsys, *arguments)
    assert code == 2
    assert result["exit_code"] == 2
    assert result["error"]["kind"] == "usage"
    assert words in result["error"]["message"]


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (UsageError("m", "h"), 2, "usage"),
        (BadAvatar("m", "h"), 3, "bad_avatar"),
        (NoFace("m", "h"), 3, "no_face"),
        (AssetError("m", "h"), 4, "asset"),
        (DeviceError("m", "h"), 5, "device"),
        (MemoryError(), 5, "device"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 5, "device"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 5, "device"),
        (Cancelled("m", "h"), 1, "cancelled"),
        (KeyboardInterrupt(), 1, "cancelled"),
        (MeshlamError("m", "h"), 1, "error"),
        (ZeroDivisionError("a bug"), 1, "error"),
    ],
)
def test_each_failure_has_its_exit_code(
    error: BaseException, code: int, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(info, "run", fail)
    found, result = run_json(capsys, "info", "x")
    assert (found, result["exit_code"], result["error"]["kind"]) == (code, code, kind)


def test_a_bug_leaves_its_traceback_in_the_log_and_a_foreseen_failure_only_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["info", "/no/such/file"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "meshlam: /no/such/file cannot be read: No such file or directory. Check the path.\n"
    monkeypatch.setattr(info, "run", lambda *_: 1 // 0)
    assert cli.main(["info", "x"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_help_and_version_are_not_failures(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "reconstruct" in capsys.readouterr().out
    assert cli.main(["render", "--help"]) == 0
    assert "turntable" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0


def test_assets_verify_is_exit_code_4_when_one_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path))
    code, result = run_json(capsys, "assets", "verify")
    assert code == 4
    assert {asset["state"] for asset in result["assets"]} == {"missing"}
    assert cli.main(["assets", "list"]) == 0
    assert "meshlam assets fetch" in capsys.readouterr().out


def test_doctor_says_what_is_missing_and_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path / "not made yet"))
    code, result = run_json(capsys, "doctor")
    assert code == 4
    assert not result["usable"]
    advice = {check["name"]: check["advice"] for check in result["checks"] if check["state"] == "error"}
    assert "meshlam assets fetch" in advice["asset face_landmarker"]
    assert not (tmp_path / "not made yet").exists()


def test_doctor_finds_nothing_wrong_where_everything_is_there(
    assets: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = run_json(capsys, "doctor", "--self-test")
    assert (code, result["usable"]) == (0, True), result


# ---- render


def _render(avatar_file: Path, out: Path, *options: str) -> np.ndarray:
    assert cli.main(["render", str(avatar_file), "-o", str(out), *options]) == 0
    with Image.open(out) as image:
        assert image.mode == "RGBA"
        return np.array(image)


def test_the_photo_view_is_on_the_photos_own_pixel_grid(avatar_file: Path, tmp_path: Path) -> None:
    native = _render(avatar_file, tmp_path / "a.png", "--view", "photo", "--size", "native")
    assert native.shape == (400, 320, 4)
    small = _render(avatar_file, tmp_path / "b.png", "--view", "photo", "--size", "100")
    assert small.shape == (100, 80, 4)
    # the same picture at a quarter of the size
    coarse = native[..., 3].reshape(100, 4, 80, 4).mean((1, 3))
    assert np.abs(coarse - small[..., 3]).mean() < 2


def test_an_expression_can_be_set_by_name(avatar_file: Path, tmp_path: Path) -> None:
    shut = _render(avatar_file, tmp_path / "a.png", "--size", "128")
    opened = _render(avatar_file, tmp_path / "b.png", "--size", "128", "--set", "jawOpen=1")
    lowest = [np.flatnonzero(picture[..., 3].any(1)).max() for picture in (shut, opened)]
    assert lowest[1] > lowest[0] + 3


def test_an_unknown_expression_names_close_ones_and_writes_nothing(
    avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = run_json(capsys, "render", avatar_file, "-o", tmp_path / "a.png", "--set", "jawopen=1")
    assert code == 2
    assert "jawOpen" in result["error"]["hint"]
    assert not (tmp_path / "a.png").exists()


def test_a_turntable_fills_a_folder_or_becomes_an_animation(avatar_file: Path, tmp_path: Path) -> None:
    options = ["render", str(avatar_file), "--view", "turntable", "--size", "32"]
    assert cli.main([*options, "-o", str(tmp_path / "turn")]) == 0
    assert sorted(path.name for path in (tmp_path / "turn").iterdir()) == [f"{i:03d}.png" for i in range(36)]
    assert cli.main([*options, "-o", str(tmp_path / "turn.png")]) == 0
    with Image.open(tmp_path / "turn.png") as image:
        assert image.n_frames == 36


def test_a_damaged_avatar_file_is_refused_and_nothing_is_written(
    avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    avatar_file.write_bytes(avatar_file.read_bytes()[:2000])
    code, result = run_json(capsys, "render", avatar_file, "-o", tmp_path / "a.png")
    assert (code, result["error"]["kind"]) == (3, "bad_avatar")
    assert list(tmp_path.iterdir()) == [avatar_file]


# ---- the image-space renderer


@pytest.fixture(scope="module")
def renderer_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A renderer that paints everything blue where the head is."""
    renderer = PortraitRenderer()
    with torch.no_grad():
        renderer.renderer.to_image.bias.copy_(torch.tensor([-2.0, -2.0, 2.0, 0.0]))  # type: ignore[union-attr]
    path = tmp_path_factory.mktemp("weights") / "renderer.safetensors"
    save_weights(renderer, preset("small"), load_head(), path, "CC0-1.0")
    return path


@pytest.mark.parametrize("view", ["front", "photo"])
def test_neural_repaints_every_view(view: str, avatar_file: Path, renderer_weights: Path, tmp_path: Path) -> None:
    options = ["--view", view, "--size", "96"]
    plain = _render(avatar_file, tmp_path / "a.png", *options)
    painted = _render(avatar_file, tmp_path / "b.png", *options, "--neural", "--weights", str(renderer_weights))
    assert painted.shape == plain.shape
    np.testing.assert_array_equal(painted[..., 3], plain[..., 3])
    assert (painted[plain[..., 3] == 255][:, :3] == [0, 0, 255]).all()


def test_before_training_neural_shows_the_rendering_itself(avatar_file: Path, tmp_path: Path) -> None:
    save_weights(PortraitRenderer(), preset("small"), load_head(), tmp_path / "w.safetensors", "CC0-1.0")
    plain = _render(avatar_file, tmp_path / "a.png", "--size", "96")
    same = _render(
        avatar_file, tmp_path / "b.png", "--size", "96", "--neural", "--weights", f"{tmp_path}/w.safetensors"
    )
    solid = plain[..., 3] == 255
    np.testing.assert_array_equal(same[solid], plain[solid])


def test_neural_needs_the_head_model_that_its_weights_belong_to(
    avatar_file: Path, renderer_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_head(replace(load_head(), name="mine"), tmp_path / "mine.npz", {})
    options = ["--neural", "--weights", renderer_weights, "--head", tmp_path / "mine.npz"]
    code, result = run_json(capsys, "render", avatar_file, "-o", tmp_path / "a.png", *options)
    assert code == 4
    assert "belong to the head model open" in result["error"]["message"]
    assert not (tmp_path / "a.png").exists()


# ---- as a program


def _program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshlam_core", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment, timeout=60)


def test_help_comes_at_once() -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert "reconstruct" in _program("--help").stdout
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.0, "something heavy is imported"


def test_what_libraries_print_does_not_reach_stdout(avatar_file: Path, tmp_path: Path) -> None:
    loud = tmp_path / "sitecustomize.py"
    loud.write_text(
        "import meshlam_core.commands.info as m, os\n"
        "real = m.run\n"
        "def run(*a):\n"
        "    print('from python'); os.write(1, b'from native code\\n')\n"
        "    os.write(2, b'I0000 00:00:1 gl.cc chatter\\nworth reading\\n')\n"
        "    return real(*a)\n"
        "m.run = run\n"
    )
    ran = _program("info", str(avatar_file), "--json", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["vertices"] == 258
    assert "from python" in ran.stderr
    assert "from native code" in ran.stderr
    assert "worth reading" in ran.stderr
    assert "chatter" not in ran.stderr


def test_no_progress_bar_is_drawn_where_nobody_looks(avatar_file: Path, tmp_path: Path) -> None:
    ran = _program("render", str(avatar_file), "-o", str(tmp_path / "a.png"), "--size", "32")
    assert ran.returncode == 0
    assert "\r" not in ran.stderr
