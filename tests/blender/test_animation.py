"""The face's sliders and the clip that drives the head, in a real Blender."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest
from clip_frames import pixels_at
from sample import ARKIT_NAMES, gltf_json
from takes import FRAMES, TURN, VARIANTS, face_only, take_rows, take_value, track_file, with_gaps

from blender_addon import clip_panel, compat, face_panel, state
from blender_addon.animation.keyframes import driven_by
from blender_addon.animation.named import EXPRESSIONS
from blender_addon.avatar_reader import read_avatar
from blender_addon.backend.locate import default_data_folder
from blender_addon.clip_operators import apply_clip
from blender_addon.export import ExportOptions, export_avatar, verify
from blender_addon.job import Request, State
from blender_addon.preferences import settings
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import active_avatar, find_avatar

ROOT = Path(__file__).parents[2]
CLIP = ROOT.parent / "shared" / "data" / "clips" / "d19.mp4"


@pytest.fixture(autouse=True)
def own_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path / "data"))


@pytest.fixture
def built(registered, avatar):
    made = build_avatar(avatar, "Ada")
    bpy.context.view_layer.objects.active = made.head
    return made


def keys_of(built):
    return built.head.data.shape_keys.key_blocks


def apply(built, track: Path, clip: str = "take.csv"):
    return apply_clip(bpy.context.scene, built, track, Path(clip))


def test_a_track_moves_keys_and_root_bone_frame_by_frame(built, tmp_path):
    apply(built, track_file(tmp_path / "a.json"))
    root = next(bone for bone in built.rig.pose.bones if bone.parent is None)
    scene = bpy.context.scene
    assert (scene.render.fps, scene.frame_start, scene.frame_end) == (25, 1, 5)
    for index in (0, 2, 4):
        scene.frame_set(1 + index)
        assert keys_of(built)["jawOpen"].value == pytest.approx(index / 10, abs=1e-6)
        angle = index * 0.05
        np.testing.assert_allclose(root.rotation_quaternion, [np.cos(angle), 0, np.sin(angle), 0], atol=1e-6)
        np.testing.assert_allclose(root.location, [(index - 2) * 0.01, 0, 0], atol=1e-6)


def test_a_track_of_ten_thousand_frames_has_a_key_frame_for_each(built, tmp_path):
    apply(built, track_file(tmp_path / "a.json", 10_000, names=ARKIT_NAMES))
    curves = compat.curves_of(built.head.data.shape_keys)
    assert [len(curve.keyframe_points) for curve in curves] == [10_000] * 52
    assert bpy.context.scene.frame_end == 10_000
    bpy.context.scene.frame_set(9_996)
    assert keys_of(built)[ARKIT_NAMES[0]].value == pytest.approx(0.7, abs=1e-6)


def test_without_the_clips_rate_the_key_frames_stand_at_their_times(built, tmp_path):
    fields, scene = bpy.context.scene.meshlam_clip, bpy.context.scene
    fields.use_rate, fields.start, scene.render.fps = False, 10, 50
    apply(built, track_file(tmp_path / "a.json"))
    scene.frame_set(14)
    assert keys_of(built)["jawOpen"].value == pytest.approx(0.2, abs=1e-6)
    assert scene.render.fps == 50


def test_applying_again_uses_the_new_strength_and_leaves_one_action(built, tmp_path):
    apply(built, track_file(tmp_path / "a.json"))
    count = len(bpy.data.actions)
    bpy.context.scene.meshlam_clip.strength_jaw = 0.5
    assert bpy.ops.meshlam.apply_clip() == {"FINISHED"}
    bpy.context.scene.frame_set(5)
    assert keys_of(built)["jawOpen"].value == pytest.approx(0.2, abs=1e-6)
    assert len(bpy.data.actions) == count


def test_removing_the_movement_leaves_the_head_at_rest_and_no_action_of_the_clip(built, tmp_path):
    count = len(bpy.data.actions)
    apply(built, track_file(tmp_path / "a.json"))
    bpy.context.scene.frame_set(5)
    assert bpy.ops.meshlam.clear_clip() == {"FINISHED"}
    assert len(bpy.data.actions) == count
    assert keys_of(built)["jawOpen"].value == 0
    assert all(tuple(bone.location) == (0, 0, 0) for bone in built.rig.pose.bones)
    assert not driven_by(built)


def test_an_animation_of_the_artists_own_stays_in_the_file(built, tmp_path):
    built.rig.pose.bones["neck"].keyframe_insert("rotation_quaternion", frame=1)
    own = built.rig.animation_data.action
    apply(built, track_file(tmp_path / "a.json"))
    assert own.use_fake_user
    assert built.rig.animation_data.action != own


def test_the_photo_pose_stands_still_over_a_driven_head_and_gives_the_movement_back(built, tmp_path):
    apply(built, track_file(tmp_path / "a.json"))
    bpy.context.scene.frame_set(5)
    bpy.ops.meshlam.toggle_photo_pose()
    root = next(bone for bone in built.rig.pose.bones if bone.parent is None)
    assert tuple(root.location) == (0, 0, 0)
    bpy.ops.meshlam.toggle_photo_pose()
    bpy.context.scene.frame_set(4)
    assert keys_of(built)["jawOpen"].value == pytest.approx(0.3, abs=1e-6)


def test_the_movement_of_one_clip_fits_another_head_with_fewer_keys(registered, avatar, tmp_path):
    other = build_avatar(avatar, "Bob")
    other.head.shape_key_remove(keys_of(other)["browInnerUp"])
    apply(other, track_file(tmp_path / "a.json"))
    bpy.context.scene.frame_set(3)
    assert keys_of(other)["jawOpen"].value == pytest.approx(0.2, abs=1e-6)


def test_every_step_can_be_undone(built, tmp_path):
    bpy.context.preferences.edit.use_global_undo = True
    apply(built, track_file(tmp_path / "a.json"))
    bpy.context.scene.frame_set(5)
    bpy.ops.ed.undo_push(message="driven")
    bpy.ops.meshlam.clear_clip()
    bpy.ops.ed.undo_push(message="cleared")
    bpy.ops.ed.undo()
    found = active_avatar(bpy.context)
    assert driven_by(found)["track"].endswith("a.json")
    assert keys_of(found)["jawOpen"].value == pytest.approx(0.4, abs=1e-6)
    bpy.ops.meshlam.show_expression(name="happy")
    bpy.ops.ed.undo_push(message="happy")
    bpy.ops.ed.undo()
    assert keys_of(active_avatar(bpy.context))["mouthSmileLeft"].value == 0


def test_solo_shows_one_alone_and_gives_the_others_back(built):
    keys_of(built)["browInnerUp"].value = 0.25
    bpy.ops.meshlam.solo_expression(name="jawOpen")
    assert (keys_of(built)["jawOpen"].value, keys_of(built)["browInnerUp"].value) == (1.0, 0.0)
    bpy.ops.meshlam.solo_expression(name="cheekPuff")
    bpy.ops.meshlam.solo_expression(name="cheekPuff")
    assert keys_of(built)["jawOpen"].value == keys_of(built)["cheekPuff"].value == 0
    assert keys_of(built)["browInnerUp"].value == 0.25


def test_one_slider_moves_both_sides_and_others_turn_bones(built):
    fields = bpy.context.scene.meshlam_face
    fields.mouthSmile = 0.5
    assert keys_of(built)["mouthSmileLeft"].value == keys_of(built)["mouthSmileRight"].value == 0.5
    assert fields.mouthSmile == 0.5
    fields.jaw_turn = (0.3, 0.0, 0.0)
    np.testing.assert_allclose(
        built.rig.pose.bones["jaw"].rotation_quaternion, [np.cos(0.15), np.sin(0.15), 0, 0], atol=1e-6
    )
    assert fields.jaw_turn[0] == pytest.approx(0.3, abs=1e-6)


def test_reset_takes_a_group_or_everything(built):
    for name in ("jawOpen", "browInnerUp"):
        keys_of(built)[name].value = 0.5
    bpy.ops.meshlam.reset_face(group="jaw")
    assert (keys_of(built)["jawOpen"].value, keys_of(built)["browInnerUp"].value) == (0.0, 0.5)
    bpy.ops.meshlam.reset_face()
    assert keys_of(built)["browInnerUp"].value == 0


def test_key_all_holds_the_face_against_the_next_frame(built):
    keys_of(built)["jawOpen"].value = 0.5
    bpy.ops.meshlam.key_face()
    keys_of(built)["jawOpen"].value = 0.1
    bpy.context.scene.frame_set(2)
    assert keys_of(built)["jawOpen"].value == 0.5


def test_an_expression_of_ones_own_is_kept_and_shown_on_another_head(built, avatar):
    keys_of(built)["cheekPuff"].value = 0.75
    assert bpy.ops.meshlam.save_expression(name="Puff") == {"FINISHED"}
    other = build_avatar(avatar, "Bob")
    bpy.context.view_layer.objects.active = other.head
    bpy.context.scene.meshlam_face.strength = 0.5
    bpy.ops.meshlam.show_expression(name="Puff")
    assert keys_of(other)["cheekPuff"].value == pytest.approx(0.375)
    with pytest.raises(RuntimeError, match="taken"):
        bpy.ops.meshlam.save_expression(name="happy")
    bpy.ops.meshlam.remove_expression(name="Puff")
    with pytest.raises(RuntimeError, match="no expression Puff"):
        bpy.ops.meshlam.show_expression(name="Puff")


def test_the_panels_draw_with_and_without_a_clip(drawn, built, tmp_path):
    text = drawn(face_panel.FacePanel)
    for words in ("Jaw Open", "Brow Inner Up", "meshlam.key_face", "meshlam.solo_expression", "Bones"):
        assert words in text
    bpy.context.scene.meshlam_face.search = "smile left"
    text = drawn(face_panel.FacePanel)
    assert "Mouth Smile Left" in text
    assert "Jaw Open" not in text
    named = drawn(face_panel.NamedPanel)
    assert all(name in named for name in EXPRESSIONS)
    text = drawn(clip_panel.ClipPanel)
    assert "meshlam.drive_from_clip" in text
    assert "meshlam.record_clip" in text
    apply(built, track_file(tmp_path / "a.json"), "take.mp4")
    text = drawn(clip_panel.ClipPanel)
    assert "meshlam.apply_clip" in text
    assert "meshlam.toggle_clip_camera" in text


def test_a_deleted_head_takes_its_clip_camera_and_movement_along(built, tmp_path):
    apply(built, track_file(tmp_path / "a.json"), "take.mp4")
    bpy.ops.meshlam.delete_head()
    assert not bpy.data.objects
    assert not bpy.data.actions


def test_a_head_without_the_52_or_without_its_file_says_why_it_cannot_be_driven(built, tmp_path):
    clip = tmp_path / "take.mp4"
    clip.write_bytes(b"x")
    bpy.context.scene.meshlam_clip.clip = str(clip)
    built.rig["meshlam_source"] = str(tmp_path / "gone.meshlam")
    with pytest.raises(RuntimeError, match=r"gone\.meshlam is gone"):
        bpy.ops.meshlam.drive_from_clip()
    built.rig["meshlam_kind"] = "flame"
    with pytest.raises(RuntimeError, match="does not have"):
        bpy.ops.meshlam.drive_from_clip()


@pytest.fixture
def worker_of_the_backend(monkeypatch, tmp_path):
    """The real backend with its models, and everything else it keeps in a folder of the test's."""
    backend = os.environ.get("MESHLAM_TEST_BACKEND", str(ROOT / ".venv" / "bin" / "python"))
    if not CLIP.is_file() or not Path(backend).is_file():
        pytest.skip("no clips in ../shared/data, or no backend")
    monkeypatch.delenv("MESHLAM_HOME")
    models = default_data_folder() / "assets"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "assets").symlink_to(models, target_is_directory=True)
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("MESHLAM_BACKEND", backend)
    return backend


