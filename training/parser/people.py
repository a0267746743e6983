"""People of the synthetic engine with their labels: what portraits lack, or what their teacher is wrong about.

That is long hair beside necks and before clothes, bald and shaved heads, on whose shaded skin it sees hair, and all
that the teacher has no name for: ears, necks, glasses, masks, hands and other things before a face.

Frame: image frame. Dims: N image side, M stored side.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from meshlam_core.tracker.landmarks import LandmarkDetector
from training.parser.portraits import figure_sample
from training.synthetic import open_engine
from training.synthetic.camera import take
from training.synthetic.people import draw_person
from training.synthetic.sample import SIDE, photograph
from training.synthetic.world import CLOTHES, EARS, GLASSES, HAIR, HAND, MASK, NECK, OTHER, SKIN

VIEW = 448  # px
WANTED = ("bald", "shaved", "receding", "bob", "long_back", "long_front", "pony_tail", "braid", "headscarf", "hood")
SHORT_KEPT = 0.5  # of the other styles' draws
PORTRAITS = 0.6  # of the pictures are framed as portraits are
CLASSES = ((HAIR,), (SKIN, EARS, NECK, GLASSES), (CLOTHES, MASK, HAND, OTHER))  # hair, skin, other
PARTS = (EARS, NECK, GLASSES, MASK, HAND, OTHER)  # of portraits.PARTS
BEFORE = {"glasses": 0.35, "mask": 0.15, "headphones": 0.06, "hand": 0.2, "microphone": 0.1, "thing": 0.12}


class SyntheticPeople:
    """Draws people at random."""

    def __init__(self, data: Path, cache: Path | None) -> None:
        self._engine = open_engine(data, cache)

    def draw(self, random: np.random.Generator, detector: LandmarkDetector) -> Tensor | None:  # [17, M, M] uint8
        """A training sample, None when no face is found in it or the style is one of many."""
        world = self._engine.world
        person = draw_person(world, self._engine.hair, random)
        if person.hair.name not in WANTED and random.random() > SHORT_KEPT:
            return None
        shot = take(world.head, person.vertices, SIDE, random, portrait=random.random() < PORTRAITS)
        drawn = photograph(world, person, shot, random, VIEW, BEFORE)
        width, height = (round(side * VIEW / SIDE) for side in shot.filled)
        picture, label = np.ascontiguousarray(drawn.picture[:height, :width]), drawn.label[:height, :width]
        faces = detector.detect(np.ascontiguousarray(picture.repeat(2, 0).repeat(2, 1)))  # finds small faces, too
        if not faces:
            return None
        truth = np.stack([np.isin(label, members) for members in CLASSES], axis=-1).astype(np.float32)
        parts = np.stack([label == part for part in PARTS], axis=-1).astype(np.float32)
        return figure_sample(picture, faces[0].landmarks[:, :2].astype(np.float64) / 2, truth, parts)
