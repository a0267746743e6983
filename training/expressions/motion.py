"""How detected landmarks move with every key: a regression over drawn people.

Frames: avatar frame (frames.py). Dims: M pictures of one person, L landmarks, E the 52 expression names.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_MIRROR, ARKIT_NAMES
from meshlam_core.frames import axis_angle_from_rotation
from meshlam_core.points import COUNT, MIRROR
from meshlam_core.tracker.clip_fit import fit_person
from meshlam_core.tracker.fit import HeadFitter
from meshlam_core.tracker.landmarks import face_centre
from meshlam_core.tracker.track import follow, key_frames
from meshlam_core.tracker.types import Detection

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

KEYS = len(ARKIT_NAMES)
RIDGE = 2.0  # of the keys; a person's pictures hold each key at about 0.4 some five times
TERMS = 8  # of the turn
MIRRORED_PLACE = np.array([-1, 1], np.float32)
MIRRORED_TURN = np.array([1, -1, -1], np.float32)


def moved_landmarks(fitter: HeadFitter, detections: list[Detection]) -> tuple[F32, F32]:  # [M, L, 2] m, [M, 3] rad
    """Landmarks of one person's pictures minus his neutral face, in the head's axes, left and up; and its turns."""
    centre = np.median([face_centre(detection) for detection in detections], axis=0)
    person, start = fit_person(fitter, key_frames(fitter, detections), centre)
    faces, _ = follow(fitter, person, detections, start, centre)
    moved = []
    for face, detection in zip(faces, detections, strict=True):
        view = face.rotation @ person.rig.neutral + face.translation[:, None]  # [3, L]
        offset = (detection.landmarks[:, :2] - centre).T * np.array([[1.0], [-1.0]])  # px, up is positive
        at_depth = offset * (-view[2] / np.exp(face.log_focal)) - view[:2]
        moved.append(at_depth.T @ face.rotation[:2, :2])  # R^T (dx, dy, 0), its first two rows
    turns = np.array([axis_angle_from_rotation(face.rotation) for face in faces], np.float32)
    return np.array(moved, np.float32), turns


class Motion:
    """Normal equations of the regression, person by person."""

    def __init__(self) -> None:
        self._square: F64 = np.zeros((KEYS + TERMS, KEYS + TERMS))
        self._product: F64 = np.zeros((KEYS + TERMS, 2 * COUNT))
        self._energy = 0.0

    def add(
        self,
        moved: F32,  # [M, L, 2] m
        turns: F32,  # [M, 3] rad
        truth: F32,  # [M, E]
    ) -> None:
        """A person and his mirror image. What is the same in all his pictures is his face and no motion."""
        sides = (
            (moved, turns, truth),
            (moved[:, MIRROR] * MIRRORED_PLACE, turns * MIRRORED_TURN, truth[:, ARKIT_MIRROR]),
        )
        for place, turn, keys in sides:
            bent = np.concatenate([turn, turn[:, :1] * turn, turn[:, 1:2] * turn[:, 1:]], axis=1)
            inputs = np.concatenate([keys, bent], axis=1).astype(np.float64)
            inputs -= inputs.mean(axis=0)
            outputs = place.reshape(len(place), -1).astype(np.float64)
            outputs = outputs - outputs.mean(axis=0)
            self._square += inputs.T @ inputs
            self._product += inputs.T @ outputs
            self._energy += float((outputs**2).sum())

    def solve(self) -> tuple[F32, float]:  # [E, L, 2] m at coefficient 1, share of the motion that is explained
        """What each key moves."""
        ridge = np.diag(np.r_[np.full(KEYS, RIDGE), np.full(TERMS, 1e-2)])
        found = np.linalg.solve(self._square + ridge, self._product)
        left = self._energy - 2 * (found * self._product).sum() + (found * (self._square @ found)).sum()
        return found[:KEYS].reshape(KEYS, COUNT, 2).astype(np.float32), 1 - float(left) / self._energy
