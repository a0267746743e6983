"""Exported files, opened again in a Blender of their own."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest
from sample import ARKIT_NAMES, make_sample, write_sample

from blender_addon.avatar_reader import read_avatar
from blender_addon.export import ExportError, ExportOptions, export_avatar, verify
from blender_addon.scene.action import photo_pose_shown, show_photo_pose
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import PROVENANCE

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.files


@pytest.fixture
def posed(avatar):
    """A head as an artist may leave it: moved, posed, with a subsurf, eyes following, hidden rig."""
    built = build_avatar(avatar, "Ada")
    built.rig.location = (1, 2, 3)
    built.rig.pose.bones["neck"].constraints.new("COPY_ROTATION")
    built.head.modifiers.new("Subdivision", "SUBSURF")
    show_photo_pose(built.rig, built.head)
    built.rig.hide_viewport = True
    return built


def gltf_json(path: Path) -> dict:
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])


@pytest.mark.parametrize("suffix", [".glb", ".fbx", ".usdc"])
def test_bones_and_morphs_survive_the_way_out_and_back(posed, tmp_path, suffix):
    path = tmp_path / f"Ada é{suffix}"
    expected = export_avatar(posed, path, ExportOptions())
    assert sorted(expected.keys) == sorted(ARKIT_NAMES)
    assert len(expected.bones) == 5
    assert verify(path, expected) == []
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == [path.name]


@pytest.mark.parametrize("suffix", [".glb", ".fbx", ".usdc"])
def test_morphs_only_has_no_skeleton(posed, tmp_path, suffix):
    path = tmp_path / f"Ada{suffix}"
    expected = export_avatar(posed, path, ExportOptions(bones=False))
    assert expected.bones == ()
    assert verify(path, expected) == []


def test_the_check_notices_what_is_missing(posed, tmp_path):
    path = tmp_path / "Ada.glb"
    expected = export_avatar(posed, path, ExportOptions())
    wrong = replace(expected, keys=expected.keys | {"earWiggle": 0.01}, bones=expected.bones[:4], triangles=7)
    problems = verify(path, wrong)
    assert len(problems) == 3
    assert "earWiggle" in problems[0]
    path.write_bytes(path.read_bytes()[:500])
    assert "could not re-import" in verify(path, expected)[0]


def test_exporting_leaves_the_scene_as_it_was(posed, tmp_path):
    def look() -> tuple:
        keys = posed.head.data.shape_keys.key_blocks
        return (
            sorted(item.name for item in bpy.data.objects),
            sorted(item.name for item in bpy.data.meshes),
            sorted(item.name for item in bpy.data.armatures),
            [key.value for key in keys],
            [tuple(bone.rotation_quaternion) for bone in posed.rig.pose.bones],
            [modifier.type for modifier in posed.head.modifiers],
            posed.head.parent.name,
            tuple(posed.rig.location),
            photo_pose_shown(posed.rig),
        )

    before = look()
    for suffix in (".glb", ".fbx", ".usdc"):
        export_avatar(posed, tmp_path / f"x{suffix}", ExportOptions(pascal_case=True))
        assert look() == before


def test_the_glb_names_exactly_the_52_morphs_and_the_joints_at_rest(posed, tmp_path):
    path = tmp_path / "Ada.glb"
    export_avatar(posed, path, ExportOptions())
    content = gltf_json(path)
    assert [mesh["extras"]["targetNames"] for mesh in content["meshes"]] == [list(ARKIT_NAMES)]
    assert content["meshes"][0]["weights"] == [0] * 52
    joints = [content["nodes"][index] for index in content["skins"][0]["joints"]]
    assert [joint["name"] for joint in joints] == ["root", "neck", "jaw", "left_eye", "right_eye"]
    assert not any("rotation" in joint for joint in joints)
    assert content["asset"]["copyright"] == "sample: CC0-1.0"
    skinned = [index for index, node in enumerate(content["nodes"]) if "skin" in node]
    assert len(skinned) == 1
    assert skinned[0] in content["scenes"][0]["nodes"]  # at the root: validators warn otherwise


def test_names_can_be_spelt_as_live_link_does(posed, tmp_path):
    export_avatar(posed, tmp_path / "Ada.glb", ExportOptions(pascal_case=True))
    names = gltf_json(tmp_path / "Ada.glb")["meshes"][0]["extras"]["targetNames"]
    assert names == [name[0].upper() + name[1:] for name in ARKIT_NAMES]


def test_driven_correctives_stay_at_home(tmp_path):
    path = write_sample(tmp_path / "flame.meshlam", make_sample(correctives=True, kind="flame"))
    built = build_avatar(read_avatar(path), "Flame")
    show_photo_pose(built.rig, built.head)
    export_avatar(built, tmp_path / "flame.glb", ExportOptions())
    mesh = gltf_json(tmp_path / "flame.glb")["meshes"][0]
    assert mesh["extras"]["targetNames"] == [f"expression{index:02d}" for index in range(10)]
    assert mesh["weights"] == [0] * 10
    assert len(built.head.data.shape_keys.animation_data.drivers) == 36


def test_the_fbx_carries_the_texture_inside(posed, tmp_path):
    export_avatar(posed, tmp_path / "Ada.fbx", ExportOptions())
    assert b"\x89PNG\r\n\x1a\n" in (tmp_path / "Ada.fbx").read_bytes()


def test_an_unwritable_or_unknown_target_is_refused_in_one_sentence(posed, tmp_path):
    with pytest.raises(ExportError, match="Expected a name ending in"):
        export_avatar(posed, tmp_path / "Ada.dae", ExportOptions())
    with pytest.raises(ExportError, match="does not exist"):
        export_avatar(posed, tmp_path / "no" / "Ada.glb", ExportOptions())
    (tmp_path / "taken.glb").mkdir()
    with pytest.raises(ExportError, match="cannot be written"):
        export_avatar(posed, tmp_path / "taken.glb", ExportOptions())
    assert sorted(item.name for item in bpy.data.objects if "(scene)" in item.name) == []


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "blender_addon", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("suffix", [".blend", ".glb"])
def test_the_command_line_writes_the_file_whole(avatar_path, tmp_path, suffix):
    out = tmp_path / f"Ada{suffix}"
    run = command(str(avatar_path), "-o", str(out), "--verify")
    assert run.returncode == 0, run.stderr
    assert [item.name for item in tmp_path.iterdir()] == [out.name]
    if suffix == ".blend":
        bpy.ops.wm.open_mainfile(filepath=str(out))
        head = bpy.data.objects["sample"]
        assert len(head.data.shape_keys.key_blocks) == 53
        assert head.material_slots[0].material.node_tree is not None
        assert bpy.context.scene.camera.name == "sample Photo"
        assert all(image.packed_file for image in bpy.data.images if image.source == "FILE")


def test_the_command_lines_exit_codes_tell_what_is_wrong(avatar_path, tmp_path):
    broken = tmp_path / "broken.meshlam"
    broken.write_bytes(b"nothing")
    run = command(str(broken), "-o", str(tmp_path / "a.blend"))
    assert run.returncode == 3
    assert len(run.stderr.strip().splitlines()) == 1
    assert command(str(avatar_path), "-o", str(tmp_path / "a.dae")).returncode == 2
    assert command(str(avatar_path), "-o", str(tmp_path / "no" / "a.blend")).returncode == 2
    assert command(str(avatar_path)).returncode == 2
    assert [item.name for item in tmp_path.iterdir()] == ["broken.meshlam"]


def test_a_real_avatar_exports_and_comes_back(real_avatar_path, tmp_path):
    built = build_avatar(read_avatar(real_avatar_path), "Real")
    for suffix in (".glb", ".fbx"):
        expected = export_avatar(built, tmp_path / f"real{suffix}", ExportOptions())
        assert sorted(expected.keys) == sorted(ARKIT_NAMES)
        assert verify(tmp_path / f"real{suffix}", expected) == []
    assert json.loads(built.rig[PROVENANCE])


@pytest.mark.slow
def test_gaussians_show_the_sculpted_and_painted_head_and_what_it_wears(posed, tmp_path, backend):
    head = posed.head
    top = max(head.data.vertices, key=lambda vertex: vertex.co.z).index
    for key in head.data.shape_keys.key_blocks:
        key.data[top].co.z += 0.1  # a horn
    bpy.ops.mesh.primitive_cube_add(size=0.05)
    hat = bpy.context.object
    hat.parent, hat.location = posed.rig, (0, 0, 0.5)
    material = bpy.data.materials.new("Red")
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (1, 0, 0, 1)
    hat.data.materials.append(material)
    path = tmp_path / "Ada é.ply"
    expected = export_avatar(posed, path, ExportOptions(gaussians=5000))
    assert verify(path, expected) == []
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    rows = gaussian_rows(path)
    assert len(rows) == 5000
    on_hat = rows["y"] < -0.47  # y points down
    assert 0 < on_hat.sum() < 2000
    red = [0.5 + 0.28209479 * rows[f"f_dc_{k}"][on_hat].mean() for k in range(3)]
    np.testing.assert_allclose(red, [1, 0, 0], atol=0.01)
    bare = export_avatar(posed, path, ExportOptions(gaussians=5000, accessories=False))
    assert verify(path, bare) == []
    assert 0.25 < -gaussian_rows(path)["y"].min() <= bare.high[2] == pytest.approx(0.28)  # the horn, 10 cm


@pytest.mark.slow
def test_the_check_notices_gaussians_that_are_not_the_heads(posed, tmp_path, backend):
    path = tmp_path / "Ada.ply"
    expected = export_avatar(posed, path, ExportOptions(gaussians=2000))
    assert "Expected 3000 Gaussians" in verify(path, replace(expected, gaussians=3000))[0]
    moved = replace(expected, low=tuple(value + 0.05 for value in expected.low))
    assert "do not reach" in verify(path, moved)[0]
    assert "triangles that the head does not have" in verify(path, replace(expected, triangles=10))[0]
    path.write_bytes(path.read_bytes()[:-5])
    assert "cannot be read" in verify(path, expected)[0]


def test_without_a_backend_there_are_no_gaussians_and_no_file(posed, tmp_path, monkeypatch):
    monkeypatch.setenv("MESHLAM_BACKEND", str(tmp_path / "nowhere"))
    with pytest.raises(ExportError, match="made by the backend"):
        export_avatar(posed, tmp_path / "Ada.ply", ExportOptions())
    assert list(tmp_path.iterdir()) == []


def gaussian_rows(path: Path) -> np.ndarray:
    header, body = path.read_bytes().split(b"end_header\n", 1)
    kinds = {"float": "<f4", "int": "<i4"}
    lines = [line.split() for line in header.decode().splitlines() if line.startswith("property")]
    return np.frombuffer(body, [(name, kinds[kind]) for _, kind, name in lines])


@pytest.fixture
def backend() -> None:
    """A Python with meshlam, which makes Gaussians."""
    if not os.environ.get("MESHLAM_BACKEND"):
        message = "needs MESHLAM_BACKEND (a Python with meshlam)"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
