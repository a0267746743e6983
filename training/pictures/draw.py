"""Drawn heads as samples of the network: the photo with what the tracker made of it, and the head from all around.

Frames and units: frames.py. Dims: S texels along a side.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.errors import UsageError
from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.model.believable import believable
from meshlam_core.model.session import RefineJob, make_photo
from meshlam_core.model.state import Photo, Rig, is_finite
from meshlam_core.texture.albedo import bake_albedo
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.types import TrackedFace
from training.pictures.views import make_views, true_texture
from training.rigs import without_lashes
from training.synthetic import open_engine
from training.synthetic.sample import Engine, SyntheticPhoto
from training.synthetic.world import TEXTURE
from training.views import Sample, joined

U8 = NDArray[np.uint8]

STREAM, HELD_OUT = 2, 1  # of random numbers; stage G has learnt from 0
TRIES = 10  # samples in a row that may be broken


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
        photo = as_photo(sample, self.engine.world.head)
        targets = make_views(sample, photo, self.engine.world, self.rig, self.views, self.size, rng)
        truth = torch.from_numpy(sample.truth)[None]
        made = Sample(photo, targets, truth, true_texture(sample, self.engine.world, self.rig))
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


def as_photo(sample: SyntheticPhoto, head: HeadModel) -> Photo:
    """The network's input as the pipeline makes it of what tracker and hull fit delivered, texture and all."""
    width, height = sample.shot.filled
    tracked = replace(sample.tracked, camera=replace(sample.tracked.camera, size=(width, height)))
    return photo_for_network(tracked, sample.picture[:height, :width], tracked.camera, sample.regions, head)


def photo_for_network(tracked: TrackedFace, picture: U8, camera: Camera, regions: Regions, head: HeadModel) -> Photo:
    """What the pipeline hands to the network: pipeline._draft."""
    texture = bake_albedo(picture, regions, tracked, camera, head, TEXTURE)
    believed = believable(regions, tracked, camera, head, texture.seen)
    return make_photo(RefineJob(tracked, picture, believed, camera, texture.photo, regions), head)
