"""The buttons for a head that is there: photo pose, photo camera, eye aim, export."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import bpy

from . import state, viewport
from .scene.action import has_photo_pose, hide_photo_pose, photo_pose_shown, rest_pose, show_photo_pose
from .scene.armature import EYE_AIM
from .scene.before import can_go_back, go_back
from .scene.copies import complete, delete, make_own, remove_leftovers
from .scene.found import PROVENANCE, RESULT, BuiltAvatar, active_avatar, editable, limits
from .scene.guard import here, scene_as_found, select_only, set_hidden
from .scene.quads import make_quads, only_triangles
from .scene.shape_keys import bald_key


class OnAvatar:
    """Base of operators that need a head in the scene; those that change it are off for a linked one."""

    bl_options = {"UNDO"}
    changes_head = True

    @classmethod
    def poll(cls, context: Any) -> bool:
        built = active_avatar(context)
        if built is None or not cls.fits(built):
            return False
        if cls.changes_head and not editable(built):
            cls.poll_message_set(limits(built)[0] if limits(built) else "This head cannot be edited")  # type: ignore[attr-defined]
            return False
        return True

    @classmethod
    def fits(cls, _built: BuiltAvatar) -> bool:
        """Whether this head has what the operator works on."""
        return True

    def avatar(self, context: Any) -> BuiltAvatar:
        found = active_avatar(context)
        assert found is not None
        if self.changes_head and (found.camera is None or found.eye_target is None):
            complete(found.rig)  # a rig that was duplicated by itself
            found = active_avatar(context) or found
        return found


class TogglePhotoPose(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Show the pose and expression of the photo; a second click brings your own pose back"""

    bl_idname = "meshlam.toggle_photo_pose"
    bl_label = "Photo Pose"

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return has_photo_pose(built.rig)

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        switch = hide_photo_pose if photo_pose_shown(built.rig) else show_photo_pose
        switch(built.rig, built.head)
        return {"FINISHED"}


class LooksThrough(OnAvatar):
    """Base of operators that look through a camera of the head; a second click brings the view back."""

    def camera(self, built: BuiltAvatar) -> Any:
        """The camera, or None where it was deleted."""
        raise NotImplementedError

    def execute(self, context: Any) -> set[str]:
        camera = self.camera(self.avatar(context))
        if viewport.photo_view_shown(context.scene) and context.scene.camera == camera:
            viewport.hide_photo_view(context)
        elif camera is None:
            self.report({"ERROR"}, "This camera of the head was deleted.")  # type: ignore[attr-defined]
            return {"CANCELLED"}
        else:
            viewport.show_photo_view(context, camera)
        return {"FINISHED"}


class TogglePhotoCamera(LooksThrough, bpy.types.Operator):  # type: ignore[misc]
    """Look through the photo's camera, with the photo behind the head; a second click brings your view back"""

    bl_idname = "meshlam.toggle_photo_camera"
    bl_label = "Photo Camera"

    def camera(self, built: BuiltAvatar) -> Any:
        return built.camera


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
            set_hidden(built.eye_target, not influence)
        return {"FINISHED"}


