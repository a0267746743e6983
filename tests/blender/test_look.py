"""Portrait studio, turntable, the photo's light in the scene and in the texture."""

from __future__ import annotations

from dataclasses import replace
from math import radians

import bpy
import numpy as np
import pytest
from mathutils import Matrix
from sample import encode_png, write_sample

from blender_addon import panel
from blender_addon.avatar_reader import read_avatar
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.light_fit import build_light
from blender_addon.scene.before import go_back
from blender_addon.scene.build import build_avatar
from blender_addon.scene.layers import (
    albedo_nodes,
    lay_over,
    light_in_texture,
    lit_images,
    pixels_of,
    set_light_in_texture,
)
from blender_addon.scene.light import show_photo_light
from blender_addon.scene.renew import renew
from blender_addon.scene.studio import studio_camera, studio_of

LIGHT = np.zeros((9, 3), "<f4")
LIGHT[:4] = [[2.6, 3.1, 2.8], [0.4, 0.6, 0.6], [0.6, 0.7, 0.7], [-0.4, -0.5, -0.6]]


@pytest.fixture(scope="session")
def lit_path(sample, tmp_path_factory):
    """The sample with its photo's light apart: an albedo of 200, with the light 100."""
    images = sample.images | {
        "albedo": encode_png(np.full((64, 64, 3), 200, np.uint8)),
        "albedo_photo": encode_png(np.full((64, 64, 3), 100, np.uint8)),
    }
    made = replace(sample, arrays=sample.arrays | {"light": LIGHT}, images=images)
    return write_sample(tmp_path_factory.mktemp("lit") / "lit.meshlam", made)


@pytest.fixture
def built(registered, lit_path):
    made = build_avatar(read_avatar(lit_path), "Ada")
    bpy.context.view_layer.objects.active = made.head
    return made


def names() -> dict[str, list[str]]:
    kinds = ("objects", "lights", "cameras", "worlds", "collections", "materials", "meshes")
    return {kind: sorted(item.name for item in getattr(bpy.data, kind)) for kind in kinds}


def test_the_studio_frames_the_head_and_goes_without_a_trace(built):
    scene = bpy.context.scene
    built.rig.matrix_world = Matrix.Translation((1, 2, 0.5)) @ Matrix.Rotation(0.7, 4, "Z")
    bpy.context.view_layer.update()
    before = names(), scene.camera, scene.render.resolution_x
    bpy.ops.meshlam.toggle_studio()
    assert sorted(item.type for item in studio_of(scene).objects) == ["CAMERA", "LIGHT", "LIGHT", "LIGHT", "MESH"]
    camera = studio_camera(scene)
    assert scene.camera == camera
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    view = camera.calc_matrix_camera(graph, x=1080, y=1350) @ camera.matrix_world.inverted()
    corners = np.array([view @ (built.head.matrix_world @ vertex.co).to_4d() for vertex in built.head.data.vertices])
    seen = corners[:, :2] / corners[:, 3:]
    assert np.abs(seen).max() < 0.95
    assert seen[:, 1].max() - seen[:, 1].min() > 1.2  # of 2
    assert (built.rig.matrix_world.inverted() @ camera.matrix_world.translation).y < -0.3  # before the face
    bpy.ops.meshlam.toggle_studio()
    assert (names(), scene.camera, scene.render.resolution_x) == before


