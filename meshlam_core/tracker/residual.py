"""The smooth residual: bends the fitted neutral head so that it also meets what the identity basis cannot reach.

A displacement field d(x) = sum_k phi(|x - c_k|) a_k, with Wendland's C2 kernel of compact support (Adv. Comput. Math.
4, 1995) at centres spread over the landmarks, is fitted to the offsets that the parametric fit leaves, each moved from
the picture to its landmark's depth. One view says nothing about depth, so the field stays parallel to the picture.
It is smooth over centimetres, fades out over neck, back and mouth interior, carries each eyeball with its lids as a
rigid body, and is halved until no triangle turns over.

Frames: frames.py. Dims: V vertices, L landmarks, C centres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.points import IRISES, LIPS_INNER
from meshlam_core.tracker.observation import Sighting
from meshlam_core.tracker.problem import Face

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

CENTRES = 110
SUPPORT = 0.075  # m, where a centre's influence ends
STIFFNESS = 0.3  # larger is smoother; 1 balances one fully trusted landmark against one centre
LIMIT = 0.008  # m: larger displacements mean a wrong fit, not a face
STILL_PARTS = ("teeth_upper", "teeth_lower", "tongue")
NECK_FADE = 0.05  # m above the lowest vertices within which the field fades
INTERIOR_FADE = 0.02  # m behind the lips within which it fades inside the mouth


@dataclass(frozen=True)
class SmoothResidual:
    """Everything of the field that depends on the head model alone."""

    at_landmarks: F64  # [L, C]
    at_vertices: F32  # [V, C] faded
    stiffness: F64  # [C, C]
    trust: F64  # [L] how much a landmark pulls: little where an expression may be left over
    rigid: tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]  # (eyeball, its lids) as vertex numbers

    def fit(
        self,
        face: Face,
        sighting: Sighting,
    ) -> F64:  # [V, 3] m, avatar frame
        """The displacement of the neutral head that takes up a fit's left-over offsets."""
        offset = offsets_in_view(face, sighting)
        length = np.linalg.norm(offset, axis=0)
        # a few wild points must not bend the head (Huber's weights)
        weight = sighting.weight * self.trust * np.minimum(1.0, 0.004 / np.maximum(length, 1e-9))
        coefficients = fit_field(self.at_landmarks, weight, offset, STIFFNESS * self.stiffness)
        flat = shortened(self.at_vertices @ coefficients.astype(np.float32), LIMIT)  # [V, 2]
        for ball, lids in self.rigid:
            flat[ball] = flat[lids].mean(axis=0)
        field: F64 = flat.astype(np.float64) @ face.rotation[:2]  # R^T (dx, dy, 0)
        return field


def smooth_residual(model: HeadModel) -> SmoothResidual:
    """Spread the centres over a head model and evaluate its field's basis."""
    template = model.template.astype(np.float64)
    landmarks = model.landmarks(model.template).astype(np.float64)
    skin = np.delete(np.arange(len(landmarks)), IRISES)
    centres = landmarks[skin[_spread(landmarks[skin], min(CENTRES, len(skin)))]]
    trust = np.sqrt(np.clip(model.landmark_weight.astype(np.float64), 0.15, 1))
    trust[IRISES] = 0.0
    trust[LIPS_INNER] = 0.2
    return SmoothResidual(
        at_landmarks=wendland(landmarks, centres, SUPPORT),
        at_vertices=(wendland(template, centres, SUPPORT) * fade(model)[:, None]).astype(np.float32),
        stiffness=wendland(centres, centres, SUPPORT) + 1e-6 * np.eye(len(centres)),
        trust=trust,
        rigid=_eyeballs(model, template),
    )


def offsets_in_view(face: Face, sighting: Sighting) -> F64:  # [2, L] m, view frame
    """A fit's left-over offsets, moved from the picture to each landmark's depth."""
    depth = -sighting.projection.view[2]
    offset: F64 = sighting.offset * (depth / np.exp(face.log_focal)) * np.array([[1.0], [-1.0]])
    return offset


