"""Export to GLB, FBX and USD, from a cleaned copy of the avatar, and the check that re-imports what was written.

The copy is in the rest pose with all keys at 0, has no drivers, constraints or other modifiers, and stands at the
origin. "Morphs only" leaves the skeleton out. "Bones and morphs" has both; the mouth is opened by jawOpen, the jaw bone
is there for rigs that want it, and nothing ever moves both.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from .licence import copyright_line
from .reimport import MARK
from .scene.action import rest_pose
from .scene.found import PROVENANCE, BuiltAvatar
from .scene.guard import scene_as_found, select_only
from .scene.shape_keys import CORRECTIVE_PREFIX

SUFFIXES = (".glb", ".fbx", ".usdc", ".usda", ".usdz")
_VERIFY_SECONDS = 180


class ExportError(RuntimeError):
    """The file could not be written, or does not hold what the scene holds; one sentence for the user."""


@dataclass(frozen=True)
class ExportOptions:
    """What goes into the file."""

    bones: bool = True  # False: morphs only
    pascal_case: bool = False  # JawOpen instead of jawOpen, as Unreal and Unity's Live Link expect


@dataclass(frozen=True)
class Expected:
    """What a re-import must find."""

    keys: dict[str, float]  # name -> how far the vertex that moves most moves, m
    bones: tuple[str, ...]
    vertices: int
    triangles: int
    size: tuple[float, ...]  # m, sorted: importers may turn axes


def export_avatar(built: BuiltAvatar, path: Path, options: ExportOptions) -> Expected:
    """Write the avatar to `path`, whole or not at all, and leave the scene as it was."""
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise ExportError(f"Expected a name ending in {', '.join(SUFFIXES)}, got {path.name!r}.")
    if not path.parent.is_dir():
        raise ExportError(f"The folder {path.parent} does not exist; choose another.")
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with scene_as_found(), _export_copy(built, options) as copy:
            # a skinned mesh below its armature makes glTF validators warn: its transform would be ignored
            if path.suffix.lower() == ".glb":
                copy.head.parent = None
            select_only([copy.head.name] + ([copy.rig.name] if options.bones else []), copy.head.name)
            bpy.context.view_layer.update()
            expected = _expected(copy.head, copy.rig if options.bones else None)
            write(part, json.loads(built.rig.get(PROVENANCE, "{}")))
        if not part.is_file():
            raise ExportError(f"Blender's exporter wrote no {path.suffix} file.")
        part.replace(path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}.") from error
    except RuntimeError as error:
        raise error if isinstance(error, ExportError) else ExportError(f"Export failed: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return expected


def verify(path: Path, expected: Expected) -> list[str]:
    """Re-import the file in a Blender of its own; one sentence for each thing that differs from the scene."""
    script = str(Path(__file__).with_name("reimport.py"))
    if bpy.app.binary_path:
        command = [bpy.app.binary_path, "--background", "--factory-startup", "--python", script, "--", str(path)]
    else:
        command = [sys.executable, script, "--", str(path)]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_VERIFY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"Re-importing took longer than {_VERIFY_SECONDS} s."]
    line = next((line for line in run.stdout.splitlines() if line.startswith(MARK)), None)
    if line is None:
        return [f"Blender could not re-import {path.name}: {(run.stderr or run.stdout).strip()[-300:]}"]
    found = json.loads(line.removeprefix(MARK))
    if path.suffix.lower().startswith(".usd") and not expected.bones:
        found["bones"] = []  # USD keeps blend shapes on a skeleton, so Blender writes one with a dummy joint
    return _differences(found, expected, same_vertices=path.suffix.lower() == ".fbx")


def _differences(found: dict[str, Any], expected: Expected, same_vertices: bool) -> list[str]:
    if "error" in found:
        return [f"{found['error']}."]
    problems = []
    if set(found["keys"]) != set(expected.keys):
        odd = sorted(set(found["keys"]) ^ set(expected.keys))
        problems.append(f"Shape keys differ: {', '.join(odd[:5])}.")
    if set(found["bones"]) != set(expected.bones):
        problems.append(f"Expected the bones {sorted(expected.bones)}, got {found['bones']}.")
    if found["triangles"] != expected.triangles:
        problems.append(f"Expected {expected.triangles} triangles, got {found['triangles']}.")
    # formats that keep one normal and UV per vertex split vertices at seams, so only FBX keeps the count
    if same_vertices and found["vertices"] != expected.vertices:
        problems.append(f"Expected {expected.vertices} vertices, got {found['vertices']}.")
    size = sorted(high - low for low, high in zip(found["low"], found["high"], strict=True))
    if any(abs(a - b) > 1e-4 for a, b in zip(size, expected.size, strict=True)):
        problems.append(f"Expected the size {expected.size} m, got {size}.")
    for name, distance in expected.keys.items():
        if abs(found["moved"].get(name, distance) - distance) > 1e-4:
            problems.append(f"{name} moves {found['moved'][name]:.5f} m, expected {distance:.5f} m.")
    if expected.bones and (found["most_weights"] > 4 or found["weight_error"] > 1e-2):
        problems.append(f"Skinning weights are off: {found['most_weights']} a vertex, sum off {found['weight_error']}.")
    if any(abs(value) > 1e-6 for value in found["values"]):
        problems.append("Some shape keys are not at 0.")
    return problems


@dataclass(frozen=True)
class _Copy:
    head: Any
    rig: Any


@contextmanager
def _export_copy(built: BuiltAvatar, options: ExportOptions) -> Iterator[_Copy]:
    """A clean copy under the avatar's own names, which the originals give up for that long."""
    with _bare_copy(built.head) as head, _bare_copy(built.rig) as rig:
        rig.animation_data_clear()
        for bone in rig.pose.bones:
            for constraint in list(bone.constraints):
                bone.constraints.remove(constraint)
        rig.location = (0.0, 0.0, 0.0)
        head.parent = rig if options.bones else None
        _clean_keys(head, options)
        for modifier in list(head.modifiers):
            if modifier.type == "ARMATURE" and options.bones:
                modifier.object = rig
            else:
                head.modifiers.remove(modifier)
        if not options.bones:
            head.vertex_groups.clear()
            head.matrix_world = rig.matrix_world
        rest_pose(rig, head)
        yield _Copy(head, rig)


