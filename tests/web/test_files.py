"""Exported files in the outside world: Khronos' validator, three.js in a headless Chromium, three.js' reader of FBX.

MESHLAM_TEST_GLB and MESHLAM_TEST_FBX name them (default out/demo.glb and, for Unreal, out/demo.fbx). Needs node and,
for the browser, Chromium (CHROMIUM names it).
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


def exported(suffix: str) -> Path:
    path = Path(os.environ.get(f"MESHLAM_TEST_{suffix.upper()}", ROOT / "out" / f"demo.{suffix}"))
    if not path.exists():
        unavailable(f"{path} does not exist; `make out/demo.{suffix}` makes it")
    if shutil.which("node") is None or not (HERE / "node_modules").is_dir():
        unavailable("node, or `npm ci` in tests/web, is missing")
    return path


@pytest.fixture(scope="module")
def glb() -> Path:
    return exported("glb")


@pytest.fixture(scope="module")
def fbx() -> dict[str, Any]:
    return node("fbx.mjs", str(exported("fbx")))


@pytest.fixture(scope="module")
def report(glb: Path) -> dict[str, Any]:
    return node("validate.mjs", str(glb))


def test_the_validator_finds_no_error_and_no_warning(report):
    assert (report["errors"], report["warnings"]) == (0, 0)
    # Blender writes tangents for the whole head, also for the lashes, which have no normals to look up
    (lashes,) = (number for number, material in enumerate(report["materials"]) if material["alphaMode"] == "BLEND")
    known = f"UNUSED_MESH_TANGENT /meshes/0/primitives/{lashes}/"
    assert [message for message in report["messages"] if not message.startswith(known)] == []


def test_the_morphs_are_exactly_the_52_at_zero(report):
    assert report["targetNames"] == [NAMES.split(), []]  # of the head, and of its strands of hair
    assert [set(mesh) for mesh in report["targetCounts"]] == [{52}, {0}]
    assert report["weights"] == [[0] * 52, []]


def test_the_skin_has_the_five_joints_without_rotations(report):
    assert len(report["joints"]) == 1
    assert len(report["joints"][0]) == 5
    assert report["jointRotations"] == [[None] * 5]


def test_every_material_has_normals_and_one_picture_of_occlusion_roughness_and_metal(report):
    assert [material["alphaMode"] for material in report["materials"]].count("BLEND") == 1
    for material in report["materials"]:
        if material["alphaMode"] == "BLEND":  # lashes have a picture of their own
            continue
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


def test_another_reader_of_fbx_finds_one_skeleton_below_the_armature_with_the_axes_of_the_head(fbx):
    parents = {name: bone["parent"] for name, bone in fbx["bones"].items()}
    assert parents == {"root": "Armature", "neck": "root", "jaw": "neck", "left_eye": "neck", "right_eye": "neck"}
    for bone in fbx["bones"].values():  # x to the head's left, y up, z forwards
        np.testing.assert_allclose(bone["axes"], np.eye(3), atol=1e-5)
    left, jaw = fbx["bones"]["left_eye"]["at"], fbx["bones"]["jaw"]["at"]
    assert left[0] > 0.02
    assert 0.01 < left[1] - jaw[1] < 0.06  # m


def test_another_reader_of_fbx_finds_the_52_morphs_and_a_skin_bound_as_it_stands(fbx):
    head, strands = sorted(fbx["skinned"], key=lambda mesh: -len(mesh["moves"]))
    assert [name.split()[-1] for name in strands["materials"]] == ["Hair"]
    np.testing.assert_allclose(strands["weights"], 1, atol=1e-5)
    assert strands["bent"] < 1e-6
    assert list(head["moves"]) == [name[:1].upper() + name[1:] for name in NAMES.split()]
    _, down, _ = head["moves"]["JawOpen"]
    assert -0.07 < down < -0.02
    assert head["moves"]["JawLeft"][0] > 0.005
    height = head["high"][1] - head["low"][1]
    assert 0.2 < height < 0.4
    np.testing.assert_allclose(head["weights"], 1, atol=1e-5)
    assert head["used"] == sorted(fbx["bones"])
    assert head["bent"] < 1e-6
    assert [name.split()[-1] for name in head["materials"]] == ["Skin", "Eyes", "Teeth", "Mouth", "Lashes", "Hair"]
