"""Two head models side by side: how far apart their mean heads are, and how much their keys move.

Both are looked at on the open head's vertices, through their correspondences, the second laid onto the first by a
similarity over the face. Dims: O vertices of the open head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.lay_over import similarity
from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """In millimetres."""

    scale: float  # of the second, to lie on the first
    parts: dict[str, float]  # rms distance of the mean heads, by part of the open head
    keys: dict[str, tuple[float, float, float]]  # rms movement of the first, of the second, of their difference


def compare(one: HeadModel, two: HeadModel, source: HeadModel) -> Comparison:
    """`source` is the open head."""
    part = np.array(source.parts)[source.part]
    face = part == "face"
    a, b = (on_open(head.template, head, source) for head in (one, two))
    scale, rotation, shift = similarity(b[face], a[face])
    off = np.linalg.norm(scale * b @ rotation.T + shift - a, axis=1) * 1000
    outside = [name for name in source.parts if name in ("face", "scalp", "neck", "ears", "eyelids", "lips")]
    keys = {}
    for name in one.blendshape_names:
        if name in two.blendshape_names:
            mine = on_open(one.blendshapes[one.blendshape_names.index(name)], one, None)
            other = scale * on_open(two.blendshapes[two.blendshape_names.index(name)], two, None) @ rotation.T
            keys[name] = (rms(mine[face]), rms(other[face]), rms((mine - other)[face]))
    return Comparison(scale, {name: round(rms(off[part == name, None] / 1000), 2) for name in outside}, keys)


def on_open(values: NDArray[np.floating], head: HeadModel, source: HeadModel | None) -> F64:  # [O, 3]
    """Values at the open head's vertices; positions (with `source`) as the registration laid them."""
    if head.correspondence is None:
        return values.astype(np.float64)
    if source is not None:
        return head.correspondence.laid.astype(np.float64)
    return head.correspondence.to_open(values).astype(np.float64)


def rms(values: F64) -> float:  # [P, d] m -> mm
    return round(float(np.sqrt((values**2).sum(axis=1).mean()) * 1000), 3)
