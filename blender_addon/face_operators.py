"""The face's sliders as far as Blender has none of its own, and the buttons beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import bpy
from mathutils import Euler

from .animation.groups import group_of, label, stem, twin
from .animation.named import EXPRESSIONS, VISEMES, Mix, keep_expressions, own_expressions
from .avatar_operators import OnAvatar
from .preferences import settings
from .scene.action import rest_pose
from .scene.found import BuiltAvatar, active_avatar, bones_of_head, turned_by
from .scene.shape_keys import expression_keys
from .scene.turns import set_turn, turn_channel, turn_of

SOLO = "meshlam_solo"  # on the rig while one expression is shown alone: its name and the others' values, JSON
_TWINS = (
    *("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp"),
    *("eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile"),
    *("mouthStretch", "mouthUpperUp", "noseSneer"),
)
# slider -> the words in the names of the bones that it turns
BONES = {"neck_turn": ("neck",), "jaw_turn": ("jaw",), "eyes_turn": ("eye",)}


def _keys_of_stem(name: str) -> list[Any]:
    built = active_avatar(bpy.context)
    return [key for key in expression_keys(built.head) if stem(key.name) == name] if built is not None else []


def _both_sides(name: str) -> Any:
    """A slider that moves the left and the right key together."""

    def read(_fields: Any) -> float:
        return float(max((key.value for key in _keys_of_stem(name)), default=0.0))

    def write(_fields: Any, value: float) -> None:
        for key in _keys_of_stem(name):
            key.value = value

    return bpy.props.FloatProperty(name=label(name), min=0.0, max=1.0, get=read, set=write, options={"SKIP_SAVE"})


def bones_named(built: BuiltAvatar, slider: str) -> list[Any]:
    """The pose bones that a slider turns."""
    # a body's skeleton may have hundreds of bones with such names, so there only the head's own count
    names = turned_by(built.rig) or {bone.name: bone.name for bone in built.rig.pose.bones}
    chosen = [names[name] for name in names if any(word in name.lower() for word in BONES[slider])]
    return [built.rig.pose.bones[name] for name in chosen if name in built.rig.pose.bones]


def _bone_turn(slider: str, title: str, hint: str) -> Any:
    """Angles for bones, whatever their rotation mode: about the avatar's x (nod), y (turn) and z (tilt)."""

    def bones() -> list[Any]:
        built = active_avatar(bpy.context)
        return bones_named(built, slider) if built is not None else []

    def read(_fields: Any) -> tuple[float, float, float]:
        turned = next((turn_of(bone).to_euler("XYZ") for bone in bones()), (0.0, 0.0, 0.0))
        return (turned[0], turned[1], turned[2])

    def write(_fields: Any, value: Any) -> None:
        for bone in bones():
            set_turn(bone, Euler(value, "XYZ").to_quaternion())

    return bpy.props.FloatVectorProperty(
        name=title, description=hint, size=3, subtype="EULER", get=read, set=write, options={"SKIP_SAVE"}
    )


class MeshlamFace(bpy.types.PropertyGroup):  # type: ignore[misc]
    """The fields of the face's panel; the sliders act on the selected head."""

    search: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Search",
        description="Show only expressions whose names hold these words",
        options={"TEXTEDIT_UPDATE", "SKIP_SAVE"},
    )
    symmetry: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Symmetry", description="One slider moves the left and the right side", default=False
    )
    strength: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Strength", description="How much of an expression or viseme is put on", default=1.0, min=0.0, max=1.0
    )
    add: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Add", description="Keep what the face shows and add to it", default=False
    )


_SLIDERS = {name: _both_sides(name) for name in _TWINS} | {
    "neck_turn": _bone_turn("neck_turn", "Neck", "Nod, turn and tilt of the neck"),
    "jaw_turn": _bone_turn("jaw_turn", "Jaw", "The first angle opens it; use this or Jaw Open, not both"),
    "eyes_turn": _bone_turn("eyes_turn", "Eyes", "Both eyes, where they do not follow their target"),
}
MeshlamFace.__annotations__.update(_SLIDERS)


def solo_of(built: BuiltAvatar) -> str:
    """The expression that is shown alone, or an empty string."""
    return str(json.loads(built.rig.get(SOLO, "{}")).get("name", ""))


def all_named() -> dict[str, Mix]:
    """Expressions of the add-on and the artist's own."""
    return EXPRESSIONS | own_expressions(settings().data_path())


