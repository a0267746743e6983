"""The buttons for a head that is there: photo pose, photo camera, eye aim, export."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import bpy

from . import viewport
from .export import ExportError, ExportOptions, export_avatar, verify
from .licence import licence_notice
from .scene.action import hide_photo_pose, photo_pose_shown, rest_pose, show_photo_pose
from .scene.armature import EYE_AIM
from .scene.found import PROVENANCE, BuiltAvatar, active_avatar


class _OnAvatar:
    """Base of operators that need a head in the scene."""

    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return active_avatar(context) is not None

    def avatar(self, context: Any) -> BuiltAvatar:
        found = active_avatar(context)
        assert found is not None
        return found


class TogglePhotoPose(_OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Show the pose and expression of the photo; a second click brings your own pose back"""

    bl_idname = "meshlam.toggle_photo_pose"
    bl_label = "Photo Pose"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        switch = hide_photo_pose if photo_pose_shown(built.rig) else show_photo_pose
        switch(built.rig, built.head)
        return {"FINISHED"}


class TogglePhotoCamera(_OnAvatar, bpy.types.Operator):  # type: ignore[misc]
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


class ToggleEyeAim(_OnAvatar, bpy.types.Operator):  # type: ignore[misc]
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


class ToggleBones(_OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Draw the bones in front of the face, to pose them, or inside the head"""

    bl_idname = "meshlam.toggle_bones"
    bl_label = "Show Bones"

    def execute(self, context: Any) -> set[str]:
        rig = self.avatar(context).rig
        rig.show_in_front = not rig.show_in_front
        return {"FINISHED"}


class RestPose(_OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Neutral face, all bones at rest"""

    bl_idname = "meshlam.rest_pose"
    bl_label = "Rest Pose"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        hide_photo_pose(built.rig, built.head)
        rest_pose(built.rig, built.head)
        return {"FINISHED"}


class ExportAvatar(_OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Write the head for a game engine or another program: GLB, FBX or USD"""

    bl_idname = "meshlam.export"
    bl_label = "Export Head"
    bl_options = {"PRESET"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    filter_glob: bpy.props.StringProperty(  # type: ignore[valid-type]
        default="*.glb;*.fbx;*.usdc;*.usda;*.usdz", options={"HIDDEN"}
    )
    file_format: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Format",
        items=[
            (".glb", "glTF Binary (.glb)", "Web, Godot, three.js, and most other programs"),
            (".fbx", "FBX (.fbx)", "Unreal, Unity, Maya"),
            (".usdc", "USD (.usdc)", "Houdini, Omniverse; the texture goes into a folder beside it"),
            (".usdz", "USD Package (.usdz)", "One file with the texture inside, for Apple's programs"),
        ],
        update=lambda self, context: self.follow_format(context),
    )
    content: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Content",
        items=[
            (
                "BONES",
                "Bones and Morphs",
                "Skeleton, skinning and morphs; open the mouth by jawOpen or the jaw bone, not both",
            ),
            ("MORPHS", "Morphs Only", "No skeleton; everything, the mouth included, is a morph"),
        ],
    )
    names: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Names",
        items=[
            ("ARKIT", "jawOpen", "Apple's spelling"),
            ("PASCAL", "JawOpen", "As Unreal's and Unity's Live Link write it"),
        ],
    )
    reimport: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Check the File",
        description="Open the written file in a second Blender and compare names, counts and weights",
        default=False,
    )

    def invoke(self, context: Any, _event: Any) -> set[str]:
        name = bpy.path.clean_name(self.avatar(context).head.name)
        folder = Path(self.filepath).parent if self.filepath else Path(bpy.data.filepath).parent
        self.filepath = str(folder / f"{name}{self.file_format}")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def check(self, _context: Any) -> bool:
        return False  # the format's ending is put right on export

    def follow_format(self, context: Any) -> None:
        """The name in the file browser gets the chosen format's ending."""
        params = getattr(getattr(context, "space_data", None), "params", None)
        if params is not None and params.filename:
            params.filename = str(Path(params.filename).with_suffix(self.file_format))

    def draw(self, context: Any) -> None:
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "file_format")
        column.prop(self, "content")
        column.prop(self, "names")
        column.prop(self, "reimport")
        notice = self._notice(context)
        if notice:
            draw_text(self.layout.box(), context, notice, "ERROR")

    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath)).with_suffix(self.file_format)
        options = ExportOptions(bones=self.content == "BONES", pascal_case=self.names == "PASCAL")
        try:
            expected = export_avatar(self.avatar(context), path, options)
        except ExportError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        problems = verify(path, expected) if self.reimport else []
        for problem in problems:
            self.report({"WARNING"}, problem)
        notice = self._notice(context)
        if notice:
            self.report({"WARNING"}, notice)
        elif not problems:
            self.report({"INFO"}, f"Wrote {path.name}{', checked' if self.reimport else ''}")
        return {"FINISHED"}

    def _notice(self, context: Any) -> str:
        return licence_notice(json.loads(self.avatar(context).rig.get(PROVENANCE, "{}")))


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


CLASSES = (TogglePhotoPose, TogglePhotoCamera, ToggleEyeAim, ToggleBones, RestPose, ExportAvatar)
