"""A made-up head whose landmarks are known exactly, and a face on it."""

from __future__ import annotations

import numpy as np
import pytest

from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.tracker.arkit import ARKIT_NAMES
from meshlam_core.tracker.problem import Face
from meshlam_core.tracker.rig import LandmarkRig


def make_rig(seed: int = 0, count: int = 90, modes: int = 6, shapes: int = 5) -> LandmarkRig:
    """A bumpy half ellipsoid of points with random identity and expression bases."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-1.2, 1.2, (2, count))
    neutral = np.stack(
        [0.07 * np.sin(angle[0]), 0.1 * np.sin(angle[1]), 0.08 * np.cos(angle[0]) * np.cos(angle[1])]
    ) + rng.normal(0, 0.003, (3, count))
    normals = neutral / np.linalg.norm(neutral, axis=0)
    return LandmarkRig(
        neutral=neutral,
        basis=np.concatenate(
            [rng.normal(0, 0.003, (3, modes, count)), rng.normal(0, 0.008, (3, shapes, count))], axis=1
        ),
        modes=modes,
        names=ARKIT_NAMES[:shapes],
        ranges=np.tile([0.0, 1.0], (shapes, 1)),
        normals=normals,
        trust=np.ones(count),
        corners=np.zeros((count, 3), np.int32),
        bary=np.full((count, 3), 1 / 3),
        eyes=np.array([[-0.03, 0.03, 0.05], [0.03, 0.03, 0.05]]),
    )


@pytest.fixture
def rig() -> LandmarkRig:
    return make_rig()


@pytest.fixture
def face(rig) -> Face:
    rng = np.random.default_rng(1)
    return Face(
        identity=rng.normal(0, 0.8, rig.modes),
        expression=rng.uniform(0.1, 0.8, len(rig.names)),
        rotation=np.asarray(rotation_from_axis_angle(np.array([0.1, -0.4, 0.2]))),
        translation=np.array([0.03, -0.02, -0.9]),
        log_focal=np.log(1400.0),
    )
