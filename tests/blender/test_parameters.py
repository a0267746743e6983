"""A head model's own parameters in a real Blender: its keys, sequences of trackers in, the head's movement out."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from sample import PARENTS, make_sample, posed, with_arrays, write_sample

from blender_addon import parameter_panel
from blender_addon.animation.parameters import read_parameters
from blender_addon.avatar_reader import read_avatar
from blender_addon.axes import avatar_from_blender
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import active_avatar
from blender_addon.scene.mesh import limited_weights

EXPRESSIONS = tuple(f"expression{i + 1:03d}" for i in range(4))
TURNS = tuple(f"{joint}_{axis}" for joint in ("jaw", "left_eye", "right_eye") for axis in "xyz")


@pytest.fixture(scope="module")
def flame_path(tmp_path_factory):
    """The sample with four expressions and two identities of its model, and keys that are made of them."""
    rng = np.random.default_rng(4)
    sample = make_sample(correctives=True)
    count, keys = len(sample.arrays["vertices"]), len(sample.arrays["blendshapes"])
    parameters = np.zeros((keys, len(EXPRESSIONS) + 9))
    parameters[:, :4] = rng.normal(0, 0.3, (keys, 4))
    jaw = sample.header["blendshape_names"].index("jawOpen")
    parameters[jaw, 4:7] = 0.3, 0.02, 0.01
    raw = (1e-3 * rng.normal(size=(6, count, 3))).astype("<f4")
    sample = with_arrays(
        sample, raw_shapes=raw, key_parameters=parameters.astype("<f4"), identity=np.array([0.5, -1.0, 2.0], "<f4")
    )
    sample.header["raw_names"] = [*EXPRESSIONS, "shape001", "shape002"]
    sample.header["parameter_names"] = [*EXPRESSIONS, *TURNS]
    return write_sample(tmp_path_factory.mktemp("flame") / "flame.meshlam", sample)


@pytest.fixture
def built(registered, flame_path):
    made = build_avatar(read_avatar(flame_path), "Flame")
    bpy.context.view_layer.objects.active = made.head
    return made


@pytest.fixture
def sequence(tmp_path):
    rng = np.random.default_rng(6)
    arrays = {
        "expr": rng.normal(0, 1.5, (5, 4)),
        "neck_pose": rng.normal(0, 0.1, (5, 3)),
        "jaw_pose": rng.normal(0, 0.1, (5, 3)),
        "eyes_pose": rng.normal(0, 0.1, (5, 6)),
        "rotation": rng.normal(0, 0.3, (5, 3)),
        "translation": rng.normal(0, 0.1, (5, 3)),
    }
    np.savez(tmp_path / "track.npz", **arrays)
    return tmp_path / "track.npz", arrays


def keys_of(built):
    return built.head.data.shape_keys.key_blocks


def test_its_own_keys_are_added_on_request_with_a_signed_range(built, flame_path):
    assert "expression001" not in keys_of(built)
    assert bpy.ops.meshlam.add_raw_keys(expressions=3, identities=1) == {"FINISHED"}
    added = [key.name for key in keys_of(built) if key.name.startswith(("expression", "shape0"))]
    assert added == ["expression001", "expression002", "expression003", "shape001"]
    key, avatar = keys_of(built)["expression002"], read_avatar(flame_path)
    assert (key.slider_min, key.slider_max, key.value) == (-3.0, 3.0, 0.0)
    places = np.empty(3 * len(avatar.vertices), np.float32)
    key.data.foreach_get("co", places)
    np.testing.assert_allclose(
        avatar_from_blender(places.reshape(-1, 3)), avatar.vertices + avatar.raw_shapes[1], atol=1e-6
    )


def test_keys_of_tongue_and_teeth_are_added_unless_they_are_not_wanted(registered, tmp_path):
    sample = make_sample(correctives=True)
    count, keys = len(sample.arrays["vertices"]), len(sample.arrays["blendshapes"])
    names = ["left_eye_region_000", "right_eye_region_000", "tongue_000", "head_000", "teeth_000"]
    sample = with_arrays(
        sample,
        raw_shapes=np.full((5, count, 3), 0.001, "<f4"),
        key_parameters=np.zeros((keys, 3 + 9), "<f4"),
        identity=np.zeros(2, "<f4"),
    )
    sample.header |= {"raw_names": names, "parameter_names": [*names[:3], *TURNS]}
    built = build_avatar(read_avatar(write_sample(tmp_path / "gnm.meshlam", sample)), "Gnm")
    bpy.context.view_layer.objects.active = built.head
    assert bpy.ops.meshlam.add_raw_keys(expressions=1, mouth=False) == {"FINISHED"}
    assert [key.name for key in keys_of(built) if key.name in names] == names[:1]
    assert bpy.ops.meshlam.add_raw_keys(expressions=1, identities=0) == {"FINISHED"}
    assert {key.name for key in keys_of(built)} >= {"tongue_000", "teeth_000"}
    assert not {key.name for key in keys_of(built)} & {"right_eye_region_000", "head_000"}


def shown(built):
    """The posed mesh in the avatar frame, as Blender shows it, without the rig's own place."""
    graph = bpy.context.evaluated_depsgraph_get()
    graph.update()
    mesh = built.head.evaluated_get(graph).to_mesh()
    places = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", places)
    return avatar_from_blender(places.reshape(-1, 3))


