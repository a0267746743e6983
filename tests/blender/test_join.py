"""The neck adapter, on a made-up body: an open neck on shoulders, with a skeleton of spine, neck and head."""

from __future__ import annotations

import json
from dataclasses import replace
from math import radians

import bpy
import numpy as np
import pytest
from bends import bends
from bodies import RING, make_body, make_rigify_body
from doubles import one_corrective
from mathutils import Matrix, Quaternion
from sample import write_sample
from takes import track_file

from blender_addon import compat, doctor_operators, face_panel, panel
from blender_addon.avatar_reader import read_avatar
from blender_addon.clip_operators import apply_clip
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.joining.loops import boundary_loops
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import find_avatar
from blender_addon.scene.join_body import JoinError, join
from blender_addon.scene.quads import make_quads


@pytest.fixture
def open_avatar(sample, tmp_path):
    """The sample with an open neck: the lowest faces of its ball are gone."""
    arrays = dict(sample.arrays)
    low = arrays["vertices"][arrays["faces"]].max(1)[:, 1] < 0.0
    arrays |= {"faces": arrays["faces"][~low], "uv_faces": arrays["uv_faces"][~low]}
    loose = np.setdiff1d(np.arange(len(arrays["vertices"])), arrays["faces"])
    shapes = arrays["blendshapes"].copy()
    shapes[:, loose] = 0  # no exporter writes these
    arrays["blendshapes"] = shapes
    return read_avatar(write_sample(tmp_path / "open.meshlam", replace(sample, arrays=arrays)))


@pytest.fixture
def built(registered, open_avatar):
    made = build_avatar(open_avatar, "Ada")
    bpy.context.view_layer.objects.active = made.head
    return made


def points(mesh) -> np.ndarray:
    flat = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def shown(item) -> np.ndarray:
    bpy.context.view_layer.update()
    return points(item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data)


def test_head_and_body_become_one_mesh_without_a_hole_at_the_neck(built):
    body, _ = make_body()
    count = len(built.head.data.vertices)
    mesh, rig, seam = join(built, body)
    assert seam.gap == 0
    assert seam.delta_e < 3
    loops = boundary_loops([tuple(polygon.vertices) for polygon in mesh.data.polygons])
    heights = sorted(float(points(mesh.data)[loop][:, 2].mean()) for loop in loops)
    assert heights == pytest.approx([1.2], abs=1e-4)  # only the body's own lower end is open
    assert count < len(mesh.data.vertices) < count + len(body.data.vertices) + 24 * (seam.rings + 2)
    assert mesh.data.validate() is False
    normals = np.array([polygon.normal for polygon in mesh.data.polygons])
    centres = np.array([polygon.center for polygon in mesh.data.polygons])
    bridge = [index for index, centre in enumerate(centres) if 1.5 < centre[2] < 1.51]
    assert bridge
    assert all(normals[index][:2] @ (centres[index][:2] - [0, 0.02]) > 0 for index in bridge)
    assert find_avatar(mesh).rig == rig
    assert built.head.hide_get()


def test_the_skeleton_is_the_bodys_with_jaw_and_eyes_on_its_head_bone(built):
    body, skeleton = make_body()
    mesh, rig, _ = join(built, body)
    bones = rig.data.bones
    assert set(bones.keys()) == {"spine", "neck_01", "head", "jaw", "left_eye", "right_eye"}
    assert bones["jaw"].parent.name == "head"
    assert set(skeleton.data.bones.keys()) == {"spine", "neck_01", "head"}
    for vertex in mesh.data.vertices:
        assert sum(entry.weight for entry in vertex.groups) == pytest.approx(1, abs=1e-3)


def test_turning_the_head_bone_turns_the_face_and_not_the_shoulders_and_tears_nothing(built):
    body, _ = make_body()
    mesh, rig, _ = join(built, body)
    rest = shown(mesh)
    rig.pose.bones["head"].rotation_mode = "QUATERNION"
    rig.pose.bones["head"].rotation_quaternion = Quaternion((0, 1, 0), radians(15))
    moved = np.linalg.norm(shown(mesh) - rest, axis=1)
    assert moved[rest[:, 2] < 1.45].max() < 1e-5
    assert moved[rest[:, 2] > 1.6].mean() > 0.01
    edges = np.array([edge.vertices[:] for edge in mesh.data.edges])
    lengths = [np.linalg.norm(np.diff(at[edges], axis=1)[:, 0], axis=1) for at in (rest, shown(mesh))]
    near = (rest[edges][:, :, 2].min(1) > 1.4) & (rest[edges][:, :, 2].max(1) < 1.56)
    assert (lengths[1] - lengths[0])[near].max() < 0.012


