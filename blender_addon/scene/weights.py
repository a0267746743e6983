"""Vertex groups over a renewal: weights painted on the avatar's joints, and groups of the artist's own.

A vertex is painted where its weights are other than its avatar's file gives it. All of its weights are then the
artist's, those of the other vertices the new file's; where a vertex lies between the two, both are mixed.

Dims: V vertices of the old mesh, N of the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..avatar_reader import AvatarFile
from .mesh import limited_weights

F64 = NDArray[np.float64]
_SAME = 1e-5  # weights closer than this are the same


@dataclass(frozen=True)
class GroupEdits:
    """What an artist did to the vertex groups."""

    share: F64  # [V] 1 where the weights of joints are the artist's, else 0; on another mesh also between
    painted: dict[str, F64]  # [V] by joint: the artist's weights times `share`
    own: dict[str, F64]  # [V] by group
    locked: dict[str, bool]  # by group

    @staticmethod
    def on(head: Any, before: AvatarFile | None, joints: tuple[str, ...]) -> GroupEdits:
        """Told from the file that the head was made of; without it, weights of joints are taken for unpainted."""
        now, count = weights_of(head), len(head.data.vertices)
        share, painted = np.zeros(count), {}
        if before is not None:
            written = limited_weights(before.weights)
            columns = {name: now.get(name, np.zeros(count)) for name in before.joint_names}
            share = (np.abs(np.stack(list(columns.values()), axis=1) - written) > _SAME).any(1).astype(float)
            painted = {name: column * share for name, column in columns.items()}
        own = {name: weights for name, weights in now.items() if name not in joints}
        return GroupEdits(share, painted, own, {group.name: group.lock_weight for group in head.vertex_groups})

    def carried(self, carry: Callable[[F64], F64]) -> GroupEdits:
        """The same on another mesh."""
        painted, own = ({name: carry(field) for name, field in fields.items()} for fields in (self.painted, self.own))
        return replace(self, share=carry(self.share), painted=painted, own=own)

    def put_on(self, head: Any, avatar: AvatarFile) -> None:
        """Give a head the avatar's weights and over them the artist's; groups that it lacks are added."""
        weights = limited_weights(avatar.weights) * (1 - self.share)[:, None]
        wanted = {
            name: column + self.painted.get(name, 0.0)
            for name, column in zip(avatar.joint_names, weights.T, strict=True)
        }
        now = weights_of(head)
        for name, column in {**wanted, **self.own}.items():
            group = head.vertex_groups.get(name) or head.vertex_groups.new(name=name)
            _set(group, now.get(name, np.zeros(len(column))), column)
            group.lock_weight = self.locked.get(name, False)

    def told(self) -> list[str]:
        """What is kept, a sentence each."""
        kept = []
        touched = int((self.share > 0).sum())
        if touched:
            kept.append(f"Painted weights of {touched} vertices")
        if self.own:
            kept.append(f"Your own vertex groups: {', '.join(list(self.own)[:4])}")
        return kept


def weights_of(head: Any, mesh: Any = None) -> dict[str, F64]:
    """[V] by group, in the groups' order; of `mesh` where the object shows another than its own, by modifiers."""
    vertices = (mesh or head.data).vertices
    names = {group.index: group.name for group in head.vertex_groups}
    found = {name: np.zeros(len(vertices)) for name in names.values()}
    for vertex in vertices if names else ():
        for entry in vertex.groups:
            if entry.group in names:
                found[names[entry.group]][vertex.index] = entry.weight
    return found


def _set(group: Any, now: F64, wanted: F64) -> None:
    """Change those weights of a group that are to be others."""
    other = np.abs(wanted - now) > _SAME
    for weight in np.unique(wanted[other & (wanted > 0)]):
        group.add(np.flatnonzero(other & (wanted == weight)).tolist(), float(weight), "REPLACE")
    group.remove(np.flatnonzero(other & (wanted <= 0)).tolist())
