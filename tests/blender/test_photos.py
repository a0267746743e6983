"""Photos from a folder, from images in Blender, from the clipboard, by drop; and the faces of a group."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from doubles import Settled

from blender_addon import face_picker, panel, photo_operators, state
from blender_addon.face_picker import Overlay, PickFace
from blender_addon.job import JobError, State
from blender_addon.scene.build import build_avatar

PHOTOS = ("b.png", "a.jpg", "c.JPG")


class StandIn(Settled):
    """A session that makes every job's avatar of one prepared file, but not of photos whose name begins with "no"."""

    def __init__(self, avatar: Path, stop_after: int = 99) -> None:
        self.avatar, self.left = avatar, stop_after
        self.asked: list[str] = []
        self.request, self.result = None, {}
        self.stage, self.fraction = "", 0.0

    def start(self, _backend, request) -> None:
        self.request, self.error = request, None
        self.asked.append(request.source.name)
        self.left -= 1
        if self.left < 0:
            self.state = State.CANCELLED
        elif request.source.name.startswith("no"):
            self.error = JobError("no_face", "No face was found.", "", "")
            self.state = State.FAILED
        else:
            self.result = {"avatar": str(self.avatar), "boxes": [[0, 0, 9, 9]] * 3, "out": str(request.out)}
            self.state = State.DONE


@pytest.fixture
def folder(registered, tmp_path, sample, monkeypatch):
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path / "data"))
    room = tmp_path / "people"
    room.mkdir()
    for name in (*PHOTOS, "notes.txt"):
        (room / name).write_bytes(sample.images["photo"])
    bpy.context.scene.meshlam.folder = str(room)
    return room


@pytest.fixture
def session(monkeypatch, avatar_path):
    made = StandIn(avatar_path)
    monkeypatch.setattr(state, "session", made)
    return made


def heads() -> list[str]:
    return sorted(item.name for item in bpy.data.collections)


def test_a_folder_becomes_one_head_a_photo_each_in_its_own_collection(folder, session):
    assert bpy.ops.meshlam.reconstruct_folder() == {"FINISHED"}
    assert session.asked == ["a.jpg", "b.png", "c.JPG"]
    assert heads() == ["a", "b", "c"]
    places = [item.location.x for item in bpy.data.objects if item.type == "ARMATURE"]
    assert len({round(place, 3) for place in places}) == 3  # beside each other
    assert state.batch == ""


def test_a_photo_without_a_face_is_left_out_and_the_others_are_made(folder, session):
    (folder / "b.png").rename(folder / "no face.png")
    assert bpy.ops.meshlam.reconstruct_folder() == {"FINISHED"}
    assert heads() == ["a", "c"]


def test_a_batch_that_is_stopped_keeps_what_was_made(folder, session):
    session.left = 1
    assert bpy.ops.meshlam.reconstruct_folder() == {"FINISHED"}
    assert session.asked == ["a.jpg", "b.png"]
    assert heads() == ["a"]


def test_an_empty_folder_is_said(folder, session):
    for name in PHOTOS:
        (folder / name).unlink()
    with pytest.raises(RuntimeError, match="no photos in"):
        bpy.ops.meshlam.reconstruct_folder()


def test_an_image_that_lies_in_blender_only_is_copied_and_taken(folder, tmp_path):
    image = bpy.data.images.new("Sketch/1", 8, 8)
    image.pixels.foreach_set(np.full(256, 0.5, np.float32))
    assert bpy.ops.meshlam.photo_from_image(image="Sketch/1") == {"FINISHED"}
    taken = Path(bpy.context.scene.meshlam.photo)
    assert taken.parent == tmp_path / "data" / "photos"
    assert taken.read_bytes().startswith(b"\x89PNG")


def test_an_image_with_a_file_of_its_own_is_taken_from_there_unless_it_was_painted(folder):
    image = bpy.data.images.load(str(folder / "b.png"))
    bpy.ops.meshlam.photo_from_image(image=image.name)
    assert bpy.context.scene.meshlam.photo == str(folder / "b.png")
    pixels = np.zeros(len(image.pixels), np.float32)
    image.pixels.foreach_set(pixels)
    image.update()
    bpy.ops.meshlam.photo_from_image(image=image.name)
    assert bpy.context.scene.meshlam.photo != str(folder / "b.png")


