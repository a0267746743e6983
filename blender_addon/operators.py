"""The buttons that make a head: choose a photo, reconstruct, cancel, import."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.io_utils import ImportHelper

from . import state
from .avatar_reader import AvatarFile, AvatarFileError, read_avatar
from .backend.locate import BackendError, free_avatar_path
from .job import Request
from .job_operator import WorkerJob
from .preferences import settings
from .report_operators import CopiesReport, HidesMessage
from .scene.build import build_avatar
from .scene.found import RESULT, SOURCE, BuiltAvatar, active_avatar, editable, find_avatar, limits
from .scene.guard import select_only
from .scene.renew import RenewError, renew
from .viewport import look_at, show_in_local_views


class ChoosePhoto(bpy.types.Operator, ImportHelper):  # type: ignore[misc]
    """Choose the portrait to make a head of"""

    bl_idname = "meshlam.choose_photo"
    bl_label = "Choose Photo"
    bl_options = {"INTERNAL", "UNDO"}

    filter_glob: bpy.props.StringProperty(default=state.IMAGE_GLOB, options={"HIDDEN"})  # type: ignore[valid-type]
    # the file browser reads this: thumbnails instead of a list
    display_type: bpy.props.EnumProperty(  # type: ignore[valid-type]
        items=[("DEFAULT", "", "", 0), ("LIST", "", "", 1), ("DETAILS", "", "", 2), ("THUMBNAIL", "", "", 3)],
        default="THUMBNAIL",
        options={"HIDDEN"},
    )

    def execute(self, context: Any) -> set[str]:
        context.scene.meshlam.photo = self.filepath
        state.session.forget()
        if not bpy.app.background:
            with suppress(BackendError):  # said when the button is pressed
                state.session.prepare(settings().backend())  # it loads while the user looks at the photo
        return {"FINISHED"}


class MakesHeads(WorkerJob):
    """Base of operators that make heads of photos."""

    _onto = ""  # name of the rig that the new head replaces

    def begin(self, context: Any, photo: Path, face: int | str) -> bool:
        """Give the worker a photo; False where something is missing, which has been reported."""
        ready = self.prepare(lambda folder: free_avatar_path(folder, photo))
        if ready is None:
            return False
        backend, out = ready
        fields = context.scene.meshlam
        options: dict[str, Any] = {"texture_size": int(fields.texture_size), "device": fields.device, "face": face}
        options |= {"texture": fields.texture, "hair": fields.hair, "sway_bones": fields.sway_bones}
        options["keep"] = "glasses-mesh" if fields.glasses_mesh else "glasses" if fields.keep_glasses else "none"
        state.session.start(backend, Request(photo, out, options))
        return True

    def take_in(self, context: Any, request: Request, result: dict[str, Any]) -> BuiltAvatar | None:
        """The head of a job that is done; None where it cannot be built, which has been reported."""
        path = Path(result.get("avatar") or request.out)
        state.made_files.append(path)
        built = _add_to_scene(self, path, request.source.stem, self._onto)
        if built is not None:
            built.rig[RESULT] = json.dumps(result)
            _present(context, built, context.scene.meshlam.frame_result)
        return built


class Reconstruct(MakesHeads, bpy.types.Operator):  # type: ignore[misc]
    """Make a rigged, textured head of the photo"""

    bl_idname = "meshlam.reconstruct"
    bl_label = "Reconstruct Head"

    @classmethod
    def poll(cls, context: Any) -> bool:
        if not cls.may_start():
            return False
        if not context.scene.meshlam.photo:
            cls.poll_message_set("Choose a photo first")
            return False
        return True

    def start(self, context: Any) -> bool:
        fields = context.scene.meshlam
        photo = Path(bpy.path.abspath(fields.photo))
        if not photo.is_file():
            self.report({"ERROR"}, f"There is no photo at {photo}.")
            return False
        target = active_avatar(context) if fields.onto_selected else None
        self._onto = target.rig.name if target is not None else ""
        return self.begin(context, photo, fields.face or "largest")

    def finish(self, context: Any, request: Request, result: dict[str, Any]) -> set[str]:
        built = self.take_in(context, request, result)
        if built is None:
            return {"CANCELLED"}
        self.report({"INFO"}, f"{built.head.name} is ready")
        return {"FINISHED"}


class Cancel(bpy.types.Operator):  # type: ignore[misc]
    """Stop the job"""

    bl_idname = "meshlam.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        state.session.cancel()
        state.redraw()
        return {"FINISHED"}


class ImportAvatar(bpy.types.Operator, ImportHelper):  # type: ignore[misc]
    """Add a head from an avatar file (.meshlam)"""

    bl_idname = "meshlam.import_avatar"
    bl_label = "Import MeshLAM Avatar"
    bl_options = {"UNDO"}

    filename_ext = ".meshlam"
    filter_glob: bpy.props.StringProperty(default="*.meshlam", options={"HIDDEN"})  # type: ignore[valid-type]
    onto_selected: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Onto the Selected Head",
        description="Turn the selected head into this one; what you sculpted, painted, animated and added stays",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: Any, event: Any) -> set[str]:
        # dropped files come with their path
        if self.filepath:
            return self.execute(context)
        answer: set[str] = ImportHelper.invoke(self, context, event)
        return answer

    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        target = active_avatar(context) if self.onto_selected else None
        built = _add_to_scene(self, path, path.stem, target.rig.name if target is not None else "")
        if built is None:
            return {"CANCELLED"}
        _present(context, built, context.scene.meshlam.frame_result)
        return {"FINISHED"}


class DropAvatar(bpy.types.FileHandler):  # type: ignore[misc]
    """Avatar files dropped onto the 3D view are imported"""

    bl_idname = "MESHLAM_FH_avatar"
    bl_label = "MeshLAM Avatar"
    bl_import_operator = "meshlam.import_avatar"
    bl_file_extensions = ".meshlam"

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        return context.area is not None and context.area.type in ("VIEW_3D", "OUTLINER")


class CopyReport(CopiesReport, bpy.types.Operator):  # type: ignore[misc]
    """Copy the error, the backend's trace and its log to the clipboard"""

    bl_idname = "meshlam.copy_report"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return state.session.error is not None

    def details(self) -> str:
        assert state.session.error is not None
        return state.session.error.report


