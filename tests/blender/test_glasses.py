"""The frame of glasses that a head wears is an object of its own, which goes where the head goes."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import bpy
import numpy as np
import pytest
from doubles import AtOnce
from mathutils import Euler
from sample import write_sample

from blender_addon import state
from blender_addon.avatar_reader import AvatarFile, AvatarFileError, read_avatar
from blender_addon.axes import blender_from_avatar
from blender_addon.export import ExportOptions, export_avatar
from blender_addon.scene.before import go_back
from blender_addon.scene.build import build_avatar
from blender_addon.scene.copies import delete
from blender_addon.scene.found import find_avatar
from blender_addon.scene.glasses import glasses_of
from blender_addon.scene.renew import renew

CORNERS = np.array([[-0.05, 0.18, 0.1], [0.05, 0.18, 0.1], [0.05, 0.22, 0.1], [-0.05, 0.22, 0.1]], "<f4")
FACES = np.array([[0, 1, 2], [0, 2, 3]], "<i4")
SAID = {"joint": "neck", "colour": [0.5, 0.25, 0.1]}


def worn(sample, path, corners=CORNERS, said=SAID):
    """The sample with a frame; of the file of a head without one if there are no corners."""
    arrays = dict(sample.arrays) | ({} if corners is None else {"glasses_vertices": corners, "glasses_faces": FACES})
    header = dict(sample.header) | ({} if said is None else {"glasses": said})
    return write_sample(path, replace(sample, arrays=arrays, header=header))


@pytest.fixture(scope="session")
def worn_avatar(sample, tmp_path_factory) -> AvatarFile:
    return read_avatar(worn(sample, tmp_path_factory.mktemp("worn") / "worn.meshlam"))


@pytest.fixture
def built(registered, worn_avatar):
    return build_avatar(worn_avatar, "Ada")


def corners_of(item) -> np.ndarray:  # [4, 3] as they stand in the scene
    bpy.context.view_layer.update()
    return np.array([item.matrix_world @ vertex.co for vertex in item.data.vertices])


def test_a_head_with_glasses_gets_one_object_where_its_file_says(built):
    item = bpy.data.objects["Ada Glasses"]
    assert np.allclose(corners_of(item), blender_from_avatar(CORNERS), atol=1e-6)
    assert (item.parent, item.parent_type, item.parent_bone) == (built.rig, "BONE", "neck")
    assert find_avatar(item).head == built.head
    shader = next(node for node in item.active_material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    assert np.allclose(shader.inputs["Base Color"].default_value[:3], [0.2140, 0.0509, 0.0100], atol=1e-3)


def test_it_moves_with_the_skull_and_not_with_the_jaw(built):
    item = glasses_of(built.rig)
    rest = corners_of(item)
    built.rig.pose.bones["jaw"].rotation_quaternion = Euler((0.4, 0, 0)).to_quaternion()
    assert np.allclose(corners_of(item), rest, atol=1e-6)
    built.rig.pose.bones["neck"].rotation_quaternion = Euler((0, 0.5, 0)).to_quaternion()
    moved = corners_of(item)
    assert np.abs(moved - rest).max() > 0.02
    pivot = np.array(built.rig.matrix_world @ built.rig.data.bones["neck"].head_local)
    assert np.allclose(np.linalg.norm(moved - pivot, axis=1), np.linalg.norm(rest - pivot, axis=1), atol=1e-5)


def test_it_is_exported_with_the_head_and_left_out_without_what_it_wears(built, tmp_path):
    named = {}
    for accessories in (True, False):
        path = tmp_path / f"{accessories}.glb"
        export_avatar(built, path, ExportOptions(accessories=accessories))
        data = path.read_bytes()
        (length,) = struct.unpack("<I", data[12:16])
        named[accessories] = [mesh["name"] for mesh in json.loads(data[20 : 20 + length])["meshes"]]
    assert any("Glasses" in name for name in named[True])
    assert not any("Glasses" in name for name in named[False])


def test_it_goes_with_the_head_and_leaves_nothing(registered, worn_avatar):
    stores = (bpy.data.objects, bpy.data.meshes, bpy.data.materials)
    before = [len(store) for store in stores]
    delete(build_avatar(worn_avatar, "Ada"))
    assert [len(store) for store in stores] == before


def test_a_head_without_glasses_has_no_such_object(registered, avatar):
    made = build_avatar(avatar, "Bare")
    assert glasses_of(made.rig) is None
    assert not any("Glasses" in item.name for item in bpy.data.objects)


def test_another_reconstruction_brings_its_own_and_one_click_the_old_one_back(built, sample, tmp_path, worn_avatar):
    wider = read_avatar(worn(sample, tmp_path / "wider.meshlam", CORNERS * np.array([1.2, 1, 1], "<f4")))
    renew(built, wider, worn_avatar)
    assert np.allclose(corners_of(glasses_of(built.rig)), blender_from_avatar(wider.glasses.vertices), atol=1e-6)
    assert glasses_of(built.rig).active_material is not None
    go_back(find_avatar(built.head))
    assert np.allclose(corners_of(glasses_of(built.rig)), blender_from_avatar(CORNERS), atol=1e-6)
    assert len([mesh for mesh in bpy.data.meshes if "Glasses" in mesh.name]) == 1


def test_glasses_come_onto_a_bare_head_and_off_again(registered, avatar, worn_avatar):
    made = build_avatar(avatar, "Bare")
    renew(made, worn_avatar, avatar)
    assert np.allclose(corners_of(glasses_of(made.rig)), blender_from_avatar(CORNERS), atol=1e-6)
    go_back(find_avatar(made.head))
    assert glasses_of(made.rig) is None
    assert not any("Glasses" in mesh.name for mesh in bpy.data.meshes)


@pytest.mark.parametrize("said", [None, {"joint": "tail", "colour": [0, 0, 0]}, {"joint": "neck", "colour": [0, 2, 0]}])
def test_a_damaged_entry_is_refused_in_one_sentence(sample, tmp_path, said):
    with pytest.raises(AvatarFileError, match="glasses"):
        read_avatar(worn(sample, tmp_path / "damaged.meshlam", said=said))


@pytest.mark.parametrize(
    ("painted", "mesh", "asked"),
    [(False, False, "none"), (True, False, "glasses"), (False, True, "glasses-mesh"), (True, True, "glasses-mesh")],
)
def test_the_switches_ask_for_what_they_say(registered, monkeypatch, avatar_path, photo, painted, mesh, asked):
    session = AtOnce(avatar_path, avatar_path)
    monkeypatch.setattr(state, "session", session)
    monkeypatch.setattr(state, "made_files", [])  # the sample's file is not this session's to remove
    fields = bpy.context.scene.meshlam
    fields.photo, fields.keep_glasses, fields.glasses_mesh = str(photo), painted, mesh
    bpy.ops.meshlam.reconstruct()
    assert session.request.options["keep"] == asked
