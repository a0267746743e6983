"""Hairstyles at random, family by family.

Frame: avatar frame (see frames.py), metres, on the template. Dims: Q vertices that hair moves.

Each family draws its own parameters and says what the hair fills; the head's rays then tell the growths. Beards are a
family of their own although the jaw never grows: their hull is a short cut, their name tells a painter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.hair import HairModel
from meshlam_core.head.model import HeadModel
from training.hairstyles.families import FAMILIES
from training.hairstyles.field import build_field
from training.hairstyles.ground import Ground

F32 = NDArray[np.float32]

Cover = Literal["skin", "hair", "cloth"]


@dataclass(frozen=True)
class Hairstyle:
    """One hairstyle in growth space."""

    name: str
    family: str
    growth: F32  # [Q] m
    hidden_ears: tuple[float, float]  # left, right; 0 seen, 1 hidden
    cover: Cover = "hair"  # what the hull is made of
    beard: bool = False  # a painter's business: the jaw never grows


CLOTH = ("hat", "hood", "headscarf")

HELD_OUT_FAMILIES = ("curls", "quiff")  # never in the basis: the tests' own
HELD_OUT_MESHES = ("bob02", "short02")


_grounds: dict[tuple[int, int], tuple[HeadModel, HairModel | None, Ground]] = {}  # the last head asked for


def ground_of(head: HeadModel, hair: HairModel | None) -> Ground:
    """The head's rays, made once."""
    key = (id(head), id(hair))
    if key not in _grounds:
        _grounds.clear()
        _grounds[key] = (head, hair, Ground(head, build_field(head) if hair is None else hair))
    return _grounds[key][2]


def sample(
    rng: np.random.Generator,
    head: HeadModel,
    hair: HairModel | None = None,
    families: tuple[str, ...] | None = None,  # only these; None: all, each as often as it is met
) -> Hairstyle:
    """A random hairstyle on a head's rays: those of its hair model, or newly found ones."""
    ground = ground_of(head, hair)
    names = tuple(FAMILIES) if families is None else families
    common = np.array([FAMILIES[name][1] for name in names])
    family = names[int(rng.choice(len(names), p=common / common.sum()))]
    return draw(rng, ground, family)


def draw(rng: np.random.Generator, ground: Ground, family: str, name: str | None = None) -> Hairstyle:
    """A random hairstyle of one family."""
    solid, ears = FAMILIES[family][0](rng, ground)
    growth = ground.growth(solid).astype(np.float32)
    cover: Cover = "cloth" if family in CLOTH else "skin" if family == "bald" else "hair"
    return Hairstyle(name or family, family, growth, ears, cover, family == "beard")


def named_styles(head: HeadModel, hair: HairModel | None = None, variants: int = 1) -> tuple[Hairstyle, ...]:
    """Examples of every family, always the same ones: afro-0, afro-1, ..."""
    ground = ground_of(head, hair)
    return tuple(
        draw(np.random.default_rng([sum(family.encode()), i]), ground, family, f"{family}-{i}")
        for family in FAMILIES
        for i in range(variants)
    )


def mirrored(style: Hairstyle, hair: HairModel) -> Hairstyle:
    """The same style with left and right exchanged."""
    left, right = style.hidden_ears
    return replace(style, name=f"{style.name}-mirrored", growth=style.growth[hair.mirror], hidden_ears=(right, left))
