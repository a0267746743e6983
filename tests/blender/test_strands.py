"""Loose strands over the hull are an object of their own, which is a part of the head wherever that goes."""

from __future__ import annotations

import os
from dataclasses import replace

import bpy
import numpy as np
import pytest
from bodies import make_body
from doubles import AtOnce
from mathutils import Quaternion, Vector
from mathutils.bvhtree import BVHTree
from sample import JOINTS, PARENTS, gltf_json, make_sample, posed, with_arrays, write_sample

from blender_addon import state
from blender_addon.avatar_reader import AvatarFile, AvatarFileError, read_avatar
from blender_addon.axes import blender_from_avatar
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.scene.before import go_back
from blender_addon.scene.build import build_avatar
from blender_addon.scene.copies import delete, make_own
from blender_addon.scene.found import find_avatar
from blender_addon.scene.join_body import join
from blender_addon.scene.parts import HAIR, SURFACES
from blender_addon.scene.renew import renew
from blender_addon.scene.shape_keys import bald_key
from blender_addon.scene.strands import strands_of

BARY = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.3, 0.3, 0.4], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8]], "<f4")
LIFT = np.array([0.0005, 0.0005, 0.001, 0.001, 0.004])  # m over the hull: two corners, two corners, the tip
RIBBON = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4]], "<i4")
ARRAYS = ("vertices", "faces", "uvs", "anchor", "bary")


def with_strands(sample, length: float = 1.0, down_to: float = 1.0):
    """A ribbon on every fourth triangle of the hull, and of the face above `down_to` m; every other has its front in.

    A `length` of 2 makes them stand off twice as far.
    """
    arrays = sample.arrays
    lifted = np.linalg.norm(arrays["hair"], axis=1) > 0.01
    hanging = (arrays["part"] == 0) & (arrays["vertices"][:, 1] > down_to)
    on = np.flatnonzero((lifted | hanging)[arrays["faces"]].all(axis=1))[::4]
    corners = arrays["vertices"][arrays["faces"][on]].astype(float)  # [N, 3, 3]
    out = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    points = np.einsum("pc,ncx->npx", BARY, corners) + length * LIFT[:, None] * out[:, None]
    faces = RIBBON + 5 * np.arange(len(on))[:, None, None]
    faces[::2] = faces[::2, :, ::-1]
    made = {
        "vertices": points.reshape(-1, 3).astype("<f4"),
        "faces": faces.reshape(-1, 3).astype("<i4"),
        "uvs": np.einsum("pc,ncx->npx", BARY, arrays["uvs"][arrays["uv_faces"][on]]).reshape(-1, 2).astype("<f4"),
        "anchor": np.repeat(on, 5).astype("<i4"),
        "bary": np.tile(BARY, (len(on), 1)),
    }
    return with_arrays(sample, **{f"strand_{name}": array for name, array in made.items()})


@pytest.fixture(scope="session")
def hairy():
    return with_strands(make_sample(hair=True))


@pytest.fixture(scope="session")
def hairy_avatar(hairy, tmp_path_factory) -> AvatarFile:
    return read_avatar(write_sample(tmp_path_factory.mktemp("strands") / "hairy.meshlam", hairy))


@pytest.fixture(scope="session")
def hull_avatar(tmp_path_factory) -> AvatarFile:
    return read_avatar(write_sample(tmp_path_factory.mktemp("hull") / "hull.meshlam", make_sample(hair=True)))


@pytest.fixture(scope="session")
def longer_avatar(tmp_path_factory) -> AvatarFile:
    made = with_strands(make_sample(hair=True), 2.0)
    return read_avatar(write_sample(tmp_path_factory.mktemp("longer") / "longer.meshlam", made))


@pytest.fixture
def built(registered, hairy_avatar):
    return build_avatar(hairy_avatar, "Ada")


def seen(item) -> np.ndarray:  # [V, 3] as they stand in the scene
    bpy.context.view_layer.update()
    shown = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.array([shown.matrix_world @ vertex.co for vertex in shown.data.vertices])


def spots(avatar, points) -> np.ndarray:  # [S, 3] of points [V, 3] at the anchors
    strands = avatar.strands
    return np.einsum("sc,scx->sx", strands.bary, points[avatar.faces[strands.anchor]])


