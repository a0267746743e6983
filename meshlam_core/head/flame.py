"""FLAME as a HeadModel, from the file the user brings.

Frame: avatar frame (FLAME's own axes; the origin moves to the root joint), metres.
Dims:  V = 5023 vertices, F = 9976 triangles, J = 5 joints, N identity modes, K expression modes, L landmarks.

Source: Li et al., "Learning a model of facial shape and expression from 4D scans" (2017): template, shape and
expression directions at one standard deviation, joint regressor, skinning weights, pose correctives answering to R - I.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from meshlam_core.errors import UnreadableInput
from meshlam_core.head.flame_file import Array, read_flame_arrays
from meshlam_core.head.flame_layout import cylinder_layout, mirrored_vertices, rough_parts
from meshlam_core.head.landmark_transfer import transfer_landmarks
from meshlam_core.head.model import F32, HeadModel

JOINT_NAMES = ("root", "neck", "jaw", "left_eye", "right_eye")
JOINT_PARENTS = (-1, 0, 1, 1, 1)
FIRST_EXPRESSION = 300  # of FLAME's 400 directions, the first 300 are identity
LICENCES = {
    "open": "CC-BY-4.0 (FLAME 2023 Open)",
    "other": "FLAME, non-commercial: https://flame.is.tue.mpg.de/modellicense.html",
}


def load_flame(
    path: Path,
    identity_modes: int = 120,
    expression_modes: int = 50,
    embedded_by: HeadModel | None = None,  # the open head, whose landmarks are carried over
) -> HeadModel:
    """FLAME's model file as a head model; without `embedded_by` its landmarks are placeholders of weight 0."""
    return flame_from_arrays(read_flame_arrays(path), path.name, identity_modes, expression_modes, embedded_by)


def is_flame(names: list[str]) -> bool:
    """Whether a file with these arrays is FLAME's."""
    return "v_template" in names and "shapedirs" in names


def flame_from_arrays(
    arrays: dict[str, Array],
    label: str,
    identity_modes: int = 120,
    expression_modes: int = 50,
    embedded_by: HeadModel | None = None,
) -> HeadModel:
    """Check FLAME's arrays and put them into our frame."""
    template = _array(arrays, "v_template", (None, 3), label)
    count = len(template)
    directions = _array(arrays, "shapedirs", (count, 3, None), label)
    if directions.shape[2] <= FIRST_EXPRESSION:
        raise UnreadableInput(f"{label}: expected more than {FIRST_EXPRESSION} shapedirs, got {directions.shape[2]}.")
    regressor = _array(arrays, "J_regressor", (len(JOINT_NAMES), count), label)
    weights = _array(arrays, "weights", (count, len(JOINT_NAMES)), label)
    correctives = _array(arrays, "posedirs", (count, 3, 9 * (len(JOINT_NAMES) - 1)), label)
    faces = _array(arrays, "f", (None, 3), label).astype(np.int32)
    if faces.min() < 0 or faces.max() >= count:
        raise UnreadableInput(f"{label}: its triangles point outside its {count} vertices.")

    root = regressor[0]
    modes = np.moveaxis(directions[:, :, : min(identity_modes, FIRST_EXPRESSION)], 2, 0)
    modes = modes - np.einsum("v,nvd->nd", root, modes)[:, None]  # the root joint of every shape is the origin
    expressions = np.moveaxis(directions[:, :, FIRST_EXPRESSION : FIRST_EXPRESSION + expression_modes], 2, 0)
    template = template - root @ template
    layout = _layout(arrays, template, faces, label)
    part, parts = rough_parts(template, faces, regressor @ template)
    placeholder = np.zeros(478)
    head = HeadModel(
        name="flame",
        licence=LICENCES["open" if "open" in label.lower() else "other"],
        template=template.astype(np.float32),
        faces=faces,
        uvs=layout[0],
        uv_faces=layout[1],
        part=part,
        parts=parts,
        identity_basis=modes.astype(np.float32),
        blendshapes=expressions.astype(np.float32),
        blendshape_names=tuple(f"expression{i + 1:03d}" for i in range(len(expressions))),
        blendshape_ranges=np.tile(np.array([-3, 3], np.float32), (len(expressions), 1)),
        blendshape_kind="flame",
        joint_regressor=regressor.astype(np.float32),
        joint_names=JOINT_NAMES,
        joint_parents=JOINT_PARENTS,
        weights=at_most_four(weights),
        landmark_faces=placeholder.astype(np.int32),
        landmark_bary=np.tile(np.array([1, 0, 0], np.float32), (len(placeholder), 1)),
        landmark_weight=placeholder.astype(np.float32),
        mirror=mirrored_vertices(template),
        pose_correctives=np.moveaxis(correctives, 2, 0).astype(np.float32),
    )
    if embedded_by is None:
        return head
    triangle, bary, weight = transfer_landmarks(embedded_by, head)
    return replace(head, landmark_faces=triangle, landmark_bary=bary, landmark_weight=weight)


def at_most_four(weights: Array) -> F32:  # [V, J]
    """The four strongest joints of each vertex, summing to one: what game engines take."""
    weakest_kept = np.sort(weights, axis=1)[:, -4][:, None]
    kept = np.where(weights >= weakest_kept, weights, 0.0).clip(0)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True), dtype=np.float32)


def _layout(arrays: dict[str, Array], template: Array, faces: Array, label: str) -> tuple[F32, Array]:
    """FLAME's texture coordinates where the file has them (vt, ft), else a plain cylinder."""
    if "vt" not in arrays or "ft" not in arrays:
        return cylinder_layout(template, faces)
    uvs = _array(arrays, "vt", (None, 2), label).astype(np.float32)
    uv_faces = _array(arrays, "ft", (len(faces), 3), label).astype(np.int32)
    if uv_faces.min() < 0 or uv_faces.max() >= len(uvs):
        raise UnreadableInput(f"{label}: ft points outside its {len(uvs)} texture vertices.")
    return uvs, uv_faces


def _array(arrays: dict[str, Array], name: str, shape: tuple[int | None, ...], label: str) -> Array:
    """One array in float64, with its shape and values checked."""
    if name not in arrays:
        raise UnreadableInput(f"{label} is not a FLAME model: it lacks {name}.")
    array = np.asarray(arrays[name])
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits or not np.isfinite(array).all():
        wanted = "x".join("?" if size is None else str(size) for size in shape)
        raise UnreadableInput(f"{label}: expected {name} as finite numbers {wanted}, got {array.shape}.")
    return array.astype(np.float64)
