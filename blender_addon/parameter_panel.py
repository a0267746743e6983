"""The panel of a head model's own parameters; it shows for heads that have some."""

from __future__ import annotations

from typing import Any

import bpy

from .panel import HeadPanel
from .scene.found import BuiltAvatar, active_avatar
from .scene.raw_keys import parameters_of


class ParameterPanel(HeadPanel, bpy.types.Panel):  # type: ignore[misc]
    bl_idname = "MESHLAM_PT_parameters"
    bl_label = "Model Parameters"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        built = active_avatar(context)
        return super().poll(context) and built is not None and parameters_of(built.rig) is not None

    def draw_head(self, context: Any, built: BuiltAvatar) -> None:
        layout = self.layout
        layout.operator("meshlam.add_raw_keys", icon="SHAPEKEY_DATA")
        row = layout.row(align=True)
        row.operator("meshlam.import_parameters", text="Import...", icon="IMPORT")
        row.operator("meshlam.export_parameters", text="Export...", icon="EXPORT")


CLASSES = (ParameterPanel,)
