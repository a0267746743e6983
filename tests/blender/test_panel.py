"""The panels' drawing code, against a stand-in layout that knows what this Blender's real one accepts.

No window exists here, so Blender never draws; a wrong keyword or icon would otherwise show only to users.
"""

from __future__ import annotations

import json
import struct
from types import SimpleNamespace

import bpy
import bpy.utils.previews
import numpy as np
import pytest
from stand_in import StandInLayout

from blender_addon import panel, preferences, state
from blender_addon.avatar_operators import AboutLikeness
from blender_addon.exif import orientation
from blender_addon.job import JobError, State
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import RESULT, active_avatar
from blender_addon.scene.renew import renew


def test_the_empty_panel_asks_for_a_photo(drawn):
    text = drawn(panel.MainPanel)
    assert "meshlam.choose_photo Choose Photo..." in text
    assert "meshlam.reconstruct" in text
    assert drawn(panel.AvatarPanel) == "hidden"
    assert "Backend and Folders" in drawn(panel.OptionsPanel)


def test_a_photo_that_is_gone_is_said(drawn, tmp_path):
    bpy.context.scene.meshlam.photo = str(tmp_path / "gone.jpg")
    assert "The photo is gone" in drawn(panel.MainPanel)


def test_a_small_photo_is_announced_before_it_is_used(drawn, tmp_path, sample, monkeypatch):
    monkeypatch.setattr(state, "photo_icon", lambda _: 1)  # no previews without a window
    path = tmp_path / "small.png"
    path.write_bytes(sample.images["photo"])  # 320 x 240
    bpy.context.scene.meshlam.photo = str(path)
    assert "Only 320 x 240 pixels" in drawn(panel.MainPanel).replace("\nlabel  ", " ")


def test_a_running_job_shows_stage_and_cancel_instead_of_the_button(drawn, monkeypatch):
    monkeypatch.setattr(state.session, "state", State.RUNNING)
    monkeypatch.setattr(state.session, "stage", "texture")
    text = drawn(panel.MainPanel)
    assert "Painting the texture" in text
    assert "meshlam.cancel" in text
    assert "meshlam.reconstruct" not in text
    monkeypatch.setattr(state.session, "state", State.IDLE)


def test_a_backend_that_has_gone_quiet_is_said_on_the_bar(drawn, monkeypatch):
    monkeypatch.setattr(state.session, "state", State.RUNNING)
    monkeypatch.setattr(state.session, "stage", "texture")
    monkeypatch.setattr(state.session, "_heard", state.session._clock() - 45)
    monkeypatch.setattr(state.session, "_since", state.session._clock() - 50)
    text = drawn(panel.MainPanel)
    assert "Nothing heard for 45 s" in text
    assert "meshlam.cancel" in text


def test_a_recording_counts_its_seconds_on_the_bar(drawn, monkeypatch):
    monkeypatch.setattr(state.session, "state", State.RUNNING)
    monkeypatch.setattr(state.session, "stage", "recording")
    monkeypatch.setattr(state.session, "message", "3.2 of 10 s")
    assert "Recording 3.2 of 10 s" in drawn(panel.MainPanel)


def test_an_error_shows_sentence_hint_and_report(drawn, monkeypatch):
    monkeypatch.setattr(state.session, "state", State.FAILED)
    monkeypatch.setattr(state.session, "error", JobError("backend", "No face was found.", "Try another photo.", "x"))
    text = drawn(panel.MainPanel)
    for part in ("No face was found.", "Try another photo.", "meshlam.copy_report", "meshlam.check_backend"):
        assert part in text
    monkeypatch.setattr(state.session, "state", State.IDLE)


def test_the_head_shows_its_numbers_and_warnings(drawn, avatar):
    built = build_avatar(avatar, "Ada")
    built.rig[RESULT] = json.dumps({"landmark_error": 0.0123, "warnings": ["This hardly looks like a human face."]})
    text = drawn(panel.AvatarPanel)
    assert "Roughly like the photo" in text
    assert "1.2 %" in AboutLikeness.description(bpy.context, None)
    assert "This hardly looks like a human" in text
    assert panel.own_photo(built).name == "Ada Photo Image"
    for operator in ("toggle_photo_pose", "toggle_photo_camera", "toggle_eye_aim", "toggle_bones", "export"):
        assert f"meshlam.{operator}" in text


@pytest.mark.parametrize(
    ("weights", "words"),
    [(None, "Fitted to the photo"), ("small.safetensors", "Refined by the network")],
)
def test_the_head_says_whether_the_network_refined_it(drawn, avatar, weights, words):
    built = build_avatar(avatar, "Ada")
    built.rig["meshlam_provenance"] = json.dumps({"weights": weights})
    assert words in drawn(panel.AvatarPanel)


