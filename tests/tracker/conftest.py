"""A made-up head whose landmarks are known exactly, and a face on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from meshlam_core.arkit import ARKIT_NAMES, reorder
from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.tracker.fit import head_fitter
from meshlam_core.tracker.problem import Face, project_face
from meshlam_core.tracker.rig import LandmarkRig
from meshlam_core.tracker.types import Detection


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


@pytest.fixture(scope="session")
def fitter(head):
    return head_fitter(head)


def look_at(
    fitter,
    identity,  # [n] the first modes
    expression,  # name -> coefficient
    turn=(0.0, 0.0, 0.0),
    distance=1.4,
    focal=1800.0,
    size=(800, 1000),
    noise=0.0,
):
    """A face of the head model as a perfect detector would see it: (true face, detection)."""
    rig = fitter.rig
    full = np.zeros(rig.modes)
    full[: len(identity)] = identity
    coefficients = np.array([expression.get(name, 0.0) for name in rig.names])
    rotation = np.asarray(rotation_from_axis_angle(np.array(turn, dtype=float)))
    translation = np.array([0.01, -0.11, -distance])
    face = Face(full, coefficients, rotation, translation, float(np.log(focal)))
    centre = np.array(size) / 2
    sliding = replace(rig, neutral=rig.neutral.copy(), basis=rig.basis.copy())
    # the outline is where the cheeks end, so it depends on itself: the second pass starts from the first
    targets = project_face(rig, face, centre).pixels
    for _ in range(2):
        fitter.contour.slide(sliding, face, fitter.contour.outline_normals(targets))
        projection = project_face(sliding, face, centre)
        targets = projection.pixels
    depth = (projection.view[2].mean() - projection.view[2]) * focal / distance
    landmarks = np.stack([*targets, depth], axis=1)
    landmarks[:, :2] += np.random.default_rng(0).normal(0, 1, (len(landmarks), 2)) * noise
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    values = reorder(coefficients.astype(np.float32), rig.names, ARKIT_NAMES)
    return face, Detection(landmarks.astype(np.float32), values, (*low.tolist(), *high.tolist()), 1.0)
