"""Weights that know shapes alone: what the pipeline makes of the vertices that they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import Camera, project
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.model.state import hair_share
from meshlam_core.pipeline import _reshaped
from meshlam_core.tracker.crop import Crop, HeadPicture
from meshlam_core.tracker.pose import posed_vertices
from meshlam_core.tracker.types import Detection, HairHull, TrackedFace

HEAD = load_head()
CAMERA = Camera(400.0, (64.0, 70.0), (128, 128))


@dataclass(frozen=True)
class Mover:
    """A refiner that moves hair and neck, and nothing else."""

    head: HeadModel
    hair_share: NDArray[np.float32]
    moves: NDArray[np.float32]  # [V, 3] m

    def reshape(self, job: Any) -> NDArray[np.float32]:
        return np.asarray(job.tracked.surface + self.moves, np.float32)


def tracked(doubt: str = "") -> TrackedFace:
    detection = Detection(np.zeros((478, 3), np.float32), np.zeros(52, np.float32), (0, 0, 128, 128), 1.0)
    grown = np.zeros_like(HEAD.template)
    return TrackedFace(
        camera=CAMERA,
        identity=np.zeros(len(HEAD.identity_basis), np.float32),
        vertices=HEAD.template,
        expression=np.zeros(len(HEAD.blendshapes), np.float32),
        rotations=np.array([[0.3, 0.4, -0.2], *np.zeros((4, 3))], np.float32),
        translation=np.array([0.02, -0.12, -0.9], np.float32),
        detection=detection,
        landmark_error=0.01,
        plausibility=1.0,
        hair=HairHull(grown, np.zeros(0, np.float32), (0.0, 0.0), doubt),
    )


def mover() -> Mover:
    share = hair_share(HEAD)
    assert share is not None
    moves = np.zeros_like(HEAD.template)
    moves[HEAD.part == HEAD.parts.index("neck")] = [0.003, -0.012, 0.004]
    moves[HEAD.part == HEAD.parts.index("scalp"), 1] = 0.02
    return Mover(HEAD, share, moves)


def reshaped(before: TrackedFace) -> TrackedFace:
    picture = HeadPicture(Crop(0, 0, 128, 128), np.zeros((128, 128, 3), np.uint8), None, CAMERA)
    return _reshaped(before, picture, cast(Any, None), cast(Any, mover()))


def test_a_longer_neck_moves_the_root_joint_and_leaves_the_face_where_it_is_in_the_photo() -> None:
    before = tracked()
    after = reshaped(before)
    root_before, root_after = (HEAD.joints(one.vertices)[0] for one in (before, after))
    np.testing.assert_allclose(root_after, root_before, atol=1e-5)
    face = HEAD.part == HEAD.parts.index("lips")
    seen_before, seen_after = (project(posed_vertices(one, HEAD).numpy(), CAMERA) for one in (before, after))
    np.testing.assert_allclose(seen_after[face], seen_before[face], atol=2e-3)
    scalp = HEAD.part == HEAD.parts.index("scalp")
    assert np.abs(seen_after[scalp] - seen_before[scalp]).max() > 4  # px


def test_what_hair_moves_is_hair_and_what_it_cannot_move_is_the_head_s_own() -> None:
    after = reshaped(tracked())
    assert after.hair is not None
    scalp = mover().hair_share > 0.999
    np.testing.assert_allclose(after.hair.displacement[scalp], mover().moves[scalp], atol=1e-6)
    bare = mover().hair_share == 0
    np.testing.assert_allclose(after.hair.displacement[bare], 0, atol=1e-6)


def test_where_the_masks_failed_the_head_stays_as_it_was() -> None:
    before = tracked("hair and background look alike")
    assert reshaped(before) is before