@pytest.fixture
def short_clip(worker_of_the_backend, tmp_path):
    """The first 60 frames of the clip, written by the backend's OpenCV."""
    path = tmp_path / CLIP.name
    words = (
        "import sys, cv2; source = cv2.VideoCapture(sys.argv[1]); size = tuple(int(source.get(key)) for key in (3, 4));"
        "out = cv2.VideoWriter(sys.argv[2], cv2.VideoWriter_fourcc(*'mp4v'), source.get(cv2.CAP_PROP_FPS), size);"
        "[out.write(source.read()[1]) for _ in range(60)]; out.release()"
    )
    subprocess.run([worker_of_the_backend, "-c", words, str(CLIP), str(path)], check=True)
    return path


@pytest.mark.slow
def test_a_clip_drives_a_head_that_lies_on_its_frames(
    registered, worker_of_the_backend, short_clip, real_avatar_path, tmp_path
):
    built = build_avatar(read_avatar(real_avatar_path), "Ada")
    bpy.context.view_layer.objects.active = built.head
    scene = bpy.context.scene
    scene.meshlam_clip.clip = str(short_clip)
    assert bpy.ops.meshlam.drive_from_clip() == {"FINISHED"}
    camera = find_avatar(built.head).clip_camera
    image = camera.data.background_images[0].image
    assert (image.source, image.frame_duration) == ("MOVIE", scene.frame_end)
    bpy.ops.meshlam.toggle_clip_camera()
    frames = list(range(0, scene.frame_end, 15))
    seen = [pixels_at(1 + frame, built.head, camera) for frame in frames]
    np.savez(tmp_path / "points.npz", frames=frames, pixels=np.array(seen))
    script = Path(__file__).with_name("clip_distance.py")
    command = [worker_of_the_backend, str(script), str(short_clip), str(real_avatar_path), str(tmp_path / "points.npz")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    what, median = done.stdout.split()[:2]
    assert what == "vertices:"
    assert float(median) < 0.02


def recordings(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "data").glob("recordings/*"))


