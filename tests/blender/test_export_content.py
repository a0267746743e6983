"""What goes into an exported file, what the check notices, and what happens when a disk fails."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import addon_utils
import bpy
import numpy as np
import pytest
from mathutils import Matrix
from sample import ARKIT_NAMES, encode_png, gltf_json, make_sample, write_sample

from blender_addon.avatar_reader import read_avatar
from blender_addon.export import ExportError, ExportOptions, export_avatar, verify
from blender_addon.export_operator import ExportAvatar
from blender_addon.exporting import solid
from blender_addon.exporting.check import Expected, differences
from blender_addon.exporting.expressions import VRM
from blender_addon.exporting.options import PRESETS
from blender_addon.exporting.preflight import PAINT, POSE, findings, fix
from blender_addon.exporting.solid import is_closed
from blender_addon.reimport import usd_module
from blender_addon.scene.build import build_avatar
from blender_addon.scene.guard import select_only

pytestmark = pytest.mark.files


@pytest.fixture
def built(avatar):
    return build_avatar(avatar, "Ada")


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Solids on a grid of 2 mm: what is asked of them does not need the printer's."""
    monkeypatch.setattr(solid, "_GRID", 0.002)


@pytest.fixture
def hairy(tmp_path):
    return build_avatar(read_avatar(write_sample(tmp_path / "hair.meshlam", make_sample(hair=True))), "Eve")


def paint(image, colour=(1.0, 0.0, 0.0, 1.0)) -> None:
    """Pixels changed in memory, as a brush does: not packed, not saved."""
    pixels = np.array(image.pixels[:]).reshape(-1, 4)
    pixels[:200] = colour
    image.pixels.foreach_set(pixels.astype(np.float32).ravel())
    image.update()


def albedo(built):
    return bpy.data.images[f"{built.head.name} Albedo"]


@pytest.mark.parametrize("suffix", [".glb", ".usdz", ".usdc", ".fbx"])
@pytest.mark.parametrize("bones", [True, False])
def test_a_moved_turned_scaled_head_is_exported_at_the_origin_in_metres(built, tmp_path, suffix, bones):
    bpy.context.scene.unit_settings.scale_length = 0.01
    built.rig.matrix_world = Matrix.Translation((5, 6, 7)) @ Matrix.Rotation(1.0, 4, "Z") @ Matrix.Scale(3, 4)
    bpy.context.view_layer.update()
    wanted = export_avatar(built, tmp_path / f"Ada{suffix}", ExportOptions(bones=bones))
    np.testing.assert_allclose(wanted.low, (-0.1, -0.13, -0.02), atol=1e-6)
    assert verify(tmp_path / f"Ada{suffix}", wanted) == []
    assert bpy.context.scene.unit_settings.scale_length == pytest.approx(0.01)


@pytest.mark.parametrize("suffix", [".usdc", ".fbx"])
def test_unsaved_paint_is_exported_with_its_pixels(built, tmp_path, suffix):
    paint(albedo(built))
    path = tmp_path / f"Ada{suffix}"
    wanted = export_avatar(built, path, ExportOptions())
    assert albedo(built).is_dirty  # and still unsaved in the scene
    assert verify(path, wanted) == []
    clean = export_avatar(built, tmp_path / f"again{suffix}", ExportOptions())
    assert clean.materials == wanted.materials
    albedo(built).reload()
    assert any(
        "pixels of the texture of Ada_Skin differ" in problem for problem in verify(path, expected_of(built, tmp_path))
    )


def expected_of(built, folder: Path) -> Expected:
    return export_avatar(built, folder / "other.usdc", ExportOptions())


def test_a_texture_that_is_gone_is_noticed(built, tmp_path):
    path = tmp_path / "Ada.usdc"
    wanted = export_avatar(built, path, ExportOptions())
    (texture,) = (tmp_path / "textures").iterdir()
    assert texture.read_bytes() == bytes(albedo(built).packed_file.data)
    texture.unlink()
    assert any("texture of Ada_Skin is missing" in problem for problem in verify(path, wanted))


