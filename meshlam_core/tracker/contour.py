"""Outline landmarks: points of MediaPipe's face oval that lie on the visible edge of the cheeks, not on a fixed spot.

When the head turns, such a point slides over the skin, so it says nothing along the outline, but exactly how far the
face reaches across it. Each is therefore matched, in every iteration, with the vertex of a short strip of cheek that
reaches farthest outwards at the present pose. The cheek's width in the photo hangs on these points alone.

Frames: frames.py. Dims: S sliding points, C candidate vertices, M the most candidates of one point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.surface import vertex_normals
from meshlam_core.points import OVAL
from meshlam_core.tracker.problem import NEAREST, Face
from meshlam_core.tracker.rig import LandmarkRig, stacked_basis

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
Indices = NDArray[np.intp]

FIXED_TRUST = 0.3  # a point of the oval that the embedding found this reliably stays a landmark
REACH = 0.032  # m, how far a point may slide from where the embedding has it
STRIP = 0.007  # m, half the width of its strip
OUTLINE_TRUST = 0.35  # weight of an outline point against a landmark of trust 1


@dataclass(frozen=True)
class ContourRig:
    """Where the sliding points may go."""

    points: Indices  # [S] landmark numbers
    before: Indices  # [S] their neighbours along the oval
    after: Indices  # [S]
    candidates: Indices  # [S, M] into the candidate arrays; rows padded with their first
    vertices: Indices  # [C] the candidates' vertex numbers
    neutral: F64  # [3, C] m
    basis: NDArray[np.floating]  # [3, N + K, C] m
    modes: int  # N
    normals: F64  # [3, C] unit

    def truncated(self, modes: int) -> ContourRig:
        """The same with the first identity modes only."""
        kept = np.concatenate([self.basis[:, : min(modes, self.modes)], self.basis[:, self.modes :]], axis=1)
        return replace(self, basis=kept, modes=min(modes, self.modes))

    def of_person(
        self,
        vertices: NDArray[np.floating],  # [V, 3] m, a neutral head of the model's topology
        blendshapes: NDArray[np.float32] | None = None,  # [K, V, 3] m, the person's own; None: the model's
    ) -> ContourRig:
        """The strips of one person."""
        neutral = np.asarray(vertices, np.float64)[self.vertices].T.copy()
        basis = self.basis[:, self.modes :]
        if blendshapes is not None:
            basis = blendshapes[:, self.vertices].transpose(2, 0, 1)
        return replace(self, neutral=neutral, basis=np.ascontiguousarray(basis), modes=0)

    def outline_normals(
        self,
        targets: F64,  # [2, L] px
    ) -> F64:  # [2, S] unit, away from the face
        """The direction across the outline at every sliding point."""
        along = targets[:, self.after] - targets[:, self.before]
        outwards = targets[:, self.points] - targets[:, OVAL].mean(axis=1, keepdims=True)
        normals = np.stack([along[1], -along[0]])
        # two neighbours on the same spot have no direction between them
        normals = np.where(np.linalg.norm(along, axis=0) > 1e-6, normals, outwards)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=0), 1e-9)
        signed: F64 = normals * np.where((outwards * normals).sum(axis=0) < 0, -1.0, 1.0)
        return signed

    def slide(
        self,
        rig: LandmarkRig,  # its arrays are changed: the caller's own copy
        face: Face,
        normals: F64,  # [2, S] across the outline, outwards
    ) -> F64:  # [S] cosine between the chosen vertices' normals and the line of sight
        """Move every sliding point of the rig to where the face reaches farthest outwards."""
        coefficients = np.concatenate([face.identity, face.expression]).astype(self.basis.dtype)
        own = self.neutral + coefficients @ self.basis
        view = face.rotation @ own + face.translation[:, None]
        x, y = view[:2] / np.maximum(-view[2], NEAREST)
        reach = x[self.candidates] * normals[0][:, None] - y[self.candidates] * normals[1][:, None]
        chosen = self.candidates[np.arange(len(self.points)), reach.argmax(axis=1)]
        rig.neutral[:, self.points] = self.neutral[:, chosen]
        rig.basis[:, :, self.points] = self.basis[:, :, chosen]
        cosine = -((face.rotation @ self.normals[:, chosen]) * view[:, chosen]).sum(axis=0)
        facing: F64 = cosine / np.linalg.norm(view[:, chosen], axis=0)
        return facing


def contour_rig(model: HeadModel) -> ContourRig:
    """The strips of cheek along which the outline points of a head model slide."""
    template = model.template.astype(np.float64)
    rest = model.landmarks(model.template).astype(np.float64)
    sliding = np.flatnonzero(model.landmark_weight[OVAL] < FIXED_TRUST)
    before, after = OVAL[sliding - 1], OVAL[(sliding + 1) % len(OVAL)]
    skin = np.flatnonzero(_outer_face(model))
    rows = []
    for point, left, right in zip(OVAL[sliding], before, after, strict=True):
        along = rest[right] - rest[left]
        along /= max(float(np.linalg.norm(along)), 1e-9)
        offset = template[skin] - rest[point]
        inside = (np.abs(offset @ along) < STRIP) & (np.linalg.norm(offset, axis=1) < REACH)
        nearest = int(np.linalg.norm(offset, axis=1).argmin())
        rows.append(skin[inside] if inside.any() else skin[[nearest]])
    used, flat = np.unique(np.concatenate(rows), return_inverse=True)
    widest = max(len(row) for row in rows)
    candidates = np.empty((len(rows), widest), dtype=np.intp)
    for row, part in enumerate(np.split(flat, np.cumsum([len(row) for row in rows])[:-1])):
        candidates[row] = np.concatenate([part, np.full(widest - len(part), part[0])])
    return ContourRig(
        points=OVAL[sliding],
        before=before,
        after=after,
        candidates=candidates,
        vertices=used,
        neutral=np.ascontiguousarray(template[used].T),
        basis=stacked_basis(model.identity_basis[:, used], model.blendshapes[:, used]),
        modes=len(model.identity_basis),
        normals=np.ascontiguousarray(vertex_normals(template, model.faces)[used].T),
    )


def _outer_face(model: HeadModel) -> NDArray[np.bool_]:  # [V]
    """Vertices an outline point may slide over: the face's skin, or every vertex of a model without such a part."""
    if "face" in model.parts:
        return np.asarray(model.part == model.parts.index("face"))
    return np.ones(len(model.template), dtype=bool)


def outermost(
    distance: NDArray[np.floating],  # [N] outwards
    group: NDArray[np.integer],  # [N]
) -> Indices:  # [G] rows, by rising group
    """The farthest of each group: what makes the outline there."""
    order = np.lexsort((distance, group))
    return np.asarray(order[np.append(np.flatnonzero(np.diff(group[order])), len(order) - 1)])
