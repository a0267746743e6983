from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from meshlam_core.points import CHIN, CLASSIC_68, FOREHEAD
from meshlam_core.tracker.types import Detection
from training.evaluate.likeness import Critics, liken
from training.evaluate.truth import HeadTruth, Judges, Window, above_chin

SIDE = 64


def landmarks() -> np.ndarray:  # [478, 3]
    points = np.full((478, 3), 32, np.float32)
    points[FOREHEAD], points[CHIN] = (32, 20, 0), (32, 44, 0)
    return points


@dataclass
class FoundFaces:
    """Answers with prepared faces, one a picture, in turn."""

    answers: list[np.ndarray | None]
    seen: list[np.ndarray] = field(default_factory=list)

    def detect(self, image: np.ndarray, every: bool = True) -> list[Detection]:
        self.seen.append(image)
        found = self.answers.pop(0)
        return [] if found is None else [Detection(found, np.zeros(52, np.float32), (0, 0, 1, 1), 1.0)]


def truth() -> HeadTruth:
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    hair, outline, clothes = np.zeros((3, SIDE, SIDE), bool)
    hair[10:20, 20:44] = outline[20:44, 20:44] = True
    points = landmarks()[:, :2]
    window = Window(0, 0, SIDE, SIDE)
    above = above_chin(points, hair.shape)
    return HeadTruth(window, picture, points, hair, outline, hair | outline, above, clothes)


def judges(*answers: np.ndarray | None) -> Judges:
    return Judges(cast(Any, FoundFaces(list(answers))), cast(Any, None), cast(Any, None))


def rendering(mask: np.ndarray) -> np.ndarray:
    return np.dstack([truth().picture, np.where(mask, 255, 0)]).astype(np.uint8)


def test_what_lies_beyond_the_head_region_does_not_count() -> None:
    everywhere = rendering(np.ones((SIDE, SIDE), bool))
    everywhere[:, 50:, :3] = 0  # far from the head
    scores = liken(everywhere, truth(), judges(landmarks(), landmarks()), Critics(None, None))
    assert scores.found
    assert scores.ssim == pytest.approx(1)
    assert scores.akd == 0


def test_landmarks_three_pixels_off_are_an_akd_of_three() -> None:
    moved = landmarks()
    moved[CLASSIC_68, 0] += 3
    scores = liken(rendering(truth().head), truth(), judges(landmarks(), moved), Critics(None, None))
    assert scores.akd == pytest.approx(3)


def test_a_rendering_without_a_face_counts_as_one_face_height_off() -> None:
    nothing = np.zeros((SIDE, SIDE, 4), np.uint8)
    scores = liken(nothing, truth(), judges(landmarks(), None), Critics(None, None))
    assert not scores.found
    assert scores.akd == pytest.approx(24)


def test_the_detector_sees_nothing_of_the_frame_behind_the_rendering() -> None:
    who = judges(landmarks(), landmarks())
    liken(rendering(truth().outline), truth(), who, Critics(None, None))
    drawn = cast(FoundFaces, who.detector).seen[1]
    assert (drawn[~truth().outline] == 128).all()
