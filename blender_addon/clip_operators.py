"""The buttons that let a clip drive the head: choose or record it, track it, apply it in another way, take it off."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.io_utils import ImportHelper

from . import state
from .animation.clip_camera import show_clip
from .animation.groups import GROUPS
from .animation.keyframes import clear_motion, driven_by, write_motion
from .animation.motion import HEAD, Motion, MotionError, Shaping, read_motion, shaped
from .avatar_operators import LooksThrough, OnAvatar
from .exporting.options import file_stem
from .job import Request
from .job_operator import WorkerJob
from .scene.found import KIND, SOURCE, BuiltAvatar, find_avatar, turned_by

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
_GLOB = ";".join(f"*{suffix}" for suffix in (*VIDEO_SUFFIXES, ".json", ".csv"))


def strength_field(group: str) -> str:
    """The name of the field that holds a group's strength."""
    return f"strength_{group}"


class MeshlamClip(bpy.types.PropertyGroup):  # type: ignore[misc]
    """The clip's fields, saved with the scene."""

    clip: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Clip",
        description="A video, a track (.json), or a take of Live Link Face (.csv)",
        subtype="FILE_PATH",
    )
    camera: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Camera",
        description="Which camera to record from: its number, from 0 on, or the address of a network camera",
        default="0",
    )
    seconds: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Length", description="How long to record", default=10.0, min=0.5, max=3600.0, unit="TIME_ABSOLUTE"
    )
    first: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="From", description="Where in the clip to begin", default=0.0, min=0.0, unit="TIME_ABSOLUTE"
    )
    last: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="To", description="Where in the clip to end; 0: at its end", default=0.0, min=0.0, unit="TIME_ABSOLUTE"
    )
    start: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Start Frame", description="The frame of the scene on which it begins", default=1
    )
    smoothing: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Smoothing", description="Seconds over which movements are averaged", default=0.0, min=0.0, soft_max=0.3
    )
    use_rate: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Scene as Long as the Clip",
        description="Give the scene the clip's frame rate and end, so that the clip behind the head keeps step",
        default=True,
    )


MeshlamClip.__annotations__.update(
    {
        strength_field(key): bpy.props.FloatProperty(name=title, default=1.0, min=0.0, soft_max=1.5, max=3.0)
        for key, title in [*((group.key, group.title) for group in GROUPS), (HEAD, "Head Movement")]
    }
)


class ChooseClip(bpy.types.Operator, ImportHelper):  # type: ignore[misc]
    """Choose the video, track or Live Link Face take that drives the head"""

    bl_idname = "meshlam.choose_clip"
    bl_label = "Choose Clip"
    bl_options = {"INTERNAL", "UNDO"}

    filter_glob: bpy.props.StringProperty(default=_GLOB, options={"HIDDEN"})  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        context.scene.meshlam_clip.clip = self.filepath
        return {"FINISHED"}


class RecordClip(WorkerJob, bpy.types.Operator):  # type: ignore[misc]
    """Record yourself from the camera, to drive the head from it"""

    bl_idname = "meshlam.record_clip"
    bl_label = "Record"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        return cls.may_start()

    def start(self, context: Any) -> bool:
        ready = self.prepare(_recording_path)
        if ready is None:
            return False
        backend, out = ready
        fields = context.scene.meshlam_clip
        options = {"camera": fields.camera.strip() or "0", "seconds": fields.seconds}
        state.session.start(backend, Request(out, out, options, "record"))
        return True

    def finish(self, context: Any, request: Request, result: dict[str, Any]) -> set[str]:
        context.scene.meshlam_clip.clip = str(result.get("out") or request.out)
        for warning in result.get("warnings", []):
            self.report({"WARNING"}, warning)
        self.report({"INFO"}, f"{result.get('duration', 0.0):.1f} s recorded; Drive from Clip moves the head with it")
        return {"FINISHED"}