@pytest.mark.parametrize("wider", [0.8, 1.0, 1.25])
def test_the_neck_has_no_ledge_at_rest_nor_turned_nor_nodding(built, wider):
    body, _ = make_body()
    for vertex in body.data.vertices:  # oval, as necks are, and not the head's size
        vertex.co.x *= wider
    mesh, rig, _ = join(built, body)
    rig.pose.bones["head"].rotation_mode = "QUATERNION"
    for axis, angle in (((0, 1, 0), 0), ((0, 1, 0), 40), ((1, 0, 0), 25)):
        rig.pose.bones["head"].rotation_quaternion = Quaternion(axis, radians(angle))
        assert bends(mesh, 1.475, 1.56).max() < 50  # at rest 45, between the faces of the coarse head


def test_no_bone_lets_go_of_the_neck_between_two_neighbours(built):
    body, _ = make_body()
    mesh, *_ = join(built, body)
    group = mesh.vertex_groups["head"].index
    held = np.array([sum(e.weight for e in vertex.groups if e.group == group) for vertex in mesh.data.vertices])
    heights = points(mesh.data)[:, 2]
    edges = np.array([edge.vertices[:] for edge in mesh.data.edges])
    near = (heights[edges].min(1) > 1.475) & (heights[edges].max(1) < 1.6)
    assert np.abs(np.diff(held[edges[near]], axis=1)).max() < 0.15


def test_expressions_work_on_the_character_and_its_sliders_are_there(built, drawn, open_avatar):
    body, _ = make_body()
    mesh, _, seam = join(built, body)
    bpy.context.view_layer.objects.active = mesh
    rest = shown(mesh)
    mesh.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    moved = shown(mesh) - rest
    jaw = open_avatar.blendshapes[open_avatar.blendshape_names.index("jawOpen")]
    farthest = np.linalg.norm(moved, axis=1).max()
    assert 0.3 < farthest / (np.linalg.norm(jaw, axis=1).max() * seam.scale) <= 1.01  # the chin of the ball is cut off
    assert np.linalg.norm(moved[rest[:, 2] < 1.5], axis=1).max(initial=0) < 1e-6  # the body stays
    assert "Jaw Open" in drawn(face_panel.FacePanel)
    assert "Photo Pose" not in drawn(panel.AvatarPanel)  # a body has poses of its own
    assert not bpy.ops.meshlam.toggle_photo_pose.poll()


def test_the_tone_of_the_head_runs_into_the_bodys(built):
    body, _ = make_body()
    mesh, *_ = join(built, body)
    tint = np.array([item.color[:3] for item in mesh.data.color_attributes["meshlam_neck_tone"].data])
    vertex = np.array([loop.vertex_index for loop in mesh.data.loops])
    heights = points(mesh.data)[vertex, 2]
    of_head = np.concatenate([np.full(len(face.vertices), face.material_index < 6) for face in mesh.data.polygons])
    np.testing.assert_allclose(tint[of_head & (heights > 1.7)], 1)
    np.testing.assert_allclose(tint[~of_head], 1)
    assert (np.abs(tint[of_head & (heights < 1.52)] - 1) > 0.1).any()
    skin = next(slot.material for slot in mesh.material_slots if "Skin" in slot.material.name)
    assert any(node.type == "VERTEX_COLOR" for node in skin.node_tree.nodes)
    assert not any(
        node.type == "VERTEX_COLOR" for slot in built.head.material_slots for node in slot.material.node_tree.nodes
    )


def test_a_head_of_quads_is_joined_without_a_hole_and_keeps_its_quads(built):
    make_quads(built)
    quads = sum(len(face.vertices) == 4 for face in built.head.data.polygons)
    body, _ = make_body()
    mesh, _, seam = join(built, body)
    assert seam.gap == 0
    assert sum(len(face.vertices) == 4 for face in mesh.data.polygons) > quads > 100


def test_seams_are_marked_and_run_around_the_neck(built):
    body, _ = make_body()
    was = sum(edge.use_seam for edge in built.head.data.edges)
    mesh, *_ = join(built, body)
    height = points(mesh.data)[:, 2]
    seams = np.array([edge.vertices[:] for edge in mesh.data.edges if edge.use_seam])
    assert was > 0
    assert (height[seams].min(1) > 1.52).any()
    around = seams[(height[seams].max(1) < 1.54)]
    angle = np.degrees(np.arctan2(*(points(mesh.data)[around.ravel(), :2] - [0, 0.02]).T))
    assert np.diff(np.sort(angle)).max() < 360 / RING + 10  # no gap in the loop