def test_a_trackers_sequence_poses_the_mesh_as_the_models_own_function(built, flame_path, sequence):
    path, arrays = sequence
    assert bpy.ops.meshlam.import_parameters(filepath=str(path), start=10, in_place=False) == {"FINISHED"}
    avatar = read_avatar(flame_path)
    for frame in (0, 3):
        bpy.context.scene.frame_set(10 + frame)
        turns = np.stack(
            [
                arrays["rotation"][frame],
                arrays["neck_pose"][frame],
                arrays["jaw_pose"][frame],
                arrays["eyes_pose"][frame, :3],
                arrays["eyes_pose"][frame, 3:],
            ]
        )
        shape = np.tensordot(arrays["expr"][frame], avatar.raw_shapes[:4].astype(float), 1)
        plain = {
            "vertices": avatar.vertices + shape,
            "blendshapes": avatar.blendshapes,
            "joints": avatar.joints,
            "pose_correctives": avatar.pose_correctives,
        }
        expression = np.zeros(len(avatar.blendshapes))
        wanted = posed(plain, PARENTS, turns, expression, limited_weights(avatar.weights))
        wanted = wanted + arrays["translation"][frame]
        np.testing.assert_allclose(shown(built), wanted, atol=2e-5)


def test_a_sequence_comes_out_as_it_went_in(built, sequence, tmp_path):
    path, arrays = sequence
    bpy.ops.meshlam.import_parameters(filepath=str(path), start=1, in_place=False)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 1, 5, 25
    scene.frame_set(3)
    assert bpy.ops.meshlam.export_parameters(filepath=str(tmp_path / "out.npz")) == {"FINISHED"}
    assert scene.frame_current == 3
    with np.load(tmp_path / "out.npz") as written:
        assert set(written.files) == {*arrays, "shape", "fps"}
        assert written["fps"] == 25
    found = read_parameters(tmp_path / "out.npz")
    for name, wanted in (("expression", "expr"), ("neck", "neck_pose"), ("eyes", "eyes_pose"), ("jaw", "jaw_pose")):
        np.testing.assert_allclose(getattr(found, name), arrays[wanted], atol=1e-5)
    np.testing.assert_allclose(found.translation, arrays["translation"], atol=1e-5)
    np.testing.assert_allclose(found.rotation, arrays["rotation"], atol=1e-5)
    np.testing.assert_allclose(found.shape, [0.5, -1.0, 2.0], atol=1e-5)


def test_arkit_keys_leave_as_the_parameters_that_they_are_made_of(built, flame_path, tmp_path):
    avatar = read_avatar(flame_path)
    row = avatar.key_parameters[avatar.blendshape_names.index("jawOpen")]
    keys_of(built)["jawOpen"].value = 0.5
    bpy.context.scene.frame_start = bpy.context.scene.frame_end = 1
    bpy.ops.meshlam.export_parameters(filepath=str(tmp_path / "out.npz"))
    found = read_parameters(tmp_path / "out.npz")
    np.testing.assert_allclose(found.expression[0], 0.5 * row[:4], atol=1e-5)
    np.testing.assert_allclose(found.jaw[0], 0.5 * row[4:7], atol=1e-5)


def test_a_head_without_parameters_shows_no_panel_and_a_wrong_file_changes_nothing(built, avatar, tmp_path):
    assert parameter_panel.ParameterPanel.poll(bpy.context)
    before = [key.name for key in keys_of(built)]
    np.savez(tmp_path / "bad.npz", jaw_pose=np.zeros((2, 3)))
    with pytest.raises(RuntimeError, match="holds no expr"):
        bpy.ops.meshlam.import_parameters(filepath=str(tmp_path / "bad.npz"))
    assert [key.name for key in keys_of(built)] == before
    other = build_avatar(avatar, "Open")
    bpy.context.view_layer.objects.active = other.head
    assert not parameter_panel.ParameterPanel.poll(bpy.context)
    assert not bpy.ops.meshlam.import_parameters.poll()


@pytest.mark.parametrize("button", ["add_raw_keys", "import_parameters"])
def test_what_its_buttons_do_can_be_undone(built, sequence, button):
    bpy.context.preferences.edit.use_global_undo = True
    bpy.ops.ed.undo_push(message="before")
    keys, actions = list(keys_of(built).keys()), len(bpy.data.actions)
    options = {"filepath": str(sequence[0])} if button == "import_parameters" else {"expressions": 2}
    assert getattr(bpy.ops.meshlam, button)(**options) == {"FINISHED"}
    bpy.ops.ed.undo_push(message=button)
    assert list(keys_of(active_avatar(bpy.context)).keys()) != keys
    bpy.ops.ed.undo()
    assert list(keys_of(active_avatar(bpy.context)).keys()) == keys
    assert len(bpy.data.actions) == actions
