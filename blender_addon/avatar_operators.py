"""The buttons for a head that is there: photo pose, photo camera, eye aim, export."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

from . import viewport
from .scene.action import hide_photo_pose, photo_pose_shown, rest_pose, show_photo_pose
from .scene.armature import EYE_AIM
from .scene.found import BuiltAvatar, active_avatar, editable, limits


class OnAvatar:
    """Base of operators that need a head in the scene; those that change it are off for a linked one."""

    bl_options = {"UNDO"}
    changes_head = True

    @classmethod
    def poll(cls, context: Any) -> bool:
        built = active_avatar(context)
        if built is None:
            return False
        if cls.changes_head and not editable(built):
            cls.poll_message_set(limits(built)[0] if limits(built) else "This head cannot be edited")  # type: ignore[attr-defined]
            return False
        return True

    def avatar(self, context: Any) -> BuiltAvatar:
        found = active_avatar(context)
        assert found is not None
        return found


class TogglePhotoPose(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Show the pose and expression of the photo; a second click brings your own pose back"""

    bl_idname = "meshlam.toggle_photo_pose"
    bl_label = "Photo Pose"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        switch = hide_photo_pose if photo_pose_shown(built.rig) else show_photo_pose
        switch(built.rig, built.head)
        return {"FINISHED"}


class TogglePhotoCamera(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Look through the photo's camera, with the photo behind the head; a second click brings your view back"""

    bl_idname = "meshlam.toggle_photo_camera"
    bl_label = "Photo Camera"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        if viewport.photo_view_shown(context.scene) and context.scene.camera == built.camera:
            viewport.hide_photo_view(context)
        elif built.camera is None:
            self.report({"ERROR"}, "The photo camera of this head was deleted.")
            return {"CANCELLED"}
        else:
            viewport.show_photo_view(context, built)
        return {"FINISHED"}


class ToggleEyeAim(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Let the eyes follow the Eye Target empty"""

    bl_idname = "meshlam.toggle_eye_aim"
    bl_label = "Eyes Follow Target"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        influence = 0.0 if eye_aim_on(built.rig) else 1.0
        for bone in built.rig.pose.bones:
            if EYE_AIM in bone.constraints:
                bone.constraints[EYE_AIM].influence = influence
        if built.eye_target is not None:
            built.eye_target.hide_set(not influence)
        return {"FINISHED"}


class ToggleBones(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Draw the bones in front of the face, to pose them, or inside the head"""

    bl_idname = "meshlam.toggle_bones"
    bl_label = "Show Bones"

    def execute(self, context: Any) -> set[str]:
        rig = self.avatar(context).rig
        rig.show_in_front = not rig.show_in_front
        return {"FINISHED"}


class RestPose(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Neutral face, all bones at rest"""

    bl_idname = "meshlam.rest_pose"
    bl_label = "Rest Pose"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        hide_photo_pose(built.rig, built.head)
        rest_pose(built.rig, built.head)
        return {"FINISHED"}


def eye_aim_on(rig: Any) -> bool:
    """Whether the eyes follow their target."""
    return any(EYE_AIM in bone.constraints and bone.constraints[EYE_AIM].influence > 0 for bone in rig.pose.bones)


def draw_text(layout: Any, context: Any, text: str, icon: str = "NONE") -> None:
    """A paragraph, broken to the region's width, which labels do not do by themselves."""
    scale = context.preferences.system.ui_scale or 1.0  # 0 without a window
    width = context.region.width if context.region is not None else 240
    letters = max(18, int((width / scale - 50) / 6.4))
    column = layout.column(align=True)
    for index, line in enumerate(textwrap.wrap(text, letters)):
        column.label(text=line, icon=icon if index == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


CLASSES = (TogglePhotoPose, TogglePhotoCamera, ToggleEyeAim, ToggleBones, RestPose)