def test_the_turntable_renders_each_side_and_turns_the_head_back(built, tmp_path):
    scene = bpy.context.scene
    bpy.ops.meshlam.toggle_studio()
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 1, "CPU"
    scene.render.resolution_percentage = 2
    place, before = built.rig.matrix_world.copy(), scene.render.filepath
    output = scene.render.image_settings
    if hasattr(output, "media_type"):
        output.media_type = "VIDEO"
    output.file_format = "FFMPEG"
    bpy.ops.meshlam.render_turntable(directory=str(tmp_path), frames=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000.png", "001.png"]
    assert (tmp_path / "000.png").read_bytes() != (tmp_path / "001.png").read_bytes()
    assert built.rig.matrix_world == place
    assert (scene.render.filepath, output.file_format) == (before, "FFMPEG")


def test_a_turntable_without_a_camera_says_what_helps(built, tmp_path):
    with pytest.raises(RuntimeError, match="Portrait Studio brings one"):
        bpy.ops.meshlam.render_turntable(directory=str(tmp_path))


def white_ball_of_one_pixel(direction) -> np.ndarray:  # [3] linear
    """How bright a white surface is that looks into a direction, as Cycles renders it."""
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_plane_add(size=2, location=(5, 5, 5))
    plane = bpy.context.object
    plane.rotation_mode = "QUATERNION"
    plane.rotation_quaternion = direction.to_track_quat("Z", "Y")
    material = bpy.data.materials.new("White")
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shade, output = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeOutputMaterial")
    shade.inputs["Color"].default_value = (1, 1, 1, 1)
    tree.links.new(shade.outputs[0], output.inputs["Surface"])
    plane.data.materials.append(material)
    camera = bpy.data.objects.new("Eye", bpy.data.cameras.new("Eye"))
    camera.matrix_world = plane.rotation_quaternion.to_matrix().to_4x4()
    camera.matrix_world.translation = plane.location + direction * 1.5
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 128, "CPU"
    scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = False, False
    scene.render.resolution_x = scene.render.resolution_y = 4
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Raw"
    scene.render.image_settings.file_format = "OPEN_EXR"
    path = bpy.app.tempdir + "white.exr"
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(path)
    return pixels_of(image)[..., :3].mean((0, 1))


def test_world_and_sun_light_a_surface_as_the_file_says_however_the_head_is_turned(built):
    built.rig.rotation_euler = (0, 0, radians(90))
    built.rig.pose.bones["root"].rotation_quaternion = Matrix.Rotation(radians(30), 3, "Y").to_quaternion()
    bpy.context.view_layer.update()
    show_photo_light(bpy.context.scene, built)
    built.head.hide_render = True
    face = built.rig.matrix_world.to_3x3() @ built.rig.pose.bones["root"].matrix.to_3x3()
    # the bone's own +Z looks out of the face
    direction = (face @ Matrix.Identity(3)).col[2].normalized()
    wanted = build_light(LIGHT.astype(float)).brightness(np.array([[0.0, 0.0, 1.0]]))[0]
    np.testing.assert_allclose(white_ball_of_one_pixel(direction), wanted, rtol=0.05)


def test_the_photos_light_comes_with_albedo_and_goes_with_the_world_of_before(built, drawn):
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("Mine")
    before = names()
    text = drawn(panel.AvatarPanel)
    for words in ("meshlam.toggle_studio", "meshlam.toggle_photo_light", "MeshlamLook"):
        assert words in text
    set_light_in_texture(built.head, 1.0)
    bpy.ops.meshlam.toggle_photo_light()
    assert scene.world.name == "Ada Photo World"
    assert light_in_texture(built.head) == 0
    bpy.ops.meshlam.toggle_photo_light()
    assert scene.world.name == "Mine"
    assert names() == before


def test_the_slider_mixes_both_textures_in_every_material_and_exports_follow_it(built, tmp_path):
    assert light_in_texture(built.head) == 0  # lights shine once
    bpy.context.scene.meshlam_look.light_in_texture = 0.25
    assert bpy.context.scene.meshlam_look.light_in_texture == 0.25
    path = tmp_path / "a.usdc"
    assert verify(path, export_avatar(built, path, ExportOptions())) == []
    (texture,) = (tmp_path / "textures").iterdir()
    pixels = pixels_of(bpy.data.images.load(str(texture)))
    np.testing.assert_allclose(pixels[..., :3], 175 / 255, atol=0.01)


def test_paint_lies_over_both_textures(built, tmp_path):
    layer = bpy.data.images.new("Layer", 64, 64, alpha=True)
    red = np.zeros((64, 64, 4), np.float32)
    red[:32] = (1, 0, 0, 1)
    layer.pixels.foreach_set(red.ravel())
    for tree, node in albedo_nodes(built.head):
        lay_over(tree, node, layer)
    set_light_in_texture(built.head, 1.0)
    path = tmp_path / "a.usdc"
    assert verify(path, export_avatar(built, path, ExportOptions())) == []
    (texture,) = (tmp_path / "textures").iterdir()
    pixels = pixels_of(bpy.data.images.load(str(texture)))
    np.testing.assert_allclose(pixels[10, 10, :3], (1, 0, 0), atol=0.01)
    np.testing.assert_allclose(pixels[50, 10, :3], 100 / 255, atol=0.01)


def test_a_head_renewed_without_a_light_of_its_own_loses_it_and_gets_it_back(built, avatar, lit_path):
    renew(built, avatar, read_avatar(lit_path))
    set_light_in_texture(built.head, 1.0)
    lit = [node.image for node in lit_images(built.head)]
    assert all(pixels_of(image)[0, 0, 0] != pytest.approx(100 / 255, abs=0.01) for image in lit)
    assert "meshlam_light" not in built.rig
    go_back(built)
    assert "meshlam_light" in built.rig
    lit = [node.image for node in lit_images(built.head)]
    assert all(pixels_of(image)[0, 0, 0] == pytest.approx(100 / 255, abs=0.01) for image in lit)


def test_a_head_without_a_light_has_no_button_for_it(registered, avatar, drawn):
    made = build_avatar(avatar, "Ada")
    bpy.context.view_layer.objects.active = made.head
    text = drawn(panel.AvatarPanel)
    assert "meshlam.toggle_photo_light" not in text
    assert "MeshlamLook" not in text