@pytest.mark.files
def test_an_exported_neck_keeps_its_tone(built, tmp_path):
    body, _ = make_body()
    mesh, *_ = join(built, body)
    path = tmp_path / "character.glb"
    export_avatar(find_avatar(mesh), path, ExportOptions())
    told, binary = glb(path)
    found = {}
    for primitive in told["meshes"][0]["primitives"]:
        accessor = told["accessors"][primitive["attributes"]["COLOR_0"]]
        assert accessor["componentType"] == 5126
        width = {"VEC3": 3, "VEC4": 4}[accessor["type"]]
        start = told["bufferViews"][accessor["bufferView"]].get("byteOffset", 0) + accessor.get("byteOffset", 0)
        flat = np.frombuffer(binary, "<f4", accessor["count"] * width, start)
        found[told["materials"][primitive["material"]]["name"]] = flat.reshape(-1, width)[:, :3]
    skin = next(name for name in found if name.endswith("Skin.001"))
    assert np.ptp(found[skin], axis=0).max() > 0.1
    np.testing.assert_allclose(found["Body Skin"], 1)
    assert all("TANGENT" in primitive["attributes"] for primitive in told["meshes"][0]["primitives"])
    assert not any("COLOR_1" in primitive["attributes"] for primitive in told["meshes"][0]["primitives"])


def glb(path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    size = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + size]), data[20 + size + 8 :]


def test_a_bodys_own_head_goes_first(built):
    body, _ = make_body(head_on=True)
    mesh, _, seam = join(built, body)
    assert seam.gap == 0
    assert len(mesh.data.vertices) < len(built.head.data.vertices) + len(body.data.vertices) + seam.rings * 24
    assert len(body.data.vertices) == 8 * RING


def test_a_body_without_bones_hangs_on_the_heads(built):
    body, skeleton = make_body()
    body.modifiers.clear()
    bpy.data.objects.remove(skeleton)
    mesh, rig, seam = join(built, body)
    assert set(rig.data.bones.keys()) == set(built.rig.data.bones.keys())
    assert seam.gap == 0
    assert find_avatar(mesh) is not None


def test_a_body_without_an_open_neck_is_refused_with_what_helps(built):
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    with pytest.raises(JoinError, match="no open neck"):
        join(built, cube)
    assert not built.head.hide_get()


def test_the_button_takes_the_body_that_is_selected_with_the_head(built):
    body, _ = make_body()
    bpy.context.view_layer.objects.active = built.head
    bpy.ops.object.select_all(action="DESELECT")
    with pytest.raises(RuntimeError, match="Select the body"):
        bpy.ops.meshlam.join_body()
    body.select_set(True)
    built.head.select_set(True)
    assert bpy.ops.meshlam.join_body() == {"FINISHED"}
    assert bpy.context.view_layer.objects.active.name == "Body Ada"


@pytest.mark.files
@pytest.mark.parametrize("suffix", [".glb", ".fbx", ".usdc"])
def test_the_character_can_be_exported_with_its_textures_and_checked(built, tmp_path, suffix):
    body, _ = make_body()
    mesh, *_ = join(built, body)
    path = tmp_path / f"character{suffix}"
    assert verify(path, export_avatar(find_avatar(mesh), path, ExportOptions())) == []


@pytest.mark.files
def test_a_joined_head_that_is_hidden_can_still_be_exported(built, tmp_path):
    body, _ = make_body()
    join(built, body)
    assert built.head.hide_render
    path = tmp_path / "head.usdc"  # USD leaves out what is not rendered
    assert verify(path, export_avatar(built, path, ExportOptions())) == []


def head_turn(rig) -> np.ndarray:
    """The rotation [3, 3] in the world of what hangs on the head's bone."""
    bpy.context.view_layer.update()
    bone = rig.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["left_eye"]
    return np.array((rig.matrix_world @ bone.matrix).to_3x3().normalized())


