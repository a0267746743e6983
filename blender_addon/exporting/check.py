"""The check of a written file: it is opened in a Blender of its own and compared with what was to be written."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from .. import reimport
from ..reimport import MARK, usd_module
from .files import hashes
from .gaussians import check_gaussians
from .maps import FOLDER
from .options import GAUSSIANS, level_path

_VERIFY_SECONDS = 180
_PLACE = 1e-4  # m
_SHINE = 0.02  # of roughness and metal, which formats keep in their own ways
_MAPS = {
    "colour": "texture",
    "normal": "normal map",
    "occlusion": "occlusion",
    "roughness": "roughness",
    "metallic": "metal",
}
_MOVED = 5e-4  # m, in a frame of an animation


@dataclass(frozen=True)
class Movement:
    """What a re-import must see in a few frames."""

    rate: float  # frames a second
    offsets: tuple[int, ...]  # frames since the first
    corners: tuple[tuple[float, ...], ...]  # the lowest and the highest corner around everything, m


@dataclass(frozen=True)
class Expected:
    """What a re-import must find."""

    keys: dict[str, float]  # name -> how far the vertex that moves most moves, m
    bones: tuple[str, ...]
    vertices: int
    triangles: int
    low: tuple[float, ...]  # m, the corner of the box around everything, in Blender's axes
    high: tuple[float, ...]
    materials: dict[str, Any] = field(default_factory=dict)  # name -> map -> size and hash, a number, or None
    beside: dict[str, str] = field(default_factory=dict)  # name -> SHA-256 of pictures that lie beside the file
    actions: int = 0
    scale: float = 1.0  # of the file's unit: print formats are in millimetres
    movement: Movement | None = None  # of an export with its animation
    gaussians: int = 0  # in a file of them
    losses: tuple[float, ...] = ()  # mm that the surface moved at most, for each further level of detail
    further: tuple[Expected, ...] = ()  # what these hold

    @property
    def size(self) -> tuple[float, ...]:
        return tuple(high - low for low, high in zip(self.low, self.high, strict=True))


def expected(meshes: tuple[Any, ...], rig: Any, scale: float = 1.0) -> Expected:
    """What these objects are, measured by what measures the written file."""
    found = reimport.facts(meshes)
    return Expected(
        keys=found["moved"],
        bones=tuple(bone.name for bone in rig.data.bones) if rig is not None else (),
        vertices=found["vertices"],
        triangles=found["triangles"],
        low=tuple(found["low"]),
        high=tuple(found["high"]),
        materials=found["materials"],
        scale=scale,
    )


def verify(path: Path, wanted: Expected) -> list[str]:
    """Re-import the file, and each level of detail, in a Blender of its own; a sentence for each thing that differs."""
    problems = _verify(path, wanted)
    for level, expected_there in enumerate(wanted.further, 1):
        there = level_path(path, level)
        problems += [f"{there.name}: {problem}" for problem in _verify(there, expected_there)]
    return problems


def _verify(path: Path, wanted: Expected) -> list[str]:
    if path.suffix.lower() == GAUSSIANS:
        return check_gaussians(path, wanted.gaussians, wanted.triangles, wanted.low, wanted.high)
    script = str(Path(reimport.__file__))
    if bpy.app.binary_path:
        command = [bpy.app.binary_path, "--background", "--factory-startup", "--python", script, "--", str(path)]
    else:
        command = [sys.executable, script, "--", str(path)]
    if wanted.movement is not None:
        command.append(json.dumps([wanted.movement.rate, wanted.movement.offsets]))
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
    if path.suffix.lower().startswith(".usd") and not wanted.bones:
        found["bones"] = []  # USD keeps blend shapes on a skeleton, so Blender writes one with a dummy joint
    if path.suffix.lower().startswith(".usd") and not usd_module():
        _unnumber(found, wanted)
    lying = {name: hash_ for name, hash_ in hashes(path.parent / FOLDER).items() if name in wanted.beside}
    odd = [name for name, hash_ in wanted.beside.items() if lying.get(name) != hash_]
    beside = [f"{name} beside the file is missing or not what was written." for name in odd]
    return [*differences(found, wanted, path.suffix.lower()), *beside]


def _unnumber(found: dict[str, Any], wanted: Expected) -> None:
    """A key that several meshes have is numbered on the further ones (bald2), unless USD's module puts that right."""
    for name in [name for name in found["moved"] if name not in wanted.keys]:
        stem = name.rstrip("0123456789")
        if stem in wanted.keys:
            found["moved"][stem] = max(found["moved"].pop(name), found["moved"].get(stem, 0.0))
    found["keys"] = sorted(found["moved"])


