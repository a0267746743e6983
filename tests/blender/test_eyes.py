"""What light makes of the eyes: one highlight, on the cornea, that moves as on an eye."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from mathutils import Vector

from blender_addon.avatar_reader import read_avatar
from blender_addon.scene.build import build_avatar

WIDTH, SIZE = 0.036, (180, 120)  # m and px of the picture
SIDE = 0.5  # of the key that turns the eye


@pytest.fixture
def eye(registered, real_avatar_path):
    """(head, number of the vertex in the middle of the left iris), lit by one small lamp before a camera."""
    built = build_avatar(read_avatar(real_avatar_path), "Ada")
    scene, head = bpy.context.scene, built.head
    centre = built.rig.matrix_world @ built.rig.pose.bones["left_eye"].head
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.type, camera.data.ortho_scale, camera.data.clip_start = "ORTHO", WIDTH, 0.001
    camera.location, camera.rotation_euler.x = centre + Vector((0, -0.2, 0)), np.pi / 2
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    lamp.data.energy, lamp.data.shadow_soft_size = 20, 0.04
    lamp.location = centre + Vector((0.1, -1, 0))
    for item in (camera, lamp):
        scene.collection.objects.link(item)
    scene.camera = camera
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 32, "CPU"
    scene.cycles.use_denoising, scene.cycles.max_bounces = False, 0
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.image_settings.file_format = "OPEN_EXR"
    balls = [index for index, slot in enumerate(head.material_slots) if slot.material.name.endswith("Eyes")]
    mesh = head.data
    vertices = {vertex for face in mesh.polygons if face.material_index in balls for vertex in face.vertices}
    place = lambda vertex: head.matrix_world @ mesh.vertices[vertex].co - centre
    before = [vertex for vertex in vertices if place(vertex).y < 0]
    return head, min(before, key=lambda vertex: place(vertex).xz.length)


def highlight_and_iris(head, iris: int, path) -> tuple[float, float, float]:
    """Across the picture in m from the camera's middle: the highlight's middle, its extent, the middle of the iris."""
    scene = bpy.context.scene
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    light = np.array(image.pixels).reshape(*SIZE[::-1], 4)[..., :3].sum(-1)
    rows, columns = np.nonzero(light > light.max() / 3)
    assert light.max() > 5 * np.median(light)
    extent = max(np.ptp(rows), np.ptp(columns)) * WIDTH / SIZE[0]
    shown = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
    seen = (head.matrix_world @ shown.data.vertices[iris].co).x - scene.camera.location.x
    return float((columns.mean() + 0.5) / SIZE[0] - 0.5) * WIDTH, extent, seen


def test_the_highlight_goes_along_with_the_iris_half_the_way(eye, tmp_path):
    head, iris = eye
    keys = head.data.shape_keys.key_blocks
    found = []
    for value in (-SIDE, 0.0, SIDE):
        keys["eyeLookOutLeft"].value, keys["eyeLookInLeft"].value = max(value, 0.0), max(-value, 0.0)
        found.append(highlight_and_iris(head, iris, tmp_path / f"{value}.exr"))
    lights, extents, irises = np.array(found).T
    assert extents.max() < 0.001  # one lamp, one highlight
    # a cornea's middle of curvature lies 5.7 mm before the eye's centre, the iris about 10; on a plain ball it is 0
    assert 0.4 < np.ptp(lights) / np.ptp(irises) < 0.7
    assert (np.diff(lights) > 0).all()
