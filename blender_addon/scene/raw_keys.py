"""A head model's own directions as shape keys (FLAME's expression001 ..., shape001 ...), and what its ARKit keys are.

They are made on request, from the avatar's file: hundreds of keys would only be in the way of those who want the 52.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..avatar_reader import AvatarFile
from .found import BuiltAvatar
from .shape_keys import add_key

PARAMETERS = "meshlam_parameters"  # on the rig: names, values of each key and the person's identity, JSON
REACH = 3.0  # standard deviations to which the sliders go
TURNS = 9  # parameters after the expressions: axis-angles of jaw, left and right eye


@dataclass(frozen=True)
class HeadParameters:
    """The head model's parameters, by the names of the keys."""

    names: tuple[str, ...]  # [P]
    keys: dict[str, NDArray[np.float64]]  # [P] each
    raw: tuple[str, ...]  # names of the directions that the avatar's file holds
    identity: NDArray[np.float64]  # [N]

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names of the expressions, in the model's order."""
        return self.names[:-TURNS]


def store_parameters(avatar: AvatarFile, rig: Any) -> None:
    """Keep with the rig what its keys are made of; nothing where the head model has no parameters."""
    if avatar.key_parameters is None or len(avatar.parameter_names) <= TURNS:
        return
    rows = np.round(avatar.key_parameters.astype(np.float64), 6).tolist()
    identity = [] if avatar.identity is None else np.round(avatar.identity.astype(np.float64), 5).tolist()
    told = {
        "names": avatar.parameter_names,
        "keys": dict(zip(avatar.blendshape_names, rows, strict=True)),
        "raw": avatar.raw_names,
        "identity": identity,
    }
    rig[PARAMETERS] = json.dumps(told)


def parameters_of(rig: Any) -> HeadParameters | None:
    """What was stored, or None for a head without."""
    stored = rig.get(PARAMETERS)
    if not stored:
        return None
    told = json.loads(stored)
    keys = {name: np.array(row, np.float64) for name, row in told["keys"].items()}
    return HeadParameters(tuple(told["names"]), keys, tuple(told["raw"]), np.array(told["identity"], np.float64))


def add_raw_keys(avatar: AvatarFile, built: BuiltAvatar, names: tuple[str, ...]) -> list[str]:
    """Add the directions of these names that the file holds and the head lacks; returns the new keys' names.

    ValueError where the mesh no longer has the file's vertices.
    """
    head = built.head
    if avatar.raw_shapes is None:
        return []
    if len(head.data.vertices) != len(avatar.vertices):
        raise ValueError(
            f"The mesh has {len(head.data.vertices)} vertices, its file {len(avatar.vertices)}: it was edited since."
        )
    there = head.data.shape_keys.key_blocks
    added = []
    for name in names:
        if name in avatar.raw_names and name not in there:
            shape = avatar.raw_shapes[avatar.raw_names.index(name)]
            add_key(head, name, avatar.vertices + shape, -REACH, REACH)
            added.append(name)
    return added