def test_images_of_heads_are_not_offered_as_photos_and_others_are(folder, drawn, avatar):
    names = ("Albedo", "Albedo Lit", "Albedo Paint", "Seen", "Normal", "ORM", "Lashes", "Fold smile", "Lashes.001")
    textures = [bpy.data.images.new(f"Ada {name}", 8, 8) for name in names]
    own = [bpy.data.images.new(name, 8, 8) for name in ("Oil Paint.png", "Normal.png", "Lashes")]
    made = build_avatar(avatar, "Bob")
    offered = drawn(photo_operators.PhotoMenu)
    assert not [image.name for image in textures if f" {image.name}\n" in offered + "\n"]
    assert all(image.name in offered for image in own)
    assert [line.split(maxsplit=2)[2] for line in offered.splitlines() if "Bob" in line] == [
        made.camera.data.background_images[0].image.name
    ]


def test_a_copied_path_is_taken_and_an_empty_clipboard_says_so(folder):
    operator = SimpleNamespace(photo=photo_operators.PhotoFromClipboard.photo)
    context = SimpleNamespace(window_manager=SimpleNamespace(clipboard=f'"{folder / "b.png"}"'), area=None)
    assert operator.photo(operator, context) == folder / "b.png"
    context.window_manager.clipboard = "some words"
    with pytest.raises(photo_operators.PhotoError, match="in a window"):
        operator.photo(operator, context)


def test_a_picture_dropped_onto_the_sidebar_is_taken_and_elsewhere_it_is_not_asked_for(folder):
    bpy.ops.meshlam.drop_photo(filepath=str(folder / "b.png"))
    assert bpy.context.scene.meshlam.photo == str(folder / "b.png")
    context = lambda region: SimpleNamespace(area=SimpleNamespace(type="VIEW_3D"), region=SimpleNamespace(type=region))
    assert photo_operators.PhotoHandler.poll_drop(context("UI"))
    assert not photo_operators.PhotoHandler.poll_drop(context("WINDOW"))
    with pytest.raises(RuntimeError, match="no photo at"):
        bpy.ops.meshlam.drop_photo(filepath=str(folder / "gone.png"))


def test_the_faces_of_a_group_are_buttons_and_a_click_chooses_one(folder, session, drawn, monkeypatch):
    fields = bpy.context.scene.meshlam
    fields.photo = str(folder / "b.png")
    monkeypatch.setattr(state, "photo_icon", lambda _: 1)
    monkeypatch.setattr(state, "show_faces", lambda *_: None)
    assert "meshlam.find_faces" in drawn(panel.MainPanel)
    assert bpy.ops.meshlam.find_faces() == {"FINISHED"}
    assert session.request.kind == "faces"
    text = drawn(panel.MainPanel)
    assert text.count("meshlam.choose_face") == 3
    bpy.ops.meshlam.choose_face(face=2)
    assert fields.face == 2
    fields.photo = str(folder / "a.jpg")  # another photo has other faces
    assert "meshlam.choose_face" not in drawn(panel.MainPanel)


def test_the_pictures_of_the_faces_are_cut_from_the_strip(registered, tmp_path):
    image = bpy.data.images.new("strip", 8, 4)
    pixels = np.ones((4, 8, 4), np.float32)
    pixels[:, :4, 1:3] = 0  # the left face is red
    image.pixels.foreach_set(pixels.ravel())
    image.filepath_raw, image.file_format = str(tmp_path / "strip.png"), "PNG"
    image.save()
    state.show_faces(tmp_path / "strip.png", 2)
    shown = state._previews["face|1"]
    assert tuple(shown.image_size) == (4, 4)
    np.testing.assert_allclose(np.array(shown.image_pixels_float)[:4], [1, 0, 0, 1], atol=0.01)
    assert "face|2" in state._previews
    assert state.face_icon(3) == 0