PICTURE = {"size": [4, 4], "pixels": "x"}
MAPS = {"colour": PICTURE, "normal": PICTURE, "occlusion": None, "roughness": PICTURE, "metallic": {"number": 0.0}}
FOUND = {
    "keys": ["a"], "moved": {"a": 0.01}, "values": [0.0], "bones": ["root"], "vertices": 8, "triangles": 12,
    "materials": {"Skin": MAPS}, "most_weights": 4, "weight_error": 0.0,
    "low": [0.0, 0.0, 0.0], "high": [1.0, 1.0, 1.0], "actions": 0,
}  # fmt: skip
WANTED = Expected(
    keys={"a": 0.01}, bones=("root",), vertices=8, triangles=12, low=(0.0, 0.0, 0.0), high=(1.0, 1.0, 1.0),
    materials=FOUND["materials"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keys": ["b"]}, "Shape keys differ"),
        ({"moved": {"a": 0.02}}, "a moves 0.02000 m"),
        ({"values": [0.5]}, "not at 0"),
        ({"bones": []}, "Expected the bones"),
        ({"vertices": 9}, "Expected 8 vertices"),
        ({"triangles": 11}, "Expected 12 triangles"),
        ({"low": [0.0, 0.0, 0.1]}, "lowest corner"),
        ({"high": [2.0, 2.0, 2.0]}, "highest corner"),
        ({"materials": {}}, "Expected the materials"),
        ({"materials": {"Skin": MAPS | {"colour": None}}}, "texture of Skin is missing"),
        ({"materials": {"Skin": MAPS | {"colour": PICTURE | {"size": [2, 2]}}}}, "is [2, 2] pixels"),
        ({"materials": {"Skin": MAPS | {"colour": PICTURE | {"pixels": "y"}}}}, "pixels of the texture of Skin differ"),
        ({"materials": {"Skin": MAPS | {"normal": PICTURE | {"pixels": "y"}}}}, "pixels of the normal map of Skin"),
        ({"materials": {"Skin": MAPS | {"roughness": {"number": 0.5}}}}, "roughness of Skin is missing"),
        ({"materials": {"Skin": MAPS | {"metallic": {"number": 1.0}}}}, "metal of Skin is 1.0, expected 0.0"),
        ({"materials": {"Skin": MAPS | {"metallic": PICTURE}}}, "metal of Skin is a picture"),
        ({"actions": 1}, "Expected 0 animations, got 1"),
        ({"most_weights": 5}, "Skinning weights are off"),
        ({"weight_error": 0.5}, "Skinning weights are off"),
    ],
)
def test_the_check_sees_every_kind_of_difference(change, sentence):
    assert differences(FOUND, WANTED, ".fbx") == []
    (problem,) = differences(FOUND | change, WANTED, ".fbx")
    assert sentence in problem


def test_what_the_head_wears_goes_with_it_at_its_place(built, tmp_path):
    bpy.ops.mesh.primitive_cube_add(size=0.02, location=(0, 0, 0.3))
    hat = bpy.context.object
    hat.modifiers.new("Subdivision", "SUBSURF")
    hat.parent, hat.parent_type, hat.parent_bone = built.rig, "BONE", "neck"
    hat.matrix_world = Matrix.Translation((0, 0, 0.3))
    bpy.ops.mesh.primitive_cube_add(size=0.02, location=(0, 0, 0.6))  # not worn
    built.rig.location = (3, 0, 0)
    bpy.context.view_layer.update()
    for bones in (True, False):
        path = tmp_path / f"{bones}.glb"
        wanted = export_avatar(built, path, ExportOptions(bones=bones))
        assert 0.3 < wanted.high[2] < 0.311
        assert verify(path, wanted) == []
    without = export_avatar(built, tmp_path / "bare.glb", ExportOptions(accessories=False))
    assert without.high[2] < 0.2
    assert hat.parent == built.rig
    assert "Subdivision" in hat.modifiers


def test_a_head_separated_by_material_is_exported_whole(built, tmp_path):
    before = len(built.head.data.polygons)
    bpy.context.view_layer.objects.active = built.head
    built.head.select_set(True)
    bpy.ops.mesh.separate(type="MATERIAL")
    from blender_addon.scene.found import find_avatar

    found = find_avatar(built.rig)
    assert len(found.pieces) == 4
    wanted = export_avatar(found, tmp_path / "a.glb", ExportOptions())
    assert wanted.triangles == before
    assert sorted(wanted.keys) == sorted(ARKIT_NAMES)
    assert verify(tmp_path / "a.glb", wanted) == []


