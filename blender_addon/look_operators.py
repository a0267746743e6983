"""How the head is lit and shown: portrait studio, turntable, the photo's own light, the light in the texture."""

from __future__ import annotations

from collections.abc import Iterator
from math import tau
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.io_utils import ImportHelper

from . import compat, viewport
from .avatar_operators import OnAvatar
from .exporting.files import reason_of_text
from .scene import trust
from .scene.found import BuiltAvatar, active_avatar
from .scene.layers import light_in_texture, set_light_in_texture
from .scene.light import LIGHT, hide_photo_light, photo_light_shown, show_photo_light
from .scene.studio import build_studio, middle_of, remove_studio, studio_camera, studio_of, turned
from .scene.trust import MILLIMETRES, TRUST


class MeshlamLook(bpy.types.PropertyGroup):  # type: ignore[misc]
    """The fields of the look's panel."""


def _read_light(_fields: Any) -> float:
    built = active_avatar(bpy.context)
    share = light_in_texture(built.head) if built is not None else None
    return share if share is not None else 1.0


def _write_light(_fields: Any, value: float) -> None:
    built = active_avatar(bpy.context)
    if built is not None:
        set_light_in_texture(built.head, value)


MeshlamLook.__annotations__["light_in_texture"] = bpy.props.FloatProperty(
    name="Photo's Light",
    description="1: the texture with the light of the photo. 0: without it, for lights of your own",
    min=0.0,
    max=1.0,
    get=_read_light,
    set=_write_light,
    options={"SKIP_SAVE"},
)


class ToggleStudio(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Put camera, three lights and a backdrop around the head; a second click takes them away"""

    bl_idname = "meshlam.toggle_studio"
    bl_label = "Portrait Studio"
    changes_head = False

    def execute(self, context: Any) -> set[str]:
        scene = context.scene
        if studio_of(scene) is not None:
            if scene.camera == studio_camera(scene):
                viewport.hide_photo_view(context)
            remove_studio(scene)
            return {"FINISHED"}
        viewport.show_photo_view(context, build_studio(scene, self.avatar(context)))
        return {"FINISHED"}


class TogglePhotoLight(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Light the scene as the photo was lit, by a world and a sun; a second click brings your world back"""

    bl_idname = "meshlam.toggle_photo_light"
    bl_label = "Photo Light"
    changes_head = False

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return LIGHT in built.rig

    def execute(self, context: Any) -> set[str]:
        if photo_light_shown(context.scene):
            hide_photo_light(context.scene)
            return {"FINISHED"}
        built = self.avatar(context)
        show_photo_light(context.scene, built)
        if light_in_texture(built.head) is None:
            self.report({"INFO"}, "The texture holds the photo's light already, so that it is lit twice.")
        else:
            set_light_in_texture(built.head, 0.0)
        return {"FINISHED"}


class ShowsTrust(OnAvatar):
    """Base of operators that colour the head in all 3D views."""

    changes_head = False
    shows: str  # a colour attribute of scene/trust.py

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return cls.shows in built.head.data.color_attributes

    def execute(self, context: Any) -> set[str]:
        mesh = self.avatar(context).head.data
        if viewport.trust_shown() and viewport.trust_of(mesh) in (None, self.shows):
            viewport.hide_trust()
        else:
            viewport.show_trust(mesh, self.shows)
        return {"FINISHED"}


class ToggleTrust(ShowsTrust, bpy.types.Operator):  # type: ignore[misc]
    """Colour the head by where its texture comes from; a second click brings your shading back"""

    bl_idname = "meshlam.toggle_trust"
    bl_label = "Trust"
    shows = TRUST


class ToggleMillimetres(ShowsTrust, bpy.types.Operator):  # type: ignore[misc]
    """Colour the head by how surely its shape is known; a second click brings your shading back"""

    bl_idname = "meshlam.toggle_millimetres"
    bl_label = "Millimetres"
    shows = MILLIMETRES


class RenderTurntable(OnAvatar, bpy.types.Operator, ImportHelper):  # type: ignore[misc]
    """Render the head from all sides through the scene's camera, one PNG a step, into a folder"""

    bl_idname = "meshlam.render_turntable"
    bl_label = "Render Turntable"
    bl_options = {"INTERNAL"}
    changes_head = False

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    frames: bpy.props.IntProperty(name="Pictures", default=36, min=2, max=720)  # type: ignore[valid-type]

    _steps: Iterator[int]
    _timer: Any = None

    def execute(self, context: Any) -> set[str]:
        folder = Path(bpy.path.abspath(self.directory))
        if context.scene.camera is None:
            self.report({"ERROR"}, "The scene has no camera; Portrait Studio brings one.")
            return {"CANCELLED"}
        if not self.directory or not folder.is_dir():
            self.report({"ERROR"}, f"There is no folder at {folder}.")
            return {"CANCELLED"}
        self._steps = render_steps(context.scene, self.avatar(context), folder, self.frames)
        if context.window is None or bpy.app.background:
            while True:
                answer = self._advance(context)
                if answer != {"RUNNING_MODAL"}:
                    return answer
        self._timer = context.window_manager.event_timer_add(0.01, window=context.window)
        context.window_manager.modal_handler_add(self)
        context.window_manager.progress_begin(0, self.frames)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """One picture a tick, so that Escape is heard between two."""
        if event.type == "ESC":
            self.cancel(context)
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}
        return self._advance(context)

    def _advance(self, context: Any) -> set[str]:
        """Render one picture."""
        try:
            step = next(self._steps, None)
        except RuntimeError as error:
            self.cancel(context)
            self.report({"ERROR"}, f"The picture could not be rendered: {reason_of_text(str(error))}.")
            return {"CANCELLED"}
        if step is None:
            self.cancel(context)
            return {"FINISHED"}
        if self._timer is not None:
            context.window_manager.progress_update(step)
        return {"RUNNING_MODAL"}

    def cancel(self, context: Any) -> None:
        self._steps.close()  # type: ignore[attr-defined]  # a generator: the head turns back
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            context.window_manager.progress_end()


