"""Where a head's texture comes from and how surely its shape is known, as Blender shows it."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
import pytest
from sample import encode_png, write_sample

from blender_addon import panel, viewport
from blender_addon.avatar_reader import AvatarFileError, read_avatar
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.scene.before import go_back
from blender_addon.scene.build import build_avatar
from blender_addon.scene.renew import renew
from blender_addon.scene.trust import CLASSES, MILLIMETRES, SCALE, TRUST, UNCERTAINTY, colours_of


def told_sample(sample, shares, doubt):
    """The sample with a trust picture, whose upper half is `shares` and whose lower half is all the network's."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:32], picture[32:] = shares, (0, 0, 0, 255)
    images = sample.images | {"trust": encode_png(picture)}
    told = np.full(len(sample.arrays["vertices"]), doubt, "<f4")
    return replace(sample, arrays=sample.arrays | {"uncertainty": told}, images=images)


@pytest.fixture(scope="session")
def told(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("trust") / "told.meshlam"
    return read_avatar(write_sample(path, told_sample(sample, (102, 0, 153, 0), 0.0025)))


@pytest.fixture
def built(registered, told):
    made = build_avatar(told, "Ada")
    bpy.context.view_layer.objects.active = made.head
    return made


def values(mesh, name, attribute, width):
    found = np.empty(len(mesh.vertices) * width, np.float32)
    mesh.attributes[name].data.foreach_get(attribute, found)
    return found.reshape(-1, width)


def views():
    """Everything that tells how the 3D views are shaded, in each of their types."""
    found = []
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "VIEW_3D":
                shading = area.spaces.active.shading
                now = shading.type
                row = [screen.name, now]
                for kind in ("SOLID", "MATERIAL", "WIREFRAME"):
                    shading.type = kind
                    row += [shading.light, shading.color_type]
                shading.type = now
                found.append(row)
    return found


def test_each_vertex_has_the_colours_of_its_classes_and_its_millimetres(built, told):
    colours = values(built.head.data, TRUST, "color", 4)
    seen, _, model, network = (np.array(kind.colour) for kind in CLASSES)
    upper, lower = (np.ones(len(colours), bool) for _ in range(2))
    for vertex, place in zip(told.faces.ravel(), told.uvs[told.uv_faces.ravel()], strict=True):
        upper[vertex] &= place[1] > 0.5
        lower[vertex] &= place[1] < 0.49
    assert min(upper.sum(), lower.sum()) > 50
    np.testing.assert_allclose(colours[upper, :3] - (0.4 * seen + 0.6 * model), 0, atol=1e-5)
    np.testing.assert_allclose(colours[lower, :3] - network, 0, atol=1e-5)  # alpha is a share, too
    np.testing.assert_allclose(values(built.head.data, UNCERTAINTY, "value", 1), 2.5, rtol=1e-6)
    assert not [image.name for image in bpy.data.images if "trust" in image.name.lower()]


def test_the_overlay_changes_the_views_alone_and_goes_without_a_trace(built, drawn):
    mesh = built.head.data
    mesh.color_attributes.new("Mine", "BYTE_COLOR", "CORNER")
    mesh.color_attributes.active_color_name = "Mine"
    spaces = [area.spaces.active for screen in bpy.data.screens for area in screen.areas if area.type == "VIEW_3D"]
    assert len(spaces) > 1
    for index, space in enumerate(spaces):
        space.shading.type = ("SOLID", "MATERIAL", "WIREFRAME")[index % 3]
    spaces[0].shading.light, spaces[0].shading.color_type = "MATCAP", "RANDOM"
    before, materials = views(), [slot.material.name for slot in built.head.material_slots]
    assert CLASSES[0].title not in drawn(panel.AvatarPanel)

    bpy.ops.meshlam.toggle_trust()
    assert {(s.shading.type, s.shading.light, s.shading.color_type) for s in spaces} == {("SOLID", "FLAT", "VERTEX")}
    assert mesh.color_attributes.active_color_name == TRUST
    assert [slot.material.name for slot in built.head.material_slots] == materials
    text = drawn(panel.AvatarPanel)
    for words in (*(kind.title for kind in CLASSES), "2.5 mm"):
        assert words in text

    bpy.ops.meshlam.toggle_trust()
    assert views() == before
    assert mesh.color_attributes.active_color_name == "Mine"
    assert not [key for item in (mesh, *bpy.data.screens) for key, _ in item.items() if "before" in key]
    assert not viewport.trust_shown()


def test_the_millimetres_have_colours_of_their_own_and_a_legend(built, drawn):
    mesh, before = built.head.data, views()
    colours = values(mesh, MILLIMETRES, "color", 4)
    np.testing.assert_allclose(colours[:, :3], colours_of(np.full(len(colours), 2.5)), atol=1e-5)
    ends = colours_of(np.array([0.0, SCALE[0].millimetres, SCALE[-1].millimetres, 90.0]))
    np.testing.assert_allclose(ends, [SCALE[i].colour for i in (0, 0, -1, -1)])
    assert colours[0, 0] > 0.4  # between green and yellow

    bpy.ops.meshlam.toggle_trust()
    bpy.ops.meshlam.toggle_millimetres()
    assert mesh.color_attributes.active_color_name == MILLIMETRES
    text = drawn(panel.AvatarPanel)
    assert "8 mm" in text
    assert CLASSES[0].title not in text
    bpy.ops.meshlam.toggle_millimetres()
    assert views() == before
    assert not viewport.trust_shown()


def test_the_overlay_can_be_taken_off_when_its_head_is_gone(built):
    before = views()
    bpy.ops.meshlam.toggle_trust()
    bpy.ops.meshlam.delete_head()
    assert views() == before


def test_a_head_that_is_renewed_tells_of_the_new_one_and_of_the_old_one_again(built, sample, tmp_path):
    other = read_avatar(write_sample(tmp_path / "b.meshlam", told_sample(sample, (0, 255, 0, 0), 0.004)))
    renew(built, other, None)
    mesh = built.head.data
    np.testing.assert_allclose(values(mesh, UNCERTAINTY, "value", 1), 4.0, rtol=1e-6)
    assert np.abs(values(mesh, TRUST, "color", 4)[:, :3] - CLASSES[1].colour).max(axis=1).min() < 1e-5
    go_back(built)
    np.testing.assert_allclose(values(built.head.data, UNCERTAINTY, "value", 1), 2.5, rtol=1e-6)


def test_a_file_of_an_older_backend_makes_a_head_without_both(registered, avatar, told, drawn):
    made = build_avatar(avatar, "Ada")
    bpy.context.view_layer.objects.active = made.head
    assert not {TRUST, UNCERTAINTY} & set(made.head.data.attributes.keys())
    assert "meshlam.toggle_trust" not in drawn(panel.AvatarPanel)
    renew(made, told, None)
    assert {TRUST, UNCERTAINTY} <= set(made.head.data.attributes.keys())


def test_neither_goes_into_an_export(built, tmp_path):
    path = tmp_path / "a.glb"
    assert verify(path, export_avatar(built, path, ExportOptions())) == []
    data = path.read_bytes()
    assert b"COLOR_0" not in data
    assert TRUST in built.head.data.color_attributes


def test_a_damaged_picture_is_named_and_leaves_nothing_behind(registered, sample, tmp_path):
    whole = told_sample(sample, (255, 0, 0, 0), 0.001)
    images = whole.images | {"trust": whole.images["trust"][:60]}
    damaged = read_avatar(write_sample(tmp_path / "d.meshlam", replace(whole, images=images)))
    before = len(bpy.data.meshes), len(bpy.data.images)
    with pytest.raises(ValueError, match=r"could not decode the image 'trust\.png'"):
        build_avatar(damaged, "Ada")
    assert (len(bpy.data.meshes), len(bpy.data.images)) == before


def test_an_uncertainty_of_another_mesh_is_refused(sample, tmp_path):
    wrong = told_sample(sample, (255, 0, 0, 0), 0.001)
    wrong = replace(wrong, arrays=wrong.arrays | {"uncertainty": np.zeros(7, "<f4")})
    with pytest.raises(AvatarFileError, match="uncertainty must have the shape"):
        read_avatar(write_sample(tmp_path / "c.meshlam", wrong))


def test_undo_takes_the_overlay_off_the_views_too(built):
    bpy.context.preferences.edit.use_global_undo = True
    bpy.ops.ed.undo_push(message="before")
    before = views()
    bpy.ops.meshlam.toggle_trust()
    bpy.ops.ed.undo_push(message="Trust")
    assert views() != before
    bpy.ops.ed.undo()
    assert views() == before
    assert not viewport.trust_shown()
