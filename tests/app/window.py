"""The first use in a real window: the mouse goes to the buttons and clicks them; what Blender waits for is measured.

    BLENDER --factory-startup --window-geometry 0 0 1280 1600 --python tests/app/window.py -- \\
        ZIP FOLDER [AVATAR PHOTO]

As first_use.py, with its backend of tiny wheels. Where an avatar and the photo it was made of are given, the backend
hands out AVATAR, and FOLDER/pictures gets what the docs show. It needs
xdotool and ImageMagick, and no screen but Xvfb. Fails with the first step that does not come true.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))

import first_use
import pictures
import sample
from desk import Places, click, find_buttons, in_view, module, mouse, picture, sidebar, until, window

DRAWS = 40
took: dict[str, list[float]] = {}  # ms, by what was measured


def story(zip_path: Path, folder: Path, avatar: Path | None, given: Path | None) -> Iterator[float]:
    """One step after the other; what is yielded is how long Blender is left to itself, in seconds."""
    shown = folder / "pictures"
    bpy.context.preferences.system.use_online_access = True
    bpy.ops.extensions.package_install_files(
        filepath=str(zip_path), repo="user_default", enable_on_install=True, overwrite=True
    )
    yield 1.0
    area, region = sidebar()
    area.spaces.active.show_region_ui = True
    yield 1.0  # Blender knows a sidebar's tabs once it has drawn them
    with bpy.context.temp_override(window=window(), area=area, region=region):
        region.active_panel_category = "MeshLAM"
    yield 1.0
    yield from pictures.install(shown)
    home = first_use.prepare(folder)
    module("backend_state").look_again()
    yield 1.0
    places: Places = {}
    yield from find_buttons(places)
    yield from click(places, "meshlam.install_backend")
    setup = module("backend_state").setup
    yield from until(lambda: not setup.active, "Install Backend ends")
    assert list((home / "backend").glob("cp*")), setup.message
    made = sample.make_sample()
    photo = given or folder / "Ada Lovelace é.png"
    if avatar is not None:
        shutil.copy(avatar, home / "sample.meshlam")
    else:
        photo.write_bytes(made.images["photo"])
        sample.write_sample(home / "sample.meshlam", made)
    yield from paste(photo)
    bpy.context.scene.meshlam.frame_result = False  # Material Preview takes a minute without a graphics card
    yield 2.0
    yield from find_buttons(places)
    with in_view():
        bpy.ops.view3d.localview(frame_selected=False)
    space = area.spaces.active
    assert space.local_view is not None
    yield 1.0
    measured(module("operators").Reconstruct, "modal", "while a job runs", "at its end")
    yield from click(places, "meshlam.reconstruct")
    yield from until(lambda: photo.stem in bpy.data.objects, "the head stands in the scene")
    with in_view():
        bpy.ops.meshlam.dismiss_setup()
    yield 2.0
    yield from find_buttons(places)
    head = bpy.data.objects[photo.stem]
    with in_view():  # Object.local_view_get denies even what was in the view before, in Blender 4.3
        visible = {item.name for item in bpy.context.visible_objects}
    assert {head.name, head.parent.name} <= visible, f"The local view shows only {', '.join(visible)}."
    assert "Light" not in visible, "The view is no local view."
    with in_view():
        bpy.ops.view3d.localview(frame_selected=False)
    key = head.data.shape_keys.key_blocks[1]
    rig = head.parent
    for label, test in (
        ("meshlam.toggle_photo_pose", lambda: "meshlam_artist_pose" in rig),
        ("meshlam.toggle_photo_pose", lambda: "meshlam_artist_pose" not in rig and key.value == 0),
        ("meshlam.toggle_photo_camera", lambda: bpy.context.scene.camera.name == f"{photo.stem} Photo"),
        ("meshlam.toggle_photo_camera", lambda: True),
        ("meshlam.toggle_bones", lambda: rig.mode == "POSE"),
        ("meshlam.toggle_bones", lambda: rig.mode == "OBJECT"),
    ):
        yield from click(places, label)
        yield from until(test, f"{label} has done its work")
    yield from choose_face(places, folder, made.images["photo"])
    panels = [cls for cls in map(bpy_class, dir(bpy.types)) if cls is not None]
    for cls in panels:
        measured(cls, "draw", cls.__name__)
    for _ in range(DRAWS):
        _, region = sidebar()
        region.tag_redraw()
        yield 0.05
    for name, values in took.items():
        print(f"{name}: median {statistics.median(values):.2f} ms, most {max(values):.2f} ms of {len(values)}")
    drawn = [statistics.median(took[cls.__name__]) for cls in panels if cls.__name__ in took]
    print(f"all panels of the sidebar: {sum(drawn):.2f} ms")
    if given is not None:
        bpy.data.objects.remove(bpy.data.objects["Cube"])
        yield from pictures.options(shown, places)
        yield from pictures.head(shown, photo.stem, places)
        yield from pictures.light(shown, photo.stem, places)
        pictures.sheet(shown, folder / "renderings")
    print(f"Blender {bpy.app.version_string}, in a window: 1 passed")


def choose_face(places: dict[str, tuple[int, int]], folder: Path, picture_file: bytes) -> Iterator[float]:
    """The photo is shown over the 3D view, a click on the second face's box chooses it, Escape takes the photo away."""
    fields, picker = bpy.context.scene.meshlam, module("face_picker")
    shown = folder / "shown.png"
    shown.write_bytes(picture_file)
    boxes = [[10, 10, 40, 45], [60, 20, 90, 60]]
    told = {"photo": fields.photo, "count": 2, "boxes": boxes, "size": [100, 100], "shown": str(shown)}
    fields.faces = json.dumps(told | {"made": picker.made_at(str(shown))})
    yield 1.0
    yield from find_buttons(places)
    measured(picker.Overlay, "_draw", "the photo with its faces")
    for wanted in (0, 2):
        yield from click(places, "meshlam.pick_face")
        yield from until(lambda: picker.Overlay.up is not None, "the photo is shown")
        left, bottom, right, top = picker.Overlay.up.board().faces[1]
        mouse("mousemove", str(round((left + right) / 2)), str(window().height - round((bottom + top) / 2)))
        yield 1.0
        picture(folder / "faces" / f"{wanted}.png")
        mouse(*(("click", "1") if wanted else ("key", "Escape")))
        yield from until(lambda: picker.Overlay.up is None, "the photo is gone")
        assert fields.face == wanted, f"Face {fields.face} is chosen and not {wanted}."
    assert took["the photo with its faces"], "The photo was not drawn."
    fields.face, fields.faces = 0, ""


