"""A head of quads: everything that hangs on its vertices stays, and it can still be exported and made anew."""

from __future__ import annotations

import bpy
import numpy as np
import pytest

from blender_addon.avatar_reader import read_avatar
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.panel import AvatarPanel
from blender_addon.scene.build import build_avatar
from blender_addon.scene.renew import fits, renew

BASE_QUADS = 4677  # of MakeHuman's base mesh, in the open head's part of it


def carried(head) -> dict:
    """What hangs on a mesh's vertices and edges, and the places in the texture by (vertex, place) of all corners."""
    mesh = head.data
    keys = {}
    for key in mesh.shape_keys.key_blocks:
        keys[key.name] = np.empty(len(mesh.vertices) * 3, np.float32)
        key.data.foreach_get("co", keys[key.name])
    uvs = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers.active.uv.foreach_get("vector", uvs)
    corners = {(loop.vertex_index, *uv) for loop, uv in zip(mesh.loops, uvs.reshape(-1, 2).tolist(), strict=True)}
    return {
        "keys": {name: values.tobytes() for name, values in keys.items()},
        "weights": [[(entry.group, entry.weight) for entry in vertex.groups] for vertex in mesh.vertices],
        "seams": {tuple(sorted(edge.vertices)) for edge in mesh.edges if edge.use_seam},
        "corners": corners,
        "materials": {face.material_index for face in mesh.polygons},
        "triangles": sum(len(face.vertices) - 2 for face in mesh.polygons),
    }


@pytest.fixture
def quads(registered, avatar):
    built = build_avatar(avatar, "Ada")
    bpy.context.view_layer.objects.active = built.head
    assert bpy.ops.meshlam.make_quads() == {"FINISHED"}
    return built


def test_pairs_of_triangles_become_quads_and_nothing_else_changes(registered, drawn, real_avatar_path):
    built = build_avatar(read_avatar(real_avatar_path), "Ada")
    bpy.context.view_layer.objects.active = built.head
    was = carried(built.head)
    assert "meshlam.make_quads" in drawn(AvatarPanel)
    assert bpy.ops.meshlam.make_quads() == {"FINISHED"}
    assert carried(built.head) == was
    sizes = [len(face.vertices) for face in built.head.data.polygons]
    assert set(sizes) == {3, 4}
    assert sizes.count(4) > BASE_QUADS
    assert all(face.use_smooth for face in built.head.data.polygons)
    assert "meshlam.make_quads" not in drawn(AvatarPanel)
    assert not bpy.ops.meshlam.make_quads.poll()


def test_quads_lie_within_one_piece_of_the_texture(quads):
    mesh = quads.head.data
    around = {}
    for face in mesh.polygons:
        uvs = {loop.vertex_index: tuple(mesh.uv_layers.active.uv[loop.index].vector) for loop in loops(mesh, face)}
        for edge in face.edge_keys:
            around.setdefault(edge, []).append([uvs[vertex] for vertex in edge])
    seams = {edge.key for edge in mesh.edges if edge.use_seam}
    assert {edge for edge, sides in around.items() if len(sides) == 2 and sides[0] != sides[1]} == seams


def loops(mesh, face) -> list:
    return [mesh.loops[index] for index in face.loop_indices]


@pytest.mark.parametrize("mode", ["EDIT", "SCULPT"])
def test_the_button_works_in_other_modes_and_comes_back(registered, avatar, mode):
    built = build_avatar(avatar, "Ada")
    bpy.context.view_layer.objects.active = built.head
    bpy.ops.object.mode_set(mode=mode)
    assert bpy.ops.meshlam.make_quads() == {"FINISHED"}
    assert built.head.mode == mode
    bpy.ops.object.mode_set(mode="OBJECT")
    assert any(len(face.vertices) == 4 for face in built.head.data.polygons)


@pytest.mark.files
@pytest.mark.parametrize("suffix", [".glb", ".fbx"])
def test_quads_are_exported_and_checked(quads, tmp_path, suffix):
    path = tmp_path / f"quads{suffix}"
    assert verify(path, export_avatar(quads, path, ExportOptions())) == []


def test_a_head_of_quads_can_be_made_anew_and_stays_one(quads, avatar):
    assert fits(quads, avatar)
    count = len(quads.head.data.polygons)
    quads.head.data.shape_keys.key_blocks[0].data[0].co.x += 0.01
    assert "sculpt" in " ".join(renew(quads, avatar, avatar)).lower()
    assert len(quads.head.data.polygons) == count


def test_a_mesh_with_other_edges_is_not_taken_for_the_heads(quads, avatar):
    mesh = quads.head.data
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.quads_convert_to_tris(quad_method="FIXED_ALTERNATE")
    bpy.ops.object.mode_set(mode="OBJECT")
    assert len(mesh.polygons) == len(avatar.faces)
    assert not fits(quads, avatar)
