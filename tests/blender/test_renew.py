"""A second reconstruction onto a head: the artist's work stays, and one click goes back."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
import pytest
from sample import make_sample, write_sample

from blender_addon.avatar_reader import read_avatar
from blender_addon.axes import blender_from_avatar
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.scene.action import show_photo_pose
from blender_addon.scene.before import can_go_back, go_back
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import find_avatar
from blender_addon.scene.guard import editing
from blender_addon.scene.layers import albedo_nodes, pixels_of
from blender_addon.scene.mesh import limited_weights
from blender_addon.scene.quads import make_quads
from blender_addon.scene.renew import RenewError, renew
from blender_addon.scene.weights import weights_of


@pytest.fixture
def second(tmp_path, sample):
    """Another person on the same template: wider, other texture, other photo."""
    from sample import encode_png

    arrays = {name: array.copy() for name, array in sample.arrays.items()}
    arrays["vertices"] *= np.float32([1.1, 1.0, 1.0])
    arrays["joints"] *= np.float32([1.1, 1.0, 1.0])
    arrays["photo_focal"] = np.array([900.0], "<f4")
    arrays["photo_rotations"] = arrays["photo_rotations"] * np.float32(0.5)
    images = sample.images | {"albedo": encode_png(np.full((64, 64, 3), 90, np.uint8))}
    return read_avatar(write_sample(tmp_path / "second.meshlam", replace(sample, arrays=arrays, images=images)))


@pytest.fixture
def finer(tmp_path, sample, second):
    """The second person with hair of its own: the first 60 triangles are split, their middles are new vertices."""
    arrays = {name: array.copy() for name, array in sample.arrays.items()}
    arrays |= {name: getattr(second, name) for name in ("vertices", "joints", "photo_rotations")}
    split, kept = arrays["faces"][:60], arrays["faces"][60:]
    uv_split, uv_kept = arrays["uv_faces"][:60], arrays["uv_faces"][60:]

    def fan(corners, middle):
        return np.concatenate([np.stack([corners[:, i], corners[:, (i + 1) % 3], middle], 1) for i in range(3)])

    count, uv_count = len(arrays["vertices"]), len(arrays["uvs"])
    arrays["faces"] = np.concatenate([kept, fan(split, count + np.arange(60))]).astype("<i4")
    arrays["uv_faces"] = np.concatenate([uv_kept, fan(uv_split, uv_count + np.arange(60))]).astype("<i4")
    for name in ("vertices", "weights"):
        arrays[name] = np.concatenate([arrays[name], arrays[name][split].mean(1)]).astype("<f4")
    arrays["uvs"] = np.concatenate([arrays["uvs"], arrays["uvs"][uv_split].mean(1)]).astype("<f4")
    arrays["part"] = np.concatenate([arrays["part"], arrays["part"][split[:, 0]]])
    shapes = arrays["blendshapes"]
    arrays["blendshapes"] = np.concatenate([shapes, shapes[:, split].mean(2)], axis=1).astype("<f4")
    return read_avatar(write_sample(tmp_path / "finer.meshlam", replace(sample, arrays=arrays)))


def points(items, name="co") -> np.ndarray:
    flat = np.empty(len(items) * 3, np.float32)
    items.foreach_get(name, flat)
    return flat.reshape(-1, 3)


@pytest.fixture
def worked_on(avatar):
    """A head after a day of work."""
    built = build_avatar(avatar, "Ada")
    mesh = built.head.data
    keys = mesh.shape_keys.key_blocks
    for block in (*keys, mesh):
        items = block.vertices if block == mesh else block.data
        moved = points(items)
        moved[:50, 2] += 0.005  # a sculpted forehead: sculpting the basis takes the keys along
        items.foreach_set("co", moved.ravel())
    edited = points(keys["jawOpen"].data)
    edited[100] += 0.01
    keys["jawOpen"].data.foreach_set("co", edited.ravel())
    own = built.head.shape_key_add(name="Scar", from_mix=False)
    own.data[7].co.x += 0.003
    own.value = 0.0
    image = albedo_nodes(built.head)[0][1].image
    pixels = pixels_of(image)
    pixels[10:20, 10:20] = (1, 0, 0, 1)
    image.pixels.foreach_set(pixels.ravel())
    built.rig.pose.bones["jaw"].keyframe_insert("rotation_quaternion", frame=5)
    built.head.modifiers.new("Subdivision", "SUBSURF")
    bpy.ops.mesh.primitive_cube_add(size=0.02, location=(0, 0, 0.3))
    hat = bpy.context.object
    hat.name, hat.parent = "Hat", built.rig
    return built


def test_what_an_artist_did_is_kept_and_listed(worked_on, avatar, second):
    kept = renew(worked_on, second, avatar)
    head = find_avatar(worked_on.rig).head
    keys = head.data.shape_keys.key_blocks
    wanted = blender_from_avatar(second.vertices).copy()
    wanted[:50, 2] += 0.005
    np.testing.assert_allclose(points(head.data.vertices), wanted, atol=1e-6)
    jaw = blender_from_avatar(second.blendshapes[second.blendshape_names.index("jawOpen")]).copy()
    jaw[100] += 0.01
    np.testing.assert_allclose(points(keys["jawOpen"].data) - wanted, jaw, atol=2e-6)
    assert points(keys["Scar"].data)[7, 0] - wanted[7, 0] == pytest.approx(0.003, abs=1e-6)
    assert worked_on.rig.animation_data.action is not None
    np.testing.assert_allclose(
        np.array(worked_on.rig.data.bones["jaw"].head_local), blender_from_avatar(second.joints[2]), atol=1e-6
    )
    listed = "; ".join(kept)
    for words in (
        "Sculpting on 50 vertices",
        "1 shape keys: jawOpen",
        "Scar",
        "Painted",
        "bones",
        "Subdivision",
        "Hat",
    ):
        assert words in listed


def test_paint_lies_over_the_new_texture_as_a_layer_and_is_exported(worked_on, avatar, second, tmp_path):
    renew(worked_on, second, avatar)
    (tree, node), *_ = albedo_nodes(worked_on.head)
    np.testing.assert_allclose(pixels_of(node.image)[..., :3], 90 / 255, atol=1e-3)
    path = tmp_path / "a.usdc"
    wanted = export_avatar(worked_on, path, ExportOptions(accessories=False))
    assert verify(path, wanted) == []
    (texture,) = (tmp_path / "textures").iterdir()
    image = bpy.data.images.load(str(texture))
    pixels = pixels_of(image)
    np.testing.assert_allclose(pixels[15, 15, :3], (1, 0, 0), atol=1e-3)
    np.testing.assert_allclose(pixels[40, 40, :3], 90 / 255, atol=1e-3)
    assert len([item for item in tree.nodes if item.label == "Paint"]) == 2


def test_one_click_goes_back_to_the_head_as_it_was(worked_on, avatar, second):
    def look() -> tuple:
        head = worked_on.head
        return (
            points(head.data.vertices).round(6).tolist(),
            {key.name: points(key.data).round(6).tolist() for key in head.data.shape_keys.key_blocks},
            pixels_of(albedo_nodes(head)[0][1].image).round(3).tolist(),
            [tuple(round(x, 6) for x in bone.head_local) for bone in worked_on.rig.data.bones],
            round(worked_on.camera.data.lens, 4),
            worked_on.rig["meshlam_photo_pose"],
            head.data.name,
        )

    before = look()
    renew(worked_on, second, avatar)
    assert look() != before
    assert can_go_back(worked_on)
    go_back(worked_on)
    assert look() == before
    assert not can_go_back(worked_on)
    assert not [item.name for item in bpy.data.meshes if "undone" in item.name]


def test_a_failure_half_way_leaves_the_head_as_it_was(worked_on, avatar, second):
    before = points(worked_on.head.data.vertices)
    damaged = replace(second, photo=replace(second.photo, data=second.photo.data[:60]))
    with pytest.raises(ValueError, match="could not decode"):
        renew(worked_on, damaged, avatar)
    np.testing.assert_array_equal(points(worked_on.head.data.vertices), before)
    assert albedo_nodes(worked_on.head)[0][1].image.name == "Ada Albedo"
    assert worked_on.camera.data.background_images[0].image is not None
    assert not can_go_back(worked_on)


def test_an_untouched_head_becomes_exactly_the_new_one(avatar, second):
    built = build_avatar(avatar, "Ada")
    show_photo_pose(built.rig, built.head)
    assert renew(built, second, avatar) == []
    fresh = build_avatar(second, "Bob")
    keys, others = (item.head.data.shape_keys.key_blocks for item in (built, fresh))
    for key, other in zip(keys, others, strict=True):
        np.testing.assert_allclose(points(key.data), points(other.data), atol=1e-6)
    assert built.camera.data.lens == fresh.camera.data.lens


def test_twice_onto_the_same_head_keeps_everything_still(worked_on, avatar, second):
    renew(worked_on, second, avatar)
    kept = renew(worked_on, avatar, second)
    assert any("Sculpting on 50" in sentence for sentence in kept)
    (tree, _), *_ = albedo_nodes(worked_on.head)
    layer = next(item for item in tree.nodes if item.label == "Paint" and item.type == "TEX_IMAGE").image
    assert tuple(pixels_of(layer)[15, 15]) == (1, 0, 0, 1)


def test_without_the_old_file_the_sculpt_is_kept_all_the_same(worked_on, second):
    kept = renew(worked_on, second, None)
    assert any("Sculpting on 50" in sentence for sentence in kept)


def test_a_head_with_another_mesh_is_refused_and_left_alone(worked_on, avatar, second):
    bpy.context.view_layer.objects.active = worked_on.head
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.delete(type="ONLY_FACE")
    bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(RenewError, match="no longer has the mesh"):
        renew(worked_on, second, avatar)
    assert not can_go_back(worked_on)


def test_hair_comes_along(tmp_path, avatar):
    hairy = read_avatar(write_sample(tmp_path / "hair.meshlam", make_sample(hair=True)))
    built = build_avatar(hairy, "Eve")
    renew(built, hairy, hairy)
    keys = built.head.data.shape_keys.key_blocks
    np.testing.assert_allclose(points(keys["Bald"].data), blender_from_avatar(hairy.vertices - hairy.hair), atol=1e-6)


def test_what_was_sculpted_keyed_and_grouped_is_carried_to_a_mesh_with_other_vertices(worked_on, avatar, finer):
    head = worked_on.head
    group = head.vertex_groups.new(name="Freckles")
    group.add(list(range(50)), 0.5, "REPLACE")
    head.data.shape_keys.key_blocks["jawOpen"].keyframe_insert("value", frame=3)
    kept = renew(worked_on, finer, avatar)
    mesh = head.data
    assert (len(mesh.vertices), len(mesh.polygons)) == (len(finer.vertices), len(finer.faces))
    assert "jawOpen" in "; ".join(kept)
    wanted = blender_from_avatar(finer.vertices)
    sculpt = points(mesh.vertices) - wanted
    np.testing.assert_allclose(sculpt[:50], np.tile([0, 0, 0.005], (50, 1)), atol=1e-6)
    assert np.abs(sculpt[50 : len(avatar.vertices)]).max() < 1e-6
    # of the new vertices, those between sculpted ones are raised, too (the sample's balls overlap in the texture)
    corners = avatar.faces[:60]
    new = sculpt[len(avatar.vertices) :, 2]
    assert np.median(new[(corners < 50).all(1)]) > 0.002
    assert new.max() < 0.0051
    keys = mesh.shape_keys.key_blocks
    now = points(mesh.vertices)
    jaw = blender_from_avatar(finer.blendshapes[finer.blendshape_names.index("jawOpen")]).copy()
    edit = points(keys["jawOpen"].data) - now - jaw
    np.testing.assert_allclose(edit[100], 0.01, atol=2e-6)
    assert points(keys["Scar"].data)[7, 0] - now[7, 0] == pytest.approx(0.003, abs=1e-6)
    assert mesh.shape_keys.animation_data.action is not None
    bpy.context.scene.frame_set(3)
    assert mesh.vertices[5].groups[-1].weight == pytest.approx(0.5)
    assert [slot.material.name for slot in head.material_slots] == [item.name for item in mesh.materials]
    assert find_avatar(worked_on.rig).head == head


def test_one_click_goes_back_to_the_mesh_of_before(worked_on, avatar, finer):
    worked_on.head.vertex_groups.new(name="Freckles").add([3], 0.5, "REPLACE")
    before = points(worked_on.head.data.vertices), [group.name for group in worked_on.head.vertex_groups]
    renew(worked_on, finer, avatar)
    go_back(worked_on)
    np.testing.assert_array_equal(points(worked_on.head.data.vertices), before[0])
    assert [group.name for group in worked_on.head.vertex_groups] == before[1]
    assert not [item.name for item in bpy.data.meshes if "undone" in item.name or "old" in item.name]


def test_a_head_on_another_mesh_is_exactly_the_new_one_where_nothing_was_done(avatar, finer):
    built = build_avatar(avatar, "Ada")
    assert renew(built, finer, avatar) == []
    fresh = build_avatar(finer, "Bob")
    for key, other in zip(built.head.data.shape_keys.key_blocks, fresh.head.data.shape_keys.key_blocks, strict=True):
        assert key.name == other.name
        np.testing.assert_allclose(points(key.data), points(other.data), atol=1e-6)
    for one, other in zip(built.head.data.vertices, fresh.head.data.vertices, strict=True):
        assert [(g.group, g.weight) for g in one.groups] == [(g.group, g.weight) for g in other.groups]


def test_without_the_old_file_or_with_another_model_the_new_head_stands_beside_it(worked_on, avatar, finer):
    with pytest.raises(RenewError, match="is gone"):
        renew(worked_on, finer, None)
    elsewhere = replace(finer, uvs=finer.uvs[::-1].copy())
    with pytest.raises(RenewError, match="another head model"):
        renew(worked_on, elsewhere, avatar)
    assert not can_go_back(worked_on)


@pytest.mark.parametrize("other", ["second", "finer"])
def test_materials_and_weights_of_ones_own_are_kept_and_listed(worked_on, avatar, request, other):
    head = worked_on.head
    own = bpy.data.materials.new("Gold")
    head.material_slots[0].material.node_tree.nodes["Principled BSDF"].inputs["Coat Weight"].default_value = 0.75
    head.material_slots[1].material = own
    head.vertex_groups["jaw"].add([3], 0.625, "REPLACE")
    listed = "; ".join(renew(worked_on, request.getfixturevalue(other), avatar))
    head = find_avatar(worked_on.rig).head
    assert head.material_slots[1].material == own
    skin = head.material_slots[0].material.node_tree.nodes["Principled BSDF"]
    assert skin.inputs["Coat Weight"].default_value == 0.75
    assert head.vertex_groups["jaw"].weight(3) == pytest.approx(0.625)
    assert "Materials: Gold" in listed


OTHERS = pytest.mark.parametrize("other", ["second", "finer"])


@OTHERS
def test_weights_that_were_painted_are_kept_and_the_others_are_the_new_files(avatar, request, other):
    built = build_avatar(avatar, "Ada")
    head, new = built.head, request.getfixturevalue(other)
    shifted = np.roll(new.weights, 1, axis=1)  # as from a file with other weights
    new = replace(new, weights=shifted)
    head.vertex_groups["jaw"].add([3, 4], 0.625, "REPLACE")
    head.vertex_groups["neck"].remove([3])
    head.vertex_groups["neck"].lock_weight = True
    listed = "; ".join(renew(built, new, avatar))
    assert "Painted weights of 2 vertices" in listed or (other == "finer" and "Painted weights of" in listed)
    now, written = weights_of(head), limited_weights(avatar.weights)
    names = list(avatar.joint_names)
    assert now["jaw"][[3, 4]] == pytest.approx(0.625)
    assert now["neck"][3] == 0.0
    assert now["root"][3] == pytest.approx(written[3, names.index("root")], abs=1e-5)
    untouched = np.arange(5, len(avatar.vertices))
    columns = np.stack([now[name] for name in names], axis=1)
    np.testing.assert_allclose(columns[untouched], limited_weights(shifted)[untouched], atol=2e-5)
    assert head.vertex_groups["neck"].lock_weight


def test_a_new_vertex_between_painted_ones_takes_their_weights(avatar, finer):
    built = build_avatar(avatar, "Ada")
    for name in avatar.joint_names:
        built.head.vertex_groups[name].add(range(len(avatar.vertices)), float(name == "jaw"), "REPLACE")
    renew(built, finer, avatar)
    assert weights_of(built.head)["jaw"] == pytest.approx(1.0)


@OTHERS
def test_groups_of_ones_own_are_kept_also_those_of_ones_own_bones(worked_on, avatar, request, other):
    head, rig = worked_on.head, worked_on.rig
    with editing(rig):
        rig.data.edit_bones.new("ear").tail = (0, 0, 0.1)
    head.vertex_groups.new(name="ear").add([8], 0.25, "REPLACE")
    head.vertex_groups.new(name="Freckles").add([9], 0.5, "REPLACE")
    listed = "; ".join(renew(worked_on, request.getfixturevalue(other), avatar))
    assert head.vertex_groups["ear"].weight(8) == pytest.approx(0.25)
    assert head.vertex_groups["Freckles"].weight(9) == pytest.approx(0.5)
    assert "Your own vertex groups: ear, Freckles" in listed
    go_back(worked_on)
    assert head.vertex_groups["ear"].weight(8) == pytest.approx(0.25)


def decorate(mesh) -> None:
    """An attribute of every sort, each with a value that says where it lies."""
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    uvs = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers["UVMap"].uv.foreach_get("vector", uvs)
    mesh.uv_layers.new(name="Tiles").uv.foreach_set("vector", (2 * uvs + 1).astype(np.float32))
    mesh.uv_layers["Tiles"].active_render = True
    ramp = (corners / len(mesh.vertices)).astype(np.float32)
    colours = mesh.color_attributes.new("Moss", "BYTE_COLOR", "CORNER")
    colours.data.foreach_set("color", np.repeat(ramp, 4))
    mesh.color_attributes.active_color_name = "Moss"
    numbers = np.arange(len(mesh.vertices), dtype=np.int32)
    mesh.attributes.new("Number", "INT", "POINT").data.foreach_set("value", numbers)
    mesh.attributes.new(".sculpt_mask", "FLOAT", "POINT").data.foreach_set("value", (numbers < 50).astype(np.float32))
    areas = mesh.attributes.new("Area", "INT", "FACE")
    areas.data.foreach_set("value", [sum(polygon.vertices) for polygon in mesh.polygons])
    mesh.attributes.new("sharp_edge", "BOOLEAN", "EDGE").data.foreach_set(
        "value", [max(e.vertices) < 40 for e in mesh.edges]
    )
    mesh["studio"] = "Ada's"


def values_of(mesh, name: str) -> np.ndarray:
    word, size, kind = {
        "Tiles": ("vector", 2, np.float32),
        "Moss": ("color", 4, np.float32),
        "Number": ("value", 1, np.int32),
        ".sculpt_mask": ("value", 1, np.float32),
        "Area": ("value", 1, np.int32),
        "sharp_edge": ("value", 1, bool),
    }[name]
    items = mesh.attributes[name].data
    flat = np.empty(len(items) * size, kind)
    items.foreach_get(word, flat)
    return flat.reshape(-1, size)


@OTHERS
@pytest.mark.parametrize("quads", [False, True], ids=["triangles", "quads"])
def test_attributes_of_ones_own_are_kept_and_listed(avatar, request, other, quads):
    built, new = build_avatar(avatar, "Ada"), request.getfixturevalue(other)
    head = built.head
    if quads:
        make_quads(built)
    decorate(head.data)
    marked = {tuple(sorted(edge.vertices)) for edge in head.data.edges if max(edge.vertices) < 40}
    areas = {tuple(sorted(p.vertices)): sum(p.vertices) for p in head.data.polygons}
    listed = "; ".join(renew(built, new, avatar))
    for words in ("UV maps: Tiles", "colour attributes: Moss", "Number", "Area", "sharp_edge", "sculpt_mask"):
        assert words in listed
    mesh, count = head.data, len(avatar.vertices)
    assert values_of(mesh, "Number")[:count, 0].tolist() == list(range(count))
    assert values_of(mesh, ".sculpt_mask")[:count, 0].tolist() == [float(index < 50) for index in range(count)]
    uvs = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers["UVMap"].uv.foreach_get("vector", uvs)
    np.testing.assert_allclose(values_of(mesh, "Tiles"), 2 * uvs.reshape(-1, 2) + 1, atol=2e-3)  # new triangles, too
    colours = values_of(mesh, "Moss")[:, 0]
    for polygon in mesh.polygons:
        ends = tuple(sorted(polygon.vertices))
        if ends in areas:
            assert values_of(mesh, "Area")[polygon.index] == areas[ends]
            for loop, vertex in zip(polygon.loop_indices, polygon.vertices, strict=True):
                assert colours[loop] == pytest.approx(vertex / count, abs=0.01)
    sharp = values_of(mesh, "sharp_edge")[:, 0]
    for edge in mesh.edges:
        ends = tuple(sorted(edge.vertices))
        if max(ends) < count and (other == "second" or not quads or ends in marked):
            assert sharp[edge.index] == (ends in marked)
    assert mesh.uv_layers["Tiles"].active_render
    assert mesh.color_attributes.active_color_name == "Moss"
    assert mesh["studio"] == "Ada's"


def test_one_click_goes_back_to_the_weights_and_attributes_of_before(worked_on, avatar, finer):
    head = worked_on.head
    decorate(head.data)
    head.vertex_groups["jaw"].add([3], 0.625, "REPLACE")
    names = ("Tiles", "Moss", "Number", "Area", "sharp_edge")

    def look() -> tuple:
        weights = {name: column.tolist() for name, column in weights_of(head).items()}
        return weights, [values_of(head.data, name).tolist() for name in names]

    before = look()
    renew(worked_on, finer, avatar)
    assert look() != before
    go_back(worked_on)
    assert look() == before


@OTHERS
def test_faces_given_another_material_keep_it(worked_on, avatar, request, other):
    mesh = worked_on.head.data
    mesh.materials.append(bpy.data.materials.new("Tattoo"))
    slot = len(mesh.materials) - 1
    faces = [polygon.index for polygon in mesh.polygons if polygon.index % 3 == 0]
    places = {tuple(sorted(mesh.polygons[index].vertices)) for index in faces}
    before = {tuple(sorted(p.vertices)): p.material_index for p in mesh.polygons}
    for index in faces:
        mesh.polygons[index].material_index = slot
    renew(worked_on, request.getfixturevalue(other), avatar)
    for polygon in worked_on.head.data.polygons:
        ends = tuple(sorted(polygon.vertices))
        if ends in before:
            assert polygon.material_index == (slot if ends in places else before[ends])


@OTHERS
def test_keys_keep_their_settings_and_drivers(worked_on, avatar, request, other):
    keys = worked_on.head.data.shape_keys.key_blocks
    keys["Scar"].slider_max, keys["Scar"].value = 2.0, 1.5
    keys["jawLeft"].mute, keys["jawLeft"].vertex_group = True, "jaw"
    keys["Scar"].relative_key = keys["jawOpen"]
    keys["mouthLeft"].driver_add("value").driver.expression = "0.25"
    renew(worked_on, request.getfixturevalue(other), avatar)
    data = worked_on.head.data.shape_keys
    keys = data.key_blocks
    assert (keys["Scar"].slider_max, keys["Scar"].value) == (2.0, 1.5)
    assert (keys["jawLeft"].mute, keys["jawLeft"].vertex_group) == (True, "jaw")
    assert keys["Scar"].relative_key == keys["jawOpen"]
    assert 'key_blocks["mouthLeft"].value' in [curve.data_path for curve in data.animation_data.drivers]


@OTHERS
def test_strips_of_the_expressions_are_kept(worked_on, avatar, request, other):
    keys = worked_on.head.data.shape_keys
    keys.key_blocks["jawOpen"].value = 0.75
    keys.key_blocks["jawOpen"].keyframe_insert("value", frame=3)
    data = keys.animation_data
    strip = data.nla_tracks.new().strips.new("Talk", 10, data.action)
    strip.repeat, strip.influence = 2.0, 0.5
    data.action = None
    length = strip.frame_end
    listed = renew(worked_on, request.getfixturevalue(other), avatar)
    assert "Animation of the expressions" in listed
    keys = worked_on.head.data.shape_keys
    (strip,) = keys.animation_data.nla_tracks[0].strips
    assert (strip.name, strip.frame_start, strip.frame_end) == ("Talk", 10, length)
    assert (strip.repeat, strip.influence) == (2.0, 0.5)
    keys.key_blocks["jawOpen"].value = 0.0
    bpy.context.scene.frame_set(10)
    assert keys.key_blocks["jawOpen"].value > 0.3


def test_a_head_sculpted_with_multires_stays_where_the_new_one_has_another_mesh(worked_on, avatar, second, finer):
    head = worked_on.head
    head.modifiers.new("Multires", "MULTIRES")
    with bpy.context.temp_override(object=head, active_object=head):
        bpy.ops.object.multires_subdivide(modifier="Multires")
    with pytest.raises(RenewError, match="Multires"):
        renew(worked_on, finer, avatar)
    assert "Modifiers: Multires, Subdivision" in renew(worked_on, second, avatar)
