"""One synthetic photograph with everything that is known of it.

Frames and units: frames.py. Dims: H canvas side, R side of the masks, V vertices, K blendshapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import rotation_from_axis_angle, yaw_of
from meshlam_core.model.borders import SIDE as SIDE_OF_MASKS
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.types import TrackedFace
from training.synthetic.camera import Shot, take
from training.synthetic.detector_errors import DetectorErrors
from training.synthetic.draw import draw_head, pose_person
from training.synthetic.hair import HairSource
from training.synthetic.masks import continued, disturbed, exact_masks
from training.synthetic.occluders import SHARES, add_occluders
from training.synthetic.people import Person, draw_person
from training.synthetic.spoil import Grade, spoiled
from training.synthetic.surroundings import background, collar, shoulders
from training.synthetic.tracked import laid_on_face, simulate_tracker, with_hull
from training.synthetic.world import BACKGROUND, HAIR, World, to_srgb

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

SIDE = 256  # px, of the canvas
DRAWN = 320  # px, at which is drawn


@dataclass(frozen=True)
class SyntheticPhoto:
    """A picture, its labels, the tracker's view of it and the truth."""

    picture: U8  # [H, H, 3] sRGB
    label: U8  # [H, H] index into LABELS
    hair: F32  # [R, R] 0..1, masks over the canvas, wrong as real ones are; beyond the photo as at its edge
    person: F32  # [R, R]
    tracked: TrackedFace  # on the canvas, with the hull fit's hair
    regions: Regions  # of what the photo fills of the canvas
    truth: F32  # [V, 3] m, neutral, laid onto the tracker's head by the face (tracked.laid_on_face)
    shot: Shot
    style: str
    yaw: float  # rad
    who: Person
    surface: F32  # [V, 10] what of the head's look stays when others look at it (draw.lit_surface)
    grade: Grade


@dataclass(frozen=True)
class Engine:
    """All that is needed to draw samples."""

    world: World
    hair: HairSource
    errors: DetectorErrors

    def sample(self, seed: int | tuple[int, ...], portrait: bool = False) -> SyntheticPhoto:
        """The sample of a seed, always the same."""
        rng = np.random.default_rng(seed)
        person = draw_person(self.world, self.hair, rng)
        shot = take(self.world.head, person.vertices, SIDE, rng, portrait)
        drawn = photograph(self.world, person, shot, rng)
        label = drawn.label
        bald = pose_person(person, shot, self.world, person.bald).numpy()
        tracked = simulate_tracker(self.world.head, bald, shot, self.errors, rng)
        truth = laid_on_face(person.vertices, person.bald, tracked, self.world.head)
        hair, people = disturbed(*exact_masks(continued(label, shot.filled), SIDE_OF_MASKS), rng)
        seen = (drawn.picture, label, shot.filled)
        tracked, regions = with_hull(tracked, self.world.head, hair, people, *seen)
        turn = rotation_from_axis_angle(shot.rotation)
        yaw = yaw_of(turn)
        name, look = person.hair.name, (person, drawn.surface, drawn.grade)
        return SyntheticPhoto(drawn.picture, label, hair, people, tracked, regions, truth, shot, name, yaw, *look)


@dataclass(frozen=True)
class Photograph:
    """A picture and how it came about."""

    picture: U8  # [H, H, 3] sRGB
    label: U8  # [H, H] index into LABELS
    surface: F32  # [V, 10] draw.lit_surface
    grade: Grade


def photograph(
    world: World,
    person: Person,
    shot: Shot,
    rng: np.random.Generator,
    size: int = SIDE,
    before: Mapping[str, float] = SHARES,  # how often there are things before the head
) -> Photograph:
    """The whole picture: background, shoulders, head, what is before it, the camera's faults."""
    drawn = round(DRAWN * size / SIDE)
    scale = drawn / shot.camera.size[0]
    head = draw_head(person, shot, world, drawn, rng)
    colour = background(world, drawn, rng)
    label = np.full((drawn, drawn), BACKGROUND, np.uint8)
    neck = head.pixels[world.neck_border, :2]
    bare = person.texture[60:110, 90:165].mean(axis=(0, 1)) * 0.7
    shoulders(colour, label, neck, shot.face * scale, bare, rng)
    hit = head.label != BACKGROUND
    colour[hit], label[hit] = head.colour[hit], head.label[hit]
    if rng.random() < 0.4:
        collar(colour, label, neck, shot.face * scale, rng)
    landmarks = world.head.landmarks(head.pixels).astype(np.float64)[:, :2]
    hull = head.pixels[:, :2].astype(np.float64)
    add_occluders(colour, label, landmarks, hull, bare, rng, world.hands, before)
    colour, label = _frayed(colour, label, scale, rng)
    colour = cv2.resize(colour, (size, size), interpolation=cv2.INTER_AREA)
    label = cv2.resize(label, (size, size), interpolation=cv2.INTER_NEAREST)
    pixels, grade = spoiled(to_srgb(colour), rng)
    width, height = (round(side * size / shot.camera.size[0]) for side in shot.filled)
    pixels[height:], pixels[:, width:] = 0, 0
    label[height:], label[:, width:] = BACKGROUND, BACKGROUND
    return Photograph(pixels, label, head.surface, grade)


def _frayed(colour: F32, label: U8, scale: float, rng: np.random.Generator) -> tuple[F32, U8]:
    """Hair has no smooth outline: shift pixels about near it."""
    side = len(label)
    hair = cv2.blur((label == HAIR).astype(np.float32), (9, 9))
    amount = scale * rng.exponential(0.7) * (hair > 0) * (hair < 1)
    if not amount.any():
        return colour, label
    noise = cv2.GaussianBlur(rng.standard_normal((side, side, 2), dtype=np.float32), (0, 0), 1.2 * scale)
    shift = (noise / 0.25 * amount[..., None]).astype(np.float32)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    x, y = columns + shift[..., 0], rows + shift[..., 1]
    return cv2.remap(colour, x, y, cv2.INTER_LINEAR), cv2.remap(label, x, y, cv2.INTER_NEAREST)
