"""Export to GLB, FBX, USD, as a solid to OBJ and STL, as Gaussians to PLY, from a cleaned copy; see exporting/.

The copy is in the rest pose with all keys at 0, has no drivers, constraints or other modifiers, and stands at the
origin. "Morphs only" leaves the skeleton out. "Bones and morphs" has both; the mouth is opened by jawOpen, the jaw bone
is there for rigs that want it, and nothing ever moves both.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from .exporting.check import Expected, Movement, expected, verify
from .exporting.files import ExportError, hashes, reason, whole_or_nothing
from .exporting.gaussians import write_gaussians
from .exporting.levels import Thinner
from .exporting.maps import FOLDER, lay_beside
from .exporting.options import (
    GAUSSIANS,
    LEVELS,
    PRINT_SUFFIXES,
    STILL_SUFFIXES,
    SUFFIXES,
    ExportOptions,
    level_path,
    spelt,
)
from .exporting.record import origin, write_into_glb
from .exporting.solid import make_solid
from .exporting.stage import Staged, staged
from .exporting.take import MOVING_SUFFIXES, Take, movement, put_on, record
from .exporting.writers import MILLIMETRES, writer
from .licence import copyright_line
from .scene.found import PROVENANCE, BuiltAvatar
from .scene.guard import objects_in_view, scene_as_found

__all__ = ["SUFFIXES", "Expected", "ExportError", "ExportOptions", "export_avatar", "verify"]


def export_avatar(built: BuiltAvatar, path: Path, options: ExportOptions) -> Expected:
    """Write the avatar to `path`, whole or not at all, and leave the scene as it was.

    With several levels of detail, the others lie beside it; returned is what the first must hold.
    """
    suffix = path.suffix.lower()
    moving = options.animation and suffix in MOVING_SUFFIXES
    write = None if suffix == GAUSSIANS else writer(suffix, moving)
    if suffix in STILL_SUFFIXES:
        options = replace(options, bones=False, levels=1)
    take = record(built) if moving else None
    provenance = json.loads(built.rig.get(PROVENANCE, "{}"))
    wanted: list[Expected] = []
    losses: list[float] = []
    told = origin(provenance, options.consent, options.non_commercial)
    with (
        whole_or_nothing(path) as folder,
        scene_as_found(),
        _pictures() as pictures,
        staged(built, options, pictures, path) as copy,
    ):
        if suffix in PRINT_SUFFIXES:
            make_solid(copy.meshes, copy.own)
        told |= lay_beside(copy.beside, folder)
        levels = max(1, min(options.levels, len(LEVELS)))
        thinner = Thinner(copy.without_strands().meshes, copy.own) if levels > 1 else None
        for level in range(levels):
            if thinner is not None and level:
                losses.append(thinner.thin_out(LEVELS[level]).worst)
            shown = copy if level == 0 else copy.without_strands()
            _prepare(shown, suffix, told)
            found = expected(shown.meshes, shown.rig, MILLIMETRES if suffix in PRINT_SUFFIXES else 1.0)
            if take is not None:
                found = replace(found, movement=_animate(shown, take, options))
            if suffix == GAUSSIANS:
                found = replace(found, gaussians=options.gaussians)
            wanted.append(found)
            part = folder / level_path(path, level).name
            if write is None:
                write_gaussians(shown.meshes, part, options.gaussians, copyright_line(provenance))
            else:
                write(part, copyright_line(provenance))
            if suffix == ".glb" and part.is_file():
                write_into_glb(part, told)
        beside = hashes(folder / FOLDER)
    return replace(wanted[0], beside=beside, losses=tuple(losses), further=tuple(wanted[1:]))


def _animate(copy: Staged, take: Take, options: ExportOptions) -> Movement:
    """Put the animation onto the copy; what a re-import must see of it."""
    for action in put_on(take, copy.meshes, copy.rig, lambda name: spelt(name, options.spelling)):
        copy.own(action)
    return movement(take, copy.meshes)


def _prepare(copy: Staged, suffix: str, told: dict[str, str]) -> None:
    """Select what is to be written and put on it what its format carries."""
    for mesh in copy.meshes:
        # a skinned mesh below its armature makes glTF validators warn: its transform would be ignored
        if suffix == ".glb" and any(item.type == "ARMATURE" for item in mesh.modifiers):
            mesh.parent = None
    if suffix != ".glb":
        for key, value in told.items():
            copy.head[key] = value
    layer = bpy.context.view_layer
    for item in objects_in_view():  # not by name: a linked head bears the same
        item.select_set(item in copy.objects())
    layer.objects.active = copy.head
    layer.update()


def _pictures() -> Any:
    """A folder for the textures on their way, gone afterwards."""
    try:
        return _PictureFolder()
    except OSError as error:
        raise ExportError(f"There is no room for temporary files: {reason(error)}.") from error


class _PictureFolder:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="meshlam-", ignore_cleanup_errors=True)

    def __enter__(self) -> Path:
        return Path(self._folder.name)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
