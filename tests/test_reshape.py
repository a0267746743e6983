"""Weights that know shapes alone: what the pipeline makes of the vertices that they give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.frames import project
from meshlam_core.head.hair import load_hair_model
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.pipeline import _reshaped
from meshlam_core.tracker.crop import Crop, HeadPicture
from meshlam_core.tracker.hair import with_hair
from meshlam_core.tracker.types import Detection, HairHull, TrackedFace
from tests.tracker.test_hair import CAMERA, PLACE, SIDE, covered, in_view, masks, overlap
from training.hairstyles.procedural import draw, ground_of

HEAD = load_head()
HAIR = load_hair_model(HEAD)
assert HAIR is not None
DEPTH = HEAD.template[HAIR.indices, 2].argsort().argsort() / len(HAIR.indices)  # 0 at the very back, 1 in front
BACK = DEPTH < 0.5
STYLE = draw(np.random.default_rng(3), ground_of(HEAD, HAIR), "bob")
REGIONS = masks(in_view(HAIR.hull(HEAD.template, STYLE.growth, STYLE.hidden_ears), 0), in_view(HEAD.template, 0), HEAD)


@dataclass(frozen=True)
class Mover:
    """A refiner that moves every vertex."""

    head: HeadModel
    moves: NDArray[np.float32]  # [V, 3] m

    def reshape(self, job: Any) -> NDArray[np.float32]:
        return np.asarray(job.tracked.surface + self.moves, np.float32)


@pytest.fixture(scope="module")
def tracked() -> TrackedFace:
    """A head with the hull fit's hair."""
    landmarks = project(HEAD.landmarks(in_view(HEAD.template, 0)), CAMERA).astype(np.float32)
    detection = Detection(landmarks, np.zeros(52, np.float32), (0, 0, SIDE, SIDE), 1.0)
    bald = TrackedFace(
        camera=CAMERA,
        identity=np.zeros(len(HEAD.identity_basis), np.float32),
        vertices=HEAD.template,
        expression=np.zeros(len(HEAD.blendshapes), np.float32),
        rotations=np.zeros((5, 3), np.float32),
        translation=PLACE,
        detection=detection,
        landmark_error=0.01,
        plausibility=1.0,
    )
    return with_hair(bald, REGIONS, CAMERA, HEAD)


def reshaped(before: TrackedFace, moves: NDArray[np.float32]) -> TrackedFace:
    picture = HeadPicture(Crop(0, 0, SIDE, SIDE), np.zeros((SIDE, SIDE, 3), np.uint8), None, CAMERA)
    return _reshaped(before, picture, REGIONS, HEAD, cast(Any, Mover(HEAD, moves)))


def test_hidden_hair_goes_where_the_weights_say_and_the_outline_stays_the_photo_s(tracked: TrackedFace) -> None:
    assert tracked.hair is not None
    moves = np.zeros_like(HEAD.template)
    moves[HAIR.indices[BACK]] = 0.01 * HAIR.directions[BACK]
    after = reshaped(tracked, moves)
    assert after.hair is not None
    grown = (after.hair.growth - tracked.hair.growth)[DEPTH < 0.2]
    assert np.median(grown) == pytest.approx(0.01, abs=0.002)
    wanted = REGIONS.person > 0.5
    before, now = (overlap(covered(in_view(one.surface, 0), HEAD)[0], wanted) for one in (tracked, after))
    assert now > before - 0.01


def test_hair_that_the_weights_shrink_all_around_still_fills_the_mask(tracked: TrackedFace) -> None:
    moves = np.zeros_like(HEAD.template)
    moves[HAIR.indices] = -0.01 * HAIR.directions
    after = reshaped(tracked, moves)
    wanted = REGIONS.person > 0.5
    before, now = (overlap(covered(in_view(one.surface, 0), HEAD)[0], wanted) for one in (tracked, after))
    assert now > before - 0.015


def test_the_face_stays_as_it_was_tracked(tracked: TrackedFace) -> None:
    after = reshaped(tracked, np.full_like(HEAD.template, 0.002))
    np.testing.assert_array_equal(after.vertices, tracked.vertices)


def test_where_the_masks_failed_the_head_stays_as_it_was(tracked: TrackedFace) -> None:
    assert tracked.hair is not None
    doubtful: HairHull = replace(tracked.hair, doubt="hair and background look alike")
    before = replace(tracked, hair=doubtful)
    assert reshaped(before, np.zeros_like(HEAD.template)) is before