class ToggleBones(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Pose the head by its bones; a second click goes back to the head as a whole"""

    bl_idname = "meshlam.toggle_bones"
    bl_label = "Show Bones"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        if not (here(built.rig) and here(built.head)):
            self.report({"ERROR"}, f"{built.rig.name} is not in this view layer; show its collection first.")
            return {"CANCELLED"}
        posing = built.rig.mode == "POSE"
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        show = not (posing or built.rig.show_in_front)
        built.rig.show_in_front = show
        if show:
            set_hidden(built.rig, False)
            built.rig.hide_viewport = False
            select_only([built.rig.name], built.rig.name)
            bpy.ops.object.mode_set(mode="POSE")
        else:
            select_only([built.head.name], built.head.name)
        return {"FINISHED"}


class ToggleHair(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Take the hair off, for a groom of your own; a second click puts it back"""

    bl_idname = "meshlam.toggle_hair"
    bl_label = "Hair"

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return bald_key(built.head) is not None

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        value = 0.0 if bald_key(built.head).value > 0 else 1.0
        for key in map(bald_key, (built.head, *built.pieces)):
            if key is not None:
                key.value = value
        return {"FINISHED"}


class MakeQuads(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Join pairs of triangles to quads, for sculpting and subdivision; texture, expressions and bones stay"""

    bl_idname = "meshlam.make_quads"
    bl_label = "Make Quads"

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return only_triangles(built.head.data)

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        with scene_as_found():
            quads, triangles = make_quads(built)
        self.report({"INFO"}, f"{quads:,} quads, {triangles:,} triangles")
        return {"FINISHED"}


class MakeOwn(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Give this head bones, a photo camera and a mesh that it shares with no other"""

    bl_idname = "meshlam.make_own"
    bl_label = "Make It a Head of Its Own"

    def execute(self, context: Any) -> set[str]:
        make_own(self.avatar(context))
        return {"FINISHED"}


class DeleteHead(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Remove this head with its bones, camera, textures and actions; what it wears stays"""

    bl_idname = "meshlam.delete_head"
    bl_label = "Delete Head"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        if viewport.photo_view_shown(context.scene) and context.scene.camera == built.camera:
            viewport.hide_photo_view(context)
        viewport.hide_trust()
        delete(built)
        return {"FINISHED"}


class RemoveLeftovers(bpy.types.Operator):  # type: ignore[misc]
    """Remove bones, cameras and files of heads that were deleted or undone"""

    bl_idname = "meshlam.remove_leftovers"
    bl_label = "Remove Leftovers"
    bl_options = {"UNDO"}

    def execute(self, context: Any) -> set[str]:
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        objects, files = remove_leftovers(), state.remove_unused_files()
        self.report({"INFO"}, f"Removed {objects} objects and {files} files")
        return {"FINISHED"}


class GoBack(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """The head as it was before the last reconstruction onto it"""

    bl_idname = "meshlam.go_back"
    bl_label = "Go Back"

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return can_go_back(built)

    def execute(self, context: Any) -> set[str]:
        go_back(self.avatar(context))
        return {"FINISHED"}


class AboutLikeness(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """How well the head fits its photo"""

    bl_idname = "meshlam.about_likeness"
    bl_label = "Likeness"
    bl_options = {"INTERNAL"}
    changes_head = False

    @classmethod
    def description(cls, context: Any, _properties: Any) -> str:
        built = active_avatar(context)
        return likeness_in_numbers(built) if built is not None else ""

    def execute(self, context: Any) -> set[str]:
        self.report({"INFO"}, likeness_in_numbers(self.avatar(context)))
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


_LIKENESS = ((0.007, "Very close to the photo"), (0.012, "Close to the photo"), (0.02, "Roughly like the photo"))


def landmark_error(built: BuiltAvatar) -> float | None:
    """Distance of the face's features from the photo's, over the face height; None where it was not measured."""
    result = json.loads(built.rig.get(RESULT, "{}"))
    error = result.get("landmark_error", json.loads(built.rig.get(PROVENANCE, "{}")).get("landmark_error"))
    return float(error) if isinstance(error, int | float) else None


def likeness(error: float) -> str:
    """The same in words."""
    return next((words for limit, words in _LIKENESS if error < limit), "Hardly like the photo: try a sharper one")


def likeness_in_numbers(built: BuiltAvatar) -> str:
    error = landmark_error(built)
    measured = f"Features lie {100 * error:.1f} % of the face's height from the photo's. " if error is not None else ""
    return f"{measured}{len(built.head.data.vertices):,} vertices"


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


CLASSES = (
    TogglePhotoPose,
    TogglePhotoCamera,
    ToggleEyeAim,
    ToggleBones,
    ToggleHair,
    RestPose,
    MakeQuads,
    MakeOwn,
    DeleteHead,
    RemoveLeftovers,
    GoBack,
    AboutLikeness,
)
