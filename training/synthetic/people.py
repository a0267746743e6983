"""People at random: identity, hair, and the colours of both.

Frame: avatar frame, metres; colours linear. Dims: V vertices, N identity modes, S texels along a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.synthetic.hair import Hair, HairSource
from training.synthetic.world import TEXTURE, World, looked_up

F32 = NDArray[np.float32]

SPREAD = 0.95  # of the identity basis, standard deviations
LUMPS = 0.0012  # m, what the basis cannot say about a face
TEETH = (0.62, 0.55, 0.43)  # linear
HAIR_COLOURS = np.array(  # linear: black, darkest brown, brown, light brown, blond, fair, red, grey, white
    [
        [0.008, 0.007, 0.007],
        [0.022, 0.014, 0.010],
        [0.055, 0.030, 0.017],
        [0.12, 0.070, 0.036],
        [0.28, 0.18, 0.085],
        [0.45, 0.34, 0.19],
        [0.16, 0.050, 0.018],
        [0.20, 0.20, 0.20],
        [0.55, 0.54, 0.52],
    ]
)
HAIR_SHARES = np.array([0.2, 0.2, 0.16, 0.1, 0.1, 0.05, 0.05, 0.08, 0.06])


@dataclass(frozen=True)
class Person:
    """One drawn head."""

    identity: F32  # [N]
    bald: F32  # [V, 3] neutral, without hair
    vertices: F32  # [V, 3] neutral, with hair
    hair: Hair
    texture: F32  # [S, S, 3] linear, skin and eyes
    hair_colour: F32  # [3] linear
    tip_colour: F32  # [3] linear, at the ends
    strand: int  # which strand picture
    waves: tuple[float, float, float]  # strands around the head, how far they wave, how often


def draw_person(world: World, hair: HairSource, rng: np.random.Generator) -> Person:
    """A person."""
    head = world.head
    identity = (SPREAD * rng.standard_normal(len(head.identity_basis))).astype(np.float32)
    bald = head.template + (identity @ world.identity).reshape(-1, 3) + _lumps(world, rng)
    style = hair.sample(rng)
    colour = HAIR_COLOURS[rng.choice(len(HAIR_COLOURS), p=HAIR_SHARES)] * np.exp(0.25 * rng.standard_normal(3) * 0.5)
    if rng.random() < 0.04:
        colour = rng.uniform(0.01, 0.5, 3)  # dyed
    if style.cloth:
        colour = np.exp(rng.normal(-1.8, 1.0)) * np.exp(rng.normal(0, 0.4, 3)).clip(0.1, 3)
    tip = colour * np.exp(rng.normal(0.1, 0.3)) if rng.random() < 0.5 else colour
    return Person(
        identity=identity,
        bald=bald.astype(np.float32),
        vertices=hair.hull(bald, style),
        hair=style,
        texture=_texture(world, colour, style.beard, rng),
        hair_colour=colour.astype(np.float32),
        tip_colour=tip.astype(np.float32),
        strand=int(rng.integers(len(world.strands))),
        waves=(float(rng.uniform(1.0, 3.0)), float(rng.exponential(0.06)), float(rng.uniform(3, 25))),
    )


def smooth_field(points: F32, rng: np.random.Generator, shortest: float, longest: float, count: int = 5) -> F32:
    """[V, 3] a random vector field of unit strength, made of waves of these lengths in metres."""
    total = np.zeros_like(points)
    for _ in range(count):
        wave = rng.standard_normal(3)
        wave *= 2 * np.pi / (np.linalg.norm(wave) * np.exp(rng.uniform(np.log(shortest), np.log(longest))))
        total += np.sin(points @ wave.astype(np.float32) + rng.uniform(0, 2 * np.pi))[:, None] * rng.standard_normal(3)
    return np.asarray(total / np.sqrt(count * 0.5), np.float32)


def _lumps(world: World, rng: np.random.Generator) -> F32:
    moves = np.asarray((world.rig.limits > 0).numpy(), np.float32)[:, None]
    return LUMPS * rng.random() * moves * smooth_field(world.places, rng, 0.05, 0.2)


def _texture(world: World, hair_colour: NDArray[np.floating], beard: bool, rng: np.random.Generator) -> F32:
    """Two skins laid into each other and shifted in colour, a beard, irises."""
    first, second = (world.skins[i] for i in rng.choice(len(world.skins), 2, replace=False))
    share = cv2.resize(rng.random((4, 4)).astype(np.float32), (TEXTURE, TEXTURE), interpolation=cv2.INTER_CUBIC)
    share = (share * rng.uniform(0, 1.6) - 0.3).clip(0, 1)[..., None]
    # the second skin's detail on the first one's tone, so that no border between light and dark is seen
    tones = [skin[50:150, 75:180].mean(axis=(0, 1)) for skin in (first, second)]
    skin = first + share * (second * (tones[0] / tones[1]) - first)
    tone = tones[0] + rng.random() * (tones[1] - tones[0])
    skin = skin * (tone / tones[0] * np.exp(0.12 * rng.standard_normal() + 0.05 * rng.standard_normal(3))).astype(
        np.float32
    )
    bare = tone * (0.9 + 0.1 * rng.random())
    skin = skin + world.scalp * (bare.astype(np.float32) - skin)
    if beard or rng.random() < 0.2:
        skin = _bearded(skin, world, hair_colour, rng)
    iris = world.irises[rng.integers(len(world.irises))]
    if rng.random() < 0.5:
        iris = iris * np.array([0.35, 0.25, 0.2], np.float32)  # brown ones are the most frequent
    at = world.eye_at
    found = looked_up(iris, at[:, 0], at[:, 1])
    white = world.irises[0, 150, 40]
    outer = np.linalg.norm(at - np.array([75.0, 180.0], np.float32), axis=1) > 33
    found[outer] = looked_up(world.irises[0], at[outer, 0], at[outer, 1]) * 0.4 + 0.6 * white
    skin = np.ascontiguousarray(skin, np.float32)
    skin.reshape(-1, 3)[world.eye_texel] = found
    skin.reshape(-1, 3)[world.teeth] = TEETH
    return skin


def _bearded(skin: F32, world: World, colour: NDArray[np.floating], rng: np.random.Generator) -> F32:
    """Stubble to full beards: colour only, as face parsers see it."""
    at = world.template_at
    x, y, z = np.moveaxis(at, -1, 0)
    points = world.head.landmarks(world.places)
    nose, chin = float(points[1, 1]), float(points[152, 1])
    lower = ((nose - 0.010 - y) / 0.012).clip(0, 1) * ((y - chin + 0.04) / 0.03).clip(0, 1) * (z > 0.0)
    lips = points[[13, 14]].mean(axis=0)
    mouth = np.hypot((x - lips[0]) / 0.026, (y - lips[1]) / 0.011)
    lower = lower * ((mouth - 0.8) / 0.4).clip(0, 1)
    noise = rng.random((TEXTURE, TEXTURE)).astype(np.float32)
    amount = rng.uniform(0.2, 0.9) * lower * (0.6 + 0.4 * cv2.GaussianBlur(noise, (0, 0), 0.8) / 0.5)
    amount = cv2.GaussianBlur(amount.astype(np.float32), (0, 0), 1).clip(0, 0.95)[..., None]
    return np.asarray(skin + amount * (0.7 * colour.astype(np.float32) + 0.15 * skin - skin), np.float32)
