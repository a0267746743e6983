"""Drawn heads as samples of the network: the photo with what the tracker made of it, and the head from all around.

Frames and units: frames.py. Dims: H side of the photo, S texels along a side.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from meshlam_core.errors import UsageError
from meshlam_core.model.borders import SIDE, border_fields
from meshlam_core.model.state import Photo, Rig, is_finite
from training.data.record import photo_of
from training.pictures.views import make_views
from training.rigs import without_lashes
from training.synthetic import open_engine
from training.synthetic.masks import with_distances
from training.synthetic.sample import Engine, SyntheticPhoto
from training.synthetic.waves import start_texture
from training.synthetic.world import CLOTHES, EARS, HAIR, NECK, SKIN, TEXTURE
from training.views import Sample, joined

STREAM, HELD_OUT = 2, 1  # of random numbers; stage G has learnt from 0
TRIES = 10  # samples in a row that may be broken
COLOURFUL = (SKIN, HAIR, EARS, NECK)  # what may colour the head


@dataclass(frozen=True)
class Drawer:
    """Draws the batch of a step, always the same; opens the engine when it is first asked."""

    data: Path
    cache: Path | None
    head: Path | None  # a head model's file; None: the open head
    batch: int
    views: int
    size: int  # px, of the targets
    seed: int
    held_out: bool = False  # drawn of hairstyles, too, that are never learnt from

    @cached_property
    def engine(self) -> Engine:
        """What draws."""
        return open_engine(self.data, self.cache, self.held_out, self.head)

    @cached_property
    def rig(self) -> Rig:
        """The rig that is seen."""
        return without_lashes(self.engine.world.rig, self.engine.world.head)

    def __call__(self, step: int) -> Sample:
        """A batch."""
        numbers = range(step * self.batch, (step + 1) * self.batch)
        stream = (HELD_OUT,) if self.held_out else (STREAM, self.seed)
        return joined([first_whole(lambda seed: self.draw((*stream, *seed)), number) for number in numbers])

    def draw(self, seed: tuple[int, ...]) -> Sample:
        """One head. The views to learn from come in any order, that whoever looks at a few of them sees all kinds."""
        sample = self.engine.sample(seed)
        rng = np.random.default_rng((*seed, 1))
        photo = as_photo(sample, self.engine, self.rig)
        targets = make_views(sample, photo, self.engine.world, self.rig, self.views, self.size, rng)
        truth = torch.from_numpy(sample.truth)[None]
        made = Sample(photo, targets, truth, None)
        return made if self.held_out else made.shuffled(rng)


def first_whole(draw: Callable[[tuple[int, ...]], Sample], number: int) -> Sample:
    """The sample of a number, or of its next try: a broken one is reported and must not end a night's work."""
    for attempt in range(TRIES):
        try:
            sample = draw((number, attempt) if attempt else (number,))
            if not all(map(is_finite, sample.tensors())):
                raise ValueError("it has values that are not finite")
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
            print(f"sample {number}, try {attempt}, is left out: {trouble}", file=sys.stderr, flush=True)
        else:
            return sample
    raise UsageError(f"training: {TRIES} samples in a row were broken, the last one: {trouble}.", "See above.")


def as_photo(sample: SyntheticPhoto, engine: Engine, rig: Rig) -> Photo:
    """The network's input, the texture spread from what the start shows of the photo."""
    head, size = engine.world.head, len(sample.picture)
    photo = photo_of(sample, rig, head.joints(sample.tracked.bald))
    known = (round(sample.shot.filled[0] * SIDE / size), round(sample.shot.filled[1] * SIDE / size))
    masks, distances = (torch.from_numpy(a)[None] for a in with_distances(sample.hair, sample.person, known))
    photo = replace(photo, mask=_mask(sample, masks[:, 1:2]), borders=border_fields(masks, distances))
    return replace(photo, texture=start_texture(photo, rig, TEXTURE))


def _mask(sample: SyntheticPhoto, person: Tensor) -> Tensor:  # [1, 1, R, R] -> [1, 1, H, H]
    """What of the photo may colour the head."""
    shown = (*COLOURFUL, CLOTHES) if sample.who.hair.cloth else COLOURFUL
    allowed = torch.from_numpy(np.isin(sample.label, shown).astype(np.float32))
    found = functional.interpolate(person, size=allowed.shape, mode="bilinear", align_corners=False)
    return found * allowed
