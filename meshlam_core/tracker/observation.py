"""What one detection says about a face: where its landmarks are, which of them count, and in which direction.

Image frame: frames.py, native pixels of the upright photo. Dims: L landmarks, S sliding outline points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.points import CHIN, FOREHEAD
from meshlam_core.tracker.contour import OUTLINE_TRUST, ContourRig
from meshlam_core.tracker.problem import Face, Projection, project_face
from meshlam_core.tracker.rig import LandmarkRig

F64 = NDArray[np.float64]
Indices = NDArray[np.intp]

GRAZING = 0.25  # cosine below which a landmark's surface counts as turning away
HIDDEN = 0.5  # visibility below which a landmark is hidden


@dataclass(frozen=True)
class Sighting:
    """The landmarks of a fitted face beside the detected ones."""

    projection: Projection
    offset: F64  # [2, L] px, detected - fitted; for outline points only its part across the outline
    visible: NDArray[np.bool_]  # [L]
    weight: F64  # [L] 0..1, trust times visibility
    face_height: float  # px, forehead to chin as if seen square on

    @property
    def error(self) -> float:
        """Rms distance over the visible landmarks / face height."""
        squares = (self.offset**2).sum(axis=0)[self.visible]
        return float(np.sqrt(squares.mean()) / self.face_height) if len(squares) else np.inf


class Observation:
    """The landmarks of one picture as a least-squares term; its `look` is the solver's view of the problem."""

    def __init__(
        self,
        rig: LandmarkRig,
        contour: ContourRig,
        targets: F64,  # [2, L] px
        centre: F64,  # [2] px
        sigma: float,  # px, what a trusted landmark may be off
    ) -> None:
        self.targets, self.centre, self.sigma = targets, centre, sigma
        self._contour = contour
        # the outline slides inside these copies, so that the model's own arrays stay as they are
        self._rig = replace(rig, neutral=rig.neutral.copy(), basis=rig.basis.copy())
        self._across = contour.outline_normals(targets)

    def look(self, face: Face) -> tuple[LandmarkRig, F64]:  # and W [2, 2, L] per px
        """The rig with its outline points where they are now, and the weights."""
        facing = self._contour.slide(self._rig, face, self._across)
        weight = np.sqrt(self._weight(face, facing)) / self.sigma
        W = np.zeros((2, 2, len(weight)))
        W[0, 0] = W[1, 1] = weight
        points = self._contour.points
        W[0, :, points] = (self._across * weight[points]).T
        W[1, :, points] = 0.0
        return self._rig, W

    def _weight(self, face: Face, facing: F64) -> F64:  # [L]
        view = face.rotation @ self._rig.positions(face.identity, face.expression) + face.translation[:, None]
        normals = face.rotation @ self._rig.normals
        cosine = -(normals * view).sum(axis=0) / np.linalg.norm(view, axis=0)
        ramp = np.clip(cosine / GRAZING, 0, 1)
        weight: F64 = self._rig.trust * ramp**2 * (3 - 2 * ramp) + 1e-6
        # an outline point whose farthest vertex looks at the camera lies before the ear, not on the cheek's edge
        weight[self._contour.points] = OUTLINE_TRUST * np.clip(1.3 - np.maximum(facing, 0), 0, 1)
        return weight

    def outline(self) -> tuple[Indices, F64]:  # [S] landmark numbers, [S, 3] m
        """The sliding points, and where on the neutral head they are since the last look."""
        points = self._contour.points
        return points, np.ascontiguousarray(self._rig.neutral[:, points].T)

    def sight(self, face: Face) -> Sighting:
        """How well a face lies on the landmarks."""
        facing = self._contour.slide(self._rig, face, self._across)
        projection = project_face(self._rig, face, self.centre)
        weight = self._weight(face, facing)
        visible = weight > HIDDEN * np.maximum(self._rig.trust, 1e-3)
        offset = self.targets - projection.pixels
        points = self._contour.points
        visible[points] = True
        offset[:, points] = self._across * (self._across * offset[:, points]).sum(axis=0)
        height = np.exp(face.log_focal) * self._height(face) / max(-face.translation[2], 1e-3)
        return Sighting(projection, offset, visible, weight, float(height))

    def _height(self, face: Face) -> float:  # m
        modes = self._rig.modes
        neutral = self._rig.neutral + face.identity @ self._rig.basis[:, :modes]
        return float(np.linalg.norm(neutral[:, FOREHEAD] - neutral[:, CHIN]))
