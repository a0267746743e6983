"""One identity and one focal length for a clip, from several frames at once.

All frames share identity and focal length; each has its own expression and pose. The joint normal equations are an
arrow, so the frames' own parameters are eliminated first (Schur complement, as in bundle adjustment; Triggs et al.,
"Bundle adjustment - a modern synthesis", 2000, sec. 6). Frames: frames.py. Dims: N modes, K blendshapes, M frames.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.tracker.fit import HeadFitter, Person
from meshlam_core.tracker.observation import Observation
from meshlam_core.tracker.problem import Face
from meshlam_core.tracker.residual import without_folds
from meshlam_core.tracker.solver import Prior, clamped, free_parameters, normal_equations, solve
from meshlam_core.tracker.types import Detection

F64 = NDArray[np.float64]


def spread_frames(
    detections: list[Detection],
    count: int,
) -> list[int]:
    """Indices of the frames whose faces differ most in shape and turn (farthest-point sampling)."""
    shapes = []
    for detection in detections:
        points = detection.landmarks.astype(np.float64)
        points = points - points.mean(axis=0)
        shapes.append((points / max(float(np.sqrt((points[:, :2] ** 2).sum(axis=1).mean())), 1e-9)).ravel())
    data = np.array(shapes)
    chosen = [int(np.linalg.norm(data - np.median(data, axis=0), axis=1).argmin())]
    nearest = np.linalg.norm(data - data[chosen[0]], axis=1)
    while len(chosen) < min(count, len(data)) and nearest.max() > 1e-9:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(data - data[chosen[-1]], axis=1))
    return chosen


def fit_person(
    fitter: HeadFitter,
    detections: list[Detection],  # [M]
    centre: F64,  # [2] px, where the camera's axis meets the picture
    iterations: int = 6,
) -> tuple[Person, Face]:
    """The neutral head of the person in several frames, and the face of the first of them with the shared focal."""
    settings = fitter.settings
    starts = [fitter.start(detection, centre) for detection in detections]
    observations = [fitter.observe(d, centre, start) for d, start in zip(detections, starts, strict=True)]
    # one clip, one guess of the distance: its weight is shared among the frames
    share = float(np.sqrt(len(detections)))
    priors = [
        replace(fitter.prior(d), identity_sigma=np.inf, log_distance_sigma=settings.log_distance_sigma * share)
        for d in detections
    ]
    first = solve(
        observations[0].look,
        starts[0],
        observations[0].targets,
        centre,
        fitter.prior(detections[0]),
        settings.iterations,
        settings.robust_scale,
    ).face
    faces = [with_shared(start, first) for start in starts]
    for _ in range(iterations):
        faces = _joint_step(fitter, faces, observations, priors, centre)
    vertices = fitter.neutral(faces[0].identity)
    if settings.residual:
        fields = [
            fitter.residual.fit(face, observation.sight(face))
            for face, observation in zip(faces, observations, strict=True)
        ]
        vertices = without_folds(vertices, np.mean(fields, axis=0), fitter.model.faces)
    return fitter.person(vertices), faces[0]


def with_shared(face: Face, shared: Face) -> Face:
    """A face with another's identity and focal length, at the distance that keeps its size in the picture."""
    factor = np.exp(shared.log_focal - face.log_focal)
    translation = face.translation * np.array([1.0, 1.0, factor])
    return Face(shared.identity, face.expression, face.rotation, translation, shared.log_focal)


def _joint_step(
    fitter: HeadFitter, faces: list[Face], observations: list[Observation], priors: list[Prior], centre: F64
) -> list[Face]:
    """One Gauss-Newton step on all frames."""
    modes = len(faces[0].identity)
    count = modes + len(faces[0].expression) + 7
    shared = np.append(np.arange(modes), count - 1)
    own = np.arange(modes, count - 1)
    hessian = np.zeros((len(shared), len(shared)))
    gradient = np.zeros(len(shared))
    hessian[np.arange(modes), np.arange(modes)] = 1 / fitter.settings.identity_sigma**2
    gradient[:modes] = faces[0].identity / fitter.settings.identity_sigma**2
    blocks = []
    for face, observation, prior in zip(faces, observations, priors, strict=True):
        rig, W = observation.look(face)
        h, g = normal_equations(rig, face, observation.targets, centre, W, prior, fitter.settings.robust_scale)
        free = own[free_parameters(rig, face, g)[own]]
        damped = h[np.ix_(free, free)]
        damped[np.diag_indices(len(free))] *= 1 + 1e-4
        solved = np.linalg.solve(damped, np.column_stack([h[np.ix_(free, shared)], g[free]]))
        hessian += h[np.ix_(shared, shared)] - h[np.ix_(shared, free)] @ solved[:, :-1]
        gradient += g[shared] - h[np.ix_(shared, free)] @ solved[:, -1]
        blocks.append((free, solved))
    hessian[np.diag_indices(len(shared))] *= 1 + 1e-4
    step_shared = -np.linalg.solve(hessian, gradient)
    moved = []
    for face, (free, solved) in zip(faces, blocks, strict=True):
        step = np.zeros(count)
        step[shared] = step_shared
        step[free] = -solved[:, -1] - solved[:, :-1] @ step_shared
        moved.append(clamped(fitter.rig, face.moved(step)))
    return moved
