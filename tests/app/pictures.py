"""The pictures of the docs, taken of the real window, and what shows in them: the head in EEVEE and in Cycles."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import desk
import first_use
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from desk import Places
from numpy.typing import NDArray

LOW = 1080  # px: the window's height in pictures of the head
OPTIONS = 77  # pixels from the upper part of Reconstruct Head to the header of Options where a head is selected
SHOWN = ("happy", "surprised", "disgusted", "wink", "kiss")  # on the sheet
NEAR = 0.05  # how far EEVEE's median skin colour may be from Cycles', of 1
SHEET = 250_000  # bytes at most


def install(folder: Path) -> Iterator[float]:
    """The panel before the first use, in the home of somebody else."""
    chosen = bpy.context.preferences.addons[first_use.MODULE].preferences
    chosen.data_folder = "/home/ada/.local/share/meshlam"
    desk.module("backend_state").look_again()
    yield 1.0
    places: Places = {}
    yield from desk.find_buttons(places)
    desk.picture(folder / "install.jpg", sidebar_down_to(places["meshlam.choose_bundle"][1] + 52))


def options(folder: Path, places: Places) -> Iterator[float]:
    """The whole sidebar of a head, its options open."""
    bpy.context.scene.meshlam.frame_result = True  # as it is at first
    yield from desk.find_buttons(places)  # the panel has grown since they were looked for
    x, y = places["meshlam.reconstruct"]
    yield from desk.click_at(x, y + OPTIONS)
    opened: Places = {}
    yield from desk.find_buttons(opened)
    assert "meshlam.import_avatar" in opened, f"Options did not open, only {', '.join(opened)} are in the sidebar."
    yield from desk.still()
    desk.picture(folder / "options.jpg", sidebar_down_to(opened["meshlam.export"][1] + 36))
    yield from desk.click_at(x, y + OPTIONS)


def head(folder: Path, name: str, places: Places) -> Iterator[float]:
    """The head in the view, on its photo, and in the studio; ends there."""
    yield from frame(name)
    desk.picture(folder / "panel.jpg")
    scene, space = bpy.context.scene, desk.sidebar()[0].spaces.active
    scene.view_settings.view_transform = "Standard"
    for operator in ("meshlam.toggle_photo_pose", "meshlam.toggle_photo_camera"):
        yield from desk.click(places, operator)
    yield from desk.still()
    desk.picture(folder / "photo_camera.jpg")
    for operator in ("meshlam.toggle_photo_camera", "meshlam.toggle_photo_pose"):
        yield from desk.click(places, operator)
    scene.view_settings.view_transform = "AgX"
    yield from desk.click(places, "meshlam.toggle_studio")
    yield from desk.until(lambda: scene.camera.name == f"{name} Portrait", "the studio stands")
    space.shading.type = "RENDERED"
    yield from desk.still()
    desk.picture(folder / "studio.jpg")
    space.shading.type = "SOLID"  # renderings need the processor
    yield 1.0
    renderings(folder.parent / "renderings", name)


def light(folder: Path, name: str, places: Places) -> Iterator[float]:
    """The head in the photo's light."""
    area, _ = desk.sidebar()
    with desk.in_view():
        if desk.module("scene.studio").studio_of(bpy.context.scene) is not None:
            bpy.ops.meshlam.toggle_studio()
    yield from frame(name)
    yield from desk.click(places, "meshlam.toggle_photo_light")
    area.spaces.active.shading.type = "RENDERED"
    yield from desk.still()
    desk.picture(folder / "photo_light.jpg")
    area.spaces.active.shading.type = "SOLID"


def frame(name: str) -> Iterator[float]:
    """The window low and the head filling the view, with its materials."""
    if desk.window().height != LOW:
        found = subprocess.run(["xdotool", "search", "--onlyvisible", "--class", "blender"], capture_output=True)
        desk.mouse("windowsize", found.stdout.split()[-1].decode(), str(desk.window().width), str(LOW))
        yield from desk.until(lambda: desk.window().height == LOW, "the window is low")
        yield 2.0
    space = desk.sidebar()[0].spaces.active
    desk.module("viewport").aim_view(space, bpy.data.objects[name])
    space.shading.type = "MATERIAL"
    yield from desk.still()