def test_a_head_joined_with_something_or_without_keys_still_exports(built, tmp_path):
    bpy.ops.mesh.primitive_cube_add(size=0.02)
    built.head.select_set(True)
    bpy.context.view_layer.objects.active = built.head
    bpy.ops.object.join()
    assert verify(tmp_path / "a.fbx", export_avatar(built, tmp_path / "a.fbx", ExportOptions())) == []
    built.head.shape_key_clear()
    wanted = export_avatar(built, tmp_path / "b.glb", ExportOptions())
    assert wanted.keys == {}
    assert verify(tmp_path / "b.glb", wanted) == []
    assert any("no shape keys" in finding.sentence for finding in findings(built))


def test_a_linked_head_can_be_exported(built, tmp_path):
    from blender_addon.scene.found import active_avatar, editable, limits

    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library), check_existing=False)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (source, target):
        target.collections = source.collections
    bpy.context.scene.collection.children.link(bpy.data.collections["Ada"])
    linked = active_avatar(bpy.context)
    assert not editable(linked)
    assert "linked from another file" in limits(linked)[0]
    wanted = export_avatar(linked, tmp_path / "a.glb", ExportOptions())
    assert verify(tmp_path / "a.glb", wanted) == []
    assert linked.head.name == "Ada"


def test_the_skeleton_is_the_same_for_every_head(avatar, tmp_path):
    names = []
    for name in ("Ada", "Bob"):
        export_avatar(build_avatar(avatar, name), tmp_path / f"{name}.glb", ExportOptions())
        content = gltf_json(tmp_path / f"{name}.glb")
        joints = {content["nodes"][joint]["name"] for joint in content["skins"][0]["joints"]}
        names.append(joints | {node["name"] for node in content["nodes"] if "mesh" not in node})
    assert names[0] == names[1] == {"Armature", "root", "neck", "jaw", "left_eye", "right_eye"}


def test_weights_painted_over_more_than_four_bones_are_brought_to_four(built, tmp_path):
    for group in built.head.vertex_groups:
        group.add([0, 1], 0.4, "REPLACE")
    wanted = export_avatar(built, tmp_path / "a.fbx", ExportOptions())
    assert verify(tmp_path / "a.fbx", wanted) == []
    assert len(built.head.data.vertices[0].groups) == 5