class DriveFromClip(OnAvatar, WorkerJob, bpy.types.Operator):  # type: ignore[misc]
    """Follow the face in the clip and move the head with it"""

    bl_idname = "meshlam.drive_from_clip"
    bl_label = "Drive from Clip"

    _rig = ""  # name of the rig to drive

    @classmethod
    def poll(cls, context: Any) -> bool:
        if not super().poll(context) or not cls.may_start():
            return False
        if not context.scene.meshlam_clip.clip:
            cls.poll_message_set("Choose a clip first")
            return False
        return True

    def start(self, context: Any) -> bool:
        built = self.avatar(context)
        clip = Path(bpy.path.abspath(context.scene.meshlam_clip.clip))
        avatar = Path(built.rig.get(SOURCE, ""))
        if not clip.is_file():
            self.report({"ERROR"}, f"There is no clip at {clip}.")
            return False
        if built.rig.get(KIND) != "arkit":
            self.report({"ERROR"}, "Clips give the 52 ARKit expressions, which this head does not have.")
            return False
        if not avatar.is_file():
            sentence = f"The head's file {avatar.name} is gone, by which its build is compared with the clip's person."
            self.report({"ERROR"}, f"{sentence} Import or reconstruct the head again.")
            return False
        ready = self.prepare(lambda folder: _track_path(folder, file_stem(built.head.name), clip))
        if ready is None:
            return False
        backend, out = ready
        self._rig = built.rig.name
        options = {"device": context.scene.meshlam.device, "avatar": str(avatar)}
        state.session.start(backend, Request(clip, out, options, "track"))
        return True

    def finish(self, context: Any, request: Request, result: dict[str, Any]) -> set[str]:
        built = find_avatar(bpy.data.objects.get(self._rig))
        if built is None:
            self.report({"WARNING"}, "The head is gone; its performance was not used.")
            return {"CANCELLED"}
        try:
            motion = apply_clip(context.scene, built, Path(result.get("out") or request.out), request.source)
        except MotionError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        missing = result.get("frames", 0) - result.get("found", 0)
        bridged = f", {missing} of the clip's without a face bridged" if missing else ""
        self.report({"INFO"}, f"{len(motion.times)} frames drive {built.head.name}{bridged}")
        return {"FINISHED"}


class OnDriven(OnAvatar):
    """Base of operators on a head that a clip drives."""

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return bool(driven_by(built))


class ApplyClip(OnDriven, bpy.types.Operator):  # type: ignore[misc]
    """Use range, strengths, smoothing and start frame as they stand now, without tracking again"""

    bl_idname = "meshlam.apply_clip"
    bl_label = "Apply Again"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        told = driven_by(built)
        try:
            apply_clip(context.scene, built, Path(told["track"]), Path(told["clip"]))
        except MotionError as error:
            self.report({"ERROR"}, f"{error} Drive the head from the clip again.")
            return {"CANCELLED"}
        return {"FINISHED"}


class ClearClip(OnDriven, bpy.types.Operator):  # type: ignore[misc]
    """Take the clip's movement off the head; it stands at rest"""

    bl_idname = "meshlam.clear_clip"
    bl_label = "Remove Movement"

    def execute(self, context: Any) -> set[str]:
        clear_motion(self.avatar(context))
        return {"FINISHED"}


class ToggleClipCamera(LooksThrough, bpy.types.Operator):  # type: ignore[misc]
    """Look through the clip's camera, with the clip behind the head; a second click brings your view back"""

    bl_idname = "meshlam.toggle_clip_camera"
    bl_label = "Clip Camera"

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return built.clip_camera is not None

    def camera(self, built: BuiltAvatar) -> Any:
        return built.clip_camera


def _recording_path(data_folder: Path) -> Path:
    """Where a recording that begins now is kept; the folder is made."""
    folder = data_folder / "recordings"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / time.strftime("%Y-%m-%d %H.%M.%S.mp4")


def _track_path(data_folder: Path, head: str, clip: Path) -> Path:
    """Where a head's track of a clip is kept, to be applied again; the folder is made."""
    folder = data_folder / "tracks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{head} {clip.stem[:80]}.json"


def apply_clip(scene: Any, built: BuiltAvatar, track: Path, clip: Path) -> Motion:
    """Animate the head by a track file as the scene's fields say, and put the clip behind it."""
    fields = scene.meshlam_clip
    groups = (*(group.key for group in GROUPS), HEAD)
    strengths = {group: float(getattr(fields, strength_field(group))) for group in groups}
    whole = read_motion(track)
    motion = shaped(whole, Shaping(fields.first, fields.last, fields.smoothing, strengths))
    if fields.use_rate:
        scene.render.fps = max(1, round(motion.rate))
        scene.render.fps_base = scene.render.fps / motion.rate
    rate = scene.render.fps / scene.render.fps_base
    told = {"track": str(track), "clip": str(clip)}
    write_motion(built, motion, fields.start, rate, f"{built.head.name} {clip.stem}", told)
    if fields.use_rate:
        scene.frame_start, scene.frame_end = fields.start, fields.start + max(0, round(motion.times[-1] * rate))
    if clip.suffix.lower() in VIDEO_SUFFIXES and not turned_by(built.rig):
        skipped = int((whole.times < fields.first - 1e-6).sum())
        show_clip(built, motion, clip if clip.is_file() else None, fields.start, skipped)
    scene.frame_set(scene.frame_current)
    return motion


CLASSES = (MeshlamClip, ChooseClip, RecordClip, DriveFromClip, ApplyClip, ClearClip, ToggleClipCamera)
