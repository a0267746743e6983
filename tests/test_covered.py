"""What lies over a face is told, and not painted onto it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from meshlam_core import cli
from meshlam_core.avatar.io import read_avatar
from meshlam_core.files.images import load_photo
from meshlam_core.points import CHIN, OVAL
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.viewing.viewer import render_avatar

BLUE = (96, 160, 205)
# over the nose's bridge, along the jaw, under the chin: where a surgical mask lies
BRIDGE, RIGHT_CHEEK, LEFT_CHEEK = 197, 234, 454


def make(capsys: pytest.CaptureFixture[str], photo: Path, out: Path, *options: str) -> dict[str, Any]:
    assert cli.main(["reconstruct", str(photo), "-o", str(out), "--texture-size", "256", *options, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def blueness(avatar: Path) -> float:
    """Of the lower half of the face, seen from the front."""
    picture = render_avatar(read_avatar(avatar), "front", 256).astype(float)
    face = picture[140:200, 100:156]
    return float((face[..., 2] - face[..., 0]).mean())


@pytest.fixture(scope="module")
def masked(portrait_file: Path, assets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    photo = load_photo(portrait_file).pixels
    landmarks = MediaPipeDetector(assets["face_landmarker"]).detect(photo, every=False)[0].landmarks[:, :2]
    jaw = [p for p in landmarks[OVAL] if p[1] > landmarks[RIGHT_CHEEK, 1]]
    middle = landmarks[CHIN] * [1, 0] + [0, landmarks[BRIDGE, 1]]
    jaw.sort(key=lambda p: np.arctan2(p[1] - middle[1], p[0] - middle[0]))
    picture = Image.fromarray(photo)
    draw = ImageDraw.Draw(picture)
    outline = [landmarks[BRIDGE], landmarks[LEFT_CHEEK], *jaw, landmarks[RIGHT_CHEEK]]
    draw.polygon([(float(x), float(y)) for x, y in outline], fill=BLUE)
    for fold in (0.4, 0.55, 0.7):  # its pleats
        y = landmarks[BRIDGE, 1] * (1 - fold) + landmarks[CHIN, 1] * fold
        draw.line([(landmarks[RIGHT_CHEEK, 0] + 60, y), (landmarks[LEFT_CHEEK, 0] - 60, y)], (70, 130, 175), 3)
    path = tmp_path_factory.mktemp("masked") / "masked.png"
    picture.save(path)
    return path


def test_a_bare_face_is_covered_by_nothing(
    portrait_file: Path, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = make(capsys, portrait_file, tmp_path / "head.meshlam")
    assert result["covered"] == []
    assert not any("covered" in warning for warning in result["warnings"])


def test_a_mask_is_named_and_the_skin_under_it_completed(
    masked: Path, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = make(capsys, masked, tmp_path / "head.meshlam")
    assert result["covered"] == ["mask"]
    assert any("covered by a mask or a scarf" in warning for warning in result["warnings"])
    assert blueness(tmp_path / "head.meshlam") < -20  # skin is red