def test_levels_of_detail_keep_keys_skeleton_and_texture(built, tmp_path):
    wanted = export_avatar(built, tmp_path / "a.glb", ExportOptions(levels=3))
    sizes = []
    for name in ("a.glb", "a_LOD1.glb", "a_LOD2.glb"):
        content = gltf_json(tmp_path / name)
        assert content["meshes"][0]["extras"]["targetNames"] == list(ARKIT_NAMES)
        assert len(content["skins"][0]["joints"]) == 5
        assert len(content["images"]) == 1
        assert content["meshes"][0]["name"] == "Ada"
        primitives = content["meshes"][0]["primitives"]
        sizes.append(sum(content["accessors"][item["indices"]]["count"] for item in primitives) // 3)
    assert sizes[0] == wanted.triangles
    assert 0.4 < sizes[1] / sizes[0] < 0.6
    assert 0.15 < sizes[2] / sizes[0] < 0.3
    assert len(wanted.losses) == 2
    assert 0 < wanted.losses[0] <= wanted.losses[1] < 10
    assert [mesh.name for mesh in bpy.data.meshes] == ["Ada"]
    assert verify(tmp_path / "a.glb", wanted) == []
    (tmp_path / "a_LOD1.glb").replace(tmp_path / "a_LOD2.glb")
    found = [problem.partition(": ") for problem in verify(tmp_path / "a.glb", wanted)]
    assert {name for name, _, _ in found} == {"a_LOD1.glb", "a_LOD2.glb"}
    assert ("a_LOD2.glb", ": ", f"Expected {sizes[2]} triangles, got {sizes[1]}.") in found


@pytest.mark.parametrize("suffix", [".stl", ".obj"])
def test_for_printing_the_head_is_one_closed_solid_in_millimetres(built, tmp_path, suffix):
    wanted = export_avatar(built, tmp_path / f"a{suffix}", ExportOptions())
    assert verify(tmp_path / f"a{suffix}", wanted) == []
    if suffix == ".stl":
        bpy.ops.wm.stl_import(filepath=str(tmp_path / "a.stl"))
    else:
        bpy.ops.wm.obj_import(filepath=str(tmp_path / "a.obj"), forward_axis="Y", up_axis="Z")
    printed = bpy.context.object
    assert is_closed(printed.data)
    assert printed.dimensions.z == pytest.approx(200, abs=3)


def test_formats_that_this_blender_lacks_are_not_offered(registered, built, tmp_path):
    select_only([built.head.name], built.head.name)
    assert bpy.ops.meshlam.export(filepath=str(tmp_path / "head.v2"), preset="UNITY") == {"FINISHED"}
    assert (tmp_path / "head.v2.fbx").is_file()
    addon_utils.disable("io_scene_fbx")
    try:
        for choice in ({"file_format": ".fbx"}, {"preset": "UNITY"}):
            with pytest.raises(TypeError, match="not found"):
                bpy.ops.meshlam.export(filepath=str(tmp_path / "a"), **choice)
        assert bpy.ops.meshlam.export(filepath=str(tmp_path / "a"), preset="GODOT") == {"FINISHED"}
    finally:
        addon_utils.enable("io_scene_fbx")
    assert {item.name for item in tmp_path.iterdir()} == {"head.v2.fbx", "a.glb"}


def test_vrm_expressions_come_beside_the_52(built, tmp_path):
    export_avatar(built, tmp_path / "a.glb", ExportOptions(expressions="vrm"))
    names = gltf_json(tmp_path / "a.glb")["meshes"][0]["extras"]["targetNames"]
    assert names == [*ARKIT_NAMES, *VRM]


def test_hair_can_be_exported_kept_taken_off_or_switchable(hairy, tmp_path):
    tops = {}
    for how in ("hull", "bald", "switch"):
        wanted = export_avatar(hairy, tmp_path / f"{how}.glb", ExportOptions(hair=how))
        tops[how] = wanted.high[2]
        content = gltf_json(tmp_path / f"{how}.glb")
        names = content["meshes"][0]["extras"]["targetNames"]
        assert names == [*ARKIT_NAMES, "bald"] if how == "switch" else list(ARKIT_NAMES)
        assert any(material["name"] == "Eve Hair" for material in content["materials"])
        assert verify(tmp_path / f"{how}.glb", wanted) == []
    assert tops["hull"] == tops["switch"] == pytest.approx(0.2, abs=1e-5)
    assert tops["bald"] == pytest.approx(0.18, abs=1e-5)


def test_textures_are_shrunk_and_materials_single_sided_when_asked(built, tmp_path):
    wanted = export_avatar(built, tmp_path / "a.glb", ExportOptions(texture_size=32, single_sided=True))
    assert {maps["colour"]["size"][0] for maps in wanted.materials.values()} == {32}
    assert not any(material.get("doubleSided") for material in gltf_json(tmp_path / "a.glb")["materials"])
    assert tuple(albedo(built).size) == (64, 64)
    assert verify(tmp_path / "a.glb", wanted) == []


@pytest.fixture
def mapped(tmp_path):
    """A head with maps whose channels all differ."""
    maps = np.random.default_rng(7).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    maps[1, ..., 2] = 0  # no metal
    sample = make_sample()
    sample.images |= {"normal": encode_png(maps[0]), "orm": encode_png(maps[1])}
    (tmp_path / "in").mkdir()
    return build_avatar(read_avatar(write_sample(tmp_path / "in" / "maps.meshlam", sample)), "Ada")


def rewrite_glb(path: Path, change) -> None:
    """Change the JSON of a GLB."""
    data = path.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    content = json.loads(data[20 : 20 + length])
    change(content)
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    total = len(data) - length + len(text)
    path.write_bytes(data[:8] + struct.pack("<II", total, len(text)) + data[16:20] + text + data[20 + length :])


def test_a_glb_has_normals_and_one_picture_of_occlusion_roughness_and_metal(mapped, tmp_path):
    path = tmp_path / "a.glb"
    wanted = export_avatar(mapped, path, ExportOptions())
    content = gltf_json(path)
    assert len(content["images"]) == 3
    for material in content["materials"]:
        pictures = [
            content["textures"][texture["index"]]["source"]
            for texture in (material["occlusionTexture"], material["pbrMetallicRoughness"]["metallicRoughnessTexture"])
        ]
        assert pictures[0] == pictures[1]
        assert "normalTexture" in material
        if material["name"].endswith("Eyes"):  # the cornea, which is in the normals alone
            assert "clearcoatNormalTexture" in material["extensions"]["KHR_materials_clearcoat"]
    assert verify(path, wanted) == []

    def spoil(content):
        skin = content["materials"][0]
        del skin["occlusionTexture"]
        skin["pbrMetallicRoughness"]["metallicRoughnessTexture"] = skin["normalTexture"]

    rewrite_glb(path, spoil)
    assert verify(path, wanted) == [
        "The occlusion of Ada_Skin is missing or cannot be read.",
        "The pixels of the roughness of Ada_Skin differ from the scene's.",
        "The pixels of the metal of Ada_Skin differ from the scene's.",
    ]


def test_an_fbx_has_normals_and_roughness_inside_and_the_packed_picture_beside_it(mapped, tmp_path):
    path, beside = tmp_path / "a.fbx", tmp_path / "textures" / "a_Ada_ORM.png"
    wanted = export_avatar(mapped, path, ExportOptions())
    assert beside.read_bytes() == bytes(bpy.data.images["Ada ORM"].packed_file.data)
    assert b"textures/a_Ada_ORM.png" in path.read_bytes()
    assert wanted.materials["Ada_Skin"]["metallic"] == {"number": 0.0}
    assert verify(path, wanted) == []
    beside.write_bytes(b"")
    assert verify(path, wanted) == ["textures/a_Ada_ORM.png beside the file is missing or not what was written."]
    for socket in ("Normal", "Roughness"):  # as a file would be without them
        tree = mapped.head.material_slots[0].material.node_tree
        tree.links.remove(tree.nodes["Principled BSDF"].inputs[socket].links[0])
    export_avatar(mapped, path, ExportOptions())
    assert verify(path, wanted) == [
        "The normal map of Ada_Skin is missing or cannot be read.",
        "The roughness of Ada_Skin is missing or cannot be read.",
    ]


@pytest.mark.parametrize("suffix", [".usda", ".usdz"])
def test_usd_has_normals_and_each_channel_of_the_packed_picture(mapped, tmp_path, suffix):
    path = tmp_path / f"Ada{suffix}"
    wanted = export_avatar(mapped, path, ExportOptions())
    assert (wanted.materials["Ada_Skin"]["occlusion"] is not None) == usd_module()
    assert verify(path, wanted) == []
    if suffix == ".usda":
        text = path.read_text()
        start = text.index('def Material "Ada_Skin"')
        spoilt = text[start:].replace("inputs:occlusion.connect", "inputs:clearcoat.connect", 1)
        path.write_text(text[:start] + spoilt.replace("outputs:g>", "outputs:b>", 1))
        lost = ["The occlusion of Ada_Skin is missing or cannot be read."] if usd_module() else []
        assert verify(path, wanted) == [*lost, "The pixels of the roughness of Ada_Skin differ from the scene's."]
        (tmp_path / "textures" / "Ada_Normal.png").unlink()
        assert "The normal map of Ada_Eyes is missing or cannot be read." in verify(path, wanted)


def test_a_map_that_a_program_would_read_as_colours_is_noticed(mapped, tmp_path):
    wanted = export_avatar(mapped, tmp_path / "a.glb", ExportOptions())
    bpy.data.images["Ada ORM"].colorspace_settings.name = "sRGB"
    broken = export_avatar(mapped, tmp_path / "b.usda", ExportOptions())
    assert broken.materials["Ada_Skin"]["roughness"] is None
    assert "The roughness of Ada_Skin is missing or cannot be read." in verify(tmp_path / "b.usda", wanted)


def test_usd_stands_y_up_and_its_skeleton_follows_the_weights(built, tmp_path):
    export_avatar(built, tmp_path / "a.usda", ExportOptions())
    text = (tmp_path / "a.usda").read_text()
    assert 'upAxis = "Y"' in text
    assert ("rel skel:animationSource" in text) == usd_module()
    if not usd_module():
        return
    from pxr import Gf, Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.Open(str(tmp_path / "a.usda"))
    mesh, shapes, root = (
        next(kind(prim) for prim in stage.Traverse() if prim.IsA(kind))
        for kind in (UsdGeom.Mesh, UsdSkel.Animation, UsdSkel.Root)
    )
    names = list(shapes.GetBlendShapesAttr().Get())
    for frame in (0, 1):
        shapes.GetBlendShapeWeightsAttr().Set([float(frame and name == "jawOpen") for name in names], frame)
    assert UsdSkel.BakeSkinning(root, Gf.Interval(0, 1))
    rest, opened = (np.array(mesh.GetPointsAttr().Get(frame)) for frame in (0, 1))
    moved = (opened - rest) @ np.array(UsdGeom.XformCache().GetLocalToWorldTransform(mesh.GetPrim()))[:3, :3]
    most = moved[np.linalg.norm(moved, axis=1).argmax()]
    key = built.head.data.shape_keys.key_blocks["jawOpen"]
    moves = (point.co - base.co for point, base in zip(key.data, key.relative_key.data, strict=True))
    expected = max(moves, key=lambda move: move.length)
    assert most == pytest.approx([expected.x, expected.z, -expected.y], abs=1e-5)


def test_the_file_tells_of_licences_and_consent(built, tmp_path):
    export_avatar(built, tmp_path / "a.glb", ExportOptions(consent="Signed on paper."))
    told = gltf_json(tmp_path / "a.glb")["asset"]["extras"]["meshlam"]
    assert told["head_licence"] == "CC0-1.0"
    assert told["consent"] == "Signed on paper."
    export_avatar(built, tmp_path / "a.usda", ExportOptions())
    text = (tmp_path / "a.usda").read_text()
    assert 'userProperties:head_licence = "CC0-1.0"' in text
    assert "Use it only with that person's consent" in text
    assert "head_licence" not in built.head


def test_a_head_of_non_commercial_parts_is_exported_with_a_tick_that_the_file_tells(registered, built, tmp_path, capfd):
    built.rig["meshlam_provenance"] = json.dumps({"head": "FLAME", "head_licence": "MPI non-commercial"})
    bpy.context.view_layer.objects.active = built.head
    (found,) = findings(built)
    assert "no commercial use" in found.sentence
    path, wanted = str(tmp_path / "a.glb"), {"file_format": ".glb"}
    bpy.ops.meshlam.export(filepath=path, **wanted)
    assert found.sentence in capfd.readouterr().out
    assert "use" not in gltf_json(tmp_path / "a.glb")["asset"]["extras"]["meshlam"]
    bpy.ops.meshlam.export(filepath=path, **wanted, **{found.choice: True})
    assert found.sentence not in capfd.readouterr().out
    assert "Non-commercial only" in gltf_json(tmp_path / "a.glb")["asset"]["extras"]["meshlam"]["use"]


@pytest.mark.parametrize("bones", [True, False])
def test_modifiers_go_along_with_every_expression_when_asked(registered, built, tmp_path, bones):
    options = ExportOptions(bones=bones)
    plain = export_avatar(built, tmp_path / "plain.glb", options)
    built.head.modifiers.new("Subdivision", "SUBSURF").levels = 1
    wave = built.head.modifiers.new("Shift", "DISPLACE")
    wave.strength, wave.mid_level, wave.direction = 0.01, 0.0, "Z"
    built.head.modifiers.new("Hidden", "DECIMATE").show_viewport = False
    (found,) = findings(built)
    assert "Subdivision, Shift" in found.sentence
    assert "Hidden" not in found.sentence
    assert found.choice == "modifiers"
    path = tmp_path / "a.glb"
    wanted = export_avatar(built, path, replace(options, modifiers=True))
    assert verify(path, wanted) == []
    before, after = gltf_json(tmp_path / "plain.glb")["meshes"][0], gltf_json(path)["meshes"][0]
    assert after["extras"]["targetNames"] == before["extras"]["targetNames"] == list(ARKIT_NAMES)
    heights = [[at[1] for at in extent(path)] for path in (tmp_path / "plain.glb", path)]
    assert heights[1][1] - heights[0][1] == pytest.approx(0.01, abs=0.004)  # a subdivided ball is smaller
    assert count(path) > 3 * count(tmp_path / "plain.glb")
    assert len(built.head.modifiers) == 4
    assert plain.vertices != wanted.vertices


def test_a_modifier_that_would_lose_expressions_is_named_and_nothing_is_written(built, tmp_path):
    weld = built.head.modifiers.new("Merge", "WELD")
    weld.merge_threshold = 0.0005
    with pytest.raises(ExportError, match="Merge of Ada makes another number of vertices of eyeBlinkRight"):
        export_avatar(built, tmp_path / "a.glb", ExportOptions(modifiers=True))
    assert list(tmp_path.iterdir()) == []
    assert not [mesh for mesh in bpy.data.meshes if "(raw)" in mesh.name or "(scene)" in mesh.name]


def test_what_the_head_wears_keeps_its_keys_and_its_modifiers(built, tmp_path):
    bpy.ops.mesh.primitive_cube_add(size=0.05, location=(0, 0, 0.3))
    hat = bpy.context.object
    hat.name, hat.parent = "Hat", built.rig
    hat.shape_key_add(name="Basis")
    hat.shape_key_add(name="tip").data[0].co.z += 0.05
    hat.modifiers.new("Subdivision", "SUBSURF").levels = 1
    path = tmp_path / "a.glb"
    assert verify(path, export_avatar(built, path, ExportOptions())) == []
    (mesh,) = (item for item in gltf_json(path)["meshes"] if "tip" in item.get("extras", {}).get("targetNames", []))
    assert gltf_json(path)["accessors"][mesh["primitives"][0]["attributes"]["POSITION"]]["count"] > 24


def test_before_files_are_overwritten_one_is_asked(registered, built, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(ExportAvatar, "browsed", True)  # as after the file browser
    monkeypatch.setattr(ExportAvatar, "_ask", lambda operator: asked.append(operator._there()) or {"CANCELLED"})
    bpy.context.view_layer.objects.active = built.head
    for name in ("head.v2.glb", "head.v2_LOD1.glb"):
        (tmp_path / name).write_text("mine")
    bpy.ops.meshlam.export(filepath=str(tmp_path / "head.v2"), file_format=".glb", levels=2)
    assert asked == ["head.v2.glb, head.v2_LOD1.glb are there already."]
    assert (tmp_path / "head.v2.glb").read_text() == "mine"
    bpy.ops.meshlam.export(filepath=str(tmp_path / "head.v3"), file_format=".glb")
    assert (tmp_path / "head.v3.glb").is_file()
    assert len(asked) == 1


def extent(path: Path) -> tuple[list, list]:
    """The least and the largest corner of the head of a GLB."""
    told = gltf_json(path)
    accessors = [told["accessors"][part["attributes"]["POSITION"]] for part in told["meshes"][0]["primitives"]]
    return np.min([item["min"] for item in accessors], 0).tolist(), np.max(
        [item["max"] for item in accessors], 0
    ).tolist()


def count(path: Path) -> int:
    """The corners of a GLB's triangles."""
    told = gltf_json(path)
    return sum(told["accessors"][part["indices"]]["count"] for part in told["meshes"][0]["primitives"])


def test_the_checks_before_name_what_is_off_and_put_it_right(built):
    assert findings(built) == []
    built.head.data.shape_keys.key_blocks["jawOpen"].value = 0.5
    built.rig.pose.bones["neck"].rotation_quaternion = (0.9, 0.4, 0, 0)
    built.rig.pose.bones["jaw"].rotation_mode = "XYZ"
    built.rig.pose.bones["jaw"].rotation_euler.x = 0.2
    built.head.modifiers.new("Subdivision", "SUBSURF")
    paint(albedo(built))
    sentences = [finding.sentence for finding in findings(built)]
    assert all(name in sentences[0] for name in ("jawOpen", "neck", "jaw)"))
    assert "Subdivision" in sentences[1]
    assert "Ada Albedo" in sentences[2]
    fix(built, POSE)
    fix(built, PAINT)
    assert [finding.sentence for finding in findings(built)] == [sentences[1]]
    assert not albedo(built).is_dirty


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Every file that grows beyond `size` bytes is cut off there, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".glb", ".fbx", ".usdc", ".usdz", ".usda", ".stl", ".obj"])
@pytest.mark.parametrize("room", [200, 20_000])
def test_when_the_disk_ends_half_way_one_sentence_and_nothing_is_left(built, tmp_path, suffix, room):
    path = tmp_path / f"Ada{suffix}"
    path.write_bytes(b"the older file")
    with files_end_at(room), pytest.raises(ExportError, match=r"cannot be written|no room") as caught:
        export_avatar(built, path, ExportOptions())
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [(path.name, b"the older file")]
    assert not [item.name for item in bpy.data.objects if "(scene)" in item.name or item.name == "Armature"]
    assert len(bpy.data.images) == 3


