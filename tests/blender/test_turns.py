"""Artists give bones the rotation mode that they like; every button works in each of them."""

from __future__ import annotations

import json
from dataclasses import replace
from math import radians
from pathlib import Path

import bpy
import numpy as np
import pytest
from bodies import make_body
from mathutils import Euler, Quaternion
from sample import make_sample, write_sample
from takes import track_file
from test_scene import evaluated

from blender_addon.avatar_reader import read_avatar
from blender_addon.clip_operators import apply_clip
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import active_avatar
from blender_addon.scene.join_body import join
from blender_addon.scene.turns import set_turn, turn_channel, turn_of

MODES = ("QUATERNION", "XYZ", "ZXY", "AXIS_ANGLE")
TURNED = Euler((0.2, 0.5, -0.1)).to_quaternion()


@pytest.fixture(params=MODES)
def built(registered, avatar, request):
    made = build_avatar(avatar, "Ada")
    bpy.context.view_layer.objects.active = made.head
    set_modes(made.rig, request.param)
    return made


@pytest.fixture
def with_neck(registered, tmp_path, request):
    """A head with an open neck, its bones in a mode."""
    sample = make_sample()
    arrays = dict(sample.arrays)
    low = arrays["vertices"][arrays["faces"]].max(1)[:, 1] < 0.0
    arrays |= {"faces": arrays["faces"][~low], "uv_faces": arrays["uv_faces"][~low]}
    made = build_avatar(read_avatar(write_sample(tmp_path / "open.meshlam", replace(sample, arrays=arrays))), "Ada")
    set_modes(made.rig, request.param)
    return made


@pytest.fixture
def plain(registered, avatar):
    """The same head as it is built."""
    return build_avatar(avatar, "Eve")


def set_modes(rig, mode: str) -> None:
    for bone in rig.pose.bones:
        bone.rotation_mode = mode


def turns(rig) -> np.ndarray:
    """The rotation [B, 3, 3] of each bone about its own axes, as Blender shows it."""
    bpy.context.view_layer.update()
    return np.array([bone.matrix_basis.to_3x3() for bone in rig.pose.bones])


def test_the_photo_pose_is_the_same_in_every_mode_and_gives_the_artists_back(built, plain):
    neck = built.rig.pose.bones["neck"]
    set_turn(neck, TURNED)
    if turn_channel(neck) == "rotation_euler":
        neck.rotation_euler.z += radians(720)  # what no quaternion tells
    before, shown = tuple(getattr(neck, turn_channel(neck))), evaluated(built.head)
    bpy.ops.meshlam.toggle_photo_pose()
    bpy.context.view_layer.objects.active = plain.head
    bpy.ops.meshlam.toggle_photo_pose()
    np.testing.assert_allclose(turns(built.rig), turns(plain.rig), atol=1e-5)
    assert np.abs(turns(plain.rig) - np.eye(3)).max() > 0.05
    bpy.context.view_layer.objects.active = built.head
    bpy.ops.meshlam.toggle_photo_pose()
    np.testing.assert_allclose(getattr(neck, turn_channel(neck)), before, atol=1e-6)
    np.testing.assert_allclose(evaluated(built.head), shown, atol=1e-6)


def test_what_was_turned_while_the_photo_pose_showed_stays_and_another_mode_loses_nothing(built):
    neck, jaw = (built.rig.pose.bones[name] for name in ("neck", "jaw"))
    set_turn(neck, TURNED)
    bpy.ops.meshlam.toggle_photo_pose()
    set_turn(jaw, Quaternion((1, 0, 0), 0.3))
    # between two orders of Euler angles Blender keeps the numbers, and so turns the bone
    set_modes(built.rig, "QUATERNION" if turn_channel(jaw) == "rotation_euler" else "YXZ")
    bpy.ops.meshlam.toggle_photo_pose()
    assert abs(turn_of(neck).dot(TURNED)) == pytest.approx(1, abs=1e-6)
    assert turn_of(jaw).angle == pytest.approx(0.3, abs=1e-5)


