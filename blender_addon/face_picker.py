"""The photo in the 3D view with a box around each face: a click, or the number's key, chooses one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import blf
import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from .face_board import Board, Box, frame_of, free_room
from .scene.layers import pixels_of

_BARS = ("HEADER", "TOOL_HEADER", "TOOLS", "UI", "ASSET_SHELF", "ASSET_SHELF_HEADER")
_DIM, _PLATE = (0.0, 0.0, 0.0, 0.75), (0.0, 0.0, 0.0, 0.6)
_PLAIN, _UNDER, _CHOSEN = (1.0, 1.0, 1.0, 0.9), (1.0, 0.75, 0.2, 1.0), (0.3, 0.7, 1.0, 1.0)
_THIN, _THICK = 2, 4  # px, of the frames
_LETTERS = 18
_HINT = "Click a face, or press its number; Esc: leave it as it is"


def found_faces(fields: Any) -> dict[str, Any]:
    """`count`, `boxes`, `size`, `shown` and `made` of the panel's photo; empty where its faces were not looked for."""
    found: dict[str, Any] = json.loads(fields.faces or "{}")
    return found if found.get("photo") == fields.photo else {}


def can_show(fields: Any) -> bool:
    """Whether there is a photo with several faces to show."""
    found = found_faces(fields)
    return len(found.get("boxes", ())) > 1 and 0 < found.get("made", 0) == made_at(found["shown"])


def made_at(path: str) -> int:
    """When a file was written, ns; 0 where there is none. The next photo's picture takes the place of this one's."""
    try:
        return Path(path).stat().st_mtime_ns if path else 0
    except OSError:
        return 0


class Overlay:
    """The photo over one 3D view, until it is hidden. There is at most one."""

    up: Overlay | None = None

    def __init__(self, area: Any, found: dict[str, Any], chosen: int) -> None:
        self.area = area
        self.size: Sequence[float] = found["size"]
        self.boxes: list[Box] = [tuple(box) for box in found["boxes"]]
        self.chosen, self.under = chosen, 0
        self._pixels = _pixels(Path(found["shown"]))
        self._texture: Any = None
        self._handle: Any = None

    def show(self) -> None:
        hide()
        self._handle = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "WINDOW", "POST_PIXEL")
        Overlay.up = self
        self.area.tag_redraw()

    def close(self) -> None:
        """Take it off the view; a second time does nothing."""
        if self._handle is not None:
            bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
            self._handle = None
            if self.there():
                self.area.tag_redraw()

    def there(self) -> bool:
        """Whether the 3D view still is one; areas are closed and become other editors."""
        areas = (area for window in bpy.context.window_manager.windows for area in window.screen.areas)
        return any(area == self.area and area.type == "VIEW_3D" for area in areas)

    def view(self) -> Any:
        return next(region for region in self.area.regions if region.type == "WINDOW")

    def room(self) -> Box:
        """What of the view is free, in the window's pixels."""
        return free_room(_box(self.view()), [_box(bar) for bar in self.area.regions if bar.type in _BARS])

    def board(self) -> Board:
        """Where everything lies in the window."""
        return Board.of(self.size, self.boxes, self.room())

    def covers(self, x: float, y: float) -> bool:
        """Whether the mouse, in the window's pixels, is over it rather than over another editor or a bar."""
        left, bottom, right, top = self.room()
        return left <= x < right and bottom <= y < top

    def _draw(self) -> None:
        if bpy.context.area != self.area:
            return
        if self._texture is None:
            height, width = self._pixels.shape[:2]
            data = gpu.types.Buffer("FLOAT", self._pixels.size, self._pixels.ravel())
            self._texture = gpu.types.GPUTexture((width, height), format="RGBA8", data=data)
        room, board, view = self.room(), self.board(), self.view()
        gpu.state.blend_set("ALPHA")
        gpu.matrix.push()
        gpu.matrix.translate((-view.x, -view.y))
        try:
            _fill([room], _DIM)
            _picture(board.photo, self._texture)
            for number, box in enumerate(board.faces, 1):
                marked = number in (self.under, self.chosen)
                colour = _UNDER if number == self.under else _CHOSEN if marked else _PLAIN
                _fill(frame_of(box, _THICK if marked else _THIN), colour)
                _write(str(number), box[0] + 2, box[1] + 2, colour)
            _write(_HINT, room[0] + 12, room[1] + 10, _PLAIN)
        finally:
            gpu.matrix.pop()
            gpu.state.blend_set("NONE")


