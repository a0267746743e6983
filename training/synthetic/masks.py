"""Masks of hair and person: exact, and wrong in the ways of real ones.

Image frame of the canvas. Masks are float32 in 0..1. Dims: H canvas side, h side of the masks.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from meshlam_core.model.borders import signed_distance
from training.synthetic.world import BACKGROUND, EARS, HAIR, NECK, SKIN

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


def exact_masks(label: U8, side: int) -> tuple[F32, F32]:  # hair and person, [h, h] each
    """What the labels say."""
    both = np.stack([label == HAIR, label != BACKGROUND], axis=-1).astype(np.float32)
    small = cv2.resize(both, (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., 0]), np.ascontiguousarray(small[..., 1])


def continued(
    label: U8,  # [H, H]
    filled: tuple[int, int],  # px, (width, height) of the canvas that the photo covers
) -> U8:  # [H, H]
    """Labels that go on beyond the photo as at its edge: where it ends is no border of anything."""
    width, height = filled
    return np.pad(label[:height, :width], ((0, len(label) - height), (0, len(label) - width)), mode="edge")


def skin_mask(label: U8) -> NDArray[np.bool_]:  # [H, H]
    """Face, ears and neck."""
    return np.isin(label, (SKIN, EARS, NECK))


def disturbed(hair: F32, person: F32, rng: np.random.Generator) -> tuple[F32, F32]:  # [h, h] each
    """Borders shifted and wavy, pieces too many and missing, leaks, another person, soft edges."""
    side = len(hair)
    unit = side / 128
    if rng.random() < 0.15:
        return hair, person
    person = _wavy(person, rng, 0.7 * unit)
    hair = _wavy(hair, rng, 1.2 * unit)
    if rng.random() < 0.08:  # hair on a background of its colour
        hair = _wavy(hair, rng, 7 * unit, one_way=-1)
        if rng.random() < 0.6:
            person = np.minimum(person, np.maximum(hair, _wavy(person, rng, 5 * unit, one_way=-1)))
    if rng.random() < 0.08:
        blob = _blob(hair, rng)
        hair, person = np.maximum(hair, blob * (person if rng.random() < 0.5 else 1)), np.maximum(person, blob)
    if rng.random() < 0.06:
        hair = hair * (1 - _blob(hair, rng))
    if rng.random() < 0.04:
        blob = _blob(person, rng)
        person = person * (1 - blob)
    if rng.random() < 0.04:  # somebody beside
        beside = np.zeros_like(person)
        centre = (int(rng.choice([0, side - 1])), int(rng.uniform(0.3, 0.9) * side))
        cv2.ellipse(beside, centre, (int(rng.uniform(0.08, 0.25) * side), int(0.4 * side)), 0, 0, 360, 1.0, -1)
        person = np.maximum(person, beside)
        if rng.random() < 0.5:
            hair = np.maximum(hair, beside * (np.arange(side) < centre[1])[:, None])
    person = np.maximum(person, hair)
    return np.asarray(hair, np.float32), np.asarray(person, np.float32)


def _wavy(mask: F32, rng: np.random.Generator, strength: float, one_way: int = 0) -> F32:
    """The border moved by a smooth random amount, px, and softened."""
    side = len(mask)
    cells = int(rng.integers(3, 14))
    waves = cv2.resize(
        rng.standard_normal((cells, cells)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC
    )
    shift = strength * rng.exponential(0.7) * waves
    shift = one_way * np.abs(shift) if one_way else shift + strength * rng.normal(0, 0.5)
    soft = strength * rng.uniform(0.15, 0.8) if not one_way else 0.7
    return np.asarray((0.5 + (signed_distance(mask) + shift) / (2 * soft + 0.5)).clip(0, 1), np.float32)


def _blob(mask: F32, rng: np.random.Generator) -> F32:
    """A soft ellipse at the mask's border."""
    side = len(mask)
    border = np.argwhere(np.abs(signed_distance(mask)) < 1.5)
    out = np.zeros_like(mask)
    if len(border):
        y, x = border[rng.integers(len(border))]
        axes = (int(side * rng.uniform(0.02, 0.12)) + 1, int(side * rng.uniform(0.02, 0.12)) + 1)
        cv2.ellipse(out, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        out = cv2.GaussianBlur(out, (0, 0), side / 100)
    return out
