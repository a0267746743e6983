"""The commands track and reenact on a real photo, which is a clip of one frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from meshlam_core import cli
from meshlam_core.avatar.io import read_avatar
from meshlam_core.files.images import read_clip
from tests.faces import write_clip


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    code = cli.main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def photo(portrait_file: Path) -> Path:
    return portrait_file


def overlap(one: Path, other: Path) -> float:
    """Intersection over union of two pictures' outlines."""
    with Image.open(one) as a, Image.open(other) as b:
        ours, theirs = np.array(a)[..., 3] > 127, np.array(b)[..., 3] > 127
    return float((ours & theirs).sum() / (ours | theirs).sum())


def differences(folder: Path, clip: Path) -> np.ndarray:  # [frames]
    """How far the head's colours are from the clip's under it, of 255."""
    pictures = [np.array(Image.open(path)).astype(float) for path in sorted(folder.iterdir())]
    frames = [frame.pixels for frame in read_clip(clip)]
    pairs = zip(pictures, frames, strict=True)
    return np.array([np.abs(seen[..., :3] - frame)[seen[..., 3] == 255].mean() for seen, frame in pairs])


def test_an_avatar_driven_by_its_own_photo_lies_where_the_photo_view_puts_it(
    photo: Path, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, tracked = run(capsys, "track", photo, "-o", tmp_path / "track.json")
    assert (code, tracked["frames"], tracked["found"]) == (0, 1, 1), tracked
    assert tracked["landmark_error"] < 0.02
    avatar = tmp_path / "head.meshlam"
    assert run(capsys, "reconstruct", photo, "-o", avatar, "--texture-size", "256")[0] == 0

    code, driven = run(capsys, "reenact", avatar, "--track", tmp_path / "track.json", "-o", tmp_path / "frames")
    assert (code, driven["frames"]) == (0, 1), driven
    assert driven["size"] == read_avatar(avatar).photo.size.tolist()
    run(capsys, "render", avatar, "-o", tmp_path / "photo.png", "--view", "photo", "--size", "native")
    assert overlap(tmp_path / "frames" / "00000.png", tmp_path / "photo.png") > 0.9

    # a CSV knows no camera: the head stays where the photo has it, and its turn is the track's
    assert run(capsys, "track", photo, "--csv", "-o", tmp_path / "take.csv")[0] == 0
    code, driven = run(capsys, "reenact", avatar, "--track", tmp_path / "take.csv", "-o", tmp_path / "from csv")
    assert (code, driven["frames"], driven["found"]) == (0, 1, 1), driven
    assert overlap(tmp_path / "from csv" / "00000.png", tmp_path / "photo.png") > 0.97


def test_a_head_is_laid_onto_the_frames_of_its_own_person(
    photo: Path, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    avatar, clip, track = tmp_path / "head.meshlam", write_clip(tmp_path / "clip.mp4", 3), tmp_path / "track.json"
    assert run(capsys, "reconstruct", photo, "-o", avatar, "--texture-size", "256")[0] == 0
    assert run(capsys, "track", clip, "-o", track)[0] == 0
    assert run(capsys, "reenact", avatar, "--track", track, "-o", tmp_path / "by landmarks")[0] == 0
    code, driven = run(capsys, "reenact", avatar, "--track", track, "--onto", clip, "-o", tmp_path / "onto")
    assert (code, driven["frames"]) == (0, 3), driven
    assert np.all(differences(tmp_path / "onto", clip) < 0.95 * differences(tmp_path / "by landmarks", clip))

    short = write_clip(tmp_path / "short.mp4", 2)
    code, result = run(capsys, "reenact", avatar, "--track", track, "--onto", short, "-o", tmp_path / "none")
    assert (code, "it ends earlier" in result["error"]["message"]) == (2, True), result
    code, result = run(capsys, "reenact", avatar, "--track", track, "--onto", photo, "-o", tmp_path / "none")
    assert (code, "1024 x 1024" in result["error"]["message"]) == (2, True), result
    assert not (tmp_path / "none").exists()


def test_what_is_no_clip_and_no_track_is_refused_and_leaves_nothing(
    photo: Path, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poem = tmp_path / "poem.mp4"
    poem.write_text("I am a poem")
    code, result = run(capsys, "track", poem, "-o", tmp_path / "track.json")
    assert (code, result["error"]["kind"]) == (3, "unreadable")
    code, result = run(capsys, "reenact", poem, "--track", poem, "-o", tmp_path / "frames")
    assert code == 3
    code, result = run(capsys, "reenact", poem, "--track", poem, "-o", tmp_path / "no" / "frames")
    assert code == 2
    assert list(tmp_path.iterdir()) == [poem]