def _set(built: BuiltAvatar, value_of: Callable[[Any], float]) -> None:
    """Set every expression, on the pieces that were separated from the head, too."""
    for mesh in (built.head, *built.pieces):
        for key in expression_keys(mesh):
            key.value = value_of(key)
        mesh.data.update_tag()


class ResetFace(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Take these expressions back to 0"""

    bl_idname = "meshlam.reset_face"
    bl_label = "Reset"

    group: bpy.props.StringProperty(options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        built.rig.pop(SOLO, None)
        if self.group:
            _set(built, lambda key: 0.0 if group_of(key.name).key == self.group else key.value)
        else:
            rest_pose(built.rig, built.head)
        return {"FINISHED"}


class KeyFace(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Set a key frame for every expression and bone at the current frame"""

    bl_idname = "meshlam.key_face"
    bl_label = "Key All"

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        frame = context.scene.frame_current
        for mesh in (built.head, *built.pieces):
            for key in expression_keys(mesh):
                key.keyframe_insert("value", frame=frame)
        for bone in bones_of_head(built.rig):
            bone.keyframe_insert(turn_channel(bone), frame=frame, group=bone.name)
            if bone.parent is None:
                bone.keyframe_insert("location", frame=frame, group=bone.name)
        return {"FINISHED"}


class SoloExpression(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Show this expression alone and in full; a second click brings the others back"""

    bl_idname = "meshlam.solo_expression"
    bl_label = "Solo"

    name: bpy.props.StringProperty(options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        stored = json.loads(built.rig.pop(SOLO, "{}"))
        before = stored.get("values") or {key.name: float(key.value) for key in expression_keys(built.head)}
        if stored.get("name") == self.name:
            _set(built, lambda key: before.get(key.name, key.value))
            return {"FINISHED"}
        shown = {self.name, twin(self.name)} if context.scene.meshlam_face.symmetry else {self.name}
        built.rig[SOLO] = json.dumps({"name": self.name, "values": before})
        _set(built, lambda key: key.slider_max if key.name in shown else 0.0)
        return {"FINISHED"}


class ShowNamed(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Put this expression on the face"""

    bl_idname = "meshlam.show_expression"
    bl_label = "Show Expression"

    name: bpy.props.StringProperty(options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[str]:
        built, fields = self.avatar(context), context.scene.meshlam_face
        mix = (all_named() | VISEMES).get(self.name)
        if mix is None:
            self.report({"ERROR"}, f"There is no expression {self.name}.")
            return {"CANCELLED"}
        built.rig.pop(SOLO, None)
        kept = 1.0 if fields.add else 0.0
        _set(built, lambda key: kept * key.value + fields.strength * mix.get(key.name, 0.0))
        return {"FINISHED"}


class SaveNamed(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Keep what the face shows under a name, for all heads and files"""

    bl_idname = "meshlam.save_expression"
    bl_label = "Save Expression"
    bl_options = {"INTERNAL"}

    name: bpy.props.StringProperty(name="Name", default="My Expression")  # type: ignore[valid-type]

    def invoke(self, context: Any, _event: Any) -> set[str]:
        answer: set[str] = context.window_manager.invoke_props_dialog(self)
        return answer

    def execute(self, context: Any) -> set[str]:
        name = self.name.strip()
        if not name or name in EXPRESSIONS or name in VISEMES:
            self.report({"ERROR"}, f"{name or 'An empty name'} is taken; choose another name.")
            return {"CANCELLED"}
        keys = expression_keys(self.avatar(context).head)
        mix = {key.name: round(float(key.value), 4) for key in keys if abs(key.value) > 1e-4}
        return _keep(self, own_expressions(settings().data_path()) | {name: mix})


class RemoveNamed(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Forget this expression of your own"""

    bl_idname = "meshlam.remove_expression"
    bl_label = "Remove Expression"
    bl_options = {"INTERNAL"}

    name: bpy.props.StringProperty(options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def execute(self, _context: Any) -> set[str]:
        own = own_expressions(settings().data_path())
        return _keep(self, {name: mix for name, mix in own.items() if name != self.name})


def _keep(operator: Any, expressions: dict[str, Mix]) -> set[str]:
    try:
        keep_expressions(settings().data_path(), expressions)
    except OSError as error:
        operator.report({"ERROR"}, f"The data folder cannot be written: {error.strerror}.")
        return {"CANCELLED"}
    return {"FINISHED"}


CLASSES = (MeshlamFace, ResetFace, KeyFace, SoloExpression, ShowNamed, SaveNamed, RemoveNamed)
