"""The key doctor's correctives in Blender: driven keys, their removal, copies and exports."""

from __future__ import annotations

from itertools import combinations_with_replacement

import bpy
import numpy as np
import pytest
from doubles import one_corrective

from blender_addon import doctor_operators, face_panel
from blender_addon.avatar_reader import read_avatar
from blender_addon.axes import avatar_from_blender, blender_from_avatar
from blender_addon.doctor.barriers import barriers
from blender_addon.doctor.correctives import TOLERANCE, Corrective, Cure, Found, allowance
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.exporting.preflight import findings
from blender_addon.scene.build import build_avatar
from blender_addon.scene.correctives import DOCTOR, mesh_of
from blender_addon.scene.shape_keys import expression_keys


@pytest.fixture
def built(registered, avatar):
    made = build_avatar(avatar, "Ada")
    bpy.context.view_layer.objects.active = made.head
    return made


def push(mesh, vertex: int) -> np.ndarray:
    move = np.zeros_like(mesh.vertices)
    move[vertex, 2] = 0.004
    return move


@pytest.fixture
def cured(built, monkeypatch):
    """A head whose doctor makes one corrective of each kind."""
    made = lambda mesh: Cure(
        Found({"lips": 3}, {"lips": 0.002}),
        Found({"lips": 0}, {"lips": 0.0}),
        [
            Corrective("mouthClose", ("jawOpen",), push(mesh, 10), above=True),
            Corrective("mouthRollUpper", (), push(mesh, 11)),
            Corrective("mouthLeft", ("jawOpen", "mouthPucker"), push(mesh, 12)),
        ],
    )
    monkeypatch.setattr(doctor_operators, "cure", made)
    assert bpy.ops.meshlam.key_doctor() == {"FINISHED"}
    return built


def lift(head, vertex: int, **values: float) -> float:
    """How far correctives raise a vertex out of the face while the keys have these values, m."""
    keys = head.data.shape_keys.key_blocks
    shown = {}
    for muted in (False, True):
        for key in keys[1:]:
            key.mute = muted if key.name.startswith("fix ") else False
            if not key.name.startswith("fix "):
                key.value = values.get(key.name, 0.0)
        bpy.context.view_layer.update()
        mesh = head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        shown[muted] = mesh.vertices[vertex].co.y
    return shown[True] - shown[False]


def test_correctives_come_with_the_keys_that_need_them(cured):
    head = cured.head
    assert lift(head, 10, mouthClose=1.0) == pytest.approx(0.004, abs=1e-6)
    assert lift(head, 10, mouthClose=1.0, jawOpen=0.75) == pytest.approx(0.001, abs=1e-6)
    assert lift(head, 10, mouthClose=0.5, jawOpen=1.0) == pytest.approx(0.0, abs=1e-6)
    assert lift(head, 11, mouthRollUpper=0.5) == pytest.approx(0.002, abs=1e-6)
    assert lift(head, 12, mouthLeft=1.0) == pytest.approx(0.0, abs=1e-6)
    assert lift(head, 12, mouthLeft=0.5, mouthPucker=0.8) == pytest.approx(0.002, abs=1e-6)
    drivers = [curve.driver for curve in head.data.shape_keys.animation_data.drivers]
    assert len(drivers) == 3
    assert all(driver.is_valid and driver.is_simple_expression for driver in drivers)


def test_the_panel_says_what_was_found_and_sliders_stay_the_52(cured, drawn):
    text = drawn(face_panel.FacePanel)
    assert "3 pairs" in text
    assert "fix " not in text
    assert len(expression_keys(cured.head)) == 52


def test_a_second_visit_replaces_the_correctives_and_one_click_removes_them(cured):
    bpy.ops.meshlam.key_doctor()
    fixes = [key.name for key in cured.head.data.shape_keys.key_blocks if key.name.startswith("fix ")]
    assert len(fixes) == 3
    bpy.ops.meshlam.remove_correctives()
    keys = cured.head.data.shape_keys
    assert not [key.name for key in keys.key_blocks if key.name.startswith("fix ")]
    assert not len(keys.animation_data.drivers)
    assert DOCTOR not in cured.rig


def test_a_duplicate_is_driven_by_its_own_keys(cured):
    for item in (cured.head, cured.rig):
        item.select_set(True)
    bpy.ops.object.duplicate()
    copy = bpy.context.view_layer.objects.active
    assert copy != cured.head
    assert lift(copy, 11, mouthRollUpper=1.0) == pytest.approx(0.004, abs=1e-6)