def differences(found: dict[str, Any], wanted: Expected, suffix: str) -> list[str]:
    """One sentence for each thing that `found` in a file of this format is not as `wanted`."""
    problems = [*_counts(found, wanted, suffix), *_places(found, wanted)]
    if suffix not in (".obj", ".stl"):
        problems += _pictures(found["materials"], wanted.materials)
    if wanted.bones and (found["most_weights"] > 4 or found["weight_error"] > 1e-2):
        problems.append(f"Skinning weights are off: {found['most_weights']} a vertex, sum off {found['weight_error']}.")
    if wanted.movement is not None:
        return problems + _movements(found["movement"], wanted.movement)
    if found["actions"] != wanted.actions:
        problems.append(f"Expected {wanted.actions} animations, got {found['actions']}.")
    if any(abs(value) > 1e-6 for value in found["values"]):
        problems.append("Some shape keys are not at 0.")
    return problems


def _counts(found: dict[str, Any], wanted: Expected, suffix: str) -> list[str]:
    problems = []
    if set(found["keys"]) != set(wanted.keys):
        odd = sorted(set(found["keys"]) ^ set(wanted.keys))
        problems.append(f"Shape keys differ: {', '.join(odd[:5])}.")
    if set(found["bones"]) != set(wanted.bones):
        problems.append(f"Expected the bones {sorted(wanted.bones)}, got {found['bones']}.")
    if found["triangles"] != wanted.triangles:
        problems.append(f"Expected {wanted.triangles} triangles, got {found['triangles']}.")
    # formats that keep one normal and UV per vertex split vertices at seams, so only FBX keeps the count
    if suffix == ".fbx" and found["vertices"] != wanted.vertices:
        problems.append(f"Expected {wanted.vertices} vertices, got {found['vertices']}.")
    return problems


def _places(found: dict[str, Any], wanted: Expected) -> list[str]:
    """Extents, place and movements; a head that stands off the origin or is turned or scaled shows here."""
    problems = []
    for corner in ("low", "high"):
        is_at = [value / wanted.scale for value in found[corner]]
        if any(abs(a - b) > _PLACE for a, b in zip(is_at, getattr(wanted, corner), strict=True)):
            at, to = (", ".join(f"{value:.4f}" for value in values) for values in (is_at, getattr(wanted, corner)))
            problems.append(f"Its {corner}est corner is at ({at}) m, expected ({to}) m.")
    for name, distance in wanted.keys.items():
        if abs(found["moved"].get(name, distance) - distance) > _PLACE:
            problems.append(f"{name} moves {found['moved'][name]:.5f} m, expected {distance:.5f} m.")
    return problems


def _movements(found: list[list[float]], wanted: Movement) -> list[str]:
    """Frames of the animation in which something stands elsewhere; the first is told."""
    for offset, here, there in zip(wanted.offsets, found, wanted.corners, strict=True):
        off = max(abs(a - b) for a, b in zip(here, there, strict=True))
        if off > _MOVED:
            return [f"In frame {offset} of the animation the head's outline is {1000 * off:.2f} mm off."]
    return []


def _pictures(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    problems = []
    if set(found) != set(wanted):
        problems.append(f"Expected the materials {sorted(wanted)}, got {sorted(found)}.")
    for name in sorted(set(found) & set(wanted)):
        for kind, word in _MAPS.items():
            problems += _picture(f"{word} of {name}", found[name][kind], wanted[name][kind])
    return problems


def _picture(which: str, here: Any, there: Any) -> list[str]:
    """What is wrong with one map of one material; numbers stand in for maps of roughness and metal."""
    if there is None or here == there:
        return []
    number = (here or {}).get("number")
    if "number" in there:
        if number is None:
            return [f"The {which} is a picture, expected {there['number']}."]
        off = abs(number - there["number"]) > _SHINE
        return [f"The {which} is {number}, expected {there['number']}."] if off else []
    if here is None or number is not None:
        return [f"The {which} is missing or cannot be read."]
    if here["size"] != there["size"]:
        return [f"The {which} is {here['size']} pixels, expected {there['size']}."]
    return [f"The pixels of the {which} differ from the scene's."]
