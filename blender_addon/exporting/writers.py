"""Blender's exporters, each called with what a head needs; the objects to write are selected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from .files import ExportError
from .options import SUFFIXES

MILLIMETRES = 1000.0


def _write_glb(path: Path, copyright_text: str) -> None:
    bpy.ops.export_scene.gltf(
        filepath=str(path),
        export_format="GLB",
        use_selection=True,
        export_yup=True,
        export_apply=False,  # applying modifiers would drop every shape key
        export_animations=False,
        export_morph=True,
        export_morph_normal=True,
        export_morph_tangent=False,
        export_skins=True,
        export_all_influences=False,
        export_cameras=False,
        export_lights=False,
        export_extras=False,
        export_copyright=copyright_text,
    )


def _write_fbx(path: Path, _: str) -> None:
    bpy.ops.export_scene.fbx(
        filepath=str(path),
        use_selection=True,
        object_types={"MESH", "ARMATURE"},
        use_mesh_modifiers=False,  # applying modifiers would drop every shape key
        mesh_smooth_type="FACE",
        add_leaf_bones=False,
        axis_forward="-Z",
        axis_up="Y",
        apply_scale_options="FBX_SCALE_ALL",
        bake_anim=False,
        path_mode="COPY",
        embed_textures=True,
        use_custom_props=True,
    )


def _write_usd(path: Path, _: str) -> None:
    bpy.ops.wm.usd_export(
        filepath=str(path),
        selected_objects_only=True,
        export_animation=False,
        export_armatures=True,
        export_shapekeys=True,
        export_materials=True,
        export_custom_properties=True,
    )


def _write_obj(path: Path, _: str) -> None:
    bpy.ops.wm.obj_export(
        filepath=str(path),
        export_selected_objects=True,
        export_materials=False,
        export_uv=False,
        global_scale=MILLIMETRES,
        forward_axis="NEGATIVE_Z",
        up_axis="Y",
    )


def _write_stl(path: Path, _: str) -> None:
    bpy.ops.wm.stl_export(
        filepath=str(path), export_selected_objects=True, global_scale=MILLIMETRES, ascii_format=False
    )


# name of the operator, by which a Blender that lacks it is told, and what calls it
_WRITERS: dict[str, tuple[str, Callable[[Path, str], None]]] = {
    ".glb": ("export_scene.gltf", _write_glb),
    ".fbx": ("export_scene.fbx", _write_fbx),
    ".usdc": ("wm.usd_export", _write_usd),
    ".usda": ("wm.usd_export", _write_usd),
    ".usdz": ("wm.usd_export", _write_usd),
    ".obj": ("wm.obj_export", _write_obj),
    ".stl": ("wm.stl_export", _write_stl),
}


def available(suffix: str) -> bool:
    """Whether this Blender can write the format: some are built without USD, and add-ons can be switched off."""
    module, name = _WRITERS[suffix][0].split(".")
    return name in dir(getattr(bpy.ops, module))


def writer(suffix: str) -> Callable[[Path, str], Any]:
    """What writes files of this ending."""
    if suffix not in _WRITERS:
        raise ExportError(f"Expected a name ending in {', '.join(SUFFIXES)}, got {suffix or 'none'!r}.")
    if not available(suffix):
        offered = ", ".join(item for item in SUFFIXES if available(item))
        raise ExportError(f"This Blender cannot write {suffix} files; it writes {offered}.")
    return _WRITERS[suffix][1]
