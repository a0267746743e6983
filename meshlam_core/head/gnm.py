"""GNM Head, version 3 (Google, Apache-2.0): its gnm_head.npz as a parametric model.

The file names its parts and vertices' groups; its head has no jaw joint, the jaw moves by expressions. Its neck joint
is our root and its head joint our neck; jaw and the weights of the jaw come from the open head.

Frame: GNM's own, the avatar frame's axes (x the subject's left, y up, z out of the face), metres.
Dims:  V vertices (17 821), T triangles, J = 4 joints, I = 253 identities, E = 383 expressions, G groups.

Source: https://github.com/google/GNM (names and shapes of the arrays).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meshlam_core.errors import UnreadableInput
from meshlam_core.head.flame import checked, triangles
from meshlam_core.head.flame_file import Array
from meshlam_core.head.parametric import Parametric
from meshlam_core.head.plausible import check_mesh, check_weights

GROUPS = {  # GNM's vertex groups, and the parts that they are
    "left_eye": "eyeball_left",
    "right_eye": "eyeball_right",
    "upper_teeth_and_gums": "teeth_upper",
    "upper_teeth": "teeth_upper",
    "lower_teeth_and_gums": "teeth_lower",
    "lower_teeth": "teeth_lower",
    "tongue": "tongue",
    "skin": "skin",
}
OURS = {"root": 0, "neck": 1}  # our joints by GNM's number; the eyes go by name
EYES = ("left_eye", "right_eye")
SMALL = 1e-6
KEPT = ("tongue", "teeth")  # raw keys that are always kept


@dataclass(frozen=True)
class Gnm:
    """The model, its names and parts."""

    model: Parametric
    parts: dict[str, Array]
    expression_names: tuple[str, ...]
    identity_names: tuple[str, ...]


def is_gnm(names: Mapping[str, object]) -> bool:
    """Whether a table with these entries is GNM's."""
    return "template_vertex_positions" in names and "vertex_identity_basis" in names


def gnm_of(
    arrays: Mapping[str, Array],
    label: str,  # the file, in messages
) -> Gnm:
    """GNM's arrays, checked. UnreadableInput names what is wrong with them."""
    template = checked(arrays, "template_vertex_positions", (None, 3), label)
    count = len(template)
    identities = checked(arrays, "vertex_identity_basis", (None, count, 3), label)
    expressions = checked(arrays, "expression_basis", (None, count, 3), label)
    faces = triangles(arrays, "triangles", count, label)
    names = {key: names_of(arrays, key, label) for key in ("joint_names", "vertex_group_names")}
    joints = joint_numbers(names["joint_names"], label)
    size = len(names["joint_names"])
    own = checked(arrays, "skinning_weights", (size, count), label)
    regressor, weights = np.full((5, count), np.nan), np.zeros((count, 5))
    known = checked(arrays, "joint_regressor", (size, count), label)
    for ours, theirs in joints.items():
        total = known[theirs].sum()
        if not total > SMALL:
            raise UnreadableInput(f"{label}: expected rows of joint_regressor that sum to 1, got {total:.3g}.")
        regressor[ours] = known[theirs] / total
        weights[:, ours] += own[theirs]
    weights /= weights.sum(axis=1, keepdims=True).clip(SMALL)
    check_weights(label, "skinning_weights", weights)
    directions = {"vertex_identity_basis": identities, "expression_basis": expressions}
    check_mesh(label, template, faces, regressor[3:] @ template, directions)
    return Gnm(
        model=Parametric(
            template=template,
            faces=faces,
            shapes=identities,
            expressions=expressions,
            correctives=correctives_of(arrays, joints, size, count, label),
            regressor=regressor,
            weights=weights,
        ),
        parts=parts_of(arrays, names["vertex_group_names"], count, label),
        expression_names=names_of(arrays, "expression_names", label, len(expressions)),
        identity_names=names_of(arrays, "identity_names", label, len(identities)),
    )


def correctives_of(arrays: Mapping[str, Array], joints: Mapping[int, int], size: int, count: int, label: str) -> Array:
    """[36, V, 3] of our joints 1 to 4; what answers to GNM's own root has no place in them."""
    result = np.zeros((4, 9, count, 3))
    if "pose_correctives_regressor" in arrays and arrays["pose_correctives_regressor"].ndim == 2:
        own = checked(arrays, "pose_correctives_regressor", (9 * size, 3 * count), label).reshape(size, 9, count, 3)
        for ours, theirs in joints.items():
            if ours > 0:
                result[ours - 1] = own[theirs]
    return result.reshape(36, count, 3)


def joint_numbers(names: tuple[str, ...], label: str) -> dict[int, int]:
    """GNM's joint of each of ours but the jaw."""
    if len(names) < 4 or not set(EYES) <= set(names):
        found = ", ".join(names)
        raise UnreadableInput(f"{label}: expected a neck, a head and two eyes among its joints, got {found}.")
    eyes = {3 + side: names.index(name) for side, name in enumerate(EYES)}
    return {0: OURS["root"], 1: OURS["neck"], **eyes}


def parts_of(arrays: Mapping[str, Array], names: tuple[str, ...], count: int, label: str) -> dict[str, Array]:
    """Vertices by part."""
    groups = checked(arrays, "vertex_groups", (len(names), count), label)
    found: dict[str, Array] = {}
    for name, weights in zip(names, groups, strict=True):
        part = GROUPS.get(name)
        if part is not None and part not in found and (weights > 0.5).any():
            found[part] = np.flatnonzero(weights > 0.5)
    if "skin" not in found or "eyeball_left" not in found:
        raise UnreadableInput(f"{label}: expected the groups skin, left_eye and right_eye, got {', '.join(names[:6])}.")
    return found


def names_of(arrays: Mapping[str, Array], key: str, label: str, count: int | None = None) -> tuple[str, ...]:
    """One of the file's lists of names."""
    if key not in arrays:
        raise UnreadableInput(f"{label} is not whole: it lacks {key}.")
    names = tuple(str(name) for name in np.asarray(arrays[key]).ravel())
    if count is not None and len(names) != count:
        raise UnreadableInput(f"{label}: expected {count} {key}, got {len(names)}.")
    return names


def raw_choice(gnm: Gnm, expressions: int, identities: int) -> tuple[tuple[str, ...], Array]:
    """The first keys of every region in turn, and after them all of the tongue and the first of the teeth."""
    sides = []
    for names, shapes, most in (
        (gnm.expression_names, gnm.model.expressions, expressions),
        (gnm.identity_names, gnm.model.shapes, identities),
    ):
        kept = [i for i, name in enumerate(names) if name.startswith(KEPT)]
        others = in_turn(names, [i for i in range(len(names)) if i not in kept])[:most]
        limit = kept if shapes is gnm.model.expressions else kept[:identities]
        rows = [*others, *limit]
        sides.append((tuple(names[i] for i in rows), shapes[rows]))
    return sides[0][0] + sides[1][0], np.concatenate([sides[0][1], sides[1][1]])


def in_turn(names: Sequence[str], rows: Sequence[int]) -> list[int]:
    """Numbered names of several kinds, reordered: the first of every kind, then the second of every kind ..."""
    seen: Counter[str] = Counter()
    ranked = []
    for row in rows:
        kind = names[row].rstrip("0123456789")
        ranked.append((seen[kind], row))
        seen[kind] += 1
    return [row for _, row in sorted(ranked)]