def test_exports_carry_the_correctives_of_one_key_and_say_what_they_leave_out(cured, avatar, tmp_path):
    wanted = export_avatar(cured, tmp_path / "a.glb", ExportOptions())
    assert verify(tmp_path / "a.glb", wanted) == []
    assert len(wanted.keys) == 52
    assert any("Correctives" in finding.sentence for finding in findings(cured))
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "a.glb"))
    heads = [item for item in bpy.context.selected_objects if item.type == "MESH" and item.data.shape_keys is not None]
    keys = max(heads, key=lambda item: len(item.data.vertices)).data.shape_keys.key_blocks
    index = avatar.blendshape_names.index("mouthRollUpper")
    change = avatar.blendshapes[index].copy()
    change[11, 2] += 0.004
    wanted_at = blender_from_avatar(avatar.vertices[11] + change[11])
    points = np.array([point.co for point in keys["mouthRollUpper"].data])
    assert np.linalg.norm(points - wanted_at, axis=1).min() < 1e-5


def test_the_doctor_sees_the_head_as_it_is_now(built, avatar):
    basis = built.head.data.shape_keys.key_blocks[0]
    for key in built.head.data.shape_keys.key_blocks:
        key.data[5].co.z += 0.01
    mesh = mesh_of(built)
    np.testing.assert_allclose(mesh.vertices[5] - avatar.vertices[5], [0, 0.01, 0], atol=1e-6)
    jaw = avatar.blendshapes[avatar.blendshape_names.index("jawOpen")]
    np.testing.assert_allclose(mesh.moves["jawOpen"], jaw, atol=1e-6)
    assert basis.data[5].co.z == pytest.approx(mesh.vertices[5, 1])
    assert set(mesh.part) <= set(avatar.parts)
    np.testing.assert_array_equal(mesh.faces, avatar.faces)


def test_a_head_without_teeth_and_lids_by_name_is_told_so(built):
    with pytest.raises(RuntimeError, match="no teeth, lips, lids and eyes"):
        bpy.ops.meshlam.key_doctor()


def test_the_doctor_comes_out_of_edit_mode_first(cured):
    bpy.context.view_layer.objects.active = cured.head
    bpy.ops.object.mode_set(mode="EDIT")
    assert bpy.ops.meshlam.key_doctor() == {"FINISHED"}
    assert bpy.context.mode == "OBJECT"


def test_a_head_whose_keys_were_renamed_while_the_doctor_looked_is_left_alone(built, monkeypatch):
    def renamed_meanwhile(mesh) -> Cure:
        built.head.data.shape_keys.key_blocks["mouthClose"].name = "shut"
        return one_corrective(mesh)

    monkeypatch.setattr(doctor_operators, "cure", renamed_meanwhile)
    count = len(built.head.data.shape_keys.key_blocks)
    with pytest.raises(RuntimeError, match="was changed meanwhile"):
        bpy.ops.meshlam.key_doctor()
    assert len(built.head.data.shape_keys.key_blocks) == count


def deepest_in_blender(built, mesh, pairs) -> dict[str, int]:
    """How many of the pairs Blender shows with a fault, by barrier: the head evaluated with both keys at 1."""
    keys, count = built.head.data.shape_keys.key_blocks, len(mesh.vertices)
    found = barriers(mesh)
    allowed = [allowance(barrier, mesh) for barrier in found]
    bad = dict.fromkeys((barrier.name for barrier in found), 0)
    for start in range(0, len(pairs), 50):
        states = np.empty((len(pairs[start : start + 50]), count * 3), np.float32)
        for row, pair in enumerate(pairs[start : start + 50]):
            for name in mesh.moves:
                keys[name].value = float(name in pair)
            bpy.context.view_layer.update()
            shown = built.head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
            shown.vertices.foreach_get("co", states[row])
        points = avatar_from_blender(states.reshape(len(states), -1, 3)).astype(np.float32)
        for barrier, most in zip(found, allowed, strict=True):
            depth = barrier.depths(points, np.arange(len(points))) - most
            bad[barrier.name] += int((depth.max(1) > TOLERANCE).sum())
    return bad


@pytest.mark.slow
def test_no_pair_of_keys_has_lips_through_teeth_where_blender_shows_it(registered, real_avatar_path):
    built = build_avatar(read_avatar(real_avatar_path), "Ada")
    bpy.context.view_layer.objects.active = built.head
    mesh = mesh_of(built)
    pairs = list(combinations_with_replacement(mesh.moves, 2))[::7]  # all of them, twice, take a minute
    before = deepest_in_blender(built, mesh, pairs)
    assert before["lips through the lower teeth"] > 10
    assert bpy.ops.meshlam.key_doctor() == {"FINISHED"}
    after = deepest_in_blender(built, mesh, pairs)
    assert set(after.values()) == {0}
