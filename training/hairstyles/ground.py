"""What procedural hairstyles are drawn on: the rays of a head, with places and distances a hairdresser would name.

Frame: avatar frame (see frames.py), metres, on the template. Angles in radians; azimuth 0 is straight ahead, positive
to the subject's left, +-pi behind. Dims: Q vertices that hair moves, T samples along each ray, W random waves.

A solid is an array of values at the samples, positive inside, roughly in metres from its surface; unions are maxima.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import identity
from scipy.sparse.linalg import splu

from meshlam_core.head.hair import HairModel
from meshlam_core.head.model import HeadModel
from training.hairstyles.field import distance_over_skin, neck_border, part_mask, skull_centre, smooth_step
from training.hairstyles.wrap import bending, flat_starts

F64 = NDArray[np.float64]

SAMPLES = 56  # along a ray
SOFTENING = 0.4  # how much bending costs beside leaving a solid's surface
WAVES = 12


@dataclass(frozen=True)
class Fall:
    """How hair hangs; metres below the skull's centre, radians of azimuth."""

    side: float  # m, thickness over the ears
    back: float  # m
    front_end: float
    back_end: float
    open_above: float  # azimuth where hair begins at the ears' lobes and above
    open_below: float  # and at the neck's base and below
    turn_at: float = 1.3  # azimuth from which the back's length counts
    flare: float = 0.0  # m outwards a metre down
    wave: float = 0.0  # m
    frequency: float = 60.0  # radians a metre
    locks: float = 6.0  # around the head
    phase: float = 0.0
    lopsided: float = 0.0
    ragged: float = 0.0  # m
    skew: float = 0.0
    round: float = 0.02  # m, rounding of the lower edge