@pytest.mark.parametrize("suffix", [".glb", ".usdc"])
def test_a_read_only_folder_is_said_in_one_sentence(built, tmp_path, suffix):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)  # root may write anywhere
    try:
        with pytest.raises(ExportError, match="you may not write there") as caught:
            export_avatar(built, folder / f"Ada{suffix}", ExportOptions())
    finally:
        if is_root:
            os.seteuid(0)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_blend_that_the_disk_cuts_off_leaves_nothing(avatar_path, tmp_path):
    script = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000));"
        f"sys.argv = ['x', {str(avatar_path)!r}, '-o', {str(tmp_path / 'a.blend')!r}];"
        "runpy.run_module('blender_addon', run_name='__main__')"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "cannot be written" in run.stderr.strip().splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_option_of_another_format_does_no_harm(built, tmp_path):
    wanted = export_avatar(built, tmp_path / "a.stl", replace(ExportOptions(), levels=3, names="meta"))
    assert wanted.bones == ()
    assert [item.name for item in tmp_path.iterdir()] == ["a.stl"]


def test_the_name_in_the_file_browser_follows_the_format_and_keeps_what_was_typed(registered):
    dialog = SimpleNamespace(filepath="/heads/head.v2.glb", file_format=".fbx")
    assert ExportAvatar.check(dialog, bpy.context)
    assert Path(dialog.filepath).name == "head.v2.fbx"
    assert not ExportAvatar.check(dialog, bpy.context)


