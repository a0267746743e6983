"""Bodies for a head to be joined to."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import bpy
import numpy as np

SKIN = (0.25, 0.12, 0.07, 1.0)  # linear
RING = 20
SPINE = tuple(f"DEF-spine{end}" for end in ("", ".001", ".002", ".003", ".004", ".005", ".006"))


def make_body(head_on: bool = False):
    """(mesh, rig): rings of growing radius downwards, the neck 6 cm wide at 1.5 m; a dome on top with `head_on`."""
    rows = [(1.5, 0.06), (1.47, 0.065), (1.44, 0.11), (1.40, 0.2), (1.2, 0.2)]
    if head_on:
        rows = [(1.7, 0.02), (1.65, 0.09), (1.55, 0.08), *rows]
    angle = np.arange(RING) * 2 * np.pi / RING
    points = np.concatenate(
        [np.stack([r * np.cos(angle), r * np.sin(angle) + 0.02, np.full(RING, z)], 1) for z, r in rows]
    )
    faces = []
    for row in range(len(rows) - 1):
        for i in range(RING):
            j = (i + 1) % RING
            faces.append((row * RING + i, (row + 1) * RING + i, (row + 1) * RING + j, row * RING + j))
    if head_on:
        faces.append(tuple(range(RING)))
    mesh = bpy.data.meshes.new("Body")
    mesh.from_pydata(points, [], faces)
    body = bpy.data.objects.new("Body", mesh)
    bpy.context.scene.collection.objects.link(body)
    give_skin(body)
    rig = bpy.data.objects.new("Body Rig", bpy.data.armatures.new("Body Rig"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    parent = None
    for name, low, high in (("spine", 1.0, 1.42), ("neck_01", 1.42, 1.52), ("head", 1.52, 1.75)):
        bone = rig.data.edit_bones.new(name)
        bone.head, bone.tail, bone.parent = (0, 0.02, low), (0, 0.02, high), parent
        parent = bone
    bpy.ops.object.mode_set(mode="OBJECT")
    heights = np.array([z for z, _ in rows])
    for name, low, high in (("spine", 0, 1.43), ("neck_01", 1.43, 1.53), ("head", 1.53, 9)):
        group = body.vertex_groups.new(name=name)
        for row in np.flatnonzero((heights >= low) & (heights < high)):
            group.add(list(range(row * RING, (row + 1) * RING)), 1.0, "REPLACE")
    body.parent = rig
    body.modifiers.new("Armature", "ARMATURE").object = rig
    return body, rig


def give_skin(body) -> None:
    material = bpy.data.materials.new("Body Skin")
    if material.node_tree is None:
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = SKIN
    body.data.materials.append(material)


def make_rigify_body():
    """(mesh, rig): a tube from the hips to the neck on a rig that Rigify generated, weighted to its spine.

    Rigify runs in a Blender of its own. In bpy 4.2 `bpy.ops.pose.rigify_generate` leaves `bpy.context` owned by the
    scene of that moment (`bpy.context.window.id_data`, else None). After another file is opened that scene is freed,
    and setting `bpy.context.window.scene`, as every glTF export does, tags freed memory: Blender aborts in the end.
    """
    with bpy.data.libraries.load(str(_rigify_file())) as (_, wanted):
        wanted.objects = ["Body", "rig"]
    for item in wanted.objects:
        bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.objects.active = wanted.objects[1]
    return tuple(wanted.objects)


@cache
def _rigify_file() -> Path:
    path = Path(tempfile.mkdtemp(dir=os.environ["BLENDER_USER_RESOURCES"])) / "rigify.blend"  # goes with the tests
    subprocess.run([sys.executable, __file__, str(path)], check=True, capture_output=True)
    return path


def _generate(path: Path) -> None:
    import addon_utils  # Blender's own, there once bpy is

    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_basic_human_metarig_add()
    plan = bpy.context.object
    before = set(bpy.data.objects)
    bpy.ops.pose.rigify_generate()
    rig = next(item for item in bpy.data.objects if item.type == "ARMATURE" and item not in before)
    bpy.data.objects.remove(plan)
    bones = [rig.data.bones[name] for name in SPINE]
    heights = np.linspace(1.0, bones[-1].head_local.z - 0.01, 20)
    radius = np.interp(heights, [1.0, 1.4, bones[-3].head_local.z, 2.0], [0.16, 0.19, 0.06, 0.06])
    middle = np.interp(heights, [bone.head_local.z for bone in bones], [bone.head_local.y for bone in bones])
    angle = np.arange(RING) * 2 * np.pi / RING
    rows = [
        np.stack([r * np.cos(angle), r * np.sin(angle) + y, np.full(RING, z)], 1)
        for z, r, y in zip(heights, radius, middle, strict=True)
    ]
    mesh = bpy.data.meshes.new("Body")
    place = lambda row, i: row * RING + i % RING
    faces = [
        (place(row, i), place(row, i + 1), place(row + 1, i + 1), place(row + 1, i))
        for row in range(len(rows) - 1)
        for i in range(RING)
    ]
    mesh.from_pydata(np.concatenate(rows), [], faces)
    body = bpy.data.objects.new("Body", mesh)
    bpy.context.scene.collection.objects.link(body)
    give_skin(body)
    owner = np.searchsorted([bone.head_local.z for bone in bones], heights, side="right") - 1
    for index, bone in enumerate(bones):
        group = body.vertex_groups.new(name=bone.name)
        for row in np.flatnonzero(owner == index):
            group.add(list(range(int(row) * RING, (int(row) + 1) * RING)), 1.0, "REPLACE")
    body.parent = rig
    body.modifiers.new("Armature", "ARMATURE").object = rig
    bpy.ops.wm.save_as_mainfile(filepath=str(path))


if __name__ == "__main__":
    bpy.ops.wm.read_factory_settings(use_empty=True)
    _generate(Path(sys.argv[1]))
    os._exit(0)  # bpy 4.2 may crash in its shutdown
