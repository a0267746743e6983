"""Add-on preferences, and where they are when the add-on is not installed as an extension."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from .backend.locate import Backend, default_data_folder, find_backend


class MeshlamPreferences(bpy.types.AddonPreferences):  # type: ignore[misc]
    """What belongs to the user, not to a scene."""

    bl_idname = __package__

    backend_python: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Backend Python",
        description="Python program of the environment that MeshLAM is installed in, or that environment's folder",
        subtype="FILE_PATH",
    )
    data_folder: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Data Folder",
        description="Where models and finished heads are kept, for all Blender versions; empty: your user data folder",
        subtype="DIR_PATH",
    )
    idle_minutes: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Stop Backend After",
        description="Minutes without work after which the backend ends and frees its memory; 0: never",
        default=10,
        min=0,
        soft_max=120,
        subtype="UNSIGNED",
    )

    def draw(self, _context: Any) -> None:
        column = self.layout.column()
        column.use_property_split = True
        column.prop(self, "backend_python")
        column.prop(self, "data_folder", placeholder=str(default_data_folder()))
        column.prop(self, "idle_minutes", text="Stop Backend After (Minutes)")
        self.layout.operator("meshlam.check_backend", icon="CHECKMARK")


@dataclass(frozen=True)
class Settings:
    """The preferences' values."""

    backend_python: str = ""
    data_folder: str = ""
    idle_minutes: int = 10

    def backend(self) -> Backend:
        return find_backend(self.backend_python, self.data_folder)

    def data_path(self) -> Path:
        return Path(self.data_folder).expanduser() if self.data_folder else default_data_folder()


def settings() -> Settings:
    """The user's preferences; defaults when the add-on was registered without being installed (in tests)."""
    addon = bpy.context.preferences.addons.get(__package__)
    if addon is None or addon.preferences is None:
        return Settings()
    chosen = addon.preferences
    return Settings(
        backend_python=bpy.path.abspath(chosen.backend_python) if chosen.backend_python else "",
        data_folder=bpy.path.abspath(chosen.data_folder) if chosen.data_folder else "",
        idle_minutes=chosen.idle_minutes,
    )


CLASSES = (MeshlamPreferences,)