def renderings(folder: Path, name: str) -> None:
    """The head before the scene's camera: EEVEE shows it as Cycles does; and the expressions of the sheet."""
    colours = {}
    for engine in ("CYCLES", eevee()):
        pixels = render(folder / f"{engine}.png", engine, 50)
        magenta = (pixels[..., 0] > 0.8) & (pixels[..., 1] < 0.2) & (pixels[..., 2] > 0.8)
        assert not magenta.any(), f"{engine} shows a material that it cannot draw."
        colours[engine] = np.median(pixels[skin_pixels(bpy.data.objects[name], *pixels.shape[:2])], axis=0)
        print(f"median colour of the skin in {engine}: {np.round(colours[engine], 3)}")
    ours, theirs = colours.values()
    assert theirs.min() > 0.1, "EEVEE shows the skin black."
    assert np.abs(ours - theirs).max() < NEAR, "EEVEE shows the skin in another colour than Cycles."
    for expression in SHOWN:
        with desk.in_view():
            bpy.ops.meshlam.show_expression(name=expression)
        render(folder / f"{expression}.png", "CYCLES", 25)
    with desk.in_view():
        bpy.ops.meshlam.rest_pose()


def render(path: Path, engine: str, percent: int) -> NDArray[np.float32]:  # [H, W, 3] sRGB, bottom row first
    """What the scene's camera sees."""
    scene = bpy.context.scene
    scene.render.engine, scene.render.resolution_percentage = engine, percent
    scene.cycles.samples, scene.cycles.use_denoising, scene.eevee.taa_render_samples = 48, False, 16
    scene.render.image_settings.file_format, scene.render.filepath = "PNG", str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    width, height = image.size
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, -1)[..., :3]


def eevee() -> str:
    """What this Blender calls EEVEE."""
    engines = bpy.types.RenderSettings.bl_rna.properties["engine"].enum_items
    return next((item.identifier for item in engines if "EEVEE" in item.identifier), "BLENDER_EEVEE")


def skin_pixels(item: Any, height: int, width: int) -> Any:
    """Where the camera sees faces of the skin that look at it: (rows, columns), bottom row first."""
    camera, mesh = bpy.context.scene.camera, item.data
    skin = next(index for index, slot in enumerate(item.material_slots) if "Skin" in slot.material.name)
    rows, columns = [], []
    for polygon in mesh.polygons:
        place = item.matrix_world @ polygon.center
        towards = (camera.matrix_world.translation - place).normalized()
        if polygon.material_index == skin and (item.matrix_world.to_3x3() @ polygon.normal).dot(towards) > 0.7:
            x, y, _ = world_to_camera_view(bpy.context.scene, camera, place)
            rows.append(int(y * height))
            columns.append(int(x * width))
    return rows, columns


def sheet(folder: Path, rendered: Path) -> None:
    """README's picture: the window, the studio and some expressions."""
    tiles = [str(rendered / f"{name}.png") for name in SHOWN]
    edge = ["-bordercolor", "#181818", "-border", "4"]
    words = ["(", str(folder / "panel.jpg"), "-resize", "x540", *edge, ")"]
    words += ["(", str(rendered / "CYCLES.png"), "-resize", "x540", *edge, ")", "+append"]
    path = folder / "sheet.jpg"
    top, low = rendered / "top.png", rendered / "low.png"
    convert(*words, str(top))
    width = subprocess.run(["identify", "-format", "%w", str(top)], check=True, capture_output=True).stdout.decode()
    convert(*tiles, *edge, "+append", "-resize", width, str(low))
    convert(str(top), str(low), "-append", "-resize", "1200x", "-quality", "85", str(path))
    assert path.stat().st_size < SHEET, f"{path} has {path.stat().st_size} bytes, more than {SHEET}."


def convert(*words: str) -> None:
    subprocess.run(["convert", *words], check=True)


def sidebar_down_to(bottom: int) -> desk.Box:
    """The part of the sidebar above a row of the display."""
    _, region = desk.sidebar()
    top = desk.window().height - region.y - region.height
    tabs = 22  # px, at the right
    return region.x, top, region.width - tabs, bottom - top
