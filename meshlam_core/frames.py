"""Coordinate frames and units: the one page that defines them all.

Avatar frame   metres; +X the subject's left, +Y up, +Z out of the face; right-handed; origin at the root joint.
View frame     the avatar frame's axes with the origin at the camera, which looks along -Z.
               x_view = skin(x_avatar; joint rotations) + translation. The root joint's rotation turns the head.
Camera frame   OpenCV: x right, y down, z forward, metres. x_camera = CAMERA_FROM_VIEW @ x_view.
Image frame    pixels; x right, y down; (0, 0) is the top-left corner of the top-left pixel,
               so the centre of that pixel is (0.5, 0.5). pixel = focal * x_camera.xy / x_camera.z + centre.
UV             (0, 0) bottom left as in Blender and OBJ; texture row 0 is the top: row = (1 - v) * height.

Seen from the camera, the subject's left (+X) is on the right of the image, so no axis but y and z flips.
Rotations per joint are axis-angle vectors in radians (direction = axis, length = angle), right-handed.
Transforms are named dst_from_src.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
F64 = NDArray[np.float64]

CAMERA_FROM_VIEW: NDArray[np.float32] = np.diag([1.0, -1.0, -1.0]).astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels, in the image frame."""

    focal: float  # px
    centre: tuple[float, float]  # px, (x, y)
    size: tuple[int, int]  # px, (width, height)

    def scaled(self, factor: float) -> Camera:
        """The same view on an image `factor` times as large."""
        width, height = (max(1, round(side * factor)) for side in self.size)
        return Camera(self.focal * factor, (self.centre[0] * factor, self.centre[1] * factor), (width, height))

    def cropped(self, x0: float, y0: float, width: int, height: int) -> Camera:
        """The same view of the image region whose top-left corner is (x0, y0), same pixel size."""
        return Camera(self.focal, (self.centre[0] - x0, self.centre[1] - y0), (width, height))


def project(
    points: FloatArray,  # [..., 3] view frame, m
    camera: Camera,
) -> FloatArray:  # [..., 3] pixel x, pixel y, camera depth in m (positive in front of the camera)
    """Project view-frame points into the image frame, keeping the depth as the third component."""
    depth = -points[..., 2]
    x = camera.focal * points[..., 0] / depth + camera.centre[0]
    y = -camera.focal * points[..., 1] / depth + camera.centre[1]
    return np.stack([x, y, depth], axis=-1)


def rotation_from_axis_angle(
    axis_angle: FloatArray,  # [..., 3] rad
) -> F64:  # [..., 3, 3]
    """Rodrigues' formula, exact near zero: R = I + sinc(t) K + (1 - cos t) / t^2 K^2."""
    v = np.asarray(axis_angle, dtype=np.float64)
    angle = np.linalg.norm(v, axis=-1)[..., None, None]
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    zero = np.zeros_like(x)
    k = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*v.shape[:-1], 3, 3)
    a = np.sinc(angle / np.pi)
    b = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2  # (1 - cos t) / t^2 without cancellation
    result: F64 = np.eye(3) + a * k + b * (k @ k)
    return result


def axis_angle_from_rotation(
    rotation: FloatArray,  # [3, 3]
) -> F64:  # [3] rad
    """Inverse of rotation_from_axis_angle for one matrix, angle in [0, pi]."""
    r = np.asarray(rotation, dtype=np.float64)
    # Shepperd's choice: build the quaternion from its largest component, stable at every angle
    w2 = 1 + np.trace(r)
    diagonal = 1 + 2 * np.diag(r) - np.trace(r)
    if w2 >= diagonal.max():
        q = np.array([w2, r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    else:
        i = int(diagonal.argmax())
        j, k = (i + 1) % 3, (i + 2) % 3
        q = np.empty(4)
        q[0] = r[k, j] - r[j, k]
        q[1 + i] = diagonal[i]
        q[1 + j] = r[j, i] + r[i, j]
        q[1 + k] = r[k, i] + r[i, k]
    q /= np.linalg.norm(q)
    if q[0] < 0:
        q = -q
    length = np.linalg.norm(q[1:])
    if length < 1e-12:
        return np.zeros(3)
    result: F64 = q[1:] / length * 2 * np.arctan2(length, q[0])
    return result


def yaw_of(
    rotation: NDArray[np.floating],  # [3, 3] view from avatar
) -> float:  # rad
    """How far a head is turned about the vertical; positive shows its right side."""
    return float(np.arctan2(rotation[0, 2], rotation[2, 2]))
