"""The 52 expressions as artists look for them: in groups, by pairs, under readable names. Knows no Blender."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """A region of the face."""

    key: str
    title: str
    begins: tuple[str, ...]  # of the names that belong to it


GROUPS = (
    Group("brows", "Brows", ("brow",)),
    Group("gaze", "Gaze", ("eyeLook",)),
    Group("eyes", "Eyelids", ("eyeBlink", "eyeSquint", "eyeWide")),
    Group("cheeks", "Cheeks and Nose", ("cheek", "nose")),
    Group("jaw", "Jaw", ("jaw",)),
    Group("mouth", "Mouth", ("mouth", "tongue")),
)
OTHER = Group("other", "Your Own", ())
_DIRECTIONS = frozenset({"jawLeft", "jawRight", "mouthLeft", "mouthRight"})  # opposites, not halves of a pair


def group_of(name: str) -> Group:
    """The region that an expression belongs to; keys of the artist's own belong to OTHER."""
    return next((group for group in GROUPS if name.startswith(group.begins)), OTHER)


def grouped(names: Iterable[str], search: str = "") -> list[tuple[Group, list[str]]]:
    """The names by region, only those that hold all the words searched for; empty groups are left out."""
    words = search.lower().split()
    found: dict[str, list[str]] = {}
    for name in names:
        if all(word in f"{name} {label(name)}".lower() for word in words):
            found.setdefault(group_of(name).key, []).append(name)
    return [(group, found[group.key]) for group in (*GROUPS, OTHER) if group.key in found]


def twin(name: str) -> str:
    """The same on the other side of the face, or an empty string."""
    if name in _DIRECTIONS:
        return ""
    if name.endswith("Left"):
        return f"{name.removesuffix('Left')}Right"
    return f"{name.removesuffix('Right')}Left" if name.endswith("Right") else ""


def stem(name: str) -> str:
    """The name without its side; the name itself where it has no twin."""
    return name.removesuffix("Left").removesuffix("Right") if twin(name) else name


def label(name: str) -> str:
    """A name for people: mouthSmileLeft is Mouth Smile Left."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return words[:1].upper() + words[1:]
