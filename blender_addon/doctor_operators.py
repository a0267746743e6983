"""The key doctor's buttons: find what goes through teeth, eyes and skin, and take the correctives off again."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import bpy

from . import state
from .avatar_operators import OnAvatar, draw_text
from .doctor.correctives import Cure, cure
from .scene.correctives import DOCTOR, DoctorError, mesh_of, put_on, take_off
from .scene.found import BuiltAvatar, find_avatar
from .scene.shape_keys import expression_keys

_TICK_SECONDS = 0.1


class KeyDoctor(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Test all pairs of expressions for lips through teeth, lids through eyes and skin through skin, and mend them"""

    bl_idname = "meshlam.key_doctor"
    bl_label = "Key Doctor"

    _timer: Any = None
    _work: Future[Cure]
    _head = ""

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """The work is done beside Blender, which stays usable."""
        if context.window is None or bpy.app.background:
            return self.execute(context)
        built = self._ready(context)
        try:
            mesh = mesh_of(built)
        except DoctorError as error:
            return self._refuse(str(error))
        self._head = built.head.name
        runner = ThreadPoolExecutor(1)
        self._work = runner.submit(cure, mesh)
        runner.shutdown(wait=False)
        self._timer = context.window_manager.event_timer_add(_TICK_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set("Testing all pairs of expressions...")
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        if event.type != "TIMER" or not self._work.done():
            return {"PASS_THROUGH"}
        self.cancel(context)
        built = find_avatar(bpy.data.objects.get(self._head))
        if built is None:
            return self._refuse("The head is gone.")
        return self._take_in(built, self._work.result())

    def cancel(self, context: Any) -> None:
        """The end, or Blender ends the operator; what still runs is not taken in."""
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)

    def execute(self, context: Any) -> set[str]:
        built = self._ready(context)
        try:
            return self._take_in(built, cure(mesh_of(built)))
        except DoctorError as error:
            return self._refuse(str(error))

    def _ready(self, context: Any) -> BuiltAvatar:
        """The head, out of edit mode: there a mesh holds back what was changed."""
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        return self.avatar(context)

    def _take_in(self, built: BuiltAvatar, found: Cure) -> set[str]:
        if not found.before.pairs:
            return self._refuse(f"{built.head.name} has no teeth, lips, lids and eyes that are known by name.")
        there = {key.name for key in expression_keys(built.head)}
        needed = {name for item in found.correctives for name in (item.first, *item.others)}
        size = len(built.head.data.vertices)
        if not needed <= there or any(len(item.move) != size for item in found.correctives):
            return self._refuse(f"{built.head.name} was changed meanwhile; try again.")
        put_on(built, found)
        state.redraw()
        self.report({"INFO"}, summary(built))
        return {"FINISHED"}

    def _refuse(self, sentence: str) -> set[str]:
        self.report({"ERROR"}, sentence)
        return {"CANCELLED"}


class RemoveCorrectives(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Take off what the key doctor made"""

    bl_idname = "meshlam.remove_correctives"
    bl_label = "Remove Correctives"

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return DOCTOR in built.rig

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        take_off(built.head)
        del built.rig[DOCTOR]
        return {"FINISHED"}


def summary(built: BuiltAvatar) -> str:
    """What the doctor found, in one sentence; empty where it was not asked."""
    if DOCTOR not in built.rig:
        return ""
    told = json.loads(built.rig[DOCTOR])
    before, after = sum(told["before"].values()), sum(told["after"].values())
    return f"{before} pairs went through teeth, eyes or skin, {after} do now: {told['keys']} correctives"


def draw_doctor(layout: Any, context: Any, built: BuiltAvatar) -> None:
    """The button, and what it found."""
    row = layout.row(align=True)
    row.operator("meshlam.key_doctor", icon="CHECKMARK")
    if DOCTOR in built.rig:
        row.operator("meshlam.remove_correctives", text="", icon="X")
        draw_text(layout, context, summary(built))


CLASSES = (KeyDoctor, RemoveCorrectives)
