"""One person on another head model, end to end: tracked, with hair of the network, textured, driven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshlam_core.avatar.io import read_avatar
from meshlam_core.avatar.record import Avatar
from meshlam_core.cli import main
from meshlam_core.head.model import HeadModel


@pytest.fixture(scope="module")
def made(
    portrait_file: Path, flame_converted: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Avatar, dict[str, Any]]:
    out = tmp_path_factory.mktemp("other") / "flame.meshlam"
    call = ["reconstruct", str(portrait_file), "-o", str(out), "--head", str(flame_converted), "--texture-size", "512"]
    assert main(call) == 0
    avatar = read_avatar(out)
    return avatar, json.loads(json.dumps(avatar.provenance))


def test_the_face_is_met_as_on_the_open_head(made: tuple[Avatar, dict[str, Any]], flame_head: HeadModel) -> None:
    avatar, told = made
    assert told["head"] == "flame"
    assert told["head_licence"] == "CC-BY-4.0 (FLAME 2023 Open)"
    smile = avatar.blendshape_names.index("mouthSmileLeft")
    assert avatar.photo.expression[smile] > 0.3
    assert avatar.pose_correctives is not None
    joints = avatar.joints
    eyes = [avatar.vertices[avatar.part == avatar.parts.index(f"eyeball_{side}")] for side in ("left", "right")]
    for ball, joint in zip(eyes, joints[3:], strict=True):
        middle = (ball.min(0) + ball.max(0)) / 2
        assert np.linalg.norm(middle - joint) < 0.004


def test_hair_grows_and_the_networks_word_is_carried_over(made: tuple[Avatar, dict[str, Any]]) -> None:
    avatar, told = made
    assert avatar.hair is not None
    grown = np.linalg.norm(avatar.hair, axis=1)
    part = np.array(avatar.parts)[avatar.part]
    assert np.median(grown[part == "hair"]) > 0.01
    assert grown[np.isin(part, ("lips", "eyelids", "teeth_upper"))].max() == 0
    assert told["weights"] is not None


def test_the_texture_is_the_photos_where_it_is_seen_and_hair_behind(made: tuple[Avatar, dict[str, Any]]) -> None:
    avatar, _ = made
    part = np.array(avatar.parts)[avatar.part[avatar.faces[:, 0]]]
    middle = avatar.uvs[avatar.uv_faces].mean(axis=1)
    size = len(avatar.albedo)
    row, column = ((1 - middle[:, 1]) * size).astype(int).clip(0, size - 1), (middle[:, 0] * size).astype(int)
    colour = avatar.albedo[row, column].astype(float)
    face, hair = colour[part == "face"].mean(0), colour[part == "hair"].mean(0)
    assert face[0] > face[2] + 20  # skin: redder than blue
    assert face.mean() > hair.mean() + 25  # brown hair is darker
    assert (avatar.albedo_seen[row, column][part == "face"] > 127).mean() > 0.6