@pytest.mark.slow
def test_what_a_camera_showed_drives_the_head(registered, worker_of_the_backend, real_avatar_path, tmp_path):
    built = build_avatar(read_avatar(real_avatar_path), "Ada")
    bpy.context.view_layer.objects.active = built.head
    scene = bpy.context.scene
    scene.meshlam_clip.camera, scene.meshlam_clip.seconds = str(CLIP), 1.0  # a video, which plays as a camera would
    assert bpy.ops.meshlam.record_clip() == {"FINISHED"}
    clip = Path(scene.meshlam_clip.clip)
    assert recordings(tmp_path) == [clip.name]
    assert bpy.ops.meshlam.drive_from_clip() == {"FINISHED"}
    image = find_avatar(built.head).clip_camera.data.background_images[0].image
    assert Path(image.filepath) == clip
    assert image.frame_duration == scene.frame_end
    assert scene.frame_end * scene.render.fps_base / scene.render.fps == pytest.approx(1.0, abs=0.05)  # s


@pytest.mark.slow
def test_where_there_is_no_camera_the_clip_stays(registered, worker_of_the_backend, tmp_path):
    fields = bpy.context.scene.meshlam_clip
    fields.clip, fields.camera = "take.mp4", "77"
    with pytest.raises(RuntimeError, match=r"There is no camera 77 that can be opened\. Connect it"):
        bpy.ops.meshlam.record_clip()
    assert (fields.clip, recordings(tmp_path)) == ("take.mp4", [])


