"""Undo and redo of every button: the scene is as before, then as after."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from bodies import make_body
from doubles import AtOnce, one_corrective
from sample import make_sample, write_sample
from takes import track_file

from blender_addon import compat, doctor_operators, state
from blender_addon.avatar_reader import read_avatar
from blender_addon.clip_operators import apply_clip
from blender_addon.exporting.preflight import POSE
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import active_avatar

LISTS = (
    *("objects", "meshes", "armatures", "cameras", "lights", "collections", "materials", "images", "actions"),
    *("shape_keys", "worlds"),
)


def flat(values) -> tuple[float, ...]:
    return tuple(float(np.float32(round(float(value), 5))) + 0.0 for value in np.ravel(values))


def moved(animated) -> object:
    """What moves an ID: its action's keys, and its drivers."""
    data = animated.animation_data
    if data is None or (data.action is None and not data.drivers):
        return None
    curves = compat.curves_of(animated) if data.action else ()
    keys = [(curve.data_path, curve.array_index, [flat(key.co) for key in curve.keyframe_points]) for curve in curves]
    return data.action.name if data.action else "", keys, sorted(curve.data_path for curve in data.drivers)


def object_state(item) -> tuple:
    keys = item.data.shape_keys if item.type == "MESH" else None
    return (
        flat(item.matrix_world),
        item.parent.name if item.parent else "",
        (item.hide_get(), item.hide_viewport, item.hide_render, item.select_get(), item.mode),
        [(modifier.name, modifier.type) for modifier in item.modifiers],
        [slot.material.name if slot.material else "" for slot in item.material_slots],
        (len(item.data.vertices), len(item.data.polygons)) if item.type == "MESH" else (),
        [(key.name, round(key.value, 5), key.mute) for key in keys.key_blocks] if keys else [],
        moved(keys) if keys else None,
        moved(item),
        [
            (bone.name, flat(bone.matrix_basis), [c.name + str(c.mute) for c in bone.constraints])
            for bone in item.pose.bones
        ]
        if item.pose
        else [],
        sorted(key for key, _ in item.items() if key.startswith("meshlam")),
    )


def scene_state() -> dict:
    """All that an artist sees of the file."""
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    active = bpy.context.view_layer.objects.active
    found: dict = {name: sorted(item.name for item in getattr(bpy.data, name)) for name in LISTS}
    found |= {f"object {item.name}": object_state(item) for item in bpy.context.view_layer.objects}
    found["active"] = active.name if active else ""
    found["scene"] = (
        scene.camera.name if scene.camera else "",
        scene.world.name if scene.world else "",
        (scene.render.resolution_x, scene.render.resolution_y, scene.render.fps, round(scene.render.fps_base, 5)),
        (scene.frame_start, scene.frame_end, scene.frame_current),
    )
    for fields in (scene.meshlam, scene.meshlam_clip):
        names = [item.identifier for item in fields.bl_rna.properties if item.identifier != "rna_type"]
        found[fields.bl_rna.identifier] = [str(getattr(fields, name)) for name in names]
    return found


@pytest.fixture
def scene(registered, monkeypatch, tmp_path):
    """A head that a clip drives, a second one beside it, and a body; its job ends at once."""
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path / "data"))
    light = {"light": np.full((9, 3), 0.3, "<f4")}
    made = make_sample(hair=True)
    made.arrays |= light
    low = made.arrays["vertices"][made.arrays["faces"]].max(1)[:, 1] < 0.0
    made.arrays |= {"faces": made.arrays["faces"][~low], "uv_faces": made.arrays["uv_faces"][~low]}
    path = write_sample(tmp_path / "Ada.meshlam", made)
    photo = tmp_path / "photo.png"
    photo.write_bytes(made.images["photo"])
    bpy.context.scene.meshlam.photo = str(photo)
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "a.png").write_bytes(made.images["photo"])
    bpy.context.scene.meshlam.folder = str(tmp_path / "people")
    (tmp_path / "take.mp4").write_bytes(b"x")
    bpy.context.scene.meshlam_clip.clip = str(tmp_path / "take.mp4")
    make_body()
    built = build_avatar(read_avatar(path), "Ada")
    monkeypatch.setattr(state, "session", AtOnce(path, track_file(tmp_path / "a.json")))
    monkeypatch.setattr(doctor_operators, "cure", one_corrective)
    image = bpy.data.images.new("Painted", 8, 8)
    image.use_fake_user = True
    select(built.head)
    bpy.context.preferences.edit.use_global_undo = True
    return tmp_path


def select(*items) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    for item in items:
        item.select_set(True)
    bpy.context.view_layer.objects.active = items[-1]


def driven(folder: Path) -> None:
    apply_clip(bpy.context.scene, active_avatar(bpy.context), folder / "a.json", folder / "take.mp4")
    bpy.context.scene.frame_set(4)


