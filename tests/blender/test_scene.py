"""The avatar in a real Blender scene: geometry, rig, materials, camera."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector
from sample import Sample, make_sample, posed, project, write_sample

from blender_addon.avatar_reader import read_avatar
from blender_addon.axes import avatar_from_blender
from blender_addon.scene.action import hide_photo_pose, photo_pose_shown, rest_pose, show_photo_pose
from blender_addon.scene.build import build_avatar
from blender_addon.scene.camera import fit_render_to_photo, render_frame, restore_render_frame
from blender_addon.scene.found import active_avatar, find_avatar
from blender_addon.scene.mesh import limited_weights
from blender_addon.scene.parts import SURFACES, surface_of


def evaluated(head) -> np.ndarray:
    """The deformed mesh in world space, avatar axes."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    item = head.evaluated_get(depsgraph)
    mesh = item.to_mesh()
    points = np.empty((len(mesh.vertices), 3))
    mesh.vertices.foreach_get("co", points.ravel())
    matrix = np.array(item.matrix_world)
    item.to_mesh_clear()
    return avatar_from_blender(points @ matrix[:3, :3].T + matrix[:3, 3])


def data_counts() -> dict[str, int]:
    names = ("objects", "meshes", "armatures", "cameras", "materials", "images", "actions", "collections")
    return {name: len(getattr(bpy.data, name)) for name in names}


def test_the_mesh_has_the_files_geometry_uvs_parts_and_smooth_shading(avatar, sample):
    built = build_avatar(avatar, "Ada")
    mesh = built.head.data
    np.testing.assert_array_equal(evaluated(built.head).astype("f4"), sample.arrays["vertices"])
    faces = np.empty((len(mesh.polygons), 3), np.int32)
    mesh.polygons.foreach_get("vertices", faces.ravel())
    np.testing.assert_array_equal(faces, sample.arrays["faces"])
    uvs = np.empty((len(mesh.loops), 2), np.float32)
    mesh.uv_layers[0].uv.foreach_get("vector", uvs.ravel())
    np.testing.assert_array_equal(uvs, sample.arrays["uvs"][sample.arrays["uv_faces"]].reshape(-1, 2))
    part = np.empty(len(mesh.vertices), np.int32)
    mesh.attributes["part"].data.foreach_get("value", part)
    np.testing.assert_array_equal(part, sample.arrays["part"])
    assert all(polygon.use_smooth for polygon in mesh.polygons)


def test_each_part_wears_the_material_of_its_surface(avatar):
    head = build_avatar(avatar, "Ada").head
    assert [slot.material.name for slot in head.material_slots] == [f"Ada {surface}" for surface in SURFACES]
    for polygon in head.data.polygons:
        part = avatar.parts[avatar.part[polygon.vertices[0]]]
        assert SURFACES[polygon.material_index] == surface_of(part)


def test_every_material_reads_the_packed_albedo_in_srgb(avatar):
    head = build_avatar(avatar, "Ada").head
    for slot in head.material_slots:
        nodes = slot.material.node_tree.nodes
        shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
        texture = shader.inputs["Base Color"].links[0].from_node
        assert texture.image.name == "Ada Albedo"
        assert texture.image.packed_file is not None
        assert texture.image.colorspace_settings.name == "sRGB"
        assert tuple(texture.image.size) == (64, 64)
    pixels = np.array(texture.image.pixels[:]).reshape(64, 64, 4)
    np.testing.assert_allclose(pixels[-1, 0, :3], np.array([150, 110, 100]) / 255, atol=1e-3)  # row 0 of the file: top


def test_the_52_keys_start_at_zero_with_their_ranges(avatar):
    keys = build_avatar(avatar, "Ada").head.data.shape_keys.key_blocks
    assert [key.name for key in keys[1:]] == list(avatar.blendshape_names)
    assert {key.value for key in keys[1:]} == {0.0}
    assert {(key.slider_min, key.slider_max) for key in keys[1:]} == {(0.0, 1.0)}