def paste(photo: Path) -> Iterator[float]:
    """Take the photo from the clipboard, where another program has put the picture, and then its path."""
    fields, copy = bpy.context.scene.meshlam, ["xclip", "-selection", "clipboard"]
    subprocess.run([*copy, "-target", "image/png", "-in", str(photo)], check=True)
    yield 1.0
    said = ""
    try:
        with in_view():
            bpy.ops.meshlam.photo_from_clipboard()
    except RuntimeError as error:
        said = str(error)
    if said:  # as Blender 4.3 does, which knows no pictures on X11's clipboard
        assert "The clipboard holds no picture that Blender can read." in said
        assert not fields.photo
        print("Blender reads no pictures from the clipboard of this display, and the add-on says so")
    else:
        size = module("state").photo_size
        assert size(fields.photo) == size(str(photo)), f"The picture on the clipboard gave {fields.photo!r}."
    subprocess.run(copy, input=str(photo).encode(), check=True)
    yield 1.0
    with in_view():
        bpy.ops.meshlam.photo_from_clipboard()
    assert fields.photo == str(photo), f"The path on the clipboard gave {fields.photo!r}."


def bpy_class(name: str) -> Any:
    """A panel of ours by its name, or None."""
    cls = getattr(bpy.types, name)
    return cls if name.startswith("MESHLAM_PT") and cls.bl_space_type == "VIEW_3D" else None


def measured(cls: Any, method: str, name: str, last: str = "") -> None:
    """Note how long a method takes from now on; the call that ends an operator is noted as `last`."""
    plain = getattr(cls, method)

    def noted(*arguments: Any) -> Any:
        start, worked = time.perf_counter(), time.thread_time()
        result = plain(*arguments)
        ended = bool(last) and result != {"PASS_THROUGH"}
        took.setdefault(last if ended else name, []).append(1000 * (time.perf_counter() - start))
        if ended:  # a busy machine makes other programs wait, too
            took.setdefault(f"{last}, of the processor", []).append(1000 * (time.thread_time() - worked))
        return result

    # Blender gives a function as many arguments as it names
    if method == "_draw":
        setattr(cls, method, lambda overlay: noted(overlay))
    elif method == "draw":
        setattr(cls, method, lambda panel, context: noted(panel, context))
    else:
        setattr(cls, method, lambda operator, context, event: noted(operator, context, event))


def play(steps: Iterator[float]) -> Callable[[], float | None]:
    """A timer that tells the story; Blender ends with it, and with code 1 where it broke off."""

    def tick() -> float | None:
        try:
            return next(steps)
        except StopIteration:
            code = 0
        except BaseException:
            traceback.print_exc()
            code = 1
        module("state").session.close()
        sys.stdout.flush()
        os._exit(code)

    return tick


if __name__ == "__main__":
    bpy.context.preferences.view.show_splash = False  # it would lie before the sidebar
    words = [Path(word).resolve() for word in sys.argv[sys.argv.index("--") + 1 :]]
    bpy.app.timers.register(play(story(*words, *[None] * (4 - len(words)))), persistent=True)
