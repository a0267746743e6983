"""FLAME's distributed files: 2020, 2023 and 2023 Open, as .pkl or .npz, with the optional masks and texture layout.

Frame: FLAME's own (the avatar frame's axes, origin where the file has it), metres.
Dims:  V vertices, F triangles, J = 5 joints.

Source: Li et al., "Learning a model of facial shape and expression from 4D scans" (2017): template, shape and
expression directions at one standard deviation, joint regressor, skinning weights, pose correctives answering to R - I.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from meshlam_core.errors import UnreadableInput
from meshlam_core.head.adopt import JOINT_NAMES
from meshlam_core.head.carry import Layout
from meshlam_core.head.flame_file import Array, read_table
from meshlam_core.head.parametric import Parametric
from meshlam_core.head.plausible import check_mesh, check_weights

FIRST_EXPRESSION = 300  # of FLAME's 400 directions, the first 300 are identity
OPEN_LICENCE = "CC-BY-4.0 (FLAME 2023 Open)"
CLOSED_LICENCE = "FLAME, non-commercial: https://flame.is.tue.mpg.de/modellicense.html"
BODIES = {6890: "SMPL", 10475: "SMPL-X", 778: "MANO"}  # by their vertices; users have these files beside FLAME's
MASKS = {  # names in FLAME's masks file, and the parts that they are; the rest of the skin stays as it is carried
    "face": "face",
    "scalp": "scalp",
    "neck": "neck",
    "boundary": "neck",
    "left_ear": "ears",
    "right_ear": "ears",
    "left_eyeball": "eyeball_left",
    "right_eyeball": "eyeball_right",
}


def is_flame(names: Mapping[str, object]) -> bool:
    """Whether a table with these entries is FLAME's, or another model's of its family."""
    return "v_template" in names and "shapedirs" in names


def read_flame(path: Path) -> Parametric:
    """FLAME's model file. UnreadableInput names what is wrong with it."""
    return flame_of(read_table(path), path.name)


def flame_of(
    arrays: Mapping[str, Array],
    label: str,  # the file, in messages
) -> Parametric:
    """FLAME's arrays, checked."""
    template = checked(arrays, "v_template", (None, 3), label)
    count = len(template)
    _refuse_bodies(arrays, count, label)
    directions = checked(arrays, "shapedirs", (count, 3, None), label)
    if directions.shape[2] <= FIRST_EXPRESSION:
        raise UnreadableInput(
            f"{label}: expected more than {FIRST_EXPRESSION} shapedirs, got {directions.shape[2]}; "
            "files reduced for other programs lack them.",
            "Take the file as FLAME's site gives it.",
        )
    regressor = checked(arrays, "J_regressor", (len(JOINT_NAMES), count), label)
    weights = checked(arrays, "weights", (count, len(JOINT_NAMES)), label)
    if np.abs(regressor.sum(axis=1) - 1).max() > 1e-3:
        raise UnreadableInput(f"{label}: expected rows of J_regressor that sum to 1, got {regressor.sum(axis=1)[:3]}.")
    check_weights(label, "weights", weights)
    faces = triangles(arrays, "f", count, label)
    correctives = checked(arrays, "posedirs", (count, 3, 9 * (len(JOINT_NAMES) - 1)), label)
    check_mesh(label, template, faces, (regressor @ template)[3:], {"shapedirs": directions, "posedirs": correctives})
    return Parametric(
        template=template,
        faces=faces,
        shapes=np.ascontiguousarray(np.moveaxis(directions[:, :, :FIRST_EXPRESSION], 2, 0)),
        expressions=np.ascontiguousarray(np.moveaxis(directions[:, :, FIRST_EXPRESSION:], 2, 0)),
        correctives=np.ascontiguousarray(np.moveaxis(correctives, 2, 0)),
        regressor=regressor,
        weights=weights,
    )


