"""A performance laid onto an avatar, as Blender asks the worker for it: here a photo, which is a clip of one frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from meshlam_core import cli
from meshlam_core.avatar.io import read_avatar
from meshlam_core.commands.drive import drive_file
from meshlam_core.commands.sessions import Sessions


def test_an_avatar_driven_by_its_own_photo_gets_the_photos_pose_from_photo_track_and_csv(
    portrait_file: Path, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, track, take = tmp_path / "head.meshlam", tmp_path / "track.json", tmp_path / "take.csv"
    for command in (
        ["reconstruct", portrait_file, "-o", head, "--texture-size", "256", "--weights", "none"],
        ["track", portrait_file, "-o", track],
        ["track", portrait_file, "-o", take],
    ):
        assert cli.main([*map(str, command), "--json"]) == 0
    capsys.readouterr()
    avatar, sessions, stages = read_avatar(head), Sessions(), set()
    for source in (portrait_file, track, take):
        out = tmp_path / f"{source.name}.json"
        report = drive_file(source, out, head, "largest", "cpu", sessions, lambda stage, *_: stages.add(stage))
        assert (report["frames"], report["found"]) == (1, 1)
        frame = json.loads(out.read_text())["frames"][0]
        turn = np.array(frame["head_rotation"]) - avatar.photo.rotations[0]
        assert np.linalg.norm(turn) < 0.03, source.name  # rad
        away = np.array(frame["translation"]) / np.linalg.norm(avatar.photo.translation)
        assert np.linalg.norm(away[:2] - avatar.photo.translation[:2] / np.linalg.norm(avatar.photo.translation)) < 0.02
    assert "retarget" in stages