def test_strands_are_one_object_where_the_file_says_in_the_hulls_own_material(built, hairy_avatar):
    item = bpy.data.objects["Ada Strands"]
    assert np.allclose(seen(item), blender_from_avatar(hairy_avatar.strands.vertices), atol=1e-6)
    assert not item.visible_shadow
    hair = built.head.material_slots[SURFACES.index(HAIR)].material
    assert [slot.material for slot in item.material_slots] == [hair]
    assert find_avatar(item).head == built.head
    assert list(item.users_collection) == list(built.head.users_collection)


def test_they_show_the_texture_where_the_file_says(built, hairy_avatar):
    data = strands_of(built.rig).data
    uvs = np.array([tuple(place.vector) for place in data.uv_layers["UVMap"].uv])
    wanted = hairy_avatar.strands.uvs[[loop.vertex_index for loop in data.loops]]
    assert np.allclose(uvs, wanted, atol=1e-6)


def test_they_are_lit_as_the_hull_and_show_it_their_fronts(built, hairy_avatar):
    data = strands_of(built.rig).data
    of_head = np.array([tuple(normal.vector) for normal in built.head.data.vertex_normals])
    wanted = spots(hairy_avatar, of_head)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    shown = np.array([tuple(normal.vector) for normal in data.corner_normals])
    vertices = [loop.vertex_index for loop in data.loops]
    assert np.degrees(np.arccos(np.clip((shown * wanted[vertices]).sum(axis=1), -1, 1))).max() < 0.1
    for face in data.polygons:
        assert face.normal @ Vector(wanted[list(face.vertices)].sum(axis=0)) > 0


def test_they_move_with_the_bones_as_the_spots_do_that_they_lie_on(built, hairy_avatar):
    item = strands_of(built.rig)
    of_head = np.zeros((len(hairy_avatar.vertices), 5))
    for vertex in built.head.data.vertices:
        for entry in vertex.groups:
            of_head[vertex.index, JOINTS.index(built.head.vertex_groups[entry.group].name)] = entry.weight
    weights = spots(hairy_avatar, of_head)
    weights[np.arange(len(weights)), weights.argmin(axis=1)] = 0  # of five bones four
    weights /= weights.sum(axis=1, keepdims=True)
    turns = np.array([[0.1, 0, 0.2], [0.3, 0.2, 0.1], [0.3, 0, 0], [0, 0.3, 0], [0, 0.2, 0]])
    for name, turn in zip(JOINTS, turns, strict=True):
        built.rig.pose.bones[name].rotation_quaternion = Quaternion(turn, np.linalg.norm(turn))
    strands = {"vertices": hairy_avatar.strands.vertices, "joints": hairy_avatar.joints, "weights": weights}
    strands["blendshapes"] = np.zeros((1, len(weights), 3))
    wanted = blender_from_avatar(posed(strands, PARENTS, turns, np.zeros(1)))
    way = np.abs(wanted - blender_from_avatar(hairy_avatar.strands.vertices)).max()
    assert way > 0.02
    assert np.abs(seen(item) - wanted).max() < 4 * way / 512  # four weights are off by half a step of 1 / 256


def test_weights_are_of_four_bones_at_most_and_sum_to_one(built):
    item = strands_of(built.rig)
    for vertex in item.data.vertices:
        weights = [entry.weight for entry in vertex.groups if entry.weight > 0]
        assert len(weights) <= 4
        assert sum(weights) == pytest.approx(1, abs=1e-5)


def test_the_hairs_switch_draws_them_into_the_skull_and_out_again(built, hairy_avatar):
    bpy.ops.meshlam.toggle_hair()
    item = strands_of(built.rig)
    skull = spots(hairy_avatar, blender_from_avatar(hairy_avatar.vertices - hairy_avatar.hair))
    middle = blender_from_avatar(np.array([[0.0, 0.08, 0.03]]))  # of the sample's ball
    depth = np.linalg.norm(skull - middle, axis=1) - np.linalg.norm(seen(item) - middle, axis=1)
    assert np.allclose(depth, 0.002, atol=2e-4)
    bpy.ops.meshlam.toggle_hair()
    assert np.allclose(seen(item), blender_from_avatar(hairy_avatar.strands.vertices), atol=1e-6)


