"""The sidebar tab: photo, one big button, progress, result, and what one does with a head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy

from . import backend_panel, state, viewport
from .avatar_operators import draw_text, eye_aim_on, landmark_error, likeness
from .job import State
from .join_operators import body_of
from .look_operators import draw_look
from .photo_operators import draw_faces
from .scene.action import has_photo_pose, photo_pose_shown
from .scene.before import can_go_back
from .scene.found import EYE_TARGET, PROVENANCE, RESULT, BuiltAvatar, active_avatar, editable, limits
from .scene.quads import only_triangles
from .scene.renew import KEPT
from .scene.shape_keys import bald_key

_CATEGORY = "MeshLAM"
_SMALL = 300  # px: a photo with fewer on its shorter side gives a soft texture
_QUIET = 30.0  # s without a word from the backend, from which on the bar says so
# What the stages are called by the backend, and here
_STAGES = {
    "retry": "Trying with less memory",
    "reading": "Reading the photo",
    "tracking": "Fitting the head",
    "masks": "Finding hair and skin",
    "hair": "Shaping the hair",
    "texture": "Painting the texture",
    "refine": "Refining with the network",
    "preview": "Finishing",
    "saving": "Saving",
    "camera": "Opening the camera",
    "landmarks": "Following the face",
    "person": "Measuring the person",
    "fit": "Fitting every frame",
    "retarget": "Laying the head onto the clip",
}


class Sidebar:
    """Where the add-on's panels stand."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = _CATEGORY