def test_the_export_dialog_announces_a_non_commercial_head(registered, avatar):
    built = build_avatar(avatar, "Ada")
    built.rig["meshlam_provenance"] = json.dumps({"head": "FLAME 2020", "head_licence": "CC BY-NC-SA 4.0"})
    from blender_addon.export_operator import ExportAvatar

    seen: list[str] = []
    assert active_avatar(bpy.context).head == built.head
    stand_in = SimpleNamespace(
        layout=StandInLayout(seen), known=set(ExportAvatar.__annotations__), avatar=lambda _: built, file_format=".glb"
    )
    ExportAvatar.draw(stand_in, SimpleNamespace(preferences=bpy.context.preferences, region=None))
    assert "FLAME 2020" in "\n".join(seen)


def test_the_preferences_draw(registered):
    seen: list[str] = []
    known = set(preferences.MeshlamPreferences.__annotations__)
    preferences.MeshlamPreferences.draw(SimpleNamespace(layout=StandInLayout(seen), known=known), None)
    assert "meshlam.check_backend" in "\n".join(seen)


@pytest.mark.parametrize("how", range(1, 9))
def test_the_preview_of_a_photo_stands_as_its_camera_was_held(tmp_path, how):
    upright = np.zeros((40, 60, 4), np.float32)  # rows from the bottom: red above, and green to its left
    upright[20:, :, 0], upright[20:, :30, 1], upright[..., 3] = 1, 1, 1
    rows = upright[::-1]
    undo = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: lambda a: np.rot90(a, 3),
    }  # fmt: skip
    stored = np.ascontiguousarray(undo[how](rows)[::-1])
    image = bpy.data.images.new("photo", stored.shape[1], stored.shape[0])
    image.pixels.foreach_set(stored.ravel())
    image.filepath_raw, image.file_format = str(tmp_path / "photo.jpg"), "JPEG"
    image.save()
    plain = (tmp_path / "photo.jpg").read_bytes()
    note = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, how, 0, 0)
    path = tmp_path / "turned.jpg"
    path.write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(note) + 2) + note + plain[2:])
    previews = bpy.utils.previews.new()
    preview = previews.load("photo", str(path), "IMAGE")
    state._stand_upright(preview, orientation(path))
    width, height = preview.image_size
    assert width > height
    shown = np.array(preview.image_pixels_float).reshape(height, width, 4)
    for row, column in ((height // 4, width // 4), (3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)):
        wanted = upright[row * 40 // height, column * 60 // width, :3]
        assert np.abs(shown[row, column, :3] - wanted).max() < 0.2
    bpy.utils.previews.remove(previews)


def test_a_shared_head_says_so_and_offers_to_part_it(drawn, avatar):
    built = build_avatar(avatar, "Ada")
    copy = built.head.copy()
    built.collection.objects.link(copy)
    bpy.context.view_layer.objects.active = copy
    text = drawn(panel.AvatarPanel)
    assert "shares its bones" in text
    assert "meshlam.make_own" in text


def test_what_was_kept_is_listed_with_the_way_back(drawn, avatar):
    built = build_avatar(avatar, "Ada")
    assert "meshlam.go_back" not in drawn(panel.AvatarPanel)
    built.head.modifiers.new("Subdivision", "SUBSURF")
    renew(built, avatar, avatar)
    text = drawn(panel.AvatarPanel)
    assert "Modifiers: Subdivision" in text
    assert "meshlam.go_back" in text


def test_saving_keeps_what_was_painted(registered, avatar, tmp_path):
    image = bpy.data.images[f"{build_avatar(avatar, 'Ada').head.name} Albedo"]
    image.pixels.foreach_set(np.tile(np.float32([0, 1, 0, 1]), 64 * 64))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"), check_existing=False)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    np.testing.assert_allclose(np.array(bpy.data.images["Ada Albedo"].pixels[:4]), [0, 1, 0, 1], atol=1e-3)


def test_files_of_heads_that_were_undone_are_removed_and_others_stay(avatar, avatar_path, tmp_path, monkeypatch):
    build_avatar(avatar, "Ada")
    undone = tmp_path / "undone.meshlam"
    undone.write_bytes(b"x")
    monkeypatch.setattr(state, "made_files", [undone, avatar_path])
    assert state.remove_unused_files() == 1
    assert not undone.exists()
    assert avatar_path.exists()


def test_the_file_of_a_saved_head_stays_when_another_scene_is_opened(registered, avatar, tmp_path, monkeypatch):
    kept = tmp_path / "kept.meshlam"
    kept.write_bytes(b"x")
    build_avatar(avatar, "Ada").rig["meshlam_source"] = str(kept)
    monkeypatch.setattr(state, "made_files", [kept])
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"), check_existing=False)
    assert state.made_files == []
    state.made_files.append(kept)
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.read_homefile(use_empty=True)
    assert kept.exists()


def test_show_bones_enters_pose_mode_with_the_rig_selected_and_comes_back(registered, avatar):
    built = build_avatar(avatar, "Ada")
    bpy.ops.meshlam.toggle_bones()
    assert bpy.context.mode == "POSE"
    assert bpy.context.view_layer.objects.active == built.rig
    bpy.ops.meshlam.toggle_bones()
    assert bpy.context.mode == "OBJECT"
    assert bpy.context.view_layer.objects.active == built.head
    assert not built.rig.show_in_front
