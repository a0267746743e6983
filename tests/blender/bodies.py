"""Bodies for a head to be joined to."""

from __future__ import annotations

import bpy
import numpy as np

SKIN = (0.25, 0.12, 0.07, 1.0)  # linear
RING = 20


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
    material = bpy.data.materials.new("Body Skin")
    if material.node_tree is None:
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = SKIN
    mesh.materials.append(material)
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