class Dismiss(HidesMessage, bpy.types.Operator):  # type: ignore[misc]
    """Hide this message"""

    bl_idname = "meshlam.dismiss"

    def forget(self) -> None:
        state.session.forget()


def _add_to_scene(operator: Any, path: Path, name: str, onto: str = "") -> BuiltAvatar | None:
    """Read and build, or renew the head of the rig `onto`; what goes wrong is reported, and the scene is as it was."""
    try:
        avatar = read_avatar(path)
        found = find_avatar(bpy.data.objects.get(onto)) if onto else None
        if found is None:
            return build_avatar(avatar, name)
        if not editable(found) or limits(found):
            raise RenewError(limits(found)[0] if limits(found) else f"{found.head.name} cannot be edited.")
        try:
            kept = renew(found, avatar, _made_of(found))
        except RenewError as error:  # a minute's work is not thrown away
            operator.report({"WARNING"}, str(error))
            return build_avatar(avatar, name)
        operator.report({"INFO"}, f"Kept: {'; '.join(kept)}" if kept else "Nothing of yours was on the head")
        return find_avatar(found.head)
    except (AvatarFileError, ValueError) as error:
        operator.report({"ERROR"}, str(error))
    return None


def _made_of(built: BuiltAvatar) -> AvatarFile | None:
    """The avatar that a head was made of, where its file is still there."""
    with suppress(AvatarFileError):
        return read_avatar(built.rig.get(SOURCE, ""))
    return None


def _present(context: Any, built: BuiltAvatar, look: bool) -> None:
    """Select the new head, as Blender does with new objects, and show it; never while another object is edited."""
    show_in_local_views(context, built)
    if context.mode == "OBJECT":
        select_only([built.head.name], built.head.name)
        if look:
            look_at(context, built)


CLASSES = (
    ChoosePhoto,
    Reconstruct,
    Cancel,
    ImportAvatar,
    DropAvatar,
    CopyReport,
    Dismiss,
)
