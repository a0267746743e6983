"""Hair as the engine needs it: a style at random, and the hull that it makes of a bald head.

Frame: avatar frame, metres. Dims: V vertices, Q vertices that hair moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Hair:
    """One style."""

    growth: F32  # [Q] m along the rays
    hidden: tuple[float, float]  # 0..1, how far the left and the right ear are covered
    cover: F32  # [V] 0..1, how much of a vertex shows hair instead of skin
    name: str


class HairSource(Protocol):
    """Where styles come from."""

    indices: NDArray[np.int64]  # [Q]

    def sample(self, rng: np.random.Generator) -> Hair: ...

    def hull(self, bald: F32, hair: Hair) -> F32: ...


class StandIn:
    """Radial growth in a few smooth waves."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        part = lambda *names: np.isin(head.part, [head.parts.index(n) for n in names])
        t = head.template
        scalp = t[part("scalp")]
        self.centre = (scalp.max(0) + scalp.min(0)) / 2
        self.indices = np.flatnonzero(part("scalp") | part("ears") | (part("neck") & (t[:, 2] < 0.0)))
        d = t[self.indices] - self.centre
        self.directions = (d / np.linalg.norm(d, axis=1, keepdims=True)).astype(np.float32)
        self.fade = np.where(part("neck")[self.indices], ((t[self.indices, 1] - 0.01) / 0.05).clip(0, 1), 1)
        self.base = part("scalp").astype(np.float32)

    def sample(self, rng: np.random.Generator) -> Hair:
        from training.synthetic.people import smooth_field

        size = np.exp(rng.normal(-3.9, 0.6))
        d = self.directions
        field = smooth_field(d, rng, 0.8, 4.0)[:, 0]
        long = rng.random() < 0.4
        below = ((-d[:, 1] + 0.2) * 1.5).clip(0, 1)
        growth = size * np.exp(0.25 * field) * (1 + (2 * rng.random() if long else -0.8) * below) * self.fade
        growth = growth.clip(0, 0.2).astype(np.float32)
        cover = self.base.copy()
        cover[self.indices] = np.maximum(cover[self.indices], (growth / 0.006).clip(0, 1))
        return Hair(growth, (0.0, 0.0), cover, "stand-in")

    def hull(self, bald: F32, hair: Hair) -> F32:
        out = np.array(bald, np.float32)
        out[self.indices] += hair.growth[:, None] * self.directions
        return out