def key_turns(built) -> None:
    """The head turns by 20 degrees to its left, the jaw opens, and a smile comes, from frame 1 to 11."""
    neck, jaw = (built.rig.pose.bones[name] for name in ("neck", "jaw"))
    smile = built.head.data.shape_keys.key_blocks["mouthSmileLeft"]
    for frame, share in ((1, 0.0), (11, 1.0)):
        neck.rotation_quaternion = Quaternion((0, 1, 0), radians(20 * share))
        jaw.rotation_quaternion = Quaternion((1, 0, 0), radians(10 * share))
        smile.value = share
        for bone in (neck, jaw):
            bone.keyframe_insert("rotation_quaternion", frame=frame)
        smile.keyframe_insert("value", frame=frame)


TURNED = Matrix.Rotation(radians(20), 3, "Z")


@pytest.mark.parametrize("make", [make_body, make_rigify_body])
def test_key_frames_of_the_head_move_the_character_as_they_moved_the_head(built, make):
    body, _ = make()
    bpy.context.scene.frame_set(1)
    key_turns(built)
    mesh, rig, _ = join(built, body)
    bpy.context.scene.frame_set(1)
    rest, before = shown(mesh), head_turn(rig)
    bpy.context.scene.frame_set(11)
    np.testing.assert_allclose(head_turn(rig) @ before.T, TURNED, atol=1e-5)
    assert mesh.data.shape_keys.key_blocks["mouthSmileLeft"].value == 1.0
    angle = rig.pose.bones["jaw"].rotation_quaternion.angle
    assert angle == pytest.approx(radians(10), abs=1e-4)
    low = rest[:, 2] < 1.3
    assert np.abs(shown(mesh)[low] - rest[low]).max() < 1e-5
    bpy.context.scene.frame_set(1)  # the head that was joined still has its own
    assert built.rig.animation_data.action != rig.animation_data.action


def test_a_bodys_own_movement_stays_under_the_heads(built):
    body, skeleton = make_body()
    spine = skeleton.pose.bones["spine"]
    spine.rotation_mode = "QUATERNION"
    for frame, share in ((1, 0.0), (11, 1.0)):
        spine.rotation_quaternion = Quaternion((0, 0, 1), radians(30 * share))
        spine.keyframe_insert("rotation_quaternion", frame=frame)
    key_turns(built)
    own = len(compat.curves_of(skeleton))
    bpy.context.scene.frame_set(1)
    _, rig, _ = join(built, body)
    bpy.context.scene.frame_set(11)
    assert rig.pose.bones["spine"].rotation_quaternion.angle == pytest.approx(radians(30), abs=1e-4)
    assert rig.pose.bones["head"].rotation_quaternion.angle == pytest.approx(radians(20), abs=1e-4)
    assert len(compat.curves_of(skeleton)) == own


def test_the_controls_of_a_generated_rigify_rig_move_the_character_and_not_the_old_body(built):
    body, skeleton = make_rigify_body()
    mesh, rig, seam = join(built, body)
    assert seam.gap <= 0.2
    assert seam.delta_e <= 3
    rest, old = shown(mesh), shown(body)
    rig.pose.bones["head"].rotation_quaternion = Quaternion((0, 1, 0), radians(30))
    moved = np.linalg.norm(shown(mesh) - rest, axis=1)
    assert moved[rest[:, 2] > np.quantile(rest[:, 2], 0.9)].max() > 0.02
    assert moved[rest[:, 2] < 1.3].max() < 1e-5
    np.testing.assert_allclose(shown(body), old)
    rig.pose.bones["head"].rotation_quaternion = Quaternion()
    skeleton.pose.bones["head"].rotation_quaternion = Quaternion((0, 1, 0), radians(30))
    np.testing.assert_allclose(shown(mesh), rest, atol=1e-6)


def test_correctives_of_the_key_doctor_go_on_working_on_the_character(built, monkeypatch):
    monkeypatch.setattr(doctor_operators, "cure", one_corrective)
    assert bpy.ops.meshlam.key_doctor() == {"FINISHED"}
    body, _ = make_body()
    mesh, *_ = join(built, body)
    keys = mesh.data.shape_keys.key_blocks
    keys["mouthClose"].value = keys["jawOpen"].value = 0.5
    shown(mesh)
    assert keys["fix mouthClose & jawOpen"].value == pytest.approx(0.5)
    built.head.data.shape_keys.key_blocks["mouthClose"].value = 0.0
    shown(mesh)
    assert keys["fix mouthClose & jawOpen"].value == pytest.approx(0.5)