@pytest.mark.slow
def test_a_recording_that_is_stopped_leaves_nothing(registered, worker_of_the_backend, tmp_path):
    session, out = state.session, tmp_path / "data" / "recordings" / "take.mp4"
    out.parent.mkdir()
    request = Request(out, out, {"camera": str(CLIP), "seconds": 100.0}, "record")
    session.start(settings().backend(), request)
    while session.active and session.stage != "recording":
        session.pump()
    assert state.session.state is State.RUNNING
    assert bpy.ops.meshlam.cancel() == {"FINISHED"}
    assert session.wait() is State.CANCELLED
    assert session.worker is not None  # it ended by itself, and is warm for the next
    assert recordings(tmp_path) == []


@pytest.mark.slow
def test_takes_of_live_link_face_drive_a_head_however_they_were_written(
    registered, worker_of_the_backend, real_avatar_path, tmp_path
):
    built = build_avatar(read_avatar(real_avatar_path), "Ada")
    bpy.context.view_layer.objects.active = built.head
    for variant in VARIANTS:
        scene = bpy.context.scene
        take = tmp_path / f"{variant.__name__} 2.csv"
        take.write_text(variant(take_rows()), encoding="utf-8", newline="")
        scene.meshlam_clip.clip = str(take)
        assert bpy.ops.meshlam.drive_from_clip() == {"FINISHED"}
        assert scene.frame_end == FRAMES
        assert scene.render.fps / scene.render.fps_base == pytest.approx(60, rel=0.002)
        root = next(bone for bone in built.rig.pose.bones if bone.parent is None)
        turns = []
        for index in range(FRAMES):
            scene.frame_set(1 + index)
            turns.append(root.rotation_quaternion.copy())
            for name in ("jawOpen", "mouthSmileLeft", "browInnerUp", "eyeBlinkRight", "tongueOut"):
                value = take_value(name, index)
                if variant is with_gaps and index in (4, 5):  # between the frames before and after
                    ends = take_value(name, 3), take_value(name, 6)
                    value = ends[0] + (ends[1] - ends[0]) * (index - 3) / 3
                assert keys_of(built)[name].value == pytest.approx(value, abs=1e-4), (variant, name, index)
        turned = (turns[0].inverted() @ turns[-1]).angle
        wanted = 0.0 if variant is face_only else TURN * (FRAMES - 1)
        assert turned == pytest.approx(wanted, abs=1e-3), variant
    assert find_avatar(built.head).clip_camera is None  # a take has no camera