def driven_and_calmer(folder: Path) -> None:
    driven(folder)
    bpy.context.scene.meshlam_clip.strength_jaw = 0.5


def with_body(_folder: Path) -> None:
    select(bpy.data.objects["Body"], active_avatar(bpy.context).head)


def keyed_with_body(folder: Path) -> None:
    bpy.ops.meshlam.key_face()
    with_body(folder)


def joined(folder: Path) -> None:
    with_body(folder)
    assert bpy.ops.meshlam.join_body() == {"FINISHED"}


def twice(name: str):
    return lambda _folder: getattr(bpy.ops.meshlam, name)()


def cured_and_smiling(_folder: Path) -> None:
    bpy.ops.meshlam.key_doctor()
    bpy.ops.meshlam.show_expression(name="happy")


def onto(_folder: Path) -> None:
    bpy.context.scene.meshlam.onto_selected = True


def renewed(folder: Path) -> None:
    onto(folder)
    bpy.ops.meshlam.import_avatar(filepath=str(folder / "Ada.meshlam"), onto_selected=True)


def smiling(_folder: Path) -> None:
    bpy.ops.meshlam.show_expression(name="happy")


def half_deleted(folder: Path) -> None:
    bpy.ops.meshlam.import_avatar(filepath=str(folder / "Ada.meshlam"))
    bpy.data.objects.remove(active_avatar(bpy.context).head)


def copied(_folder: Path) -> None:
    bpy.ops.object.duplicate(linked=True)


STEPS = [
    ("show_expression", {"name": "happy"}, None),
    ("show_expression", {"name": "aa"}, driven),
    ("solo_expression", {"name": "jawOpen"}, None),
    ("reset_face", {"group": "jaw"}, lambda _: bpy.ops.meshlam.show_expression(name="surprised")),
    ("reset_face", {}, driven),
    ("rest_pose", {}, driven),
    ("key_face", {}, None),
    ("key_face", {}, driven),
    ("drive_from_clip", {}, None),
    ("drive_from_clip", {}, driven_and_calmer),
    ("apply_clip", {}, driven_and_calmer),
    ("clear_clip", {}, driven),
    ("toggle_clip_camera", {}, driven),
    ("record_clip", {}, None),
    ("choose_clip", {"filepath": "other.mp4"}, None),
    ("key_doctor", {}, None),
    ("key_doctor", {}, driven),
    ("remove_correctives", {}, cured_and_smiling),
    ("join_body", {}, with_body),
    ("join_body", {}, keyed_with_body),
    ("show_expression", {"name": "happy"}, joined),
    ("delete_head", {}, joined),
    ("delete_head", {}, driven),
    ("toggle_photo_pose", {}, None),
    ("toggle_photo_pose", {}, driven),
    ("toggle_photo_pose", {}, twice("toggle_photo_pose")),
    ("toggle_photo_camera", {}, None),
    ("toggle_eye_aim", {}, None),
    ("toggle_hair", {}, None),
    ("toggle_bones", {}, None),
    ("toggle_studio", {}, None),
    ("toggle_studio", {}, twice("toggle_studio")),
    ("toggle_photo_light", {}, None),
    ("toggle_photo_light", {}, twice("toggle_photo_light")),
    ("make_quads", {}, None),
    ("make_quads", {}, driven),
    ("make_own", {}, copied),
    ("go_back", {}, renewed),
    ("import_avatar", {"filepath": "Ada.meshlam"}, None),
    ("import_avatar", {"filepath": "Ada.meshlam", "onto_selected": True}, driven),
    ("reconstruct", {}, None),
    ("reconstruct", {}, onto),
    ("reconstruct_folder", {}, None),
    ("choose_face", {"face": 2}, None),
    ("photo_from_image", {"image": "Painted"}, None),
    ("choose_photo", {"filepath": "people/a.png"}, None),
    ("drop_photo", {"filepath": "people/a.png"}, None),
    ("fix_before_export", {"what": POSE}, smiling),
    ("remove_leftovers", {}, half_deleted),
]


@pytest.mark.parametrize(
    ("name", "options", "before"),
    STEPS,
    ids=lambda part: part if isinstance(part, str) else getattr(part, "__name__", ""),
)
def test_undo_gives_the_scene_back_and_redo_the_result(scene, name, options, before, capfd):
    options = {key: str(scene / value) if key == "filepath" else value for key, value in options.items()}
    if before is not None:
        before(scene)
    bpy.ops.ed.undo_push(message="before")
    was = scene_state()
    assert getattr(bpy.ops.meshlam, name)(**options) == {"FINISHED"}
    bpy.ops.ed.undo_push(message=name)
    became = scene_state()
    assert became != was
    bpy.ops.ed.undo()
    assert scene_state() == was
    bpy.ops.ed.redo()
    assert scene_state() == became
    written = capfd.readouterr()
    assert "Traceback" not in written.out + written.err
