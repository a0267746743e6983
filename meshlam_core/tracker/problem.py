"""The least-squares problem of the fit: where the landmarks land, and how they move with every parameter.

Frames: frames.py. A landmark x of the avatar frame stands at  R x + t  in the view frame and is seen by a pinhole
camera of focal length exp(log_focal). Rotations are updated from the left, R <- exp([w]x) R, so that at w = 0
d(R x)/dw = -[R x]x (Lie-algebra update; Sola et al., "A micro Lie theory", arXiv 1812.01537, eq. 147).

Parameters stand in this order: identity [N], expression [K], w [3] rad, t [3] m, log_focal [1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.tracker.rig import LandmarkRig

F64 = NDArray[np.float64]

POSE = 7  # parameters after identity and expression: w, t, log_focal
NEAREST = 0.05  # m: a step that brings the face closer is cut


@dataclass(frozen=True)
class Face:
    """A point of the parameter space."""

    identity: F64  # [N]
    expression: F64  # [K]
    rotation: F64  # [3, 3] view_from_avatar
    translation: F64  # [3] m, view frame
    log_focal: float  # log px

    def moved(
        self,
        step: F64,  # [N + K + 7]
    ) -> Face:
        """The face after a parameter step."""
        n, k = len(self.identity), len(self.expression)
        w, t, log_focal = step[n + k : n + k + 3], step[n + k + 3 : n + k + 6], step[-1]
        translation = self.translation + t
        translation[2] = min(translation[2], -NEAREST)
        rotation = np.asarray(rotation_from_axis_angle(w), dtype=np.float64) @ self.rotation
        return Face(
            self.identity + step[:n],
            self.expression + step[n : n + k],
            rotation,
            translation,
            self.log_focal + float(log_focal),
        )


@dataclass(frozen=True)
class Projection:
    """Landmarks in the picture, and what derivatives need."""

    turned: F64  # [3, L] m, R x
    view: F64  # [3, L] m, view frame
    pixels: F64  # [2, L] px


def project_face(
    rig: LandmarkRig,
    face: Face,
    centre: F64,  # [2] px
) -> Projection:
    """Where the landmarks of a face land."""
    turned = face.rotation @ rig.positions(face.identity, face.expression)
    view = turned + face.translation[:, None]
    scale = np.exp(face.log_focal) / np.maximum(-view[2], NEAREST / 2)
    return Projection(turned, view, np.stack([centre[0] + scale * view[0], centre[1] - scale * view[1]]))


def jacobian(
    rig: LandmarkRig,
    face: Face,
    projection: Projection,
) -> NDArray[np.floating]:  # [2, N + K + 7, L] px per unit, in the basis' precision
    """Derivative of the pixels by every parameter."""
    shapes, count = rig.basis.shape[1:]
    focal = float(np.exp(face.log_focal))
    by_view = pixels_by_view(projection.view, focal)
    precision = rig.basis.dtype
    out = np.empty((2, shapes + POSE, count), precision)
    buffer = np.empty((shapes, count), precision)
    for axis in (0, 1):
        by_avatar = (face.rotation.T @ by_view[axis]).astype(precision)
        np.multiply(rig.basis[0], by_avatar[0], out=out[axis, :shapes])
        for c in (1, 2):
            out[axis, :shapes] += np.multiply(rig.basis[c], by_avatar[c], out=buffer)
        out[axis, shapes : shapes + 6] = by_pose(projection.turned, by_view[axis])
    x, y, z = projection.view
    scale = focal / np.maximum(-z, NEAREST / 2)
    out[0, -1] = scale * x
    out[1, -1] = -scale * y
    return out


def pixels_by_view(
    view: F64,  # [3, L] m, view frame
    focal: float,  # px
) -> F64:  # [2, 3, L] px per m
    """Derivative of pixels by positions, for each axis of the picture."""
    x, y, z = view
    depth = np.maximum(-z, NEAREST / 2)
    scale, zero = focal / depth, np.zeros_like(x)
    return np.stack([[scale, zero, scale * x / depth], [zero, -scale, -scale * y / depth]])


def by_pose(
    turned: F64,  # [3, L] m, from what the head turns about
    by_view: F64,  # [3, L] derivative of something by positions
) -> F64:  # [6, L] by w in rad and t in m
    """Its derivative by the pose: g . (w x Rx) = w . (Rx x g)."""
    return np.concatenate([np.cross(turned, by_view, axis=0), by_view])