def test_they_follow_the_slider_by_hand_in_copies_too_and_after_loading(built, hairy_avatar, tmp_path):
    for item in (built.rig, built.head, strands_of(built.rig)):
        item.select_set(True)
    bpy.context.view_layer.objects.active = built.head
    bpy.ops.object.duplicate()
    path = tmp_path / "two.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    copy = find_avatar(bpy.data.objects["Ada.001"])
    assert strands_of(copy.rig).name == "Ada Strands.001"
    bald_key(copy.head).value = 1.0
    first, second = seen(bpy.data.objects["Ada Strands"]), seen(bpy.data.objects["Ada Strands.001"])
    assert np.allclose(first, blender_from_avatar(hairy_avatar.strands.vertices), atol=1e-6)
    assert np.linalg.norm(first - second, axis=1).min() > 0.01


def test_a_copied_mesh_that_gets_bones_of_its_own_gets_strands_of_its_own(built):
    made = built.head.copy()
    made.data = built.head.data.copy()
    built.collection.objects.link(made)
    copy = make_own(find_avatar(made))
    mine, theirs = strands_of(copy.rig), strands_of(built.rig)
    assert mine not in (None, theirs)
    copy.rig.location.x += 1.0
    bald_key(made).value = 1.0
    assert seen(mine)[:, 0].min() > 0.5
    assert np.abs(seen(theirs)[:, 0]).max() < 0.5
    assert bald_key(theirs).value == 0.0


def test_they_go_with_the_head_and_leave_nothing(registered, hairy_avatar):
    stores = (bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.images, bpy.data.shape_keys)
    before = [len(store) for store in stores]
    delete(build_avatar(hairy_avatar, "Ada"))
    assert [len(store) for store in stores] == before


@pytest.mark.parametrize("bald", [False, True])
def test_a_hull_alone_and_a_bald_head_have_no_such_object(registered, hairy, hull_avatar, tmp_path, bald):
    avatar = hull_avatar
    if bald:
        arrays = {name: array for name, array in hairy.arrays.items() if name != "hair"}
        avatar = read_avatar(write_sample(tmp_path / "bald.meshlam", replace(hairy, arrays=arrays)))
    assert strands_of(build_avatar(avatar, "Eve").rig) is None
    assert not any("Strands" in item.name for item in bpy.data.objects)


def test_another_reconstruction_brings_its_own_and_one_click_the_old_ones_back(built, hairy_avatar, longer_avatar):
    item = strands_of(built.rig)
    renew(built, longer_avatar, hairy_avatar)
    assert strands_of(built.rig) == item
    assert np.allclose(seen(item), blender_from_avatar(longer_avatar.strands.vertices), atol=1e-6)
    assert item.active_material == built.head.material_slots[SURFACES.index(HAIR)].material
    bald_key(built.head).value = 1.0
    assert np.linalg.norm(seen(item) - blender_from_avatar(longer_avatar.strands.vertices), axis=1).min() > 0.01
    bald_key(built.head).value = 0.0
    go_back(find_avatar(built.head))
    assert np.allclose(seen(item), blender_from_avatar(hairy_avatar.strands.vertices), atol=1e-6)
    assert [mesh.name for mesh in bpy.data.meshes if "Strands" in mesh.name] == ["Ada Strands"]


def test_they_come_with_a_new_head_and_off_again(registered, hull_avatar, hairy_avatar):
    made = build_avatar(hull_avatar, "Ada")
    renew(made, hairy_avatar, hull_avatar)
    assert np.allclose(seen(strands_of(made.rig)), blender_from_avatar(hairy_avatar.strands.vertices), atol=1e-6)
    go_back(find_avatar(made.head))
    assert strands_of(made.rig) is None
    assert not any("Strands" in mesh.name for mesh in bpy.data.meshes)
    renew(find_avatar(made.head), hairy_avatar, hull_avatar)
    assert strands_of(made.rig) is not None


