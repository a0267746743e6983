"""Plain colours for the template, so that a landmark detector takes its rendering for a face.

Frame: avatar frame, metres. Dims: V vertices, F triangles, H, W pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.builder.parts import PARTS
from meshlam_core.head.builder.raster import Fragments

F64 = NDArray[np.float64]

SKIN = (0.62, 0.40, 0.30)  # linear
HAIR = (0.06, 0.04, 0.03)
LIPS = (0.48, 0.20, 0.18)
BROW = (0.10, 0.06, 0.04)
INSIDE = (0.05, 0.01, 0.01)
SCLERA = (0.75, 0.72, 0.70)
IRIS = (0.12, 0.07, 0.04)
PUPIL = (0.005, 0.005, 0.005)
IRIS_ANGLE = 22.4  # degrees seen from the centre of the ball
PUPIL_ANGLE = 8.5


def vertex_normals(
    vertices: F64,  # [V, 3]
    faces: NDArray[np.integer],  # [F, 3]
) -> F64:  # [V, 3] unit, area weighted
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [np.bincount(faces.ravel(), weights=np.repeat(normal[:, k], 3), minlength=len(vertices)) for k in range(3)], 1
    )
    return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True).clip(1e-15))


def brow_strength(
    face_points: F64,  # [V, 3] m, the neutral template
    eye: F64,  # [3] m, centre of the left eyeball
) -> F64:  # [V] 0..1
    """A band above each eye, highest over its outer third."""
    x = np.abs(face_points[:, 0]) - eye[0]
    y = face_points[:, 1] - eye[1]
    middle = np.interp(x, [-0.019, 0.009, 0.024], [0.0135, 0.0205, 0.0145])
    half = np.interp(x, [-0.019, 0.009, 0.024], [0.0035, 0.003, 0.001])
    inside = (x > -0.019) & (x < 0.024) & (face_points[:, 2] > eye[2] - 0.02)
    return np.where(inside, (1.5 - np.abs(y - middle) / half).clip(0, 1), 0.0)


class Painter:
    """Albedo of every pixel of a rendering of the template or of a shape made from it."""

    def __init__(
        self,
        template: F64,  # [V, 3] m
        faces: NDArray[np.integer],  # [F, 3]
        part: NDArray[np.uint8],  # [V]
        eyes: tuple[F64, F64],  # [3] m each: centres of the left and right eyeball in the template
    ) -> None:
        self.template, self.faces, self.part, self.eyes = template, faces, part, eyes
        colours = np.full((len(template), 3), SKIN)
        colours[part == PARTS.index("scalp")] = HAIR
        colours[part == PARTS.index("lips")] = LIPS
        colours[np.isin(part, [PARTS.index("mouth_interior"), PARTS.index("tongue")])] = INSIDE
        colours[part == PARTS.index("lashes")] = BROW
        colours[np.isin(part, [PARTS.index("teeth_upper"), PARTS.index("teeth_lower")])] = SCLERA
        self.colours = colours

    def __call__(self, fragments: Fragments) -> F64:  # [H, W, 3] linear
        corners = self.faces[fragments.triangle]  # [H, W, 3]
        bary = fragments.bary[..., None]
        albedo = (bary * self.colours[corners]).sum(axis=2)
        where = (bary * self.template[corners]).sum(axis=2)  # position on the neutral template
        brow = brow_strength(where.reshape(-1, 3), self.eyes[0]).reshape(where.shape[:2])[..., None]
        on_face = (self.part[corners[..., 0]] == PARTS.index("face"))[..., None]
        albedo = np.where(on_face, albedo + brow * (np.array(BROW) - albedo), albedo)
        for name, centre in zip(("eyeball_left", "eyeball_right"), self.eyes, strict=True):
            ball = self.part[corners[..., 0]] == PARTS.index(name)
            direction = where - centre
            angle = np.degrees(np.arctan2(np.hypot(direction[..., 0], direction[..., 1]), direction[..., 2]))
            eye = np.select([angle < PUPIL_ANGLE, angle < IRIS_ANGLE], [0, 1], 2)
            albedo[ball] = np.array([PUPIL, IRIS, SCLERA])[eye[ball]]
        return np.asarray(albedo)
