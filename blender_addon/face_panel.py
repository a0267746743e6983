"""The sliders of the face: the 52 expressions in groups, bones, and expressions and visemes by name."""

from __future__ import annotations

from typing import Any

import bpy

from .animation.groups import grouped, label, stem, twin
from .animation.named import EXPRESSIONS, VISEMES, own_expressions
from .avatar_operators import eye_aim_on
from .doctor_operators import draw_doctor
from .face_operators import BONES, bones_named, solo_of
from .panel import HeadPanel, Sidebar
from .preferences import settings
from .scene.found import EYE_TARGET, BuiltAvatar
from .scene.shape_keys import expression_keys


class FacePanel(HeadPanel, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "MESHLAM_PT_face"
    bl_label = "Face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_head(self, context: Any, built: BuiltAvatar) -> None:
        layout, fields = self.layout, context.scene.meshlam_face
        row = layout.row(align=True)
        row.operator("meshlam.key_face", icon="KEY_HLT")
        row.operator("meshlam.reset_face", icon="LOOP_BACK")
        row = layout.row(align=True)
        row.prop(fields, "search", text="", icon="VIEWZOOM")
        row.prop(fields, "symmetry", text="", icon="MOD_MIRROR")
        _draw_keys(layout, built, fields)
        header, body = layout.panel("meshlam_bones", default_closed=True)
        header.label(text="Bones")
        if body is not None:
            _draw_bones(body, built, fields)
        draw_doctor(layout, context, built)


class NamedPanel(Sidebar, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "MESHLAM_PT_named"
    bl_label = "Expressions and Visemes"
    bl_parent_id = "MESHLAM_PT_face"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, fields = self.layout, context.scene.meshlam_face
        row = layout.row(align=True)
        row.prop(fields, "strength", slider=True)
        row.prop(fields, "add", toggle=True)
        _draw_named(layout, list(EXPRESSIONS), 3)
        layout.label(text="Visemes")
        _draw_named(layout, list(VISEMES), 5)
        layout.label(text="Your Own")
        for name in own_expressions(settings().data_path()):
            row = layout.row(align=True)
            row.operator("meshlam.show_expression", text=name).name = name
            row.operator("meshlam.remove_expression", text="", icon="X").name = name
        layout.operator("meshlam.save_expression", icon="ADD")


def _draw_keys(layout: Any, built: BuiltAvatar, fields: Any) -> None:
    keys = {key.name: key for key in expression_keys(built.head)}
    solo = solo_of(built)
    for group, names in grouped(keys, fields.search):
        header, body = layout.panel(f"meshlam_{group.key}", default_closed=not fields.search)
        header.label(text=group.title)
        header.operator("meshlam.reset_face", text="", icon="LOOP_BACK", emboss=False).group = group.key
        if body is None:
            continue
        column = body.column(align=True)
        for name in names:
            together = fields.symmetry and twin(name) in keys and hasattr(fields, stem(name))
            if together and name.endswith("Right") and twin(name) in names:
                continue  # its slider is the left one's
            row = column.row(align=True)
            if together:
                row.prop(fields, stem(name), slider=True)
            else:
                row.prop(keys[name], "value", text=label(name), slider=True)
            row.operator("meshlam.solo_expression", text="", icon="SOLO_ON", depress=solo == name).name = name


def _draw_bones(body: Any, built: BuiltAvatar, fields: Any) -> None:
    for slider in BONES:
        if bones_named(built, slider):
            body.row().prop(fields, slider)
    if EYE_TARGET in built.rig:
        body.operator("meshlam.toggle_eye_aim", icon="HIDE_OFF", depress=eye_aim_on(built.rig))


def _draw_named(layout: Any, names: list[str], columns: int) -> None:
    grid = layout.grid_flow(row_major=True, columns=columns, even_columns=True, align=True)
    for name in names:
        grid.operator("meshlam.show_expression", text=name).name = name


CLASSES = (FacePanel, NamedPanel)
