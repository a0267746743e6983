from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from meshlam_core import cli
from meshlam_core.files.images import read_clip
from meshlam_core.opencv import cv2


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """A video of 2 s that takes the place of a camera."""
    path = tmp_path / "camera.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for index in range(20):
        writer.write(np.full((48, 64, 3), 60 + 9 * index, np.uint8))
    writer.release()
    return path


def test_a_clip_is_recorded_and_reported(camera: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "clip.mp4"
    assert cli.main(["record", str(out), "--camera", str(camera), "--seconds", "1.5", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == {
        "out": str(out),
        "camera": str(camera),
        "size": [64, 48],
        "frames": 15,
        "duration": 1.4,
        "warnings": [],
    }
    assert len(list(read_clip(out))) == 15


def test_a_camera_that_goes_away_is_told(camera: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["record", str(tmp_path / "clip.mp4"), "--camera", str(camera)]) == 0
    assert "20 frames of 64 x 48, 1.9 s\n  The camera stopped after 1.9 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["clip.mp4", "--camera", "87"], 3, "There is no camera 87 that can be opened. Connect it"),
        (["clip.mp4", "--camera", "99999999999"], 3, "There is no camera 99999999999 that can be opened"),
        (["clip.mp4", "--camera", "nowhere.mp4"], 3, "There is no camera nowhere.mp4"),
        (["clip.mp4", "--camera", __file__], 3, "that can be opened"),
        (["clip.webm"], 2, "clip.webm does not end in .mp4"),
        (["nowhere/clip.mp4"], 2, "there is no folder"),
        (["clip.mp4", "--seconds", "0"], 2, "more than 0 and at most 3600, got '0'"),
        (["clip.mp4", "--seconds", "nan"], 2, "got 'nan'"),
    ],
)
def test_what_cannot_be_recorded_is_one_sentence_and_leaves_nothing(
    options: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["record", *options]) == code
    said = capfd.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