def read_masks(
    path: Path,
    flame: Parametric,
) -> dict[str, Array]:  # part name -> vertex numbers
    """FLAME's masks file, as the parts it names. UnreadableInput where it belongs to another model."""
    table = read_table(path, "FLAME's masks")
    known = [name for name in MASKS if name in table]
    if "face" not in known or "scalp" not in known:
        names = ", ".join(sorted(table)[:4]) or "nothing"
        raise UnreadableInput(f"{path.name}: expected FLAME's masks (face, scalp, neck ...), got {names}.")
    count, parts = len(flame.template), dict[str, Array]()
    for name in known:
        rows = table[name]
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows) or rows.min() < 0 or rows.max() >= count:
            raise UnreadableInput(f"{path.name}: {name} points outside the model's {count} vertices; it is of another.")
        parts[MASKS[name]] = np.union1d(parts.get(MASKS[name], rows), rows)
    for side, joint in (("eyeball_left", 3), ("eyeball_right", 4)):
        middle = (flame.regressor @ flame.template)[joint]
        if side in parts and np.linalg.norm(flame.template[parts[side]].mean(axis=0) - middle) > 0.02:
            raise UnreadableInput(f"{path.name}: its {side} is not where the model's is; it is of another model.")
    return parts


def read_layout(
    path: Path,
    flame: Parametric,
) -> Layout:
    """FLAME's texture layout: an npz with vt and ft (its texture model's file has them), or the template as .obj."""
    if path.suffix.lower() == ".obj":
        from meshlam_core.head.obj_file import read_obj

        mesh = read_obj(path)
        table: dict[str, Array] = {"vt": mesh.uvs, "ft": mesh.uv_faces}
    else:
        table = read_table(path, "FLAME's texture layout")
    uvs = checked(table, "vt", (None, 2), path.name)
    uv_faces = checked(table, "ft", (None, 3), path.name).astype(np.int32)
    if len(uv_faces) != len(flame.faces) or uv_faces.min() < 0 or uv_faces.max() >= len(uvs):
        raise UnreadableInput(
            f"{path.name}: expected the layout of {len(flame.faces)} triangles, got {len(uv_faces)}; "
            "it is of another model."
        )
    return Layout(uvs.clip(0, 1).astype(np.float32), uv_faces)


def triangles(arrays: Mapping[str, Array], name: str, count: int, label: str) -> Array:  # [F, 3] int64
    """The triangles, which must point to the model's vertices."""
    numbers = checked(arrays, name, (None, 3), label)
    if numbers.min() < 0 or numbers.max() >= count or (numbers % 1).any():
        raise UnreadableInput(f"{label}: its triangles point outside its {count} vertices.")
    return numbers.astype(np.int64)


def checked(arrays: Mapping[str, Array], name: str, shape: tuple[int | None, ...], label: str) -> Array:
    """One array in float64, with its shape and values checked."""
    if name not in arrays:
        raise UnreadableInput(f"{label} is not whole: it lacks {name}.", "Take the file as its site gives it.")
    array = np.asarray(arrays[name])
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits or not array.size or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        wanted = "x".join("?" if size is None else str(size) for size in shape)
        came = "x".join(map(str, array.shape))
        raise UnreadableInput(f"{label}: expected {name} as finite numbers {wanted}, got {came}{_not_finite(array)}.")
    return array.astype(np.float64)


def _not_finite(array: Array) -> str:
    if array.dtype.kind not in "fiu":
        return f" of {array.dtype}"
    bad = int((~np.isfinite(array)).sum())
    return f" with {bad} that are not finite" if bad else ""


def _refuse_bodies(arrays: Mapping[str, Array], count: int, label: str) -> None:
    """A model of the whole body has the same names."""
    regressor = np.asarray(arrays.get("J_regressor", np.zeros((len(JOINT_NAMES), count))))
    joints = regressor.shape[0] if regressor.ndim else 0
    if joints != len(JOINT_NAMES):
        name = BODIES.get(count, "another model of its family")
        raise UnreadableInput(
            f"{label} is {name} with {count} vertices and {joints} joints; FLAME with {len(JOINT_NAMES)} was expected.",
            "Take FLAME's own file from https://flame.is.tue.mpg.de.",
        )
