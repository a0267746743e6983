"""The buttons of a head model's own parameters: its shape keys, sequences of trackers in, the head's movement out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy_extras.io_utils import ExportHelper, ImportHelper

from .animation.parameter_keys import read_sequence, write_sequence
from .animation.parameters import ParameterError, read_parameters, write_parameters
from .avatar_operators import OnAvatar
from .avatar_reader import AvatarFile, AvatarFileError, read_avatar
from .scene.found import SOURCE, BuiltAvatar
from .scene.raw_keys import add_raw_keys, parameters_of

MOUTH = ("tongue", "teeth")  # beginnings of the names of such keys


class OnParameters(OnAvatar):
    """Base of operators that need a head whose model has parameters."""

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        if parameters_of(built.rig) is None:
            cls.poll_message_set("Heads of FLAME and GNM have parameters, this one has none")  # type: ignore[attr-defined]
            return False
        return True

    def avatar_file(self, built: BuiltAvatar) -> AvatarFile | None:
        """The file that the head was made of; None, and said so, where it cannot be read."""
        try:
            return read_avatar(Path(built.rig.get(SOURCE, "")))
        except AvatarFileError as error:
            self.report({"ERROR"}, str(error))  # type: ignore[attr-defined]
            return None


class AddRawKeys(OnParameters, bpy.types.Operator):  # type: ignore[misc]
    """Add the head model's own directions as shape keys, beside the 52 expressions"""

    bl_idname = "meshlam.add_raw_keys"
    bl_label = "Add Model Keys"
    bl_options = {"REGISTER", "UNDO"}

    expressions: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Expressions",
        description="How many of its expressions, the strongest first",
        default=20,
        min=0,
        soft_max=50,
    )
    identities: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Identities", description="How many of its identity directions", default=0, min=0, soft_max=10
    )
    mouth: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Tongue and Teeth", description="All of its own keys of tongue and teeth, which GNM has", default=True
    )

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        known, file = parameters_of(built.rig), self.avatar_file(built)
        if known is None or file is None:
            return {"CANCELLED"}
        own = set(known.expressions)
        inner = [name for name in known.raw if name.startswith(MOUTH)]
        outer = [name for name in known.raw if name not in inner]
        first = [name for name in outer if name in own][: self.expressions]
        first += [name for name in outer if name not in own][: self.identities]
        first += inner if self.mouth else []
        try:
            added = add_raw_keys(file, built, tuple(first))
        except ValueError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"{len(added)} keys added")
        return {"FINISHED"}


class ImportParameters(OnParameters, bpy.types.Operator, ImportHelper):  # type: ignore[misc]
    """Animate the head by a sequence of its model's parameters, as trackers of FLAME write them"""

    bl_idname = "meshlam.import_parameters"
    bl_label = "Import Parameters"
    bl_options = {"UNDO"}

    filter_glob: bpy.props.StringProperty(default="*.npz", options={"HIDDEN"})  # type: ignore[valid-type]
    start: bpy.props.IntProperty(name="Start Frame", default=1)  # type: ignore[valid-type]
    in_place: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="In Place", description="Leave out where the tracked head stands in front of its camera", default=True
    )

    def execute(self, context: Any) -> set[str]:
        built, path = self.avatar(context), Path(self.filepath)
        known, file = parameters_of(built.rig), self.avatar_file(built)
        if known is None or file is None:
            return {"CANCELLED"}
        try:
            sequence = read_parameters(path)
            add_raw_keys(file, built, known.expressions[: sequence.expression.shape[1]])
        except (ParameterError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        missing = write_sequence(built, sequence, known, self.start, path.name, self.in_place)
        if missing:
            self.report({"WARNING"}, f"{missing} expressions have no key in this avatar and were left out")
        else:
            self.report({"INFO"}, f"{len(sequence)} frames")
        return {"FINISHED"}


class ExportParameters(OnParameters, bpy.types.Operator, ExportHelper):  # type: ignore[misc]
    """Write what the head does in the scene's frames as parameters of its model"""

    bl_idname = "meshlam.export_parameters"
    bl_label = "Export Parameters"
    changes_head = False

    filename_ext = ".npz"
    filter_glob: bpy.props.StringProperty(default="*.npz", options={"HIDDEN"})  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        built, scene = self.avatar(context), context.scene
        known = parameters_of(built.rig)
        if known is None:
            return {"CANCELLED"}
        sequence = read_sequence(built, known, scene.frame_start, scene.frame_end)
        try:
            write_parameters(Path(self.filepath), sequence, scene.render.fps / scene.render.fps_base)
        except OSError as error:
            self.report({"ERROR"}, f"{Path(self.filepath).name} cannot be written: {error.strerror or error}")
            return {"CANCELLED"}
        self.report({"INFO"}, f"{len(sequence)} frames")
        return {"FINISHED"}


CLASSES = (AddRawKeys, ImportParameters, ExportParameters)