def test_a_new_head_without_takes_them_off_and_one_click_brings_them_back(built, hull_avatar, hairy_avatar):
    told = renew(built, hull_avatar, hairy_avatar)
    assert strands_of(built.rig) is None
    assert "Ada Strands" not in bpy.context.view_layer.objects
    assert not any("Strands" in sentence for sentence in told)
    go_back(find_avatar(built.head))
    item = strands_of(built.rig)
    assert np.allclose(seen(item), blender_from_avatar(hairy_avatar.strands.vertices), atol=1e-6)
    bald_key(built.head).value = 1.0
    assert bald_key(item.evaluated_get(bpy.context.evaluated_depsgraph_get())) is not None
    assert np.linalg.norm(seen(item) - blender_from_avatar(hairy_avatar.strands.vertices), axis=1).min() > 0.01


@pytest.mark.parametrize("by", ["button", "script"])
def test_deleted_strands_stay_deleted(built, longer_avatar, hairy_avatar, by, tmp_path):
    item = strands_of(built.rig)
    if by == "button":
        bpy.ops.object.select_all(action="DESELECT")
        item.select_set(True)
        bpy.context.view_layer.objects.active = item
        bpy.ops.object.delete()
    else:
        bpy.data.objects.remove(item)
    renew(built, longer_avatar, hairy_avatar)
    assert strands_of(built.rig) is None
    go_back(find_avatar(built.head))
    assert not any("Strands" in shown.name for shown in bpy.context.view_layer.objects)
    export_avatar(find_avatar(built.head), tmp_path / "a.glb", ExportOptions())
    assert meshes_in(tmp_path / "a.glb") == ["Ada"]


@pytest.mark.parametrize("next_has", [True, False])
def test_combed_strands_stay_as_the_artist_left_them(built, longer_avatar, hull_avatar, hairy_avatar, next_has):
    item = strands_of(built.rig)
    tips = item.data.shape_keys.key_blocks[0].data
    for index in range(4, len(tips), 5):
        tips[index].co.z += 0.01
    combed = seen(item)
    told = renew(built, longer_avatar if next_has else hull_avatar, hairy_avatar)
    assert np.allclose(seen(strands_of(built.rig)), combed, atol=1e-6)
    assert any("Ada Strands" in sentence for sentence in told)


def test_new_strands_lie_on_what_the_artist_sculpted(built, longer_avatar, hairy_avatar):
    basis = built.head.data.shape_keys.key_blocks[0].data
    for point in basis:
        point.co.z += 0.05
    renew(built, longer_avatar, hairy_avatar)
    wanted = blender_from_avatar(longer_avatar.strands.vertices) + np.array([0, 0, 0.05])
    assert np.allclose(seen(strands_of(built.rig)), wanted, atol=1e-5)


def meshes_in(path) -> list[str]:
    told = gltf_json(path)
    return sorted(node["name"] for node in told["nodes"] if "mesh" in node)


@pytest.mark.files
@pytest.mark.parametrize(("accessories", "single_sided"), [(True, False), (False, True)])
def test_they_are_exported_as_a_part_of_the_head(built, tmp_path, accessories, single_sided):
    path = tmp_path / "Ada.glb"
    options = ExportOptions(accessories=accessories, single_sided=single_sided)
    wanted = export_avatar(built, path, options)
    assert verify(path, wanted) == []
    told = gltf_json(path)
    assert meshes_in(path) == ["Ada", "Ada Strands"]
    strands = next(mesh for mesh in told["meshes"] if mesh["name"] == "Ada Strands")
    assert "targets" not in strands["primitives"][0]
    hair = told["materials"][strands["primitives"][0]["material"]]
    assert hair["name"] == "Ada Hair"
    assert hair["doubleSided"]
    skin = next(material for material in told["materials"] if material["name"] == "Ada Skin")
    assert bool(skin.get("doubleSided")) != single_sided
    assert len([material for material in told["materials"] if material["name"].startswith("Ada Hair")]) == 1


@pytest.mark.files
def test_they_bring_no_second_copy_of_a_picture(registered, hull_avatar, hairy_avatar, tmp_path):
    counts = []
    for avatar in (hull_avatar, hairy_avatar):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        path = tmp_path / f"{avatar.path.stem}.glb"
        export_avatar(build_avatar(avatar, "Ada"), path, ExportOptions())
        counts.append(len(gltf_json(path)["images"]))
    assert counts[0] == counts[1]


