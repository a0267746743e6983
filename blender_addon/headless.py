"""What `python -m blender_addon` does once its arguments are checked: build the scene, then save or export it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import bpy
from mathutils import Vector

from .avatar_reader import AvatarFile
from .export import ExportError, ExportOptions, export_avatar, verify
from .exporting.files import whole_or_nothing
from .exporting.options import PRESETS
from .scene.action import show_photo_pose
from .scene.build import build_avatar
from .scene.camera import fit_render_to_photo
from .scene.found import BuiltAvatar
from .scene.guard import select_only
from .scene.shape_keys import bald_key
from .viewport import aim_view

__all__ = ["ExportError", "convert"]


def convert(avatar: AvatarFile, out: Path, options: argparse.Namespace) -> list[str]:
    """Write `out`, whole or not at all; returns what a re-import found wrong, nothing unless asked to verify."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    built = build_avatar(avatar, options.name or avatar.path.stem)
    if out.suffix.lower() == ".blend":
        bald = bald_key(built.head)
        if bald is not None:
            bald.value = float(options.hair == "bald")
        if options.photo_pose:
            show_photo_pose(built.rig, built.head)
        _save_blend(built, out)
        return []
    preset = PRESETS[options.preset.upper()].options if options.preset else ExportOptions()
    chosen = replace(
        preset,
        bones=preset.bones and not options.morphs_only,
        names="pascal" if options.pascal_case else preset.names,
        hair=options.hair,
        levels=options.levels,
        consent=options.consent,
        non_commercial=options.non_commercial,
    )
    expected = export_avatar(built, out, chosen)
    return verify(out, expected) if options.verify else []


def _save_blend(built: BuiltAvatar, out: Path) -> None:
    """A scene that shows the head at once: photo camera, soft lights, viewports close up in Material Preview."""
    fit_render_to_photo(bpy.context.scene, built.camera)
    bpy.context.scene.view_settings.view_transform = "Standard"  # AgX would grey the photo's own colours
    _light(built)
    select_only([built.head.name], built.head.name)
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "VIEW_3D":
                space = area.spaces.active
                space.shading.type, space.lens = "MATERIAL", 85.0
                aim_view(space, built.head)
    with whole_or_nothing(out) as folder:
        part = str(folder / out.name)
        bpy.ops.wm.save_as_mainfile(filepath=part, copy=True, compress=True, check_existing=False)


def _light(built: BuiltAvatar) -> None:
    """A soft key from the left front, a fill from the right and a rim from behind, so that F12 gives a picture."""
    lights = (
        ("Key", (0.7, -0.9, 0.6), 12.0, 0.6),
        ("Fill", (-0.9, -0.7, 0.2), 5.0, 0.9),
        ("Rim", (-0.5, 0.9, 0.7), 8.0, 0.4),
    )
    middle = built.head.matrix_world @ (sum((Vector(corner) for corner in built.head.bound_box), Vector()) / 8)
    for name, offset, watts, size in lights:
        data = bpy.data.lights.new(name, "AREA")
        data.energy, data.size = watts, size
        light = bpy.data.objects.new(name, data)
        light.location = middle + Vector(offset)
        light.rotation_euler = (-Vector(offset)).to_track_quat("-Z", "Y").to_euler()
        bpy.context.scene.collection.objects.link(light)
