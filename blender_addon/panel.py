"""The sidebar tab: photo, one big button, progress, result, and what one does with a head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy

from . import state, viewport
from .avatar_operators import draw_text, eye_aim_on
from .job import State
from .preferences import settings
from .scene.action import photo_pose_shown
from .scene.build import PROVENANCE, RESULT, BuiltAvatar, active_avatar

_CATEGORY = "MeshLAM"
# What the stages are called by the backend, and here
_STAGES = {
    "starting": "Starting",
    "retry": "Trying with less memory",
    "reading": "Reading the photo",
    "tracking": "Fitting the head",
    "masks": "Finding hair and skin",
    "hair": "Shaping the hair",
    "texture": "Painting the texture",
    "refine": "Refining with the network",
    "preview": "Finishing",
    "saving": "Saving",
}


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = _CATEGORY


class MainPanel(_Sidebar, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "MESHLAM_PT_main"
    bl_label = "MeshLAM"

    def draw(self, context: Any) -> None:
        layout = self.layout
        fields = context.scene.meshlam
        _draw_photo(layout, fields)
        session = state.session
        if session.active:
            _draw_progress(layout)
        else:
            row = layout.row()
            row.scale_y = 1.8
            row.operator("meshlam.reconstruct", icon="USER")
        if session.state is State.FAILED and session.error is not None:
            _draw_error(layout, context)


class OptionsPanel(_Sidebar, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "MESHLAM_PT_options"
    bl_label = "Options"
    bl_parent_id = "MESHLAM_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        fields = context.scene.meshlam
        column.prop(fields, "face")
        column.prop(fields, "texture_size")
        column.prop(fields, "device")
        column.prop(fields, "frame_result")
        column.separator()
        column.operator("meshlam.import_avatar", text="Import .meshlam File", icon="IMPORT")
        worker = state.session.worker
        if worker is not None:
            column.label(text=f"Backend {worker.version}, {worker.device}", icon="CHECKMARK")
        elif not settings().backend_python:
            column.operator("preferences.addon_show", text="Set Up Backend", icon="PREFERENCES").module = __package__


class AvatarPanel(_Sidebar, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "MESHLAM_PT_avatar"
    bl_label = "Head"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return active_avatar(context) is not None

    def draw(self, context: Any) -> None:
        built = active_avatar(context)
        if built is None:
            return
        layout = self.layout
        layout.label(text=built.head.name, icon="MESH_DATA")
        _draw_result(layout, context, built)
        column = layout.column(align=True)
        column.operator(
            "meshlam.toggle_photo_pose", icon="POSE_HLT", depress=photo_pose_shown(built.rig), text="Photo Pose"
        )
        looking = viewport.photo_view_shown(context.scene) and context.scene.camera == built.camera
        column.operator("meshlam.toggle_photo_camera", icon="CAMERA_DATA", depress=looking)
        if built.eye_target is not None:
            column.operator("meshlam.toggle_eye_aim", icon="HIDE_OFF", depress=eye_aim_on(built.rig))
        column.operator("meshlam.toggle_bones", icon="BONE_DATA", depress=built.rig.show_in_front)
        column.operator("meshlam.rest_pose", icon="LOOP_BACK")
        row = layout.row()
        row.scale_y = 1.3
        row.operator("meshlam.export", icon="EXPORT")


def _draw_photo(layout: Any, fields: Any) -> None:
    icon = 0 if not fields.photo else state.photo_icon(fields.photo)
    box = layout.box()
    if icon:
        box.template_icon(icon_value=icon, scale=8.0)
        row = box.row(align=True)
        row.label(text=Path(fields.photo).name)
        row.operator("meshlam.choose_photo", text="", icon="FILEBROWSER")
        return
    column = box.column()
    if fields.photo:
        column.label(text="The photo is gone", icon="ERROR")
    row = column.row()
    row.scale_y = 1.4
    row.operator("meshlam.choose_photo", text="Choose Photo...", icon="IMAGE_DATA")


def _draw_progress(layout: Any) -> None:
    session = state.session
    stage = "Stopping" if session.state is State.CANCELLING else _STAGES.get(session.stage, session.stage.capitalize())
    row = layout.row(align=True)
    row.scale_y = 1.8
    row.progress(factor=session.fraction, text=stage)
    row.operator("meshlam.cancel", text="", icon="CANCEL")


def _draw_error(layout: Any, context: Any) -> None:
    error = state.session.error
    assert error is not None
    box = layout.box()
    draw_text(box, context, error.message, "ERROR")
    if error.hint:
        draw_text(box, context, error.hint, "INFO")
    row = box.row(align=True)
    row.operator("meshlam.copy_report", icon="COPYDOWN")
    row.operator("meshlam.dismiss", text="", icon="X")
    if error.kind == "backend":
        box.operator("preferences.addon_show", text="Preferences", icon="PREFERENCES").module = __package__


def _draw_result(layout: Any, context: Any, built: BuiltAvatar) -> None:
    result = json.loads(built.rig.get(RESULT, "{}"))
    provenance = json.loads(built.rig.get(PROVENANCE, "{}"))
    warnings = result.get("warnings") or provenance.get("warnings") or []
    error = result.get("landmark_error")
    if isinstance(error, int | float):
        column = layout.column(align=True)
        column.label(text=f"Landmark error {100 * error:.1f} % of the face height")
        column.label(text=f"{len(built.head.data.vertices):,} vertices")
    if "weights" in provenance:
        weights = provenance["weights"]
        layout.label(text=f"Refined by the network ({weights})" if weights else "Not refined: the tracker's head")
    for warning in warnings:
        draw_text(layout.box(), context, str(warning), "ERROR")


CLASSES = (MainPanel, OptionsPanel, AvatarPanel)