@pytest.mark.files
@pytest.mark.parametrize("suffix", [".fbx", ".usdc"])
@pytest.mark.parametrize("bones", [True, False])
def test_other_formats_hold_them_as_well(built, tmp_path, suffix, bones):
    path = tmp_path / f"Ada{suffix}"
    with_them = export_avatar(built, path, ExportOptions(bones=bones, hair="switch"))
    assert verify(path, with_them) == []
    strands_of(built.rig).hide_set(True)
    without = export_avatar(built, tmp_path / f"Eve{suffix}", ExportOptions(bones=bones, hair="switch"))
    assert with_them.triangles - without.triangles == len(strands_of(built.rig).data.polygons)


@pytest.mark.files
def test_with_the_hair_as_a_morph_both_meshes_have_it(built, tmp_path):
    path = tmp_path / "Ada.glb"
    assert verify(path, export_avatar(built, path, ExportOptions(hair="switch"))) == []
    targets = {mesh["name"]: mesh["extras"]["targetNames"] for mesh in gltf_json(path)["meshes"]}
    assert targets["Ada Strands"] == ["bald"]
    assert "bald" in targets["Ada"]


@pytest.mark.files
@pytest.mark.parametrize("suffix", [".glb", ".fbx", ".usdc"])
def test_an_animation_goes_out_with_them(built, tmp_path, suffix):
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 5
    key = built.head.data.shape_keys.key_blocks["jawOpen"]
    for frame, value in ((1, 0.0), (5, 1.0)):
        key.value = value
        key.keyframe_insert("value", frame=frame)
    path = tmp_path / f"Ada{suffix}"
    assert verify(path, export_avatar(built, path, ExportOptions(animation=True, hair="switch"))) == []


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("MESHLAM_BACKEND"), reason="needs MESHLAM_BACKEND (a Python with meshlam)")
def test_gaussians_cover_them_too(hairy_avatar, tmp_path):
    built = build_avatar(hairy_avatar, "Ada")
    path = tmp_path / "Ada.ply"
    wanted = export_avatar(built, path, ExportOptions(gaussians=20_000))
    assert verify(path, wanted) == []
    assert wanted.triangles == len(built.head.data.polygons) + len(strands_of(built.rig).data.polygons)


@pytest.mark.files
@pytest.mark.parametrize("how", ["hair off", "hidden", "off in views", "deleted", "print"])
def test_they_are_left_out_where_they_are_not_wanted(built, tmp_path, how):
    item = strands_of(built.rig)
    item.hide_set(how == "hidden")
    item.hide_viewport = how == "off in views"
    if how == "deleted":
        bpy.data.objects.remove(item)
    if how == "print":
        wanted = export_avatar(built, tmp_path / "Ada.stl", ExportOptions())
        built.rig.pop("meshlam_strands")
        bpy.data.objects.remove(item)
        again = export_avatar(built, tmp_path / "Eve.stl", ExportOptions())
        assert (tmp_path / "Ada.stl").read_bytes()[80:] == (tmp_path / "Eve.stl").read_bytes()[80:]
        assert wanted.triangles == again.triangles
        return
    export_avatar(built, tmp_path / "Ada.glb", ExportOptions(hair="bald" if how == "hair off" else "hull"))
    assert meshes_in(tmp_path / "Ada.glb") == ["Ada"]


@pytest.mark.files
def test_only_the_finest_level_of_detail_has_them(built, tmp_path):
    path = tmp_path / "Ada.glb"
    wanted = export_avatar(built, path, ExportOptions(levels=3))
    assert verify(path, wanted) == []
    held = [meshes_in(path.with_name(name)) for name in ("Ada.glb", "Ada_LOD1.glb", "Ada_LOD2.glb")]
    assert held == [["Ada", "Ada Strands"], ["Ada"], ["Ada"]]


@pytest.fixture
def open_avatar(tmp_path) -> AvatarFile:
    """One with an open neck, the lowest faces of its ball are gone, and strands down to there."""
    sample = with_strands(make_sample(hair=True), down_to=0.0)
    arrays = dict(sample.arrays)
    low = arrays["vertices"][arrays["faces"]].max(1)[:, 1] < 0.0
    arrays |= {"faces": arrays["faces"][~low], "uv_faces": arrays["uv_faces"][~low]}
    arrays["strand_anchor"] = (np.cumsum(~low) - 1)[arrays["strand_anchor"]].astype("<i4")
    return read_avatar(write_sample(tmp_path / "open.meshlam", replace(sample, arrays=arrays)))


