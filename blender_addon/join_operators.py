"""The neck adapter's button: head and body become one character."""

from __future__ import annotations

from typing import Any

import bpy

from .avatar_operators import OnAvatar
from .scene.found import JOINED, BuiltAvatar, find_avatar
from .scene.guard import select_only
from .scene.join_body import JoinError, join


def body_of(context: Any, built: BuiltAvatar) -> Any:
    """The selected mesh that is no part of the head, or None."""
    meshes = [item for item in context.view_layer.objects.selected if item.type == "MESH"]
    return next((item for item in meshes if find_avatar(item) is None), None)


class JoinBody(OnAvatar, bpy.types.Operator):  # type: ignore[misc]
    """Weld the head to the neck of the body that is selected with it; both stay, hidden"""

    bl_idname = "meshlam.join_body"
    bl_label = "Join to Body"
    bl_options = {"REGISTER", "UNDO"}

    scale_to_fit: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Scale to Fit", description="Make the head as large as its neck must be for the body's", default=True
    )

    @classmethod
    def fits(cls, built: BuiltAvatar) -> bool:
        return JOINED not in built.rig

    def execute(self, context: Any) -> set[str]:
        built = self.avatar(context)
        body = body_of(context, built)
        if body is None:
            self.report({"ERROR"}, "Select the body's mesh together with the head.")
            return {"CANCELLED"}
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        try:
            mesh, _, seam = join(built, body, self.scale_to_fit)
        except JoinError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        select_only([mesh.name], mesh.name)
        told = f"Seam: {seam.gap:.1f} mm open, ΔE {seam.delta_e:.1f}, {seam.rings} rings"
        self.report({"INFO"}, f"{told}; the head was made {seam.scale:.2f} times as large")
        return {"FINISHED"}


CLASSES = (JoinBody,)
