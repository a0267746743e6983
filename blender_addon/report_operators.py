"""What the buttons under an error message do: copy the details, hide the message."""

from __future__ import annotations

from typing import Any

import bpy

from . import state


class CopiesReport:
    """Base of operators that copy the details of what went wrong."""

    bl_label = "Copy Error Report"
    bl_options = {"INTERNAL"}

    def details(self) -> str:
        """What goes to the clipboard, below a line that names Blender."""
        raise NotImplementedError

    def execute(self, context: Any) -> set[str]:
        context.window_manager.clipboard = f"MeshLAM on Blender {bpy.app.version_string}\n\n{self.details()}\n"
        self.report({"INFO"}, "Error report copied")  # type: ignore[attr-defined]
        return {"FINISHED"}


class HidesMessage:
    """Base of operators that hide a message."""

    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    def forget(self) -> None:
        """Put away what the message tells."""
        raise NotImplementedError

    def execute(self, _context: Any) -> set[str]:
        self.forget()
        state.redraw()
        return {"FINISHED"}