@pytest.mark.parametrize("with_skeleton", [True, False])
def test_they_go_along_to_a_body(registered, open_avatar, with_skeleton):
    built = build_avatar(open_avatar, "Ada")
    body, skeleton = make_body()
    if not with_skeleton:
        bpy.data.objects.remove(skeleton)
    item = strands_of(built.rig)
    lifted = spots(open_avatar, np.linalg.norm(open_avatar.hair, axis=1, keepdims=True))[:, 0] > 0.01
    over = above(item, built.head)
    mesh, rig, seam = join(built, body)
    mine = strands_of(rig)
    assert mine not in (None, item)
    assert item.hide_get()
    assert not mine.hide_get()
    assert find_avatar(mine).head == mesh
    assert np.allclose(above(mine, mesh), seam.scale * over, atol=1e-3)  # where the neck is bent to the body's, too
    rest = seen(mine)
    bone = rig.pose.bones["head" if with_skeleton else "neck"]
    bone.rotation_mode, bone.rotation_quaternion = "QUATERNION", Quaternion((0, 0, 1), 0.4)
    assert np.abs(seen(mine) - rest).max() > 0.02
    bald_key(mesh).value = 1.0
    assert bald_key(built.head).value == 0.0
    assert np.linalg.norm(seen(mine) - nearest(seen(mine), seen(mesh)), axis=1).max() < 0.02
    assert np.linalg.norm(seen(mine) - rest, axis=1)[lifted].min() > 0.01


def above(item, head) -> np.ndarray:
    """How far each vertex is from the head's surface."""
    tree = BVHTree.FromPolygons(seen(head).tolist(), [tuple(face.vertices) for face in head.data.polygons])
    return np.array([tree.find_nearest(point)[3] for point in seen(item).tolist()])


def nearest(points, of) -> np.ndarray:
    return of[np.linalg.norm(points[:, None] - of[None], axis=2).argmin(axis=1)]


@pytest.mark.parametrize("name", ARRAYS)
def test_strands_without_one_of_their_arrays_are_refused(hairy, tmp_path, name):
    arrays = {key: array for key, array in hairy.arrays.items() if key != f"strand_{name}"}
    path = write_sample(tmp_path / "a.meshlam", replace(hairy, arrays=arrays))
    with pytest.raises(AvatarFileError, match=f"strands need all of their arrays, strand_{name} is missing"):
        read_avatar(path)


@pytest.mark.parametrize(
    ("name", "row", "value", "said"),
    [
        ("strand_faces", 0, -1, "strand_faces must hold numbers from 0"),
        ("strand_faces", 0, 10**6, "strand_faces must hold numbers from 0"),
        ("strand_anchor", 0, 10**6, "strand_anchor must hold numbers from 0"),
        ("strand_bary", 0, -0.1, "strand_bary must not be negative"),
        ("strand_bary", 0, 0.9, "strand_bary must not be negative and must sum to 1"),
        ("strand_vertices", 0, np.nan, "strand_vertices holds numbers that are not finite"),
    ],
)
def test_damaged_strands_are_refused_in_one_sentence(hairy, tmp_path, name, row, value, said):
    array = hairy.arrays[name].copy()
    array[row] = value
    with pytest.raises(AvatarFileError, match=said):
        read_avatar(write_sample(tmp_path / "a.meshlam", with_arrays(hairy, **{name: array})))


@pytest.mark.parametrize("hair", ["strands", "hull", "bald"])
def test_the_option_asks_for_what_it_says(registered, monkeypatch, sample, tmp_path, photo, hair):
    path = write_sample(tmp_path / "a.meshlam", sample)
    session = AtOnce(path, path)
    monkeypatch.setattr(state, "session", session)
    monkeypatch.setattr(state, "made_files", [])
    fields = bpy.context.scene.meshlam
    assert fields.hair == "strands"
    fields.photo, fields.hair = str(photo), hair
    bpy.ops.meshlam.reconstruct()
    assert session.request.options["hair"] == hair