@pytest.mark.files
@pytest.mark.parametrize("suffix", [".glb", ".fbx", ".usdc"])
@pytest.mark.parametrize("bones", [True, False])
def test_an_export_carries_the_animation_and_the_check_compares_its_frames(built, tmp_path, suffix, bones):
    apply(built, track_file(tmp_path / "a.json", count=9))
    bpy.context.scene.frame_set(3)
    actions = len(bpy.data.actions)
    wanted = export_avatar(built, tmp_path / f"out{suffix}", ExportOptions(bones=bones, animation=True, names="pascal"))
    assert (len(bpy.data.actions), bpy.context.scene.frame_current) == (actions, 3)
    assert verify(tmp_path / f"out{suffix}", wanted) == []
    low = np.array(wanted.movement.corners)[:, 2]
    assert low[0] - low[-1] > 0.001  # the jaw opens
    still = replace(wanted.movement, corners=(wanted.movement.corners[0],) * len(low))
    assert "of the animation" in verify(tmp_path / f"out{suffix}", replace(wanted, movement=still))[0]


@pytest.mark.files
def test_a_glb_begins_with_the_first_frame_wherever_that_is_in_the_scene(built, tmp_path):
    bpy.context.scene.meshlam_clip.start = 1001
    apply(built, track_file(tmp_path / "a.json", count=9, rate=25.0))
    export_avatar(built, tmp_path / "a.glb", ExportOptions(animation=True))
    told = gltf_json(tmp_path / "a.glb")
    times = [
        told["accessors"][sampler["input"]] for animation in told["animations"] for sampler in animation["samplers"]
    ]
    assert len(times) >= 3
    for each in times:
        assert (each["min"], each["max"]) == ([0.0], pytest.approx([8 / 25]))  # s


class Stopped:
    """A session whose job is stopped while it runs."""

    active, result, error, worker = False, {}, None, None

    def __init__(self) -> None:
        self.state, self.request = State.IDLE, None

    def start(self, _backend, request) -> None:
        self.request = request

    def wait(self) -> State:
        self.state = State.CANCELLED
        return self.state

    def forget(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_clip_that_is_stopped_leaves_the_head_and_its_animation_alone(built, tmp_path, monkeypatch, avatar_path):
    apply(built, track_file(tmp_path / "a.json", count=9))
    before = built.rig.animation_data.action, len(bpy.data.actions), len(bpy.data.objects)
    clip = tmp_path / "take.mp4"
    clip.write_bytes(b"x")
    bpy.context.scene.meshlam_clip.clip = str(clip)
    built.rig["meshlam_source"] = str(avatar_path)
    monkeypatch.setattr(state, "session", Stopped())
    assert bpy.ops.meshlam.drive_from_clip() == {"CANCELLED"}
    assert (built.rig.animation_data.action, len(bpy.data.actions), len(bpy.data.objects)) == before


@pytest.fixture
def overridden(built, tmp_path):
    """A head of another file, as a library override."""
    path = tmp_path / "lib.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(path), link=True) as (there, wanted):
        wanted.collections = list(there.collections)
    (collection,) = wanted.collections
    made = collection.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer, do_fully_editable=True)
    head = next(item for item in made.all_objects if item.type == "MESH")
    bpy.context.view_layer.objects.active = head
    return find_avatar(head)


def test_a_library_override_can_be_driven_and_its_clip_camera_has_a_place(overridden, tmp_path):
    apply(overridden, track_file(tmp_path / "a.json"), "take.mp4")
    camera = find_avatar(overridden.head).clip_camera
    assert camera.name in bpy.context.scene.collection.objects


def test_reconstructing_onto_a_head_of_another_file_puts_the_new_one_beside_it(overridden, avatar_path):
    overridden.head.data = overridden.head.data.copy()
    assert bpy.ops.meshlam.import_avatar(filepath=str(avatar_path), onto_selected=True) == {"FINISHED"}
    assert len([item for item in bpy.data.objects if item.type == "ARMATURE" and item.library is None]) == 2
