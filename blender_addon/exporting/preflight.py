"""What an artist should know before a head is written, and what one click puts right."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..licence import licence_notice
from ..scene.action import hide_photo_pose, rest_pose
from ..scene.correctives import DOCTOR
from ..scene.found import PROVENANCE, BuiltAvatar, editable
from ..scene.paint import pack_paint, unsaved_paint
from ..scene.shape_keys import expression_keys
from .modifiers import shown_modifiers

_NAMED = 3  # of many, so many are named
POSE, PAINT = "POSE", "PAINT"  # what `fix` can put right


@dataclass(frozen=True)
class Finding:
    """One sentence, and what puts it right: a button, a choice of the export, or nothing."""

    sentence: str
    fix: str = ""
    fix_label: str = ""
    choice: str = ""  # a field of the export's options that answers it


def findings(built: BuiltAvatar) -> list[Finding]:
    """What is worth saying about this head; empty when it is ready."""
    found = [*_pose(built), *_modifiers(built), *_paint(built)]
    if DOCTOR in built.rig:
        found.append(
            Finding("Correctives of one key are exported within that key; those of pairs need Blender's drivers.")
        )
    if built.head.data.shape_keys is None:
        found.append(Finding("This head has no shape keys any more: no expressions are exported."))
    notice = licence_notice(json.loads(built.rig.get(PROVENANCE, "{}")))
    if notice:
        found.append(Finding(notice, choice="non_commercial"))
    return found


def fix(built: BuiltAvatar, what: str) -> None:
    """Put one finding right."""
    if what == POSE:
        hide_photo_pose(built.rig, built.head)
        rest_pose(built.rig, built.head)
    elif what == PAINT:
        pack_paint(built)


def _pose(built: BuiltAvatar) -> list[Finding]:
    moved = [key.name for key in expression_keys(built.head) if abs(key.value) > 1e-6]
    rest = np.eye(4)
    bent = [bone.name for bone in built.rig.pose.bones if np.abs(np.array(bone.matrix_basis) - rest).max() > 1e-6]
    if not moved and not bent:
        return []
    parts = [f"{len(names)} {what} ({_some(names)})" for names, what in ((moved, "keys"), (bent, "bones")) if names]
    sentence = f"Not at rest: {' and '.join(parts)}. The neutral head is exported."
    return [Finding(sentence, *((POSE, "Rest Pose") if editable(built) else ()))]


def _modifiers(built: BuiltAvatar) -> list[Finding]:
    others = [item.name for item in shown_modifiers(built.head)]
    sentence = f"Left out, because engines' files know no modifiers beside shape keys: {_some(others)}."
    return [Finding(sentence, choice="modifiers")] if others else []


def _paint(built: BuiltAvatar) -> list[Finding]:
    images = [image.name for image in unsaved_paint(built)]
    if not images:
        return []
    return [Finding(f"Unsaved paint on {_some(images)} is exported, but not in your .blend yet.", PAINT, "Keep Paint")]


def _some(names: list[Any]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
