"""Registers everything the add-on adds to Blender, and takes all of it away again."""

from __future__ import annotations

import atexit
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import (
    avatar_operators,
    backend_operators,
    backend_state,
    batch_operator,
    clip_operators,
    clip_panel,
    doctor_operators,
    export_operator,
    face_operators,
    face_panel,
    face_picker,
    join_operators,
    look_operators,
    operators,
    panel,
    parameter_operators,
    parameter_panel,
    photo_operators,
    preferences,
    state,
    viewport,
)
from .scene import paint, together

_MODULES = (
    preferences,
    state,
    operators,
    batch_operator,
    photo_operators,
    face_picker,
    backend_operators,
    avatar_operators,
    export_operator,
    face_operators,
    clip_operators,
    doctor_operators,
    look_operators,
    join_operators,
    parameter_operators,
    panel,
    face_panel,
    clip_panel,
    parameter_panel,
)
_CLASSES = tuple(cls for module in _MODULES for cls in module.CLASSES)
_IDLE_CHECK_SECONDS = 20.0


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    state.register()
    bpy.types.Scene.meshlam_face = bpy.props.PointerProperty(type=face_operators.MeshlamFace)
    bpy.types.Scene.meshlam_look = bpy.props.PointerProperty(type=look_operators.MeshlamLook)
    bpy.types.Scene.meshlam_clip = bpy.props.PointerProperty(type=clip_operators.MeshlamClip)
    together.register()
    paint.register()
    bpy.app.handlers.load_pre.append(_before_load)
    bpy.app.handlers.save_post.append(_after_save)
    bpy.app.handlers.undo_post.append(_after_undo)
    bpy.types.TOPBAR_MT_file_import.append(_import_entry)
    bpy.types.IMAGE_MT_image.append(_photo_entry)
    bpy.app.timers.register(_idle_check, first_interval=_IDLE_CHECK_SECONDS, persistent=True)
    atexit.register(_close)
    backend_state.tie_to_this_blender()


def unregister() -> None:
    atexit.unregister(_close)
    face_picker.hide()
    backend_operators.unregister()
    if bpy.app.timers.is_registered(_idle_check):
        bpy.app.timers.unregister(_idle_check)
    bpy.types.IMAGE_MT_image.remove(_photo_entry)
    bpy.types.TOPBAR_MT_file_import.remove(_import_entry)
    bpy.app.handlers.undo_post.remove(_after_undo)
    bpy.app.handlers.save_post.remove(_after_save)
    bpy.app.handlers.load_pre.remove(_before_load)
    paint.unregister()
    together.unregister()
    del bpy.types.Scene.meshlam_clip
    del bpy.types.Scene.meshlam_look
    del bpy.types.Scene.meshlam_face
    state.unregister()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)


@persistent  # type: ignore[untyped-decorator]
def _before_load(*_: Any) -> None:
    """Another file comes: a job that runs belongs to the scene that goes."""
    face_picker.hide()
    if state.session.active:
        state.session.close()
    state.session.forget()
    state.remove_unused_files()
    state.made_files.clear()  # what is left belongs to the scene that goes


@persistent  # type: ignore[untyped-decorator]
def _after_save(*_: Any) -> None:
    state.keep_used_files()


@persistent  # type: ignore[untyped-decorator]
def _after_undo(*_: Any) -> None:
    viewport.hide_lost_trust()


def _close() -> None:
    """Blender ends: nothing that was started outlives it."""
    state.session.close()
    backend_state.setup.close()


def _idle_check() -> float:
    state.session.end_if_idle(preferences.settings().idle_minutes * 60.0)
    return _IDLE_CHECK_SECONDS


def _import_entry(menu: Any, _context: Any) -> None:
    menu.layout.operator("meshlam.import_avatar", text="MeshLAM Avatar (.meshlam)")


def _photo_entry(menu: Any, _context: Any) -> None:
    menu.layout.operator("meshlam.photo_from_image", text="Use as MeshLAM Photo", icon="USER")
