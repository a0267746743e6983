"""Hair as the engine needs it: a style at random, what of the head it covers, and the hull that it makes.

Frame: avatar frame, metres. Dims: V vertices, Q vertices that hair moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.head.hair import HairModel
from meshlam_core.head.hair_transfer import carried_growth, hair_of
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from training.hairstyles import FAMILIES, HELD_OUT_FAMILIES, mirrored, sample

F32 = NDArray[np.float32]

SHOWS = (0.0008, 0.0035)  # m of growth between which skin becomes hair
THICKNESS = 0.12  # spread of a style's growth, in the logarithm
HELD_OUT_SHARE = 0.35  # of held-out samples that have a style of a family never learnt from


@dataclass(frozen=True)
class Hair:
    """One style."""

    growth: F32  # [Q] m along the rays
    hidden: tuple[float, float]  # 0..1, how far the left and the right ear are covered
    cover: F32  # [V] 0..1, how much of a vertex shows hair instead of skin
    name: str  # the family
    cloth: bool = False  # a hat or a scarf
    beard: bool = False


class HairSource:
    """Styles on the rays of a head's hair model; drawn on the open head and carried over where the model is another."""

    def __init__(self, head: HeadModel, held_out: bool = False) -> None:
        model = hair_of(head)
        if model is None:
            raise AssetError(
                f"The head model {head.name} has no hair.", "Build it: python -m training.hairstyles.build."
            )
        self.head, self.held_out = head, held_out
        self.model: HairModel = model
        self.drawn_on = head if head.correspondence is None else load_head()
        own = model if head.correspondence is None else hair_of(self.drawn_on)
        assert own is not None  # what was carried over is there
        self.own: HairModel = own
        self.common = tuple(name for name in FAMILIES if name not in HELD_OUT_FAMILIES)

    def sample(self, rng: np.random.Generator) -> Hair:
        """A random style, thicker or thinner, the parting left or right."""
        foreign = self.held_out and rng.random() < HELD_OUT_SHARE
        style = sample(rng, self.drawn_on, self.own, HELD_OUT_FAMILIES if foreign else self.common)
        if rng.random() < 0.5:
            style = mirrored(style, self.own)
        growth = style.growth * np.float32(np.exp(THICKNESS * rng.standard_normal()))
        if self.head.correspondence is not None:
            growth = carried_growth(growth, self.own, self.model, self.head.correspondence)
        return self._hair(growth, style.hidden_ears, style.family, style.cover, style.beard)

    def hull(self, bald: F32, hair: Hair) -> F32:
        """The head with its hair."""
        return self.model.hull(bald, hair.growth, hair.hidden)

    def _hair(self, growth: F32, hidden: tuple[float, float], name: str, kind: str, beard: bool) -> Hair:
        cover = np.zeros(len(self.head.template), np.float32)
        shown = growth * self.model.growing(hidden)
        share = ((shown - SHOWS[0]) / (SHOWS[1] - SHOWS[0])).clip(0, 1)
        cover[self.model.indices] = 0 if kind == "skin" else share
        return Hair(np.asarray(growth, np.float32), hidden, cover, name, kind == "cloth", beard)
