"""ICT-FaceKit's light model (USC ICT, MIT): its folder FaceXModel of OBJ files.

A neutral mesh, identity modes (identity000.obj ...) and expressions of ARKit's names with _L and _R, each a whole mesh.
Parts are ranges of vertices, as its README lists them. It has no joints and no weights: these are the open head's.

Frame: the avatar frame's axes; the unit is found from the size of the head. Dims: V = 26 719 vertices, F triangles.

Source: https://github.com/ICT-VGL/ICT-FaceKit (names of the files, ranges of the parts).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.errors import UnreadableInput
from meshlam_core.head.adopt import Foreign
from meshlam_core.head.obj_file import read_obj, read_vertices
from meshlam_core.head.plausible import check_mesh

F64 = NDArray[np.float64]

NEUTRAL = "generic_neutral_mesh.obj"
VERTICES = 26719
LAST = 24590  # what follows is glass and shadow before the eyes, and lashes: engines' helpers
PARTS = {  # first and last vertex
    "skin": (0, 14061),  # face, head and neck, mouth socket, eye sockets
    "tongue": (14062, 17038),  # and the gums
    "teeth_upper": (17039, 19246),
    "teeth_lower": (19247, 21450),
    "eyeball_left": (21451, 23020),
    "eyeball_right": (23021, 24590),
}
SIDES = {"_L": "Left", "_R": "Right"}
BOTH = ("browInnerUp", "cheekPuff")  # two halves there, one key here
EYES_APART = 0.062  # m, by which the unit is told


@dataclass(frozen=True)
class Ict:
    """The model and its keys."""

    foreign: Foreign
    names: tuple[str, ...]  # of ARKit's, those that the model has
    shapes: F64  # [K, V, 3] m


def is_ict(path: Path) -> bool:
    """Whether a folder is FaceXModel."""
    return (path / NEUTRAL).is_file()


def read_ict(folder: Path, licence: str) -> Ict:
    """All of the folder. UnreadableInput names the file that is wrong."""
    whole = read_obj(folder / NEUTRAL)
    if len(whole.vertices) != VERTICES:
        raise UnreadableInput(f"{NEUTRAL}: expected {VERTICES} vertices, got {len(whole.vertices)}.")
    neutral = whole.vertices[: LAST + 1]
    faces = whole.faces[(whole.faces <= LAST).all(axis=1)]
    parts = {name: np.arange(first, last + 1) for name, (first, last) in PARTS.items()}
    eyes = [neutral[parts[name]].mean(axis=0) for name in ("eyeball_left", "eyeball_right")]
    unit = 10.0 ** round(np.log10(EYES_APART / max(float(np.linalg.norm(eyes[0] - eyes[1])), 1e-9)))
    identities = [offset(path, neutral) for path in sorted(folder.glob("identity*.obj"))]
    if not identities:
        raise UnreadableInput(f"{folder.name}: expected identity000.obj and more beside {NEUTRAL}, got none.")
    merged: dict[str, F64] = {}
    for name, path in expression_files(folder):
        merged[name] = merged.get(name, np.zeros(neutral.shape)) + offset(path, neutral)
    names = tuple(name for name in ARKIT_NAMES if name in merged)
    if "jawOpen" not in names:
        raise UnreadableInput(f"{folder.name}: expected expressions as jawOpen.obj, got {', '.join(names) or 'none'}.")
    check_mesh(folder.name, unit * neutral, faces, unit * np.array(eyes), {"shapes": unit * np.array(identities)})
    regressor = np.full((5, LAST + 1), np.nan)
    for joint, name in ((3, "eyeball_left"), (4, "eyeball_right")):
        regressor[joint] = 0
        regressor[joint, parts[name]] = 1 / len(parts[name])
    foreign = Foreign(
        name="ict",
        licence=licence,
        template=unit * neutral,
        faces=faces,
        identity=unit * np.array(identities),
        regressor=regressor,
        weights=None,
        known_parts=parts,
    )
    return Ict(foreign, names, unit * np.array([merged[name] for name in names]))


def expression_files(folder: Path) -> list[tuple[str, Path]]:
    """ARKit's name of each expression's file."""
    found = []
    for path in sorted(folder.glob("*.obj")):
        name = path.stem
        if name[-2:] in SIDES:
            name = name[:-2] + ("" if name[:-2] in BOTH else SIDES[name[-2:]])
        if name in ARKIT_NAMES:
            found.append((name, path))
    return found  # a key of two halves stands twice


def offset(path: Path, neutral: F64) -> F64:  # [V, 3] in the file's unit
    """What a whole mesh adds to the neutral one."""
    vertices = read_vertices(path)
    if len(vertices) != VERTICES or not np.isfinite(vertices).all():
        raise UnreadableInput(f"{path.name}: expected {VERTICES} vertices, got {len(vertices)}.")
    return vertices[: LAST + 1] - neutral
