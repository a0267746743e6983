"""A portrait studio around a head: a camera, three lights and a backdrop in a collection of their own."""

from __future__ import annotations

from math import cos, pi, radians, sin
from typing import Any

import bpy
from mathutils import Matrix, Vector

from .found import BuiltAvatar

STUDIO = "meshlam_studio"  # on the scene: the studio's collection; on the collection: the rig
_PICTURE = (1080, 1350)  # px, 4:5
_LENS = 85.0  # mm, the portrait lens
_FRAMED = 1.35  # heights of the head that the picture shows
_AVERAGE_HEAD = 0.30  # m, with hair and neck: lights are as strong as suits it
# name, to the side and up (degrees), power (W), size (heads), colour
_LIGHTS = (
    ("Key", -40.0, 35.0, 14.0, 1.2, (1.0, 0.95, 0.9)),
    ("Fill", 50.0, 10.0, 5.0, 2.0, (0.9, 0.95, 1.0)),
    ("Rim", 155.0, 40.0, 16.0, 0.7, (1.0, 1.0, 1.0)),
)


def studio_of(scene: Any) -> Any:
    """The studio's collection, or None."""
    found = scene.get(STUDIO)
    return found if found is not None and found.name in scene.collection.children else None


def studio_camera(scene: Any) -> Any:
    """The camera of the studio, or None where there is none."""
    studio = studio_of(scene)
    return next((item for item in studio.objects if item.type == "CAMERA"), None) if studio is not None else None


def build_studio(scene: Any, built: BuiltAvatar) -> Any:
    """Set up the studio around a head, as it stands; returns the camera."""
    remove_studio(scene)
    studio = bpy.data.collections.new(f"{built.head.name} Studio")
    scene.collection.children.link(studio)
    scene[STUDIO] = studio
    size = max(built.head.dimensions.z, 1e-4)
    middle, turn = _middle(built.head), _facing(built.rig)
    camera = _camera(studio, built.head.name, middle, turn, size)
    for light in _LIGHTS:
        _light(studio, built.head.name, middle, turn, size, light)
    _backdrop(studio, built.head.name, middle, turn, size)
    return camera


def remove_studio(scene: Any) -> None:
    """Everything of the studio goes."""
    studio = scene.get(STUDIO)
    if studio is None:
        return
    del scene[STUDIO]
    objects = list(studio.objects)
    materials = [slot.material for item in objects for slot in item.material_slots if slot.material is not None]
    data = [item.data for item in objects if item.data is not None]
    bpy.data.batch_remove(objects)
    for unused in (data, materials):  # a mesh holds its materials
        bpy.data.batch_remove([item for item in unused if not item.users])
    bpy.data.collections.remove(studio)


def turned(matrix: Any, about: Any, angle: float) -> Any:
    """A place turned about a vertical axis through a point."""
    there = Matrix.Translation(about)
    return there @ Matrix.Rotation(angle, 4, "Z") @ there.inverted() @ matrix


def middle_of(built: BuiltAvatar) -> Any:
    """The middle of the head in the scene."""
    return _middle(built.head)


def _middle(head: Any) -> Any:
    return head.matrix_world @ (sum((Vector(corner) for corner in head.bound_box), Vector()) / 8)


def _facing(rig: Any) -> Any:
    """The rig's turn about the vertical: a studio stands upright, however the head is tilted."""
    return Matrix.Rotation(rig.matrix_world.to_euler().z, 4, "Z")


def _camera(studio: Any, name: str, middle: Any, turn: Any, size: float) -> Any:
    data = bpy.data.cameras.new(f"{name} Portrait")
    data.lens, data.sensor_fit, data.sensor_width = _LENS, "VERTICAL", 36.0
    data.sensor_height = 36.0
    distance = _FRAMED * size * _LENS / data.sensor_height
    data.clip_start, data.clip_end = distance / 100, distance * 50
    camera = bpy.data.objects.new(data.name, data)
    camera.matrix_world = (
        Matrix.Translation(middle) @ turn @ Matrix.Translation((0.0, -distance, 0.0)) @ Matrix.Rotation(pi / 2, 4, "X")
    )
    camera["meshlam_resolution"], camera["meshlam_pixel_aspect_y"] = list(_PICTURE), 1.0
    studio.objects.link(camera)
    return camera


def _light(studio: Any, name: str, middle: Any, turn: Any, size: float, light: Any) -> None:
    kind, side, up, power, width, colour = light
    data = bpy.data.lights.new(f"{name} {kind}", "AREA")
    data.shape, data.size, data.color = "DISK", width * size, colour
    data.energy = power * (size / _AVERAGE_HEAD) ** 2
    item = bpy.data.objects.new(data.name, data)
    across, high = radians(side), radians(up)
    towards = turn @ Vector((sin(across) * cos(high), -cos(across) * cos(high), sin(high)))
    place = middle + 3.0 * size * towards
    item.matrix_world = Matrix.Translation(place) @ towards.to_track_quat("Z", "Y").to_matrix().to_4x4()
    studio.objects.link(item)


def _backdrop(studio: Any, name: str, middle: Any, turn: Any, size: float) -> None:
    """A sheet that hangs behind the head and runs out towards the camera in a curve."""
    depth, floor, bend, wide = 1.6 * size, -1.2 * size, 1.2 * size, 6.0 * size
    steps = 12
    curve = [(depth, floor + 8 * size), (depth, floor + bend)]
    angles = [index * pi / 2 / steps for index in range(1, steps + 1)]
    curve += [(depth - bend + bend * cos(angle), floor + bend - bend * sin(angle)) for angle in angles]
    curve += [(depth - 5 * size, floor)]
    vertices = [(side * wide, y, z) for y, z in curve for side in (-1, 1)]
    faces = [(2 * row, 2 * row + 1, 2 * row + 3, 2 * row + 2) for row in range(len(curve) - 1)]
    mesh = bpy.data.meshes.new(f"{name} Backdrop")
    mesh.from_pydata(vertices, [], faces)
    mesh.shade_smooth()
    material = bpy.data.materials.new(mesh.name)
    material.diffuse_color = (0.2, 0.2, 0.21, 1.0)
    shader = _principled(material)
    shader.inputs["Base Color"].default_value = (0.2, 0.2, 0.21, 1.0)
    shader.inputs["Roughness"].default_value = 0.9
    mesh.materials.append(material)
    item = bpy.data.objects.new(mesh.name, mesh)
    item.matrix_world = Matrix.Translation(middle) @ turn
    item.hide_select = True
    studio.objects.link(item)


def _principled(material: Any) -> Any:
    from .. import compat

    tree = compat.node_tree(material)
    return next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