def hide() -> None:
    """Take away what is shown."""
    if Overlay.up is not None:
        Overlay.up.close()
        Overlay.up = None


class PickFace(bpy.types.Operator):  # type: ignore[misc]
    """Show the photo with a box around each face; a click chooses whose head is made"""

    bl_idname = "meshlam.pick_face"
    bl_label = "Show on the Photo"
    bl_options = {"INTERNAL", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return can_show(context.scene.meshlam)

    def invoke(self, context: Any, _event: Any) -> set[str]:
        area = _view_of(context)
        if bpy.app.background or area is None:
            return self.execute(context)
        fields = context.scene.meshlam
        try:
            Overlay(area, found_faces(fields), fields.face).show()
        except RuntimeError as error:
            self.report({"ERROR"}, f"The photo cannot be shown: {error}; choose a face by its number.")
            return {"CANCELLED"}
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context: Any) -> set[str]:
        self.report({"ERROR"}, "The photo is shown in a 3D view, and there is none; choose a face by its number.")
        return {"CANCELLED"}

    def modal(self, context: Any, event: Any) -> set[str]:
        overlay = Overlay.up
        if overlay is None or not overlay.there():
            hide()
            return {"CANCELLED"}
        if event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            hide()
            return {"CANCELLED"}
        over, board = overlay.covers(event.mouse_x, event.mouse_y), overlay.board()
        under = board.face_at(event.mouse_x, event.mouse_y) if over else 0
        if under != overlay.under:
            overlay.under = under
            overlay.area.tag_redraw()
        if event.type.startswith("TIMER") or not over:
            return {"PASS_THROUGH"}  # the sidebar and other editors stay usable
        pressed = event.value == "PRESS"
        face = board.face_of_key(event.type) if pressed else 0
        if pressed and event.type == "LEFTMOUSE":
            face = under
        if not face:
            return {"RUNNING_MODAL"}
        hide()
        context.scene.meshlam.face = face
        return {"FINISHED"}

    def cancel(self, _context: Any) -> None:
        """Blender ends the operator: a file is loaded, or the window closes."""
        hide()


def _view_of(context: Any) -> Any:
    """The 3D view that the mouse is in, or the largest; None where there is none."""
    if context.area is not None and context.area.type == "VIEW_3D":
        return context.area
    areas = [area for area in context.screen.areas if area.type == "VIEW_3D"] if context.screen is not None else []
    return max(areas, key=lambda area: area.width * area.height, default=None)


def _box(region: Any) -> Box:
    return region.x, region.y, region.x + region.width, region.y + region.height


def _pixels(path: Path) -> Any:  # [H, W, 4] from the lowest row, as displayed
    image = bpy.data.images.load(str(path))
    try:
        return np.ascontiguousarray(pixels_of(image), np.float32)
    finally:
        bpy.data.images.remove(image)


def _corners(box: Box) -> list[tuple[float, float]]:
    left, bottom, right, top = box
    return [(left, bottom), (right, bottom), (right, top), (left, bottom), (right, top), (left, top)]


def _fill(boxes: Sequence[Box], colour: tuple[float, float, float, float]) -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.bind()
    shader.uniform_float("color", colour)
    batch_for_shader(shader, "TRIS", {"pos": [corner for box in boxes for corner in _corners(box)]}).draw(shader)


def _picture(box: Box, texture: Any) -> None:
    shader = gpu.shader.from_builtin("IMAGE")
    shader.bind()
    shader.uniform_sampler("image", texture)
    where = {"pos": _corners(box), "texCoord": _corners((0.0, 0.0, 1.0, 1.0))}
    batch_for_shader(shader, "TRIS", where).draw(shader)


def _write(text: str, x: float, y: float, colour: tuple[float, float, float, float]) -> None:
    """Letters on a plate of their own."""
    font = 0
    blf.size(font, _LETTERS * bpy.context.preferences.system.ui_scale)
    width, height = blf.dimensions(font, text)
    _fill([(x, y, x + width + 8, y + height + 8)], _PLATE)
    blf.color(font, *colour)
    blf.position(font, x + 4, y + 4, 0)
    blf.draw(font, text)


CLASSES = (PickFace,)