def render_steps(scene: Any, built: BuiltAvatar, folder: Path, count: int) -> Iterator[int]:
    """Turn the head once around and render; afterwards head and render settings are as before."""
    place, middle, render = built.rig.matrix_world.copy(), middle_of(built), scene.render
    before = render.filepath
    try:
        with compat.png_pictures(render.image_settings):
            for step in range(count):
                built.rig.matrix_world = turned(place, middle, tau * step / count)
                render.filepath = str(folder / f"{step:03d}.png")
                bpy.ops.render.render(write_still=True, scene=scene.name)
                yield step
    finally:
        built.rig.matrix_world = place
        render.filepath = before


def draw_look(layout: Any, context: Any, built: BuiltAvatar) -> None:
    """The buttons of the look."""
    scene = context.scene
    column = layout.column(align=True)
    column.operator("meshlam.toggle_studio", icon="LIGHT_AREA", depress=studio_of(scene) is not None)
    column.operator("meshlam.render_turntable", icon="FILE_REFRESH")
    if LIGHT in built.rig:
        column.operator("meshlam.toggle_photo_light", icon="LIGHT_SUN", depress=photo_light_shown(scene))
    told = [kind for kind in (ToggleTrust, ToggleMillimetres) if kind.fits(built)]
    if told:
        shown, row = viewport.trust_of(built.head.data), column.row(align=True)
        for kind in told:
            row.operator(kind.bl_idname, icon="COLOR", depress=shown == kind.shows)
        if shown is not None:
            _draw_legend(layout.box().column(align=True), built, shown)
    if light_in_texture(built.head) is not None:
        layout.prop(scene.meshlam_look, "light_in_texture", slider=True)


def _draw_legend(column: Any, built: BuiltAvatar, shown: str) -> None:
    """What the colours that are shown mean."""
    for kind in trust.CLASSES if shown == TRUST else ():
        column.label(text=kind.title, icon=kind.icon)
    for step in trust.SCALE if shown == MILLIMETRES else ():
        column.label(text=f"{step.millimetres:.0f} mm", icon=step.icon)
    doubt = trust.uncertainty_of(built.head.data)
    if doubt is not None:
        column.label(text=f"Shape: half of it known to {doubt:.1f} mm", icon="DRIVER_DISTANCE")


CLASSES = (MeshlamLook, ToggleStudio, TogglePhotoLight, ToggleTrust, ToggleMillimetres, RenderTurntable)