class Ground:
    """A head's rays, sampled."""

    def __init__(self, head: HeadModel, hair: HairModel) -> None:
        self.hair = hair
        self.centre = skull_centre(head)
        starts = flat_starts(head, hair)
        directions = hair.directions.astype(np.float64)
        steps = np.linspace(0, 1, SAMPLES + 1)[1:]
        self.along = steps * hair.reach[:, None].astype(np.float64)  # [Q, T] m from the skin
        self.points = starts[:, None] + self.along[..., None] * directions[:, None]  # [Q, T, 3]

        self.unit = (starts - self.centre) / np.linalg.norm(starts - self.centre, axis=1, keepdims=True)  # [Q, 3]
        self.azimuth = np.arctan2(self.unit[:, 0], self.unit[:, 2])  # [Q]
        hairy = part_mask(head, "scalp", "ears")
        inside = np.minimum(distance_over_skin(head, ~hairy & part_mask(head, "face", "neck")), 1)
        outside = np.minimum(distance_over_skin(head, hairy), 1)
        self.depth = (inside - outside)[hair.indices]  # [Q] m inside the hair line, negative outside

        offset = self.points - self.centre
        self.around = np.hypot(offset[..., 0], offset[..., 2])  # [Q, T] m from the upright axis
        self.turn = np.arctan2(offset[..., 0], offset[..., 2])  # [Q, T]
        self.below = -offset[..., 1]  # [Q, T] m below the skull's centre
        scalp = head.template[part_mask(head, "scalp")] - self.centre
        self.width, self.length = float(np.abs(scalp[:, 0]).max()), float(-scalp[:, 2].min())
        self.top = float(scalp[:, 1].max())
        ears = head.template[part_mask(head, "ears")][:, 1]
        self.ear_top, self.lobe = (float(self.centre[1] - y) for y in (ears.max(), ears.min()))  # m below the centre
        skin = head.template[part_mask(head, "face")]
        self.chin = float(self.centre[1] - skin[:, 1].min())
        self.brow = float(self.centre[1] - head.template[part_mask(head, "eyelids")][:, 1].max())
        self.base = float(self.centre[1] - head.template[neck_border(head)][:, 1].mean())
        bend = bending(head, hair)
        self._smoother = splu((identity(len(starts)) + SOFTENING * (bend.T @ bend)).tocsc())

    def growth(
        self,
        solid: F64,  # [Q, T]
    ) -> F64:  # [Q] m
        """Where each ray leaves a solid for the last time, smoothed over the mesh."""
        inside = solid > 0
        last = SAMPLES - 1 - inside[:, ::-1].argmax(axis=1)
        row = np.arange(len(solid))
        beyond = (last + 1).clip(max=SAMPLES - 1)
        here, there = solid[row, last], solid[row, beyond]
        part = np.where(beyond > last, here / (here - there).clip(1e-9), 0).clip(0, 1)
        grown = self.along[row, last] + part * (self.along[row, beyond] - self.along[row, last])
        first = solid[:, 0]  # thinner than the first sample: the value itself tells by how much
        thin = (self.along[:, 0] + first).clip(0)
        raw = np.where(inside.any(axis=1), grown, np.minimum(thin, self.along[:, 0]))
        return np.asarray(self._smoother.solve(raw).clip(0, self.hair.reach))

    def shell(
        self,
        thickness: F64,  # [Q] m
    ) -> F64:  # [Q, T]
        """Hair that stands so far off the skin."""
        return np.asarray(thickness[:, None] - self.along)

    def covered(
        self,
        shift: F64 | float,  # [Q] m, how far hair goes beyond the usual hair line; negative: recedes
        softness: float = 0.012,  # m
    ) -> F64:  # [Q] 0..1
        """Where hair grows."""
        return smooth_step((self.depth + shift) / softness + 0.5)

    def near(self, azimuth: float, elevation: float, spread: float) -> F64:  # [Q] 0..1
        """A soft spot on the head."""
        place = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
        angle = np.arccos((self.unit @ place).clip(-1, 1))
        return np.asarray(np.exp(-0.5 * (angle / spread) ** 2))

    def waves(self, rng: np.random.Generator, size: float) -> F64:  # [Q] about -1..1
        """A smooth random field whose bumps are about `size` metres wide."""
        direction = rng.normal(size=(WAVES, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        frequency = np.pi / size * rng.uniform(0.6, 1.2, WAVES)
        phase = rng.uniform(0, 2 * np.pi, WAVES)
        where = 0.09 * self.unit @ (direction * frequency[:, None]).T
        return np.asarray(np.sin(where + phase).sum(axis=1) / np.sqrt(WAVES))

    def ball(
        self,
        centre: F64,  # [3] m from the skull's centre
        axes: F64,  # [3] m
        power: float = 2.0,  # above 2: boxier
    ) -> F64:  # [Q, T]
        """An ellipsoid."""
        scaled = np.abs((self.points - self.centre - centre) / axes)
        return np.asarray((1 - (scaled**power).sum(axis=-1) ** (1 / power)) * axes.min())

    def rope(
        self,
        knots: F64,  # [N, 3] m from the skull's centre
        radii: F64,  # [N] m
    ) -> F64:  # [Q, T]
        """A chain of rounded cones."""
        points = self.points - self.centre
        best = np.full(points.shape[:2], -1.0)
        for a, b, r, s in zip(knots[:-1], knots[1:], radii[:-1], radii[1:], strict=True):
            axis = b - a
            part = (((points - a) @ axis) / (axis @ axis)).clip(0, 1)
            distance = np.linalg.norm(points - a - part[..., None] * axis, axis=-1)
            best = np.maximum(best, r + part * (s - r) - distance)
        return best

    def drape(self, fall: Fall) -> F64:  # [Q, T]
        """Hair that lies on the head like a dome and hangs around it below."""
        azimuth, side = np.abs(self.turn), np.sin(self.turn)  # side: 1 on the left
        behind = smooth_step((azimuth - fall.turn_at) / 0.5)
        low, high = self.below.clip(0), (-self.below).clip(0)
        wide = 1 / np.hypot(side / self.width, np.cos(self.turn) / self.length)
        thick = fall.side + (fall.back - fall.side) * smooth_step((azimuth - 1.3) / 1.3)
        thick = thick * (1 + fall.lopsided * side) * (1 - 0.35 * smooth_step(high / 0.07))
        locks = np.sin(fall.locks * self.turn + 11 * low + fall.phase)
        rings = np.sin(low * fall.frequency + 2.5 * self.turn + 2 * fall.phase)
        wave = fall.wave * (0.6 * locks + 0.5 * rings * (1 + 0.5 * locks)) * smooth_step(low / 0.06)
        dome = np.sqrt((1 - (high / (self.top + 0.65 * fall.side)) ** 2).clip(0))
        radius = (wide + thick) * dome + fall.flare * low + wave
        end = fall.front_end + (fall.back_end - fall.front_end) * behind
        end = end * (1 + 0.5 * fall.lopsided * side) + fall.ragged * np.sin(7 * self.turn + fall.phase)
        sink = smooth_step((self.below - self.lobe) / (self.base - self.lobe))
        opening = fall.open_above + (fall.open_below - fall.open_above) * sink + fall.skew * side * sink
        opening = opening * (1 - smooth_step((high - 0.01) / 0.05))
        low_end = _softer_minimum(radius - self.around, end - self.below, fall.round)
        beside = (azimuth - opening) * np.minimum(self.around, 0.12)
        return _softer_minimum(low_end, beside, 0.015)


def _softer_minimum(a: F64, b: F64, radius: float) -> F64:
    """Minimum with a rounded edge."""
    overlap = (radius - np.abs(a - b)).clip(0) / max(radius, 1e-9)
    return np.asarray(np.minimum(a, b) - overlap**2 * radius / 4)
