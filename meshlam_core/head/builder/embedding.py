"""Find the detector's 478 landmarks on the template: render it, detect, cast the rays back.

Frame: avatar frame, metres; image frame for pixels. Dims: V vertices, F triangles, L = 478 landmarks, A views.

The detector's answers differ slightly between its versions, so the result is a committed file that the builder
merges, and a rebuild stays exact. Made by `python -m meshlam_core.tracker.embed_landmarks`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import Camera, project, rotation_from_axis_angle
from meshlam_core.head.builder.paint import vertex_normals
from meshlam_core.head.builder.raster import Fragments, rasterise

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

STORED = Path(__file__).with_name("landmark_embedding.npz")
YAWS = (-35.0, -17.5, 0.0, 17.5, 35.0)  # degrees
SIZE = 640  # px
DISTANCE = 0.75  # m from the camera to the middle of the face
FIRST_IRIS = 468

Detector = Callable[[U8], F64 | None]  # [H, W, 3] -> [L, 2] px or None where it finds no face


@dataclass(frozen=True)
class View:
    """A head rendered from one side."""

    image: U8  # [H, W, 3]
    fragments: Fragments
    points: F64  # [V, 3] px, px, depth
    towards: F64  # [3] unit vector from the head to the camera, avatar frame


@dataclass(frozen=True)
class Embedding:
    """Landmarks as points of triangles."""

    corners: I64  # [L, 3] vertices of the triangle
    bary: F64  # [L, 3]
    spread: F64  # [L] m, rms distance of the views' answers from their mean


def render_view(
    vertices: F64,  # [V, 3] m
    faces: I64,  # [F, 3]
    colour: Callable[[Fragments], F64],  # -> [H, W, 3] linear albedo 0..1
    yaw: float,  # degrees; positive turns the face towards +X
    middle: F64,  # [3] m, what the camera looks at
) -> View:
    """Plain shading under a soft light from the camera's upper left."""
    rotation = rotation_from_axis_angle(np.radians([0, yaw, 0]))
    viewed = (vertices - middle) @ rotation.T - [0, 0, DISTANCE]
    camera = Camera(SIZE * DISTANCE / 0.34, (SIZE / 2, SIZE / 2), (SIZE, SIZE))
    points: F64 = project(viewed, camera).astype(np.float64)
    fragments = rasterise(points, faces, (SIZE, SIZE))
    seen = fragments.triangle >= 0
    normals = vertex_normals(viewed, faces)[faces[fragments.triangle]]  # [H, W, 3, 3]
    normal = (fragments.bary[..., None] * normals).sum(axis=2)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True).clip(1e-9)
    light = np.array([-0.35, 0.55, 0.76])
    shade = 0.45 + 0.6 * (normal @ light).clip(0)
    picture = np.where(seen[..., None], colour(fragments) * shade[..., None], 0.55)
    image = (255 * picture.clip(0, 1) ** (1 / 2.2)).round().astype(np.uint8)
    return View(image, fragments, points, rotation.T @ np.array([0.0, 0.0, 1.0]))


def cast(
    view: View,
    pixels: F64,  # [L, 2] px
    faces: I64,  # [F, 3]
    allowed: NDArray[np.bool_],  # [F] triangles that may be hit
    vertices: F64,  # [V, 3] m
) -> tuple[I64, F64, F64]:  # [L] triangle, [L, 3] barycentric, [L] cosine between the surface and the view
    """Nearest surface point under each pixel; beside the silhouette, the nearest visible one."""
    normals = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-15)
    cosine = normals @ view.towards
    usable = np.flatnonzero(allowed & (cosine > 0))
    a, b, c = np.moveaxis(view.points[faces[usable]], 1, 0)
    area = _cross(b - a, c - a)
    visible = np.isin(view.fragments.triangle, usable)
    rows, columns = np.nonzero(visible)
    triangles = np.zeros(len(pixels), np.int64)
    barys = np.zeros((len(pixels), 3))
    facing = np.zeros(len(pixels))
    for i, pixel in enumerate(pixels):
        wa, wb = _cross(b[:, :2] - pixel, c[:, :2] - pixel) / area, _cross(c[:, :2] - pixel, a[:, :2] - pixel) / area
        wc = 1 - wa - wb
        inside = (wa >= 0) & (wb >= 0) & (wc >= 0)
        if inside.any():
            inverse = wa / a[:, 2] + wb / b[:, 2] + wc / c[:, 2]
            hit = int(np.where(inside, inverse, -np.inf).argmax())
            triangles[i] = usable[hit]
            barys[i] = np.array([wa[hit] / a[hit, 2], wb[hit] / b[hit, 2], wc[hit] / c[hit, 2]]) / inverse[hit]
            facing[i] = cosine[triangles[i]]
        else:
            nearest = int(np.hypot(columns + 0.5 - pixel[0], rows + 0.5 - pixel[1]).argmin())
            triangles[i] = view.fragments.triangle[rows[nearest], columns[nearest]]
            barys[i] = view.fragments.bary[rows[nearest], columns[nearest]]
            facing[i] = 0.1 * cosine[triangles[i]]
    return triangles, barys, facing


def _cross(p: F64, q: F64) -> F64:
    return np.asarray(p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0])


def mean_of_views(
    positions: F64,  # [A, L, 3] m
    facing: F64,  # [A, L]
    outlier: float = 0.01,  # m from the mean at which an answer counts half
) -> tuple[F64, F64]:  # [L, 3] m, [L] m
    """Robust average weighted by how squarely the surface was seen, and the weighted rms distance from it."""
    square_on = facing + 1e-6
    trust = square_on[..., None]
    for _ in range(10):
        mean = (trust * positions).sum(axis=0) / trust.sum(axis=0)
        distance = np.linalg.norm(positions - mean, axis=-1)
        trust = (square_on / (1 + (distance / outlier) ** 2))[..., None]
    spread = np.sqrt((square_on * distance**2).sum(axis=0) / square_on.sum(axis=0))
    return mean, spread


def save_embedding(path: Path, embedding: Embedding) -> None:
    """Write the file the builder reads."""
    np.savez_compressed(
        path,
        corners=embedding.corners.astype(np.int32),
        bary=embedding.bary.astype(np.float32),
        spread=embedding.spread.astype(np.float32),
    )