def test_rest_pose_and_the_sliders_turn_the_bones(built):
    fields = bpy.context.scene.meshlam_face
    for slider, name in (("neck_turn", "neck"), ("jaw_turn", "jaw"), ("eyes_turn", "left_eye")):
        setattr(fields, slider, (0.3, 0.1, -0.2))
        wanted = np.array(Euler((0.3, 0.1, -0.2)).to_matrix())
        np.testing.assert_allclose(built.rig.pose.bones[name].matrix_basis.to_3x3(), wanted, atol=1e-6)
        np.testing.assert_allclose(getattr(fields, slider), (0.3, 0.1, -0.2), atol=1e-6)
    bpy.ops.meshlam.rest_pose()
    np.testing.assert_allclose(turns(built.rig), np.broadcast_to(np.eye(3), turns(built.rig).shape), atol=1e-6)


def test_key_all_holds_the_bones(built):
    neck = built.rig.pose.bones["neck"]
    set_turn(neck, TURNED)
    bpy.ops.meshlam.key_face()
    set_turn(neck, Quaternion())
    bpy.context.scene.frame_set(2)
    assert abs(turn_of(neck).dot(TURNED)) == pytest.approx(1, abs=1e-6)


@pytest.mark.files
def test_a_clip_turns_the_head_and_its_export_moves_the_same(built, tmp_path):
    track = track_file(tmp_path / "a.json", 41)  # to 4 rad, past half a circle
    apply_clip(bpy.context.scene, built, track, Path("take.csv"))
    root = built.rig.pose.bones[0]
    for index in (0, 17, 33, 40):
        bpy.context.scene.frame_set(1 + index)
        wanted = Quaternion((0, 1, 0), 0.1 * index)
        assert abs(turn_of(root).dot(wanted)) == pytest.approx(1, abs=1e-5), index
    if turn_channel(root) == "rotation_euler":  # no leap between two frames
        bpy.context.scene.frame_set(33, subframe=0.5)
        assert abs(turn_of(root).dot(Quaternion((0, 1, 0), 3.25))) == pytest.approx(1, abs=1e-4)
    path = tmp_path / "head.glb"
    assert verify(path, export_avatar(built, path, ExportOptions(animation=True))) == []


def test_the_photos_light_turns_with_the_head(built, plain):
    light = np.zeros((9, 3))
    light[0], light[3] = 0.8, 0.4  # from one side
    for made in (built, plain):
        made.rig["meshlam_light"] = json.dumps(light.tolist())
        set_turn(made.rig.pose.bones[0], TURNED)
    suns = []
    for made in (built, plain):
        bpy.context.view_layer.objects.active = made.head
        bpy.ops.meshlam.toggle_photo_light()
        sun = next(item for item in bpy.data.objects if item.type == "LIGHT")
        bpy.context.view_layer.update()
        suns.append(np.array(sun.matrix_world.to_3x3()))
        bpy.ops.meshlam.toggle_photo_light()
    np.testing.assert_allclose(*suns, atol=1e-5)
    assert np.abs(suns[0] - np.eye(3)).max() > 0.1


@pytest.mark.parametrize("with_neck", MODES, indirect=True)
def test_key_frames_go_along_to_a_body(with_neck):
    body, _ = make_body()
    neck = with_neck.rig.pose.bones["neck"]
    for frame, share in ((1, 0.0), (11, 1.0)):
        set_turn(neck, Quaternion((0, 1, 0), radians(20 * share)))
        neck.keyframe_insert(turn_channel(neck), frame=frame)
    _, rig, _ = join(with_neck, body)
    bpy.context.scene.frame_set(11)
    assert turn_of(rig.pose.bones["head"]).angle == pytest.approx(radians(20), abs=1e-4)


@pytest.mark.parametrize("with_neck", ["QUATERNION"], indirect=True)
def test_a_body_in_another_mode_is_driven_by_a_clip(with_neck, tmp_path):
    body, skeleton = make_body()
    set_modes(skeleton, "YZX")
    mesh, rig, _ = join(with_neck, body)
    bpy.context.view_layer.objects.active = mesh
    apply_clip(bpy.context.scene, active_avatar(bpy.context), track_file(tmp_path / "a.json"), Path("take.csv"))
    bpy.context.scene.frame_set(5)
    bone = rig.pose.bones["head"]
    assert bone.rotation_mode == "YZX"
    assert turn_of(bone).angle == pytest.approx(0.4, abs=1e-4)
