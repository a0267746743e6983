"""The exported GLB in the outside world: Khronos' validator, and three.js in a headless Chromium.

MESHLAM_TEST_GLB names the file (default out/demo.glb). Needs node and, for the browser, Chromium (CHROMIUM names it).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAMES = """
browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft cheekSquintRight
eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight eyeLookOutLeft eyeLookOutRight
eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight jawForward jawLeft jawOpen jawRight
mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight mouthFunnel mouthLeft mouthLowerDownLeft
mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight mouthRollLower mouthRollUpper
mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight mouthStretchLeft mouthStretchRight mouthUpperUpLeft
mouthUpperUpRight noseSneerLeft noseSneerRight tongueOut
"""


def unavailable(reason: str) -> None:
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def node(script: str, *arguments: str) -> dict[str, Any]:
    command = ["node", str(HERE / script), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def glb() -> Path:
    path = Path(os.environ.get("MESHLAM_TEST_GLB", ROOT / "out" / "demo.glb"))
    if not path.exists():
        unavailable(f"{path} does not exist; `make out/demo.glb` makes it")
    if shutil.which("node") is None or not (HERE / "node_modules").is_dir():
        unavailable("node, or `npm ci` in tests/web, is missing")
    return path


@pytest.fixture(scope="module")
def report(glb: Path) -> dict[str, Any]:
    return node("validate.mjs", str(glb))


def test_the_validator_finds_no_error_and_no_warning(report):
    assert (report["errors"], report["warnings"], report["messages"]) == (0, 0, [])


def test_the_morphs_are_exactly_the_52_at_zero(report):
    assert report["targetNames"] == [NAMES.split()]
    assert {count for mesh in report["targetCounts"] for count in mesh} == {52}
    assert report["weights"] == [[0] * 52]


def test_the_skin_has_the_five_joints_without_rotations(report):
    assert len(report["joints"]) == 1
    assert len(report["joints"][0]) == 5
    assert report["jointRotations"] == [[None] * 5]


def test_every_material_has_normals_and_one_picture_of_occlusion_roughness_and_metal(report):
    for material in report["materials"]:
        assert material["normal"].endswith("_Normal")
        assert material["occlusion"] == material["roughnessAndMetal"]
        assert material["occlusion"].endswith("_ORM")


def test_in_three_js_jaw_open_moves_the_chin_down(glb, tmp_path):
    browser = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(browser).exists():
        unavailable(f"no browser at {browser}")
    out = Path(os.environ.get("MESHLAM_TEST_SHOTS", tmp_path))
    found = node("load.mjs", str(glb), str(out), "jawOpen")
    assert found["problems"] == []
    assert sorted(found["morphs"]) == sorted(NAMES.split())
    assert len(found["bones"]) == 5
    moved = found["moved"]
    assert 0.01 < moved["distance"] < 0.06  # m: a mouth, not a mistake of units
    assert moved["y"] < -0.8 * moved["distance"] + abs(moved["z"])  # down, and back with the hinge's arc
    assert found["changedPixels"] > 1000

    neutral, opened = (
        np.asarray(Image.open(out / f"{name}.png").convert("RGB")).astype(int) for name in ("neutral", "jawOpen")
    )
    changed = np.abs(neutral - opened).sum(axis=-1) > 24  # [512, 512]
    background = np.abs(neutral - neutral[0, 0]).sum(axis=-1) < 12
    head_rows = np.flatnonzero((~background).any(axis=1))
    middle = (head_rows[0] + head_rows[-1]) / 2
    assert changed[int(middle) :].sum() > 4 * changed[: int(middle)].sum()  # the lower half of the head moves