class HeadPanel(Sidebar):
    """Base of panels about a head that may be changed."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        built = active_avatar(context)
        return built is not None and editable(built)

    def draw(self, context: Any) -> None:
        built = active_avatar(context)
        if built is not None:
            self.draw_head(context, built)

    def draw_head(self, context: Any, built: BuiltAvatar) -> None:
        """Draw for this head."""
        raise NotImplementedError


class MainPanel(Sidebar, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "MESHLAM_PT_main"
    bl_label = "MeshLAM"

    def draw(self, context: Any) -> None:
        layout = self.layout
        fields = context.scene.meshlam
        _draw_photo(layout, context, fields)
        session = state.session
        if session.active:
            draw_progress(layout)
        elif not backend_panel.draw_backend(layout, context):
            row = layout.row()
            row.scale_y = 1.8
            row.operator("meshlam.reconstruct", icon="USER")
            if active_avatar(context) is not None:
                layout.prop(fields, "onto_selected")
        if session.state is State.FAILED and session.error is not None:
            _draw_error(layout, context)


class OptionsPanel(Sidebar, bpy.types.Panel):  # type: ignore[misc]
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
        column.prop(fields, "hair")
        sway = column.row()
        sway.active = fields.hair != "bald"
        sway.prop(fields, "sway_bones")
        painted = column.row()
        painted.active = not fields.glasses_mesh  # they are one or the other
        painted.prop(fields, "keep_glasses")
        column.prop(fields, "glasses_mesh")
        column.prop(fields, "texture")
        column.prop(fields, "device")
        column.prop(fields, "frame_result")
        column.separator()
        column.prop(fields, "folder")
        column.operator("meshlam.reconstruct_folder", icon="FILE_FOLDER")
        column.separator()
        column.operator("meshlam.import_avatar", text="Import .meshlam File", icon="IMPORT")
        column.operator("meshlam.remove_leftovers", icon="BRUSH_DATA")
        worker = state.session.worker
        if worker is not None:
            column.label(text=f"Backend {worker.version}, {worker.device}", icon="CHECKMARK")
        column.operator("preferences.addon_show", text="Backend and Folders", icon="PREFERENCES").module = __package__


class AvatarPanel(Sidebar, bpy.types.Panel):  # type: ignore[misc]
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
        icon = state.image_icon(own_photo(built))
        row = layout.row()
        if icon:
            row.template_icon(icon_value=icon, scale=4.0)
        _draw_result(row.column(), layout, context, built)
        free = editable(built)
        for sentence in limits(built):
            draw_text(layout.box(), context, sentence, "LINKED")
        if free and limits(built):
            layout.operator("meshlam.make_own", icon="UNLINKED")
        column = layout.column(align=True)
        if has_photo_pose(built.rig):
            shown = photo_pose_shown(built.rig)
            column.operator("meshlam.toggle_photo_pose", icon="POSE_HLT", depress=shown, text="Photo Pose")
        looking = viewport.photo_view_shown(context.scene) and context.scene.camera == built.camera
        column.operator("meshlam.toggle_photo_camera", icon="CAMERA_DATA", depress=looking)
        if EYE_TARGET in built.rig:
            column.operator("meshlam.toggle_eye_aim", icon="HIDE_OFF", depress=eye_aim_on(built.rig))
        bald = bald_key(built.head)
        if bald is not None:
            column.operator("meshlam.toggle_hair", icon="OUTLINER_OB_CURVES", depress=bald.value < 0.5)
        column.operator("meshlam.toggle_bones", icon="BONE_DATA", depress=built.rig.show_in_front)
        column.operator("meshlam.rest_pose", icon="LOOP_BACK")
        if only_triangles(built.head.data):
            column.operator("meshlam.make_quads", icon="MESH_GRID")
        if body_of(context, built) is not None:
            column.operator("meshlam.join_body", icon="ARMATURE_DATA")
        draw_look(layout, context, built)
        if can_go_back(built):
            _draw_kept(layout, context, built)
        row = layout.row(align=True)
        row.scale_y = 1.3
        row.operator("meshlam.export", icon="EXPORT")
        row.operator("meshlam.delete_head", text="", icon="TRASH")


def own_photo(built: BuiltAvatar) -> Any:
    """The image of the photo that a head was made of, or None."""
    backgrounds = built.camera.data.background_images if built.camera is not None else ()
    return next((entry.image for entry in backgrounds if entry.image is not None), None)


def _draw_kept(layout: Any, context: Any, built: BuiltAvatar) -> None:
    """What the last reconstruction onto this head kept, and the way back."""
    box = layout.box()
    kept = json.loads(built.rig.get(KEPT, "[]"))
    box.label(text="Kept from before:" if kept else "A new head in the old one's place", icon="CHECKMARK")
    for sentence in kept:
        draw_text(box, context, sentence)
    box.operator("meshlam.go_back", icon="LOOP_BACK")


def _draw_photo(layout: Any, context: Any, fields: Any) -> None:
    icon = 0 if not fields.photo else state.photo_icon(fields.photo)
    box = layout.box()
    if icon:
        box.template_icon(icon_value=icon, scale=8.0)
        row = box.row(align=True)
        row.label(text=Path(fields.photo).name)
        row.operator("meshlam.choose_photo", text="", icon="FILEBROWSER")
        row.menu("MESHLAM_MT_photo", text="", icon="DOWNARROW_HLT")
        draw_faces(box, fields)
        width, height = state.photo_size(fields.photo)
        if 0 < min(width, height) < _SMALL:
            text = f"Only {width} x {height} pixels: the head will be soft. {_SMALL} or more on the face are better."
            draw_text(box, context, text, "ERROR")
        return
    column = box.column()
    if fields.photo:
        column.label(text="The photo is gone", icon="ERROR")
    row = column.row(align=True)
    row.scale_y = 1.4
    row.operator("meshlam.choose_photo", text="Choose Photo...", icon="IMAGE_DATA")
    row.menu("MESHLAM_MT_photo", text="", icon="DOWNARROW_HLT")


def draw_progress(layout: Any) -> None:
    """The bar of the job that runs, with the cross that stops it."""
    session = state.session
    factor, stage = session.fraction, _STAGES.get(session.stage, session.stage.capitalize())
    if session.stage in ("starting", "kernels"):
        factor, stage = backend_panel.first_start(session.stage, session.stage_seconds)
    row = layout.row(align=True)
    row.scale_y = 1.8
    words = f"{state.batch}: {stage}" if state.batch else stage
    if session.stage == "recording":  # one acts by it
        words = f"{stage} {session.message}"
    if session.silent_seconds > _QUIET:
        words = f"Nothing heard for {session.silent_seconds:.0f} s"
    row.progress(factor=factor, text="Stopping" if session.state is State.CANCELLING else words)
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
        box.operator("meshlam.check_backend", icon="CHECKMARK")


def _draw_result(column: Any, layout: Any, context: Any, built: BuiltAvatar) -> None:
    result = json.loads(built.rig.get(RESULT, "{}"))
    provenance = json.loads(built.rig.get(PROVENANCE, "{}"))
    column.label(text=built.head.name, icon="MESH_DATA")
    error = landmark_error(built)
    if error is not None:
        column.operator("meshlam.about_likeness", text=likeness(error), emboss=False)
    if "weights" in provenance:
        column.label(text="Refined by the network" if provenance["weights"] else "Fitted to the photo")
    for warning in result.get("warnings") or provenance.get("warnings") or []:
        draw_text(layout.box(), context, str(warning), "ERROR")


CLASSES = (MainPanel, OptionsPanel, AvatarPanel)