@pytest.fixture
def found(folder, tmp_path, sample):
    """The panel's photo with three faces, and the 3D view that is to show them."""
    fields = bpy.context.scene.meshlam
    fields.photo = str(folder / "b.png")
    shown = tmp_path / "shown.png"
    shown.write_bytes(sample.images["photo"])
    boxes = [[10, 10, 30, 30], [40, 10, 60, 30], [70, 10, 90, 30]]
    told = {"photo": fields.photo, "count": 3, "boxes": boxes, "size": [100, 50], "shown": str(shown)}
    fields.faces = json.dumps(told | {"made": face_picker.made_at(str(shown))})
    yield face_picker.found_faces(fields)
    face_picker.hide()


@pytest.fixture
def overlay(found):
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    made = Overlay(area, found, 0)
    made.show()
    return made


def happens(kind: str, at=(0, 0), value: str = "PRESS") -> set[str]:
    event = SimpleNamespace(type=kind, value=value, mouse_x=at[0], mouse_y=at[1])
    return PickFace.modal(SimpleNamespace(), bpy.context, event)


def middle(box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def gone(handle) -> bool:
    """Whether Blender draws this no more."""
    try:
        bpy.types.SpaceView3D.draw_handler_remove(handle, "WINDOW")
    except ValueError:
        return True
    return False


def test_a_click_on_a_box_of_the_photo_in_the_view_chooses_its_face(overlay):
    handle, boxes = overlay._handle, overlay.board().faces
    assert happens("MOUSEMOVE", middle(boxes[2]), "NOTHING") == {"RUNNING_MODAL"}
    assert overlay.under == 3
    beside = overlay.room()[0] + 3, overlay.room()[1] + 3
    assert happens("LEFTMOUSE", beside) == {"RUNNING_MODAL"}
    assert happens("LEFTMOUSE", middle(boxes[1])) == {"FINISHED"}
    assert bpy.context.scene.meshlam.face == 2
    assert gone(handle)
    assert Overlay.up is None


def test_a_number_chooses_a_face_and_a_bar_of_the_view_stays_usable(overlay):
    bar = next(region for region in overlay.area.regions if region.type == "TOOLS")
    assert happens("LEFTMOUSE", (bar.x + 5, bar.y + 5)) == {"PASS_THROUGH"}
    inside = middle(overlay.room())
    assert happens("SEVEN", inside) == {"RUNNING_MODAL"}
    assert happens("THREE", inside) == {"FINISHED"}
    assert bpy.context.scene.meshlam.face == 3


@pytest.mark.parametrize("key", ["ESC", "RIGHTMOUSE"])
def test_escape_takes_the_photo_away_and_changes_nothing(overlay, key):
    handle = overlay._handle
    assert happens(key) == {"CANCELLED"}
    assert bpy.context.scene.meshlam.face == 0
    assert gone(handle)
    assert happens("LEFTMOUSE") == {"CANCELLED"}  # nothing is shown any more


def test_the_photo_goes_with_its_view_a_second_one_another_file_and_the_addon(overlay, found, tmp_path):
    first, area = overlay._handle, overlay.area
    second = Overlay(area, found, 0)
    second.show()
    assert gone(first)
    handle = second._handle
    area.type = "OUTLINER"
    assert happens("MOUSEMOVE", value="NOTHING") == {"CANCELLED"}
    assert second._handle is None
    assert gone(handle)
    area.type = "VIEW_3D"
    third = Overlay(area, found, 0)
    third.show()
    handle = third._handle
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert gone(handle)


def test_without_a_window_the_photo_is_not_shown_and_numbers_remain(found, drawn, monkeypatch):
    monkeypatch.setattr(state, "photo_icon", lambda _: 1)
    with pytest.raises(RuntimeError, match="choose a face by its number"):
        bpy.ops.meshlam.pick_face("INVOKE_DEFAULT")
    assert Overlay.up is None
    text = drawn(panel.MainPanel)
    assert "meshlam.pick_face" in text
    assert text.count("meshlam.choose_face") == 3
    Path(found["shown"]).unlink()  # the copies in the data folder may be removed
    assert "meshlam.pick_face" not in drawn(panel.MainPanel)
