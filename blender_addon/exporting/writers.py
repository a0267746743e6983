"""Blender's exporters, each called with what a head needs; the objects to write are selected."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from .files import ExportError
from .maps import usd_hook
from .options import GAUSSIANS, SUFFIXES

MILLIMETRES = 1000.0


@dataclass(frozen=True)
class _Exporter:
    """One of Blender's exporters and how it is called."""

    operator: str
    choices: dict[str, Any]
    still: dict[str, Any] = field(default_factory=dict)  # further choices for a head at rest
    moving: dict[str, Any] = field(default_factory=dict)  # and for one with its animation
    copyright: str = ""  # the choice that takes the copyright line


_GLB = _Exporter(
    "export_scene.gltf",
    {
        "export_format": "GLB",
        "use_selection": True,
        "export_yup": True,
        "export_apply": False,  # applying modifiers would drop every shape key
        "export_morph": True,
        "export_morph_normal": True,
        "export_tangents": True,  # for the normal map: viewers that make their own differ
        "export_morph_tangent": False,
        "export_skins": True,
        "export_all_influences": False,
        "export_cameras": False,
        "export_lights": False,
        "export_extras": False,
    },
    still={"export_animations": False},
    moving={
        "export_animations": True,
        "export_animation_mode": "ACTIVE_ACTIONS",
        "export_anim_single_armature": False,  # else 4.2 takes actions that are not assigned, too
        "export_force_sampling": True,
        "export_anim_slide_to_zero": True,  # the first frame is at 0 s, as in FBX; else frame 1001 would be at 40 s
        "export_optimize_animation_size": False,
    },
    copyright="export_copyright",
)
_FBX = _Exporter(
    "export_scene.fbx",
    {
        "use_selection": True,
        "object_types": {"MESH", "ARMATURE"},
        "use_mesh_modifiers": False,  # applying modifiers would drop every shape key
        "mesh_smooth_type": "FACE",
        "add_leaf_bones": False,
        "axis_forward": "-Z",
        "axis_up": "Y",
        "apply_scale_options": "FBX_SCALE_ALL",
        "path_mode": "COPY",
        "embed_textures": True,
        "use_custom_props": True,
    },
    still={"bake_anim": False},
    moving={
        "bake_anim": True,
        "bake_anim_use_nla_strips": False,
        "bake_anim_use_all_actions": False,
        "bake_anim_simplify_factor": 0.0,
    },
)
_USD = _Exporter(
    "wm.usd_export",
    {
        "selected_objects_only": True,
        "export_armatures": True,
        "export_shapekeys": True,
        "export_materials": True,
        "export_custom_properties": True,
        "convert_orientation": True,  # y up, as Apple's viewers demand and stages of other programs mostly are
        "export_global_forward_selection": "NEGATIVE_Z",
        "export_global_up_selection": "Y",
    },
    still={"export_animation": False},
    moving={"export_animation": True},
)
_OBJ = _Exporter(
    "wm.obj_export",
    {
        "export_selected_objects": True,
        "export_materials": False,
        "export_uv": False,
        "global_scale": MILLIMETRES,
        "forward_axis": "NEGATIVE_Z",
        "up_axis": "Y",
    },
)
_STL = _Exporter("wm.stl_export", {"export_selected_objects": True, "global_scale": MILLIMETRES, "ascii_format": False})
_EXPORTERS = {".glb": _GLB, ".fbx": _FBX, ".usdc": _USD, ".usda": _USD, ".usdz": _USD, ".obj": _OBJ, ".stl": _STL}


def available(suffix: str) -> bool:
    """Whether this Blender can write the format: some are built without USD, and add-ons can be switched off."""
    if suffix == GAUSSIANS:
        return True  # the backend writes it
    module, name = _EXPORTERS[suffix].operator.split(".")
    return name in dir(getattr(bpy.ops, module))


def writer(suffix: str, moving: bool = False) -> Callable[[Path, str], None]:
    """What writes files of this ending, given a path and a copyright line."""
    if suffix not in _EXPORTERS:
        raise ExportError(f"Expected a name ending in {', '.join(SUFFIXES)}, got {suffix or 'none'!r}.")
    if not available(suffix):
        offered = ", ".join(item for item in SUFFIXES if available(item))
        raise ExportError(f"This Blender cannot write {suffix} files; it writes {offered}.")
    exporter = _EXPORTERS[suffix]
    module, name = exporter.operator.split(".")

    def write(path: Path, copyright_text: str) -> None:
        choices = exporter.choices | (exporter.moving if moving else exporter.still)
        if exporter.copyright:
            choices[exporter.copyright] = copyright_text
        with usd_hook() if exporter is _USD else nullcontext():
            getattr(getattr(bpy.ops, module), name)(filepath=str(path), **choices)

    return write