def fit_field(
    at_landmarks: F64,  # [L, C] the centres' influence
    weight: F64,  # [L]
    offset: F64,  # [2, L] m
    stiffness: F64,  # [C, C]
) -> F64:  # [C, 2]
    """The coefficients of a field that meets weighted offsets, by ridge regression."""
    pulled = at_landmarks * weight[:, None]
    return np.asarray(np.linalg.solve(at_landmarks.T @ pulled + stiffness, pulled.T @ offset.T), np.float64)


def shortened(field: NDArray[np.floating], limit: float) -> NDArray[np.floating]:  # [V, 2] -> the same, m
    """Displacements cut to a length."""
    length = np.linalg.norm(field, axis=1, keepdims=True)
    return np.asarray(field * np.minimum(1.0, limit / np.maximum(length, 1e-9)))


def without_folds(
    vertices: F64,  # [V, 3] m
    displacement: F64,  # [V, 3] m
    faces: NDArray[np.int32],  # [F, 3]
) -> F64:  # [V, 3] m
    """The displaced vertices; the displacement is halved until no triangle turns by more than 60 degrees."""
    moving = np.abs(displacement).max(axis=1) > 0
    faces = faces[moving[faces].any(axis=1)]  # the others stay as they are
    before = _triangle_normals(vertices, faces)
    for _ in range(4):
        moved = vertices + displacement
        after = _triangle_normals(moved, faces)
        cosine = (before * after).sum(axis=1)
        size = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        if not (cosine < 0.5 * size - 1e-12).any():
            return moved
        displacement = displacement / 2
    return vertices


def _triangle_normals(vertices: F64, faces: NDArray[np.int32]) -> F64:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals: F64 = np.cross(b - a, c - a)
    return normals


def wendland(points: F64, centres: F64, support: float) -> F64:
    """Wendland's C2 kernel: 1 at a centre, 0 from `support` on."""
    squared = (points**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * points @ centres.T
    r: F64 = np.minimum(np.sqrt(np.maximum(squared, 0)) / support, 1.0)
    values: F64 = (1 - r) ** 4 * (4 * r + 1)
    return values


def _spread(points: F64, count: int) -> NDArray[np.intp]:
    """Farthest-point sampling."""
    chosen = [0]
    nearest = np.linalg.norm(points - points[0], axis=1)
    for _ in range(count - 1):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen, dtype=np.intp)


def fade(model: HeadModel) -> F64:  # [V] 0..1
    """What of a field a vertex takes: nothing at the neck's border, on teeth and tongue, and deep in the mouth."""
    template = model.template.astype(np.float64)
    height = (template[:, 1] - template[:, 1].min()) / NECK_FADE
    share: F64 = np.clip(height, 0, 1) ** 2 * (3 - 2 * np.clip(height, 0, 1))
    share[np.isin(np.array(model.parts)[model.part], STILL_PARTS)] = 0.0
    return share * interior_fade(model)


def interior_fade(model: HeadModel) -> F64:  # [V] 0..1
    """1 outside the mouth; inside it fades with the distance from the lips."""
    part = np.array(model.parts)[model.part]
    depth = model.template[:, 2].astype(np.float64)
    share = np.ones(len(part))
    inside = part == "mouth_interior"
    if inside.any():
        front = depth[part == "lips"].max() if (part == "lips").any() else depth[inside].max()
        share[inside] = np.clip(1.5 - (front - depth[inside]) / INTERIOR_FADE, 0, 1)
    return share


def _eyeballs(model: HeadModel, template: F64) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]:
    part = np.array(model.parts)[model.part]
    lids = np.flatnonzero(part == "eyelids")
    pairs = []
    for name in ("eyeball_left", "eyeball_right"):
        ball = np.flatnonzero(part == name)
        if len(ball):
            side = np.sign(template[ball, 0].mean())
            near = lids[np.sign(template[lids, 0]) == side] if len(lids) else ball
            pairs.append((ball, near))
    return tuple(pairs)