def test_every_bone_points_up_without_roll_and_stands_on_its_joint(avatar):
    rig = build_avatar(avatar, "Ada").rig
    assert [bone.name for bone in rig.data.bones] == list(avatar.joint_names)
    for index, bone in enumerate(rig.data.bones):
        np.testing.assert_allclose(avatar_from_blender(np.array(bone.head_local)), avatar.joints[index], atol=1e-7)
        np.testing.assert_allclose(np.array(bone.matrix_local)[:3, :3], [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-6)
        parent = avatar.joint_parents[index]
        assert (bone.parent.name if bone.parent else None) == (avatar.joint_names[parent] if parent >= 0 else None)


def test_vertex_groups_hold_at_most_four_normalised_weights(avatar):
    head = build_avatar(avatar, "Ada").head
    assert [group.name for group in head.vertex_groups] == list(avatar.joint_names)
    expected = limited_weights(avatar.weights)
    assert (avatar.weights > 0).sum(axis=1).max() == 5  # the sample would exceed the limit
    for vertex in head.data.vertices:
        found = np.zeros(5)
        for item in vertex.groups:
            found[item.group] = item.weight
        assert (found > 0).sum() <= 4
        assert found.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(found, expected[vertex.index], atol=1e-6)


def test_the_photo_pose_equals_the_files_formula(avatar, sample):
    built = build_avatar(avatar, "Ada")
    show_photo_pose(built.rig, built.head)
    arrays = sample.arrays
    expected = posed(
        arrays,
        avatar.joint_parents,
        arrays["photo_rotations"],
        arrays["photo_expression"],
        limited_weights(avatar.weights),
    )
    np.testing.assert_allclose(evaluated(built.head), expected, atol=2e-6)


def test_through_the_photo_camera_every_vertex_lands_on_its_pixel(avatar, sample):
    built = build_avatar(avatar, "Ada")
    built.rig.location = (1.0, -2.0, 0.5)  # moving the rig takes the camera along
    show_photo_pose(built.rig, built.head)
    scene = bpy.context.scene
    fit_render_to_photo(scene, built.camera)
    bpy.context.view_layer.update()
    arrays = sample.arrays
    weights = limited_weights(avatar.weights)
    pose = posed(arrays, avatar.joint_parents, arrays["photo_rotations"], arrays["photo_expression"], weights)
    x0, y0, x1, y1 = arrays["photo_crop"].astype(float)
    pixels = (project(arrays, pose + arrays["photo_translation"]) - [x0, y0]) * [320 / (x1 - x0), 240 / (y1 - y0)]
    depsgraph = bpy.context.evaluated_depsgraph_get()
    mesh_object = built.head.evaluated_get(depsgraph)
    mesh = mesh_object.to_mesh()
    for index, vertex in enumerate(mesh.vertices):
        ndc = world_to_camera_view(scene, built.camera, mesh_object.matrix_world @ vertex.co)
        found = np.array([ndc.x * 320, (1 - ndc.y) * 240])
        np.testing.assert_allclose(found, pixels[index], atol=0.02)
    assert (scene.render.resolution_x, scene.render.resolution_y) == (320, 240)
    assert scene.camera == built.camera


def test_an_oblong_crop_still_lands_on_its_pixels(sample, tmp_path):
    squeezed = replace(sample, arrays={**sample.arrays, "photo_crop": np.array([300, -50, 941, 450], "<f4")})
    test_through_the_photo_camera_every_vertex_lands_on_its_pixel(
        read_avatar(write_sample(tmp_path / "squeezed.meshlam", squeezed)), squeezed
    )


def test_leaving_the_photo_camera_gives_the_render_settings_back(avatar):
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_percentage = 777, 50
    before = render_frame(scene)
    built = build_avatar(avatar, "Ada")
    assert render_frame(scene) == before
    fit_render_to_photo(scene, built.camera)
    restore_render_frame(scene, before)
    assert render_frame(scene) == before


def test_the_camera_shows_the_packed_photo_behind_the_head(avatar):
    camera = build_avatar(avatar, "Ada").camera.data
    background = camera.background_images[0]
    assert camera.show_background_images
    assert background.display_depth == "BACK"
    assert background.image.packed_file is not None
    assert tuple(background.image.size) == (320, 240)


def test_hiding_the_photo_pose_restores_the_artists_values(avatar):
    built = build_avatar(avatar, "Ada")
    keys = built.head.data.shape_keys.key_blocks
    keys["jawOpen"].value = 0.25
    built.rig.pose.bones["neck"].rotation_quaternion = (0.8, 0.6, 0.0, 0.0)
    show_photo_pose(built.rig, built.head)
    show_photo_pose(built.rig, built.head)  # twice must not forget
    assert photo_pose_shown(built.rig)
    index = avatar.blendshape_names.index("jawOpen")
    assert keys["jawOpen"].value == pytest.approx(avatar.photo_expression[index], abs=1e-6)
    hide_photo_pose(built.rig, built.head)
    assert not photo_pose_shown(built.rig)
    assert keys["jawOpen"].value == pytest.approx(0.25)
    np.testing.assert_allclose(built.rig.pose.bones["neck"].rotation_quaternion, (0.8, 0.6, 0, 0), atol=1e-6)


def test_edits_made_while_the_photo_pose_shows_are_kept(avatar):
    built = build_avatar(avatar, "Ada")
    show_photo_pose(built.rig, built.head)
    built.head.data.shape_keys.key_blocks["mouthSmileLeft"].value = 0.9
    hide_photo_pose(built.rig, built.head)
    assert built.head.data.shape_keys.key_blocks["mouthSmileLeft"].value == pytest.approx(0.9)
    assert built.head.data.shape_keys.key_blocks["mouthSmileRight"].value == 0.0


def test_the_artists_animation_is_put_aside_and_comes_back(avatar):
    built = build_avatar(avatar, "Ada")
    key = built.head.data.shape_keys.key_blocks["jawOpen"]
    for frame, value in ((1, 0.0), (11, 1.0)):
        key.value = value
        key.keyframe_insert("value", frame=frame)
    animation = built.head.data.shape_keys.animation_data
    name = animation.action.name
    show_photo_pose(built.rig, built.head)
    bpy.context.scene.frame_set(11)
    assert key.value == pytest.approx(avatar.photo_expression[avatar.blendshape_names.index("jawOpen")], abs=1e-6)
    hide_photo_pose(built.rig, built.head)
    assert built.head.data.shape_keys.animation_data.action.name == name
    bpy.context.scene.frame_set(6)
    assert key.value == pytest.approx(0.5, abs=1e-3)


def test_the_photo_pose_is_kept_as_actions_that_are_not_assigned(avatar):
    built = build_avatar(avatar, "Ada")
    assert {action.name for action in bpy.data.actions} == {"Ada Photo Pose", "Ada Photo Expression"}
    assert all(action.users == 1 for action in bpy.data.actions)  # the rig keeps them
    assert built.rig.animation_data is None
    assert built.head.data.shape_keys.animation_data is None
    rest_pose(built.rig, built.head)
    np.testing.assert_allclose(evaluated(built.head), avatar.vertices, atol=1e-7)


def test_driven_pose_correctives_follow_the_bones(tmp_path):
    sample = make_sample(correctives=True, kind="flame")
    avatar = read_avatar(write_sample(tmp_path / "flame.meshlam", sample))
    built = build_avatar(avatar, "Flame")
    assert len(built.head.data.shape_keys.animation_data.drivers) == 36
    assert all(driver.driver.is_simple_expression for driver in built.head.data.shape_keys.animation_data.drivers)
    show_photo_pose(built.rig, built.head)
    arrays = sample.arrays
    expected = posed(
        arrays,
        avatar.joint_parents,
        arrays["photo_rotations"],
        arrays["photo_expression"],
        limited_weights(avatar.weights),
    )
    np.testing.assert_allclose(evaluated(built.head), expected, atol=3e-6)
    hide_photo_pose(built.rig, built.head)
    assert len(built.head.data.shape_keys.animation_data.drivers) == 36
    np.testing.assert_allclose(evaluated(built.head), avatar.vertices, atol=1e-6)


def test_the_eyes_look_at_the_empty_only_when_asked(avatar):
    built = build_avatar(avatar, "Ada")
    built.eye_target.location = built.eye_target.location + Vector((0.3, 0.0, 0.0))
    bpy.context.view_layer.update()
    np.testing.assert_allclose(evaluated(built.head), avatar.vertices, atol=1e-7)
    for name in ("left_eye", "right_eye"):
        built.rig.pose.bones[name].constraints["Eye Aim"].influence = 1.0
    bpy.context.view_layer.update()
    bone = built.rig.pose.bones["left_eye"]
    gaze = (built.rig.matrix_world @ bone.matrix).to_3x3() @ Vector((0, 0, 1))
    wanted = (built.eye_target.matrix_world.translation - built.rig.matrix_world @ bone.head).normalized()
    assert (gaze - wanted).length < 1e-5


def test_a_second_avatar_stands_beside_the_first_and_leaves_it_alone(avatar):
    first = build_avatar(avatar, "Ada")
    spot = first.rig.location.copy()
    second = build_avatar(avatar, "Ada")
    assert first.rig.location == spot
    assert (second.rig.location - spot).length > 0.2
    assert second.head.name == "Ada.001"
    assert second.head.data != first.head.data
    assert second.head.data.materials[0] != first.head.data.materials[0]
    assert find_avatar(second.camera).head == second.head
    assert find_avatar(first.eye_target).head == first.head


def test_mode_selection_and_active_object_stay_as_they_were(avatar):
    bpy.ops.mesh.primitive_cube_add(location=(3, 0, 0))
    cube = bpy.context.object.name
    bpy.ops.mesh.primitive_uv_sphere_add(location=(6, 0, 0))
    sphere = bpy.context.object.name
    bpy.data.objects[cube].select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    build_avatar(avatar, "Ada")
    assert bpy.context.object.name == sphere
    assert bpy.context.object.mode == "EDIT"
    assert bpy.data.objects[cube].mode == "EDIT"
    assert {item.name for item in bpy.context.selected_objects} == {cube, sphere}


def test_a_failure_half_way_leaves_the_scene_untouched(avatar, monkeypatch):
    bpy.ops.mesh.primitive_cube_add()
    before = data_counts()
    bpy.ops.object.mode_set(mode="EDIT")

    def broken(*_):
        raise RuntimeError("no camera today")

    monkeypatch.setattr("blender_addon.scene.build.build_camera", broken)
    with pytest.raises(RuntimeError, match="no camera today"):
        build_avatar(avatar, "Ada")
    assert data_counts() == before
    assert bpy.context.object.mode == "EDIT"


def test_an_undecodable_texture_is_refused_and_leaves_nothing(avatar):
    before = data_counts()
    damaged = replace(avatar.albedo, data=avatar.albedo.data[:60])
    with pytest.raises(ValueError, match="could not decode"):
        build_avatar(replace(avatar, albedo=damaged), "Ada")
    assert data_counts() == before


def test_a_name_of_300_letters_is_cut_between_characters(avatar):
    built = build_avatar(avatar, "ä" * 300)
    assert built.head.name.strip("ä") == ""
    assert built.camera.name.endswith(" Photo")


def test_the_active_avatar_survives_renaming(avatar):
    built = build_avatar(avatar, "Ada")
    built.head.name, built.rig.name, built.collection.name = "x", "y", "z"
    assert active_avatar(bpy.context).head == built.head


def test_a_real_avatar_lies_on_its_photo(real_avatar_path):
    avatar = read_avatar(real_avatar_path)
    built = build_avatar(avatar, "Real")
    show_photo_pose(built.rig, built.head)
    fit_render_to_photo(bpy.context.scene, built.camera)
    names = (
        "vertices weights joints blendshapes photo_focal photo_centre photo_expression photo_rotations pose_correctives"
    )
    arrays = {name: np.atleast_1d(getattr(avatar, name)) for name in names.split() if getattr(avatar, name) is not None}
    weights = limited_weights(avatar.weights)
    pose = posed(arrays, avatar.joint_parents, arrays["photo_rotations"], arrays["photo_expression"], weights)
    x0, y0, x1, y1 = avatar.photo_crop.astype(float)
    scale = [avatar.photo.width / (x1 - x0), avatar.photo.height / (y1 - y0)]
    pixels = (project(arrays, pose + avatar.photo_translation) - [x0, y0]) * scale
    item = built.head.evaluated_get(bpy.context.evaluated_depsgraph_get())
    worst = 0.0
    for index, vertex in enumerate(item.to_mesh().vertices):
        ndc = world_to_camera_view(bpy.context.scene, built.camera, item.matrix_world @ vertex.co)
        found = np.array([ndc.x * avatar.photo.width, (1 - ndc.y) * avatar.photo.height])
        worst = max(worst, float(np.abs(found - pixels[index]).max()))
    assert worst < 0.1


def test_the_sample_is_the_same_every_time(sample):
    again: Sample = make_sample()
    for name, array in sample.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])


def test_the_edges_at_which_the_texture_is_cut_are_marked_as_seams(avatar):
    mesh = build_avatar(avatar, "Ada").head.data
    layer = mesh.uv_layers.active.uv
    places: dict[tuple[int, int], set] = {}
    for polygon in mesh.polygons:
        corners = list(polygon.loop_indices)
        for first, second in zip(corners, [*corners[1:], corners[0]], strict=True):
            ends = sorted((mesh.loops[index].vertex_index, tuple(layer[index].vector)) for index in (first, second))
            places.setdefault((ends[0][0], ends[1][0]), set()).add((ends[0][1], ends[1][1]))
    wanted = {edge for edge, seen in places.items() if len(seen) > 1}
    assert wanted
    assert {tuple(sorted(edge.vertices)) for edge in mesh.edges if edge.use_seam} == wanted
