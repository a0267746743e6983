"""Families of hairstyles: what the hair of each fills, with parameters at random.

Frame: avatar frame (see frames.py), metres, on the template. Dims: Q vertices that hair moves, T samples along a ray.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.hairstyles.field import smooth_step
from training.hairstyles.ground import Fall, Ground

F64 = NDArray[np.float64]
Draw = tuple[F64, tuple[float, float]]  # [Q, T] what hair fills; how far the left and the right ear are hidden


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _cut(
    rng: np.random.Generator,
    ground: Ground,
    top: tuple[float, float],
    sides: tuple[float, float],
    back: tuple[float, float],
    line: float = 0.0,  # m beyond the usual hair line
    texture: float = 0.12,  # share of the thickness
) -> F64:  # [Q] m
    """Thickness of hair that stands or lies on the head: top, sides and back, a little uneven."""
    t, s, b = (_uniform(rng, *limits) for limits in (top, sides, back))
    up = smooth_step((ground.unit[:, 1] - 0.1) / 0.75)
    behind = smooth_step((np.abs(ground.azimuth) - 1.2) / 1.2)
    low = s + (b - s) * behind
    thick = low + (t - low) * up
    thick = thick * (1 + texture * ground.waves(rng, 0.05) + 0.15 * ground.waves(rng, 0.12))
    nape = smooth_step((-ground.unit[:, 1] - 0.35) / 0.4)
    thick = thick * (1 - 0.7 * nape)  # shorter towards the neck
    shift = line + 0.004 * ground.waves(rng, 0.06)
    rise = _uniform(rng, 0.3, 1.0)  # how much of its thickness hair has a finger's breadth behind its line
    full = rise + (1 - rise) * ground.covered(shift - 0.02, 0.05)
    return np.asarray(thick.clip(0.001) * full * ground.covered(shift))


def _seen(rng: np.random.Generator, chance: float = 0.1) -> tuple[float, float]:
    """Ears that are mostly seen."""
    return (float(rng.random() < chance), float(rng.random() < chance))


def bald(rng: np.random.Generator, ground: Ground) -> Draw:
    del rng
    return ground.shell(np.zeros(len(ground.depth))), (0.0, 0.0)


def shaved(rng: np.random.Generator, ground: Ground) -> Draw:
    thick = _uniform(rng, 0.001, 0.004) * ground.covered(_uniform(rng, -0.012, 0.004))
    return ground.shell(thick), (0.0, 0.0)


def receding(rng: np.random.Generator, ground: Ground) -> Draw:
    """A wreath around a bald crown, or corners that go back over the temples."""
    thick = _cut(rng, ground, (0.003, 0.018), (0.004, 0.02), (0.004, 0.02))
    crown = ground.near(np.pi, _uniform(rng, 0.9, 1.3), _uniform(rng, 0.2, 0.5)) * _uniform(rng, 0, 1)
    front = ground.near(0, _uniform(rng, 0.9, 1.2), _uniform(rng, 0.25, 0.55)) * _uniform(rng, 0, 1)
    corners = np.maximum(*(ground.near(side * 0.55, 0.85, 0.22) for side in (-1, 1))) * _uniform(rng, 0.3, 1)
    bare = np.maximum(np.maximum(crown, front), corners)
    return ground.shell(thick * (1 - smooth_step(1.6 * bare - 0.3))), (0.0, 0.0)


def short(rng: np.random.Generator, ground: Ground) -> Draw:
    thick = _cut(rng, ground, (0.008, 0.04), (0.003, 0.022), (0.004, 0.028), _uniform(rng, -0.006, 0.004))
    return ground.shell(thick), _seen(rng)


def beard(rng: np.random.Generator, ground: Ground) -> Draw:
    return shaved(rng, ground) if rng.random() < 0.4 else short(rng, ground)


def side_part(rng: np.random.Generator, ground: Ground) -> Draw:
    """Combed over from a parting; the high side falls over the brow a little."""
    thick = _cut(rng, ground, (0.012, 0.04), (0.005, 0.03), (0.008, 0.03))
    side = rng.choice([-1.0, 1.0])
    where = side * _uniform(rng, 0.25, 0.6)
    plane = ground.unit[:, 0] - np.sin(where)  # left or right of the parting
    over = smooth_step(-side * plane / 0.5 + 0.25)
    forward = smooth_step((ground.unit[:, 2] + 0.3) / 0.8) * smooth_step((ground.unit[:, 1] - 0.1) / 0.5)
    parting = np.exp(-((plane / 0.09) ** 2)) * forward
    lift = _uniform(rng, 0.004, 0.02)
    thick = thick + lift * over * forward - 0.35 * thick * parting * _uniform(rng, 0, 1)
    fringe = over * ground.near(0, 0.5, 0.4) * ground.covered(_uniform(rng, 0.0, 0.02)) * _uniform(rng, 0, 0.015)
    return ground.shell(thick.clip(0) + fringe), _seen(rng, 0.25)


def fringe(rng: np.random.Generator, ground: Ground) -> Draw:
    """Hair over the forehead; short or half-long elsewhere."""
    low = _uniform(rng, 0.008, 0.03)
    thick = _cut(rng, ground, (0.012, 0.035), (0.008, 0.03), (0.01, 0.03))
    front = smooth_step(1 - np.abs(ground.azimuth - _uniform(rng, -0.2, 0.2)) / 1.1)
    over = ground.covered(low, 0.015) * front * (ground.unit[:, 1] > -0.3)
    thick = np.maximum(thick, over * _uniform(rng, 0.006, 0.018))
    solid = ground.shell(thick)
    if rng.random() < 0.5:
        hidden = float(rng.random() < 0.8)
        return np.maximum(solid, ground.drape(_fall(rng, ground, (0.5, 1.1)))), (hidden, hidden)
    return solid, _seen(rng, 0.3)


def quiff(rng: np.random.Generator, ground: Ground) -> Draw:
    """Volume over the forehead, swept up."""
    thick = _cut(rng, ground, (0.012, 0.03), (0.002, 0.016), (0.004, 0.018))
    spot = ground.near(_uniform(rng, -0.35, 0.35), _uniform(rng, 0.7, 0.95), _uniform(rng, 0.3, 0.5))
    return ground.shell(thick + _uniform(rng, 0.015, 0.05) * spot * ground.covered(0.004)), _seen(rng, 0.05)


def afro(rng: np.random.Generator, ground: Ground) -> Draw:
    size = _uniform(rng, 0.02, 0.12)
    shape = 1 + 0.25 * ground.near(0, np.pi / 2, 0.8) * _uniform(rng, -0.8, 1) + 0.08 * ground.waves(rng, 0.09)
    line = ground.covered(_uniform(rng, -0.006, 0.006), 0.02)
    thick = size * shape * line
    low = smooth_step((ground.below[:, 0] - ground.lobe + 0.03) / 0.06)
    thick = thick * (1 - low * _uniform(rng, 0.2, 0.8)) * (1 + 0.05 * ground.waves(rng, 0.03))
    hidden = float(smooth_step(np.array((size - 0.03) / 0.04)))
    return ground.shell(thick), (hidden, hidden)


def curls(rng: np.random.Generator, ground: Ground) -> Draw:
    """Lumpy volume, down to the chin or the shoulders."""
    thick = _cut(rng, ground, (0.025, 0.07), (0.02, 0.06), (0.02, 0.06), 0.004, texture=0.3)
    fall = _fall(rng, ground, (0.35, 1.4), thick=(0.025, 0.06), wave=(0.003, 0.008))
    return np.maximum(ground.shell(thick), ground.drape(fall)), (1.0, 1.0)


def _fall(
    rng: np.random.Generator,
    ground: Ground,
    length: tuple[float, float],  # of the way from the lobe to the neck's base; above 1: beyond
    thick: tuple[float, float] = (0.008, 0.035),
    wave: tuple[float, float] = (0.0, 0.004),
    opening: tuple[float, float] = (0.85, 1.25),
) -> Fall:
    """Hair that ends at about one height all around."""
    reach = ground.base - ground.lobe
    front = ground.lobe + reach * _uniform(rng, *length)
    side = _uniform(rng, *thick)
    open_above = _uniform(rng, *opening)
    return Fall(
        side=side,
        back=side * _uniform(rng, 0.8, 1.5),
        front_end=front,
        back_end=front - _uniform(rng, -0.01, 0.04),
        open_above=open_above,
        open_below=open_above + _uniform(rng, -0.35, 0.15),
        flare=_uniform(rng, -0.12, 0.2),
        wave=_uniform(rng, *wave),
        frequency=_uniform(rng, 30, 110),
        locks=_uniform(rng, 4, 11),
        phase=_uniform(rng, 0, 2 * np.pi),
        lopsided=0.15 * float(rng.normal()),
        ragged=_uniform(rng, 0, 0.006),
    )


def _cap(rng: np.random.Generator, ground: Ground, fall: Fall) -> F64:  # [Q] m
    """The hair above hair that falls: as thick at the sides, with a parting."""
    thick = _cut(
        rng, ground, (0.008, 0.03), (fall.side, fall.side), (fall.back, fall.back), _uniform(rng, -0.004, 0.006)
    )
    where = _uniform(rng, -0.5, 0.5)
    parting = np.exp(-(((ground.unit[:, 0] - np.sin(where)) / 0.1) ** 2)) * (ground.unit[:, 1] > 0.2)
    return np.asarray(thick * (1 - _uniform(rng, 0, 0.6) * parting * smooth_step((ground.unit[:, 2] + 0.4) / 0.6)))


def _one_ear(rng: np.random.Generator) -> tuple[float, float]:
    """Ears under falling hair; now and then one looks out, or both."""
    luck = rng.random()
    return (float(luck > 0.2), float(luck < 0.1 or luck > 0.3))


def bob(rng: np.random.Generator, ground: Ground) -> Draw:
    fall = _fall(rng, ground, (0.15, 1.05))
    return np.maximum(ground.shell(_cap(rng, ground, fall)), ground.drape(fall)), (1.0, 1.0)


def long_back(rng: np.random.Generator, ground: Ground) -> Draw:
    """Long open hair behind the shoulders."""
    fall = _fall(rng, ground, (0.9, 3.0))
    end = fall.front_end
    fall = replace(
        fall,
        front_end=min(end, ground.base * _uniform(rng, 0.75, 1.0)),
        back_end=end,
        open_below=_uniform(rng, 1.3, 2.0),
        turn_at=_uniform(rng, 1.0, 1.5),
    )
    return np.maximum(ground.shell(_cap(rng, ground, fall)), ground.drape(fall)), _one_ear(rng)


def long_front(rng: np.random.Generator, ground: Ground) -> Draw:
    """Long open hair before the shoulders, on one side or both."""
    fall = _fall(rng, ground, (0.9, 2.8), opening=(0.8, 1.15))
    fall = replace(
        fall,
        back_end=ground.base * _uniform(rng, 0.9, 1.5),
        open_below=_uniform(rng, 0.35, 0.8),
        turn_at=_uniform(rng, 1.5, 2.2),
        skew=0.3 * float(rng.normal()),
    )
    return np.maximum(ground.shell(_cap(rng, ground, fall)), ground.drape(fall)), _one_ear(rng)


def _combed_back(rng: np.random.Generator, ground: Ground) -> F64:  # [Q] m
    return _cut(rng, ground, (0.005, 0.022), (0.003, 0.014), (0.006, 0.018), _uniform(rng, -0.004, 0.004), 0.05)


def bun(rng: np.random.Generator, ground: Ground) -> Draw:
    """A knot on the crown, the back or the nape."""
    height = _uniform(rng, -0.5, 1.45)
    distance = 0.085 + _uniform(rng, 0.012, 0.04)
    place = distance * np.array([0.05 * rng.normal(), np.sin(height), -np.cos(height)])
    place[2] *= ground.length / 0.085
    axes = np.array([_uniform(rng, 0.025, 0.05), _uniform(rng, 0.022, 0.04), _uniform(rng, 0.022, 0.04)])
    return np.maximum(ground.shell(_combed_back(rng, ground)), ground.ball(place, axes)), (0.0, 0.0)


def pony_tail(rng: np.random.Generator, ground: Ground) -> Draw:
    """A tail that leaves the back of the head and hangs down."""
    height = _uniform(rng, -0.4, 1.0)
    root = np.array([0, 0.08 * np.sin(height), -(ground.length + 0.002) * np.cos(height)])
    out = _uniform(rng, 0.02, 0.06)
    length, side = _uniform(rng, 0.08, 0.3), 0.02 * float(rng.normal())
    bow = root + np.array([side * 0.3, 0.01, -out])
    knots = np.stack(
        [root, bow, bow + np.array([side, -0.4 * length, -0.01]), bow + np.array([1.5 * side, -length, 0.01])]
    )
    radius = _uniform(rng, 0.014, 0.032)
    tail = ground.rope(knots, radius * np.array([0.8, 1.0, 1.1, 0.5]))
    return np.maximum(ground.shell(_combed_back(rng, ground)), tail), _seen(rng, 0.1)


def braid(rng: np.random.Generator, ground: Ground) -> Draw:
    """A plait from the nape, down the back or over a shoulder."""
    thick = _combed_back(rng, ground) * _uniform(rng, 1, 2)
    root = np.array([0, -0.06, -ground.length * 0.75])
    over = rng.choice([0.0, 0.0, -1.0, 1.0])
    length = _uniform(rng, 0.12, 0.32)
    middle = root + np.array([0.07 * over, -0.35 * length, -0.03 + 0.05 * abs(over)])
    end = middle + np.array([0.02 * over, -0.65 * length, -0.02 + 0.1 * abs(over)])
    along = np.linspace(0, 1, 9)[:, None]
    knots = (1 - along) ** 2 * root + 2 * along * (1 - along) * middle + along**2 * end
    radii = _uniform(rng, 0.014, 0.026) * (1 + 0.15 * (-1.0) ** np.arange(9)) * np.linspace(1.2, 0.7, 9)
    return np.maximum(ground.shell(thick), ground.rope(knots, radii)), _seen(rng, 0.4)


def hat(rng: np.random.Generator, ground: Ground) -> Draw:
    """Caps, beanies and hats with a brim, hair or none below."""
    edge = _uniform(rng, ground.brow - 0.055, ground.brow - 0.02)  # m below the centre
    loose = _uniform(rng, 0.006, 0.02)
    axes = np.array([ground.width + loose, ground.top + _uniform(rng, 0.01, 0.06), ground.length + loose])
    dome = np.minimum(ground.ball(np.zeros(3), axes, _uniform(rng, 2, 4)), edge - ground.below)
    if rng.random() < 0.3:  # a brim, all around or in front
        wide = _uniform(rng, 0.03, 0.07)
        only_front = float(rng.random() < 0.4)
        outline = ground.around - (0.09 + wide * (1 - only_front * smooth_step(np.abs(ground.turn) - 0.5)))
        brim = np.minimum(-outline, 0.008 - np.abs(ground.below - edge))
        dome = np.maximum(dome, brim)
    if rng.random() < 0.4:
        fall = _fall(rng, ground, (0.2, 2.0))
        return np.maximum(dome, ground.drape(fall)), (1.0, 1.0)
    under = _cut(rng, ground, (0.005, 0.02), (0.003, 0.02), (0.004, 0.02))
    hidden = float(rng.random() < 0.3)
    return np.maximum(dome, ground.shell(under)), (hidden, hidden)


def hood(rng: np.random.Generator, ground: Ground) -> Draw:
    """A hood that stands off the head and lies on the shoulders."""
    off = _uniform(rng, 0.02, 0.06)
    thick = off * (1 + 0.1 * ground.waves(rng, 0.08)) * ground.covered(_uniform(rng, 0.0, 0.02), 0.02)
    fall = Fall(
        side=off,
        back=off * 1.2,
        front_end=ground.base + _uniform(rng, 0, 0.06),
        back_end=ground.base + _uniform(rng, 0.02, 0.1),
        open_above=_uniform(rng, 0.8, 1.1),
        open_below=_uniform(rng, 0.4, 0.9),
        flare=_uniform(rng, -0.1, 0.3),
    )
    return np.maximum(ground.shell(thick), ground.drape(fall)), (1.0, 1.0)


def headscarf(rng: np.random.Generator, ground: Ground) -> Draw:
    """Cloth close to the head and around the neck."""
    off = _uniform(rng, 0.006, 0.02)
    thick = off * (1 + 0.15 * ground.waves(rng, 0.06)) * ground.covered(_uniform(rng, 0.004, 0.022), 0.012)
    knot = ground.ball(
        np.array([0, 0.02, -ground.length - 0.01]), np.array([0.05, 0.05, 0.03]) * _uniform(rng, 0.5, 1.3)
    )
    fall = Fall(
        side=off,
        back=off * 1.5,
        front_end=ground.base + _uniform(rng, -0.02, 0.08),
        back_end=ground.base + _uniform(rng, -0.02, 0.12),
        open_above=_uniform(rng, 0.8, 1.0),
        open_below=_uniform(rng, 0.35, 0.7),
        flare=_uniform(rng, -0.15, 0.2),
    )
    solid = np.maximum(ground.shell(thick), ground.drape(fall))
    return (np.maximum(solid, knot) if rng.random() < 0.4 else solid), (1.0, 1.0)


FAMILIES: dict[str, tuple[Callable[[np.random.Generator, Ground], Draw], float]] = {  # and how common each is
    "bald": (bald, 0.6), "shaved": (shaved, 1.0), "receding": (receding, 1.0), "short": (short, 2.5),
    "side_part": (side_part, 1.5), "fringe": (fringe, 1.2), "quiff": (quiff, 1.0), "afro": (afro, 0.8),
    "curls": (curls, 1.2), "bob": (bob, 2.0), "long_back": (long_back, 2.0), "long_front": (long_front, 2.0),
    "bun": (bun, 0.8), "pony_tail": (pony_tail, 0.8), "braid": (braid, 0.6), "hat": (hat, 0.5), "hood": (hood, 0.4),
    "headscarf": (headscarf, 0.4), "beard": (beard, 0.8),
}  # fmt: skip
