"""Head and rig move as one: where the artist moves, turns, scales or parents the mesh, the rig goes with it.

The mesh hangs on the rig and is bent by it, so both must have the same place in the world or joints turn about wrong
points. Moving the rig takes the mesh along by itself. What is done to the mesh is carried over here: the rig takes the
mesh's place, and the mesh's parent inverse makes up for it, so that the mesh's own channels stay as the artist's tool
set them and a drag goes on undisturbed. Later, when no tool runs, `rest` clears the channels.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent
from mathutils import Matrix

from .found import HEAD, RIG, armature_modifier

_AFTER_TOOL, _AFTER_TYPING = 0.2, 2.0  # s of quiet: a number being dragged in the sidebar must not be taken away
_SAME = 1e-5  # of a matrix' largest entry
_wait = _AFTER_TYPING


def carry_over(head: Any) -> bool:
    """Give the rig the place and the parent of its head; True when something had to be done."""
    rig = _rig_to_move(head)
    if rig is None:
        return False
    _take_constraints(head, rig)
    wanted = head.matrix_world.copy()
    if head.parent == rig and head.parent_type == "OBJECT" and _alike(wanted, rig.matrix_world):
        return False
    if head.parent is not None and head.parent != rig and not _hangs_on(head.parent, rig):
        rig.parent, rig.parent_type = head.parent, head.parent_type
        if head.parent_type == "BONE":
            rig.parent_bone = head.parent_bone
    head.parent, head.parent_type = rig, "OBJECT"
    rig.matrix_world = wanted
    head.matrix_parent_inverse = head.matrix_basis.inverted_safe()
    return True


def rest(head: Any) -> None:
    """Clear the head's own channels, where the rig stands at its place already."""
    rig = _rig_to_move(head)
    if rig is None or head.parent != rig or _animated(head):
        return
    own = head.matrix_parent_inverse @ head.matrix_basis
    if _alike(own, Matrix.Identity(4)) and not _alike(head.matrix_basis, Matrix.Identity(4)):
        head.matrix_parent_inverse = Matrix.Identity(4)
        head.matrix_basis = Matrix.Identity(4)


def settle_all() -> None:
    """Carry over and clear for every head of every scene; for scripts, undo and before an export."""
    for head in _heads():
        carry_over(head)
        rest(head)


@persistent  # type: ignore[untyped-decorator]
def after_update(_scene: Any, depsgraph: Any = None) -> None:
    """Blender has evaluated something: see whether a head was moved."""
    global _wait
    if depsgraph is None or not depsgraph.id_type_updated("OBJECT") or bpy.app.is_job_running("RENDER"):
        return
    moved = [item for item in map(_moved_head, depsgraph.updates) if item is not None]
    moved = [head for head in moved if carry_over(head)]
    if not moved:
        return
    if bpy.app.background:
        for head in moved:
            rest(head)
        return
    _wait = _AFTER_TOOL if _tool_runs() else _AFTER_TYPING
    if bpy.app.timers.is_registered(_rest_when_quiet):
        bpy.app.timers.unregister(_rest_when_quiet)
    bpy.app.timers.register(_rest_when_quiet, first_interval=_wait)


@persistent  # type: ignore[untyped-decorator]
def after_undo(*_: Any) -> None:
    """An undo step may hold a head moved and its rig not yet."""
    for head in _heads():
        carry_over(head)


def register() -> None:
    bpy.app.handlers.depsgraph_update_post.append(after_update)
    bpy.app.handlers.undo_post.append(after_undo)
    bpy.app.handlers.redo_post.append(after_undo)


def unregister() -> None:
    bpy.app.handlers.redo_post.remove(after_undo)
    bpy.app.handlers.undo_post.remove(after_undo)
    bpy.app.handlers.depsgraph_update_post.remove(after_update)
    if bpy.app.timers.is_registered(_rest_when_quiet):
        bpy.app.timers.unregister(_rest_when_quiet)


def _rest_when_quiet() -> float | None:
    if _tool_runs():
        return _AFTER_TOOL
    for head in _heads():
        rest(head)
    return None


def _tool_runs() -> bool:
    """Whether a move, turn or scale is being dragged in some window."""
    windows = bpy.context.window_manager.windows if bpy.context.window_manager is not None else ()
    return any(
        operator.bl_idname.startswith("TRANSFORM_OT")
        for window in windows
        for operator in getattr(window, "modal_operators", ())
    )


def _moved_head(update: Any) -> Any:
    item = update.id
    if not update.is_updated_transform or not isinstance(item, bpy.types.Object) or RIG not in item:
        return None
    original = item.original
    return original if original.type == "MESH" else None


def _heads() -> list[Any]:
    rigs = [item for item in bpy.data.objects if item.type == "ARMATURE" and HEAD in item]
    heads = [rig.get(HEAD) for rig in rigs]
    return [head for head in heads if head is not None and head.users_collection]


def _rig_to_move(head: Any) -> Any:
    """The rig that goes where this head goes; None where the artist has taken the two apart, or may not edit them."""
    modifier = armature_modifier(head) if head.type == "MESH" else None
    rig = modifier.object if modifier is not None else None
    if rig is None or rig.get(HEAD) != head or not (rig.is_editable and head.is_editable):
        return None
    return rig if rig.users_collection else None


def _take_constraints(head: Any, rig: Any) -> None:
    """A constraint on the mesh is meant for the whole; left there, it would act twice."""
    for constraint in list(head.constraints):
        rig.constraints.copy(constraint)
        head.constraints.remove(constraint)


def _hangs_on(item: Any, rig: Any) -> bool:
    while item is not None:
        if item == rig:
            return True
        item = item.parent
    return False


def _animated(head: Any) -> bool:
    return head.animation_data is not None and head.animation_data.action is not None


def _alike(a: Any, b: Any) -> bool:
    size = max(1.0, *(abs(value) for row in a for value in row))
    return all(
        abs(x - y) < _SAME * size for left, right in zip(a, b, strict=True) for x, y in zip(left, right, strict=True)
    )
