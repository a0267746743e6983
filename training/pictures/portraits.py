"""Real photographs as samples: what the pipeline hands to the network, and what the masks say of the same picture.

Nobody's shape is known: the target is the photo itself, or other frames of the same clip. Portraits that are held out
(splits.py) are never opened.

Frames and units: frames.py. Dims: H side of the target, N frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from meshlam_core.assets import asset_path
from meshlam_core.errors import UsageError
from meshlam_core.files.images import Photo as File
from meshlam_core.files.images import load_photo
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.model.parsing_head import CLASSES
from meshlam_core.model.state import Photo, resize
from meshlam_core.points import CHIN
from meshlam_core.tracker.crop import HeadPicture, cut_head
from meshlam_core.tracker.hair import with_hair
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.neutral import at_rest
from meshlam_core.tracker.parsing import Regions, parse_person
from meshlam_core.tracker.pose import landmarks_on_crop
from meshlam_core.tracker.sides import with_sides
from meshlam_core.tracker.track import track_photo
from meshlam_core.tracker.types import TrackedFace
from training.pictures.draw import first_whole, photo_for_network
from training.splits import held_out
from training.synthetic.sample import SIDE
from training.views import UNKNOWN, Sample, TargetViews, joined

STREAM = 3  # of random numbers
SURE, NONE = 0.6, 0.2  # of a mask, from and up to which a pixel's class is known


class Looking:
    """What looks at photographs; head model and landmark network are opened when the first of them is needed."""

    head_file: Path | None  # a head model's; None: the open head

    @cached_property
    def head(self) -> HeadModel:
        """The head model."""
        return load_head(self.head_file)

    @cached_property
    def detector(self) -> LandmarkDetector:
        """Finds faces."""
        return MediaPipeDetector(asset_path("face_landmarker.task"))


@dataclass(frozen=True)
class Portraits(Looking):
    """Picks the batch of a step, always the same one."""

    folder: Path
    head_file: Path | None
    batch: int
    size: int  # px, of the targets
    seed: int

    @cached_property
    def paths(self) -> list[Path]:
        """Those that may be trained on."""
        found = [path for path in sorted(self.folder.glob("*.jpg")) if not held_out(path.name)]
        if not found:
            raise UsageError(f"Expected portraits (*.jpg) to learn from in {self.folder}, found none.")
        return found

    def __call__(self, step: int) -> Sample:
        """A batch; a portrait that cannot be read, or shows no face, is reported, and another one takes its place."""
        numbers = range(step * self.batch, (step + 1) * self.batch)
        return joined([first_whole(self.pick, number) for number in numbers])

    def pick(self, seed: tuple[int, ...]) -> Sample:
        """One of the portraits."""
        rng = np.random.default_rng((STREAM, self.seed, *seed))
        path = self.paths[rng.integers(len(self.paths))]
        try:
            seen = look_at(path, self.detector, self.head)
        except Exception as error:
            raise ValueError(f"{path.name}: {error}") from error
        return sample_of(seen, [seen], self.size)


@dataclass(frozen=True)
class Seen:
    """A photograph, or a frame of a clip, with what was found in it; its square canvas has SIDE pixels."""

    photo: Photo  # a batch of one, on the canvas
    masks: Tensor  # [1, 4, H, H] 0..1: hair, skin, person, and where nobody looked
    chin: float  # px of the canvas, its row


def look_at(path: Path, detector: LandmarkDetector, head: HeadModel) -> Seen:
    """What the pipeline does before the network; MeshlamError where it refuses the photo."""
    return look_at_photo(load_photo(path), detector, head)[0]


def look_at_photo(photo: File, detector: LandmarkDetector, head: HeadModel) -> tuple[Seen, TrackedFace]:
    """The same of a photo that is read already, and the head that was fitted to it."""
    tracked = at_rest(track_photo(photo, detector, head), head)
    picture, regions = _parsed(photo, tracked)
    tracked = with_sides(tracked, regions, picture.camera, head)
    tracked = with_hair(tracked, regions, picture.camera, head)
    return _seen(tracked, picture, regions, head), tracked


def look_again(photo: File, tracked: TrackedFace, head: HeadModel) -> Seen:
    """Another frame of a head that is known, and where it is there."""
    return _seen(tracked, *_parsed(photo, tracked), head)


def _parsed(photo: File, tracked: TrackedFace) -> tuple[HeadPicture, Regions]:
    picture = cut_head(photo, tracked)
    regions = parse_person(picture.pixels, landmarks_on_crop(tracked, picture.camera), picture.alpha)
    if regions.trouble:
        raise ValueError(f"its masks failed: {regions.trouble}")
    return picture, regions


def _seen(tracked: TrackedFace, picture: HeadPicture, regions: Regions, head: HeadModel) -> Seen:
    photo = photo_for_network(tracked, picture.pixels, picture.camera, regions, head)
    height, width = regions.hair.shape
    side = max(height, width)
    masks = torch.from_numpy(np.stack([regions.hair, regions.skin, regions.person, 1 - regions.looked_at]))[None]
    beyond = functional.pad(masks.float(), (0, side - width, 0, side - height))
    beyond[:, 3, height:], beyond[:, 3, :, width:] = 1, 1
    chin = float(landmarks_on_crop(tracked, picture.camera)[CHIN, 1])
    return Seen(photo.resized(SIDE), resize(beyond, SIDE), chin * SIDE / side)


def sample_of(source: Seen, frames: Sequence[Seen], size: int) -> Sample:
    """A source and the frames to compare with: itself, or others of its clip, which share its neutral head."""
    views = [_target(frame, source.photo.joints, size) for frame in frames]
    targets = joined([Sample(source.photo, view, None, None) for view in views]).targets
    return Sample(source.photo, replace(targets, views=len(frames)), None, None)


def _target(frame: Seen, joints: Tensor, size: int) -> TargetViews:
    near = frame.photo.resized(size)
    return TargetViews(
        image=near.image,
        mask=(near.mask > 0.5).float(),
        normals=torch.zeros_like(near.image),
        classes=_classes(frame, size),
        cameras=near.cameras,
        rotations=near.rotations,
        translation=near.translation,
        expression=near.expression,
        joints=joints,
        views=1,
    )


def _classes(frame: Seen, size: int) -> Tensor:  # [1, H, H] uint8
    """Background, skin and hair where the masks are sure.

    Unknown is what hides a head without being one, and skin below the chin: where the neck ends nobody can say.
    """
    hair, skin, person, unseen = resize(frame.masks, size)[0]
    above = torch.arange(size)[:, None] < frame.chin * size / frame.masks.shape[-1]
    found = torch.full((1, size, size), UNKNOWN, dtype=torch.uint8)
    for name, where in (
        ("background", person < NONE),
        ("skin", (skin > SURE) & above),
        ("hair", hair > SURE),
    ):
        found[0, where & (unseen < NONE)] = CLASSES.index(name)
    return found