def test_a_character_on_the_heads_own_bones_opens_its_jaw_about_its_joint(built):
    body, skeleton = make_body()
    body.modifiers.clear()
    bpy.data.objects.remove(skeleton)
    mesh, rig, seam = join(built, body)
    jaw = np.array(rig.matrix_world @ rig.data.bones["jaw"].head_local)
    was = np.array(built.rig.matrix_world @ built.rig.data.bones["jaw"].head_local)
    chin = points(mesh.data)[: len(points(mesh.data))]
    world = chin @ np.array(mesh.matrix_world)[:3, :3].T + np.array(mesh.matrix_world)[:3, 3]
    own = points(built.head.data)
    top = world[:, 2].max() - jaw[2]
    assert top == pytest.approx((own[:, 2].max() - was[2]) * seam.scale, abs=1e-3)
    rest = shown(mesh)
    rig.pose.bones["root"].rotation_quaternion = Quaternion((0, 1, 0), radians(20))
    edges = np.array([edge.vertices[:] for edge in mesh.data.edges])
    lengths = [np.linalg.norm(np.diff(at[edges], axis=1)[:, 0], axis=1) for at in (rest, shown(mesh))]
    assert np.abs(lengths[1] - lengths[0]).max() < 1e-4  # body and head turn together


def test_a_clip_drives_a_character_by_its_neck_and_leaves_its_walk_alone(built, tmp_path):
    body, skeleton = make_body()
    for frame in (1, 11):
        skeleton.pose.bones["spine"].location.x = frame / 100
        skeleton.pose.bones["spine"].keyframe_insert("location", frame=frame)
    bpy.context.scene.frame_set(1)
    mesh, rig, _ = join(built, body)
    walk = rig.animation_data.action
    before = head_turn(rig)
    apply_clip(bpy.context.scene, find_avatar(mesh), track_file(tmp_path / "a.json"), tmp_path / "take.mp4")
    bpy.context.scene.frame_set(5)
    np.testing.assert_allclose(head_turn(rig) @ before.T, Matrix.Rotation(0.4, 3, "Z"), atol=1e-5)
    assert mesh.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.4, abs=1e-6)
    assert rig.pose.bones["spine"].location.x == pytest.approx(0.05, abs=0.01)
    bpy.context.view_layer.objects.active = mesh
    assert bpy.ops.meshlam.apply_clip() == {"FINISHED"}
    assert bpy.ops.meshlam.clear_clip() == {"FINISHED"}
    assert rig.animation_data.action == walk
    assert {curve.data_path for curve in compat.curves_of(rig)} == {'pose.bones["spine"].location'}
    assert mesh.data.shape_keys.key_blocks["jawOpen"].value == 0


def test_reset_and_key_all_leave_the_pose_of_the_body_alone(built):
    body, _ = make_body()
    mesh, rig, _ = join(built, body)
    bpy.context.view_layer.objects.active = mesh
    for name in ("spine", "head"):
        rig.pose.bones[name].rotation_mode = "QUATERNION"
        rig.pose.bones[name].rotation_quaternion = Quaternion((1, 0, 0), 0.3)
    bpy.ops.meshlam.key_face()
    assert not [curve for curve in compat.curves_of(rig) if "spine" in curve.data_path]
    bpy.ops.meshlam.reset_face()
    assert rig.pose.bones["spine"].rotation_quaternion.angle == pytest.approx(0.3, abs=1e-5)
    assert rig.pose.bones["head"].rotation_quaternion.angle == 0


def test_a_jaw_bone_of_the_bodys_own_is_neither_taken_nor_turned(built):
    body, skeleton = make_body()
    bpy.context.view_layer.objects.active = skeleton
    bpy.ops.object.mode_set(mode="EDIT")
    for name in ("jaw", "eye_control"):
        made = skeleton.data.edit_bones.new(name)
        made.head, made.tail = (0, 0, 0.1), (0, 0, 0.2)
    bpy.ops.object.mode_set(mode="OBJECT")
    mesh, rig, _ = join(built, body)
    assert rig.data.bones["face_jaw"].parent.name == "head"
    assert "jaw" not in mesh.vertex_groups
    bpy.context.view_layer.objects.active = mesh
    fields = bpy.context.scene.meshlam_face
    fields.jaw_turn, fields.eyes_turn = (0.2, 0.0, 0.0), (0.0, 0.1, 0.0)
    assert rig.pose.bones["face_jaw"].rotation_quaternion.angle == pytest.approx(0.2, abs=1e-5)
    for name in ("jaw", "eye_control"):
        assert rig.pose.bones[name].rotation_quaternion.angle == 0
