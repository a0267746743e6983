"""Add-on preferences, and where they are when the add-on is not installed as an extension."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from .backend.locate import Backend, default_data_folder, find_backend
from .backend.machine import Machine


def _changed(_preferences: Any, _context: Any) -> None:
    from . import backend_state

    backend_state.look_again()


class MeshlamPreferences(bpy.types.AddonPreferences):  # type: ignore[misc]
    """What belongs to the user, not to a scene."""

    bl_idname = __package__

    backend_python: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Backend Python",
        description="Only for a backend that you installed yourself: its Python program, or its environment's folder",
        subtype="FILE_PATH",
        update=_changed,
    )
    data_folder: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Data Folder",
        description="Where backend, models and finished heads are kept, for all Blender versions; empty: your user "
        "data folder",
        subtype="DIR_PATH",
        update=_changed,
    )
    bundle: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Offline Bundle",
        description="Install from this archive (or folder of wheels) instead of from the network",
        subtype="FILE_PATH",
        update=_changed,
    )
    backend_device: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Install For",
        description="What the backend is installed for",
        items=[
            ("auto", "Automatic", "What this computer has: an Apple processor's graphics, else the processor"),
            ("cpu", "Processor", "A head takes about a second; the smallest download"),
            ("cuda", "NVIDIA Graphics Card", "For many photos and for clips; a download of 2 to 3 GB"),
        ],
        default="auto",
        update=_changed,
    )
    idle_minutes: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Stop Backend After",
        description="Minutes without work after which the backend ends and frees its memory; 0: never",
        default=10,
        min=0,
        soft_max=120,
        subtype="UNSIGNED",
    )

    def draw(self, context: Any) -> None:
        from . import backend_panel

        backend_panel.draw_care(self.layout, context)
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "data_folder", placeholder=str(default_data_folder()))
        column.prop(self, "bundle")
        column.prop(self, "backend_device")
        column.prop(self, "backend_python")
        column.prop(self, "idle_minutes", text="Stop Backend After (Minutes)")


@dataclass(frozen=True)
class Settings:
    """The preferences' values."""

    backend_python: str = ""
    data_folder: str = ""
    bundle: str = ""
    backend_device: str = "auto"
    idle_minutes: int = 10

    def backend(self) -> Backend:
        return find_backend(self.backend_python, self.data_folder)

    def data_path(self) -> Path:
        return Path(self.data_folder).expanduser() if self.data_folder else default_data_folder()

    def bundle_path(self) -> Path | None:
        return Path(self.bundle).expanduser() if self.bundle else None

    def device_for(self, machine: Machine) -> str:
        """What to install for: the first of what this computer can, unless another one of it was chosen."""
        return self.backend_device if self.backend_device in machine.devices else machine.devices[0]


def settings() -> Settings:
    """The user's preferences; defaults when the add-on was registered without being installed (in tests)."""
    chosen = stored()
    if chosen is None:
        return Settings()
    return Settings(
        backend_python=bpy.path.abspath(chosen.backend_python) if chosen.backend_python else "",
        data_folder=bpy.path.abspath(chosen.data_folder) if chosen.data_folder else "",
        bundle=bpy.path.abspath(chosen.bundle) if chosen.bundle else "",
        backend_device=chosen.backend_device,
        idle_minutes=chosen.idle_minutes,
    )


def stored() -> Any:
    """Blender's own record of the preferences; None when the add-on was registered without being installed."""
    addon = bpy.context.preferences.addons.get(__package__)
    return addon.preferences if addon is not None else None


CLASSES = (MeshlamPreferences,)