TOLD = {  # what each program finds: the ending, how a key of one side is spelt, and whether there is a skeleton
    "WEB": (".glb", "mouthSmileLeft", True),
    "GODOT": (".glb", "mouthSmileLeft", True),
    "UNITY": (".fbx", "MouthSmileLeft", True),
    "UNREAL": (".fbx", "MouthSmileLeft", True),
    "METAHUMAN": (".fbx", "CTRL_expressions_mouthCornerPullL", True),
    "META": (".glb", "mouthSmile_L", False),
    "VRM": (".glb", "mouthSmileLeft", True),
    "USD": (".usdc", "mouthSmileLeft", True),
    "APPLE": (".usdz", "mouthSmileLeft", True),
    "PRINT": (".stl", "", False),
}


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"SPLATS"}))  # a backend makes Gaussians: test_export.py
def test_what_a_preset_promises_is_what_lies_in_its_file(registered, built, tmp_path, capfd, preset):
    suffix, key, bones = TOLD[preset]
    select_only([built.head.name], built.head.name)
    path = tmp_path / f"a{suffix}"
    assert bpy.ops.meshlam.export(filepath=str(tmp_path / "a"), preset=preset, reimport=True) == {"FINISHED"}
    assert f"Wrote {path.name}, checked" in capfd.readouterr().out
    known = set(bpy.data.objects)
    import_file(path)
    made = set(bpy.data.objects) - known
    keyed = [item for item in made if item.type == "MESH" and item.data.shape_keys]
    names = {block.name for item in keyed for block in item.data.shape_keys.key_blocks}
    assert (key in names) == bool(key)
    assert ({"happy", "aa", "blink"} <= names) == (preset == "VRM")
    skeletons = [set(item.data.bones.keys()) for item in made if item.type == "ARMATURE"]
    assert any({"root", "neck", "jaw"} <= skeleton for skeleton in skeletons) == bones
    if suffix == ".glb":
        both_sides = any(material.get("doubleSided") for material in gltf_json(path)["materials"])
        assert both_sides != PRESETS[preset].options.single_sided


def import_file(path: Path) -> None:
    """Read a file into the scene."""
    imports = {
        ".glb": bpy.ops.import_scene.gltf,
        ".fbx": bpy.ops.import_scene.fbx,
        ".stl": bpy.ops.wm.stl_import,
    }
    imports.get(path.suffix, bpy.ops.wm.usd_import)(filepath=str(path))


def test_the_file_tells_the_photos_hash_and_every_licence(built, tmp_path):
    told = {
        "photo_sha256": "ab" * 32, "head": "sample", "head_licence": "CC0-1.0",
        "weights": "small", "weights_sha256": "cd" * 32, "weights_licence": "CC0-1.0",
    }  # fmt: skip
    built.rig["meshlam_provenance"] = json.dumps(told)
    export_avatar(built, tmp_path / "a.glb", ExportOptions())
    assert gltf_json(tmp_path / "a.glb")["asset"]["extras"]["meshlam"].items() >= told.items()
    export_avatar(built, tmp_path / "a.usda", ExportOptions())
    text = (tmp_path / "a.usda").read_text()
    assert all(f'userProperties:{name} = "{value}"' in text for name, value in told.items())
