"""Lids that meet: a blink of 1 closes an eye and no more, whatever shape it has.

A blink that stops short leaves a slit, one that goes on lays the upper lid over the lower one. So each part of the
upper lid goes as far as the gap that its rim has to close, and the skin above it goes along.

Frame: any whose y is up and x across the eyes. Dims: V vertices, K blendshapes, U and L vertices of the upper and the
lower rim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Indices = NDArray[np.intp]

BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
FALLS = 0.25  # of the largest movement: what moves more is the upper lid's rim
ACROSS = 0.06  # of the eye's width, over which neighbours of the rim agree
LIDS, BEHIND = "eyelids", "eye_sockets"  # parts of the head model
FACTORS = (0.3, 2.0)  # of a key's movement; beyond them the rims were not found


@dataclass(frozen=True)
class Rims:
    """The edges of one eye's lids; both in the order in which they lie across the eye."""

    upper: Indices  # [U]
    lower: Indices  # [L]


def rims_of(
    key: F64,  # [V, 3] what the blink moves
    template: F64,  # [V, 3]
    faces: NDArray[np.integer],  # [F, 3]
    part: NDArray[np.integer],  # [V] index into parts
    parts: tuple[str, ...],
) -> Rims | None:
    """The lids' last vertices before what lies behind them, on the side that the key moves, if there are any."""
    if not {LIDS, BEHIND} <= set(parts):
        return None
    lids, behind = (part == parts.index(name) for name in (LIDS, BEHIND))
    falls = -key[:, 1]
    border = np.unique(faces[lids[faces].any(axis=1) & behind[faces].any(axis=1)])
    middle = template[falls > FALLS * falls.max(), 0].mean() if falls.max() > 0 else 0.0
    rim = border[lids[border] & (template[border, 0] * middle > 0)]
    rim = rim[np.argsort(template[rim, 0], kind="stable")]
    falling = falls[rim] > FALLS * falls.max()
    upper, lower = rim[falling], rim[~falling]
    return Rims(upper, lower) if min(len(upper), len(lower)) > 2 else None


def meeting(
    vertices: F64,  # [V, 3] neutral
    key: F64,  # [V, 3] what a blink of 1 moves
    rims: Rims,
) -> F64:  # [V] by what the key's movement is to be multiplied
    """How far the blink has to go, at each vertex by where it lies across the eye."""
    ends = vertices[rims.lower] + key[rims.lower]
    order = np.argsort(ends[:, 0], kind="stable")
    across, up = ends[order, 0], ends[order, 1]
    start, way = vertices[rims.upper], key[rims.upper]
    low, high = np.zeros(len(way)), np.full(len(way), FACTORS[1])
    for _ in range(12):  # where the way of each vertex of the rim meets the lower lid
        middle = (low + high) / 2
        at = start + middle[:, None] * way
        open_yet = at[:, 1] > np.interp(at[:, 0], across, up)
        low, high = np.where(open_yet, middle, low), np.where(open_yet, high, middle)
    factor = np.clip((low + high) / 2, *FACTORS)
    width = ACROSS * float(np.ptp(vertices[np.concatenate([rims.upper, rims.lower]), 0]))
    weight = np.exp(-(((vertices[:, :1] - start[:, 0]) / width) ** 2) / 2) * way[:, 1] ** 2 + 1e-12
    return np.asarray((weight * factor).sum(axis=1) / weight.sum(axis=1), np.float64)


@dataclass(frozen=True)
class Closing:
    """A head model's eyes, prepared for people's own blinks; none where its parts do not tell lids from pouches."""

    rims: dict[int, Rims]  # by the blendshape that closes the eye

    def met(
        self,
        vertices: F64,  # [V, 3] m, a person's neutral head
        blendshapes: F32,  # [K, V, 3] m
        expression: F64,  # [K] the photo's
    ) -> tuple[F32, F64]:  # blendshapes and expression
        """Blinks that close this person's eyes, and how far the photo's own are then: its lids stay where they are."""
        shapes, values = blendshapes.copy(), expression.copy()
        for key, rims in self.rims.items():
            blink = np.asarray(shapes[key], np.float64)
            factor = meeting(vertices, blink, rims)
            shapes[key] *= factor[:, None].astype(np.float32)
            values[key] = min(float(values[key] / factor[rims.upper].mean()), 1.0)
        return shapes, values


def closing_of(model: HeadModel) -> Closing:
    """Prepare a head model."""
    template = model.template.astype(np.float64)
    found = {
        key: rims_of(model.blendshapes[key].astype(np.float64), template, model.faces, model.part, model.parts)
        for key, name in enumerate(model.blendshape_names)
        if name in BLINKS
    }
    return Closing({key: rims for key, rims in found.items() if rims is not None})
