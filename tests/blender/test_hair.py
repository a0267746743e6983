"""Hair as a hull: a switch that takes it off, and a material of its own."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from sample import PARTS, make_sample, with_arrays, write_sample

import blender_addon
from blender_addon.avatar_reader import AvatarFileError, read_avatar
from blender_addon.axes import blender_from_avatar
from blender_addon.scene.action import rest_pose, show_photo_pose
from blender_addon.scene.build import build_avatar
from blender_addon.scene.parts import HAIR, SURFACES


@pytest.fixture
def hairy(tmp_path):
    return read_avatar(write_sample(tmp_path / "hair.meshlam", make_sample(hair=True)))


def worn(head) -> np.ndarray:
    item = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = item.to_mesh()
    return np.array([vertex.co for vertex in mesh.vertices])


def test_the_head_wears_its_hair_until_the_switch_takes_it_off(hairy):
    built = build_avatar(hairy, "Eve")
    np.testing.assert_allclose(worn(built.head), blender_from_avatar(hairy.vertices), atol=1e-6)
    built.head.data.shape_keys.key_blocks["Bald"].value = 1.0
    np.testing.assert_allclose(worn(built.head), blender_from_avatar(hairy.vertices - hairy.hair), atol=1e-6)
    rest_pose(built.rig, built.head)
    show_photo_pose(built.rig, built.head)
    assert built.head.data.shape_keys.key_blocks["Bald"].value == 1.0  # no expression


def test_the_lifted_scalp_has_the_hair_material(hairy):
    head = build_avatar(hairy, "Eve").head
    lifted = np.linalg.norm(hairy.hair, axis=1) > 0.002
    hair = SURFACES.index(HAIR)
    for polygon in head.data.polygons:
        corners = [lifted[vertex] for vertex in polygon.vertices]
        assert (polygon.material_index == hair) == (sum(corners) >= 2)
    material = head.material_slots[hair].material
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    assert shader.inputs["Anisotropic"].default_value > 0.5
    assert shader.inputs["Tangent"].is_linked


def test_a_part_named_hair_decides_where_there_is_one(tmp_path):
    sample = make_sample(hair=True)
    part = sample.arrays["part"].copy()
    part[:40] = len(PARTS)
    sample.header["parts"] = [*PARTS, "hair"]
    avatar = read_avatar(write_sample(tmp_path / "a.meshlam", with_arrays(sample, part=part)))
    head = build_avatar(avatar, "Eve").head
    hair = {polygon.index for polygon in head.data.polygons if polygon.material_index == SURFACES.index(HAIR)}
    assert hair == {polygon.index for polygon in head.data.polygons if sum(v < 40 for v in polygon.vertices) >= 2}


def test_a_head_without_hair_has_no_switch(avatar):
    head = build_avatar(avatar, "Ada").head
    assert "Bald" not in head.data.shape_keys.key_blocks
    assert not any(polygon.material_index == SURFACES.index(HAIR) for polygon in head.data.polygons)


def test_hair_of_a_wrong_shape_is_refused(tmp_path):
    sample = make_sample(hair=True)
    bad = with_arrays(sample, hair=sample.arrays["hair"][:10])
    with pytest.raises(AvatarFileError, match="hair must have the shape"):
        read_avatar(write_sample(tmp_path / "a.meshlam", bad))


def test_the_panels_switch_takes_the_hair_off_and_on(hairy):
    blender_addon.register()
    try:
        built = build_avatar(hairy, "Eve")
        key = built.head.data.shape_keys.key_blocks["Bald"]
        bpy.ops.meshlam.toggle_hair()
        assert key.value == 1.0
        bpy.ops.meshlam.toggle_hair()
        assert key.value == 0.0
    finally:
        blender_addon.unregister()
