"""The panel by which a clip drives the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import state, viewport
from .animation.groups import GROUPS
from .animation.keyframes import driven_by
from .animation.motion import HEAD
from .clip_operators import strength_field
from .panel import HeadPanel, draw_progress
from .scene.found import BuiltAvatar


class ClipPanel(HeadPanel, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "MESHLAM_PT_clip"
    bl_label = "Drive from a Clip"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_head(self, context: Any, built: BuiltAvatar) -> None:
        layout, fields = self.layout, context.scene.meshlam_clip
        row = layout.row(align=True)
        name = Path(fields.clip.replace("\\", "/")).name
        row.operator("meshlam.choose_clip", text=name or "Choose Clip...", icon="FILE_MOVIE")
        row = layout.row(align=True)
        row.operator("meshlam.record_clip", icon="REC")
        row.prop(fields, "seconds", text="")
        row.prop(fields, "camera", text="", icon="VIEW_CAMERA")
        if state.session.active:
            draw_progress(layout)
        else:
            layout.operator("meshlam.drive_from_clip", icon="PLAY")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        for field in ("first", "last", "start", "smoothing", "use_rate"):
            column.prop(fields, field)
        header, body = layout.panel("meshlam_strengths", default_closed=True)
        header.label(text="Strengths")
        if body is not None:
            body.use_property_split = True
            body.use_property_decorate = False
            for key in (*(group.key for group in GROUPS), HEAD):
                body.prop(fields, strength_field(key), slider=True)
        if driven_by(built):
            row = layout.row(align=True)
            row.operator("meshlam.apply_clip", icon="FILE_REFRESH")
            row.operator("meshlam.clear_clip", text="", icon="X")
        if built.clip_camera is not None:
            looking = viewport.photo_view_shown(context.scene) and context.scene.camera == built.clip_camera
            layout.operator("meshlam.toggle_clip_camera", icon="CAMERA_DATA", depress=looking)


CLASSES = (ClipPanel,)
