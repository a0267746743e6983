from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from meshlam_core.files.images import load_photo
from meshlam_core.head.model import HeadModel
from meshlam_core.model.believable import believable
from meshlam_core.points import CHIN, LEFT_EYE, LIPS_INNER
from meshlam_core.tracker.crop import HeadPicture, cut_head
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.pose import landmarks_on_crop
from meshlam_core.tracker.track import track_photo
from meshlam_core.tracker.types import TrackedFace


@pytest.fixture(scope="module")
def found(portrait_file: Path, assets: dict[str, Path], head: HeadModel) -> tuple[TrackedFace, HeadPicture]:
    photo = load_photo(portrait_file)
    tracked = track_photo(photo, MediaPipeDetector(assets["face_landmarker"]), head, "largest")
    return tracked, cut_head(photo, tracked)


def regions(skin: np.ndarray, hair: np.ndarray) -> Regions:
    """What believable looks at of the regions."""
    return SimpleNamespace(skin=skin.astype(np.float32), hair=hair.astype(np.float32))  # type: ignore[return-value]


def test_skin_is_believed_but_neither_eyes_nor_the_gap_between_the_lips(
    found: tuple[TrackedFace, HeadPicture], head: HeadModel
) -> None:
    tracked, picture = found
    size = picture.pixels.shape[:2]
    skin = regions(np.ones(size), np.zeros(size))
    mask = believable(skin, tracked, picture.camera, head, np.full((64, 64), 255, np.uint8))
    assert mask.shape == size
    assert mask.dtype == np.float32
    points = landmarks_on_crop(tracked, picture.camera)
    for ring in (LEFT_EYE, LIPS_INNER):
        x, y = points[ring].mean(0).astype(int)
        assert mask[y, x] == 0
    forehead, nose = points[151].astype(int), points[4].astype(int)
    assert mask[forehead[1], forehead[0]] == mask[nose[1], nose[0]] == 1


def test_what_lies_next_to_clothes_or_background_is_not_believed(
    found: tuple[TrackedFace, HeadPicture], head: HeadModel
) -> None:
    tracked, picture = found
    height, width = picture.pixels.shape[:2]
    skin = np.zeros((height, width))
    skin[:, : width // 2] = 1
    seen = np.full((64, 64), 255, np.uint8)
    mask = believable(regions(skin, 0 * skin), tracked, picture.camera, head, seen)
    assert not mask[:, width // 2 :].any()
    assert (mask[:, width // 2 - 2 : width // 2] < 0.1).all()
    assert mask[height // 8, width // 4] == 1


def test_hair_is_believed_on_the_scalp_but_of_ears_and_neck_only_what_was_accepted_as_theirs(
    found: tuple[TrackedFace, HeadPicture], head: HeadModel
) -> None:
    tracked, picture = found
    size = picture.pixels.shape[:2]
    everything = regions(np.zeros(size), np.ones(size))
    refused = believable(everything, tracked, picture.camera, head, np.zeros((64, 64), np.uint8))
    accepted = believable(everything, tracked, picture.camera, head, np.full((64, 64), 255, np.uint8))
    points = landmarks_on_crop(tracked, picture.camera).astype(int)
    (x, y), forehead = points[CHIN], points[151]
    below = (slice(y + (y - forehead[1]) // 8, y + (y - forehead[1]) // 5), slice(x - 5, x + 5))  # in front of the neck
    assert not refused[below].any()
    assert (accepted[below] == 1).all()
    assert refused[forehead[1], forehead[0]] == 1