@contextmanager
def _bare_copy(original: Any) -> Iterator[Any]:
    """A copy of an object and its data in the scene, visible, without custom properties, named like the original."""
    names = (original.name, original.data.name)
    copy = original.copy()
    copy.data = original.data.copy()
    original.name, original.data.name = f"{names[0][:40]} (scene)", f"{names[1][:40]} (scene)"
    copy.name, copy.data.name = names
    bpy.context.scene.collection.objects.link(copy)
    copy.hide_viewport = False
    copy.hide_set(False)
    for key in list(copy.keys()):
        del copy[key]
    try:
        yield copy
    finally:
        data, kind = copy.data, "meshes" if copy.type == "MESH" else "armatures"
        bpy.data.objects.remove(copy)
        getattr(bpy.data, kind).remove(data)
        original.name, original.data.name = names


def _clean_keys(head: Any, options: ExportOptions) -> None:
    keys = head.data.shape_keys
    if keys is None:
        return
    keys.animation_data_clear()
    for key in list(keys.key_blocks):
        if key.name.startswith(CORRECTIVE_PREFIX):
            head.shape_key_remove(key)
        else:
            key.mute = False
    head.show_only_shape_key = False
    if options.pascal_case:
        for key in keys.key_blocks[1:]:
            key.name = key.name[:1].upper() + key.name[1:]


def _expected(head: Any, rig: Any) -> Expected:
    keys = head.data.shape_keys.key_blocks
    matrix = head.matrix_world
    basis = [matrix @ point.co for point in keys[0].data]
    moved = {
        key.name: max((matrix @ point.co - basis[index]).length for index, point in enumerate(key.data))
        for key in keys[1:]
    }
    extent = sorted(max(p[axis] for p in basis) - min(p[axis] for p in basis) for axis in range(3))
    return Expected(
        keys=moved,
        bones=tuple(bone.name for bone in rig.data.bones) if rig is not None else (),
        vertices=len(head.data.vertices),
        triangles=sum(len(polygon.vertices) - 2 for polygon in head.data.polygons),
        size=tuple(extent),
    )


def _write_glb(path: Path, provenance: dict[str, Any]) -> None:
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
        export_copyright=copyright_line(provenance),
    )


def _write_fbx(path: Path, _: dict[str, Any]) -> None:
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
    )


def _write_usd(path: Path, _: dict[str, Any]) -> None:
    if "usd_export" not in dir(bpy.ops.wm):
        raise ExportError("This Blender was built without USD; choose GLB or FBX.")
    bpy.ops.wm.usd_export(
        filepath=str(path),
        selected_objects_only=True,
        export_animation=False,
        export_armatures=True,
        export_shapekeys=True,
        export_materials=True,
    )


_WRITERS: dict[str, Callable[[Path, dict[str, Any]], None]] = {
    ".glb": _write_glb,
    ".fbx": _write_fbx,
    ".usdc": _write_usd,
    ".usda": _write_usd,
    ".usdz": _write_usd,
}
