"""Where a photo may come from beside the file browser, and which of its faces is meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import state
from .face_picker import can_show, found_faces, made_at
from .job import Request
from .job_operator import WorkerJob
from .preferences import settings
from .scene.layers import pixels_of

# How the images of a head are called; of another name are only those of photos
_OF_HEAD = re.compile(r" (Albedo( Lit)?|Albedo Paint|Seen|Normal|ORM|Lashes|Fold \S+)(\.\d{3})?$")


class PhotoError(ValueError):
    """No photo came of it; one sentence for the user."""


class PhotoFrom:
    """Base of operators that take a photo from somewhere."""

    bl_options = {"INTERNAL", "UNDO"}

    def photo(self, context: Any) -> Path:
        """The photo's file; PhotoError where there is none."""
        raise NotImplementedError

    def execute(self, context: Any) -> set[str]:
        try:
            path = self.photo(context)
        except PhotoError as error:
            self.report({"ERROR"}, str(error))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        return set(bpy.ops.meshlam.choose_photo("EXEC_DEFAULT", filepath=str(path)))


class PhotoFromImage(PhotoFrom, bpy.types.Operator):  # type: ignore[misc]
    """Take an image that is open in Blender as the photo, with what was painted on it"""

    bl_idname = "meshlam.photo_from_image"
    bl_label = "Photo from an Image"

    image: bpy.props.StringProperty(options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def photo(self, context: Any) -> Path:
        shown = getattr(context.space_data, "image", None)
        image = bpy.data.images.get(self.image) if self.image else shown
        if image is None:
            raise PhotoError("There is no such image; open one first.")
        return image_file(image)


class PhotoFromClipboard(PhotoFrom, bpy.types.Operator):  # type: ignore[misc]
    """Take the copied picture as the photo, or the file whose path was copied"""

    bl_idname = "meshlam.photo_from_clipboard"
    bl_label = "Photo from the Clipboard"

    def photo(self, context: Any) -> Path:
        copied = context.window_manager.clipboard.strip().strip("\"'")
        if copied.lower().endswith(state.IMAGE_SUFFIXES) and Path(copied).is_file():
            return Path(copied)
        before = set(bpy.data.images)
        with _image_editor(context):
            try:
                bpy.ops.image.clipboard_paste()
            except RuntimeError as error:
                raise PhotoError("The clipboard holds no picture that Blender can read.") from error
        pasted = [image for image in bpy.data.images if image not in before]
        if not pasted:
            raise PhotoError("The clipboard holds no picture that Blender can read.")
        path = image_file(pasted[0])
        bpy.data.images.remove(pasted[0])
        return path


class DropPhoto(PhotoFrom, bpy.types.Operator):  # type: ignore[misc]
    """Take the dropped file as the photo"""

    bl_idname = "meshlam.drop_photo"
    bl_label = "Use as Photo"

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def photo(self, _context: Any) -> Path:
        if not Path(self.filepath).is_file():
            raise PhotoError(f"There is no photo at {self.filepath}.")
        return Path(self.filepath)


class PhotoHandler(bpy.types.FileHandler):  # type: ignore[misc]
    """Pictures dropped onto the sidebar; elsewhere in the 3D view they become what Blender makes of them"""

    bl_idname = "MESHLAM_FH_photo"
    bl_label = "MeshLAM Photo"
    bl_import_operator = "meshlam.drop_photo"
    bl_file_extensions = ";".join(state.IMAGE_SUFFIXES)

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        area, region = context.area, context.region
        return area is not None and area.type == "VIEW_3D" and region is not None and region.type == "UI"


class PhotoMenu(bpy.types.Menu):  # type: ignore[misc]
    """Other places for a photo"""

    bl_idname = "MESHLAM_MT_photo"
    bl_label = "Photo"

    def draw(self, _context: Any) -> None:
        self.layout.operator("meshlam.photo_from_clipboard", icon="PASTEDOWN")
        for image in bpy.data.images:
            if image.source in ("FILE", "GENERATED") and min(image.size) > 0 and not _is_of_head(image):
                row = self.layout.operator("meshlam.photo_from_image", text=image.name, icon="IMAGE_DATA")
                row.image = image.name


class FindFaces(WorkerJob, bpy.types.Operator):  # type: ignore[misc]
    """Show every face of the photo, to choose one by a click"""

    bl_idname = "meshlam.find_faces"
    bl_label = "Choose a Face"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return cls.may_start() and bool(context.scene.meshlam.photo)

    def start(self, context: Any) -> bool:
        photo = Path(bpy.path.abspath(context.scene.meshlam.photo))
        ready = self.prepare(lambda folder: _room(folder) / "faces.png")
        if ready is None:
            return False
        state.session.start(ready[0], Request(photo, ready[1], {"device": context.scene.meshlam.device}, "faces"))
        return True

    def finish(self, context: Any, request: Request, result: dict[str, Any]) -> set[str]:
        fields = context.scene.meshlam
        count = len(result.get("boxes", ()))
        told = {name: result[name] for name in ("boxes", "size", "shown") if name in result}
        made = made_at(told.get("shown", ""))
        fields.faces = json.dumps({"photo": fields.photo, "count": count, "made": made} | told)
        state.show_faces(Path(result.get("out") or request.out), count)
        state.session.forget()
        self.report({"INFO"}, f"{count} faces" if count > 1 else "There is one face")
        if context.window is not None and not bpy.app.background and can_show(fields):
            bpy.ops.meshlam.pick_face("INVOKE_DEFAULT")
        return {"FINISHED"}


class ChooseFace(bpy.types.Operator):  # type: ignore[misc]
    """Make the head of this face"""

    bl_idname = "meshlam.choose_face"
    bl_label = "Choose Face"
    bl_options = {"INTERNAL", "UNDO"}

    face: bpy.props.IntProperty(default=1, min=1, options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        context.scene.meshlam.face = self.face
        return {"FINISHED"}


def draw_faces(layout: Any, fields: Any) -> None:
    """The faces of the photo as buttons, where they were looked for."""
    found = found_faces(fields)
    if found.get("count", 0) < 2:
        layout.operator("meshlam.find_faces", icon="COMMUNITY")
        return
    if can_show(fields):
        layout.operator("meshlam.pick_face", icon="COMMUNITY")
    grid = layout.grid_flow(row_major=True, columns=4, even_columns=True, align=True)
    for face in range(1, found["count"] + 1):
        column = grid.column(align=True)
        icon = state.face_icon(face)
        if icon:
            column.template_icon(icon_value=icon, scale=3.0)
        column.operator("meshlam.choose_face", text=str(face), depress=fields.face == face).face = face


def image_file(image: Any) -> Path:
    """A file with an image's pixels: its own, or a copy in the data folder where its pixels lie in Blender only."""
    own = Path(bpy.path.abspath(image.filepath))
    if image.source == "FILE" and not image.packed_file and not image.is_dirty and own.is_file():
        return own
    if min(image.size) < 1:
        raise PhotoError(f"{image.name} has no pixels.")
    try:
        folder = _room(settings().data_path())
        name = re.sub(r"[^\w-]+", " ", image.name).strip() or "image"
        path = folder / f"{name}.png"
        _save_pixels(image, path)
    except (OSError, RuntimeError) as error:
        raise PhotoError(f"{image.name} could not be copied to the data folder: {error}") from error
    return path


def _save_pixels(image: Any, path: Path) -> None:
    """Write an image's pixels as sRGB, and leave the image where it is."""
    pixels = pixels_of(image)
    if image.is_float:  # linear light
        colour = np.clip(pixels[..., :3], 0.0, 1.0)
        pixels[..., :3] = np.where(colour <= 0.0031308, 12.92 * colour, 1.055 * colour ** (1 / 2.4) - 0.055)
    copy = bpy.data.images.new("MeshLAM photo", *image.size)
    try:
        copy.pixels.foreach_set(pixels.ravel())
        copy.filepath_raw, copy.file_format = str(path), "PNG"
        copy.save()
    finally:
        bpy.data.images.remove(copy)


def _room(folder: Path) -> Path:
    """Where copies of photos are kept."""
    room = folder / "photos"
    room.mkdir(parents=True, exist_ok=True)
    return room


def _is_of_head(image: Any) -> bool:
    """Textures of heads are no photos."""
    return _OF_HEAD.search(image.name) is not None


@contextmanager
def _image_editor(context: Any) -> Iterator[None]:
    """Pasting a picture asks for an image editor: the area becomes one for a moment."""
    area = context.area
    if area is None:
        raise PhotoError("The clipboard can only be read in a window.")
    before = area.type
    area.type = "IMAGE_EDITOR"
    try:
        with context.temp_override(area=area):
            yield
    finally:
        area.type = before


CLASSES = (
    PhotoFromImage,
    PhotoFromClipboard,
    DropPhoto,
    PhotoHandler,
    PhotoMenu,
    FindFaces,
    ChooseFace,
)
