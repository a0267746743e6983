"""Light of an environment map: nine spherical harmonics of irradiance, one sun, and what shades what on the head.

Frame: view frame axes (+Y up, +Z towards the camera). Light is linear. Dims: V vertices, D directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.model.render import View, vertices_seen
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.raster.project import project
from meshlam_core.skin.harmonics import LOBE, basis, even_directions

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SUN_SHARE = 0.004  # of the sphere: the brightest part that becomes the sun
DIRECTIONS = 96
FAR = 20.0  # m, of the cameras that look whether a direction is free
SIDE = 256  # px of theirs


@dataclass(frozen=True)
class Light:
    """Linear; an irradiance of 1 shows an albedo as it is."""

    harmonics: F64  # [9, 3] irradiance / pi
    sun: F64  # [3] irradiance / pi of a surface that faces it
    direction: F64  # [3] unit, towards the sun

    def irradiance(
        self,
        normals: F32,  # [V, 3] unit, view frame
        openness: F32,  # [V] 0..1, ambient occlusion
        sunlit: F32,  # [V] 0..1
    ) -> F32:  # [V, 3]
        """What falls onto each vertex."""
        around = (basis(normals.astype(np.float64)) @ self.harmonics).clip(0)
        facing = ((normals @ self.direction + 0.12) / 1.12).clip(0)  # light goes a little way under the skin
        return np.asarray(around * openness[:, None] + (facing * sunlit)[:, None] * self.sun, np.float32)


def load_light(path: Path) -> Light:
    """An environment map as it lights a head, brightness 1 from all around on the mean."""
    radiance = np.load(path, allow_pickle=False).astype(np.float64)
    height, width = radiance.shape[:2]
    theta, phi = (np.arange(height) + 0.5) / height * np.pi, (np.arange(width) + 0.5) / width * 2 * np.pi
    direction = np.stack(
        [
            np.outer(np.sin(theta), np.sin(phi)),
            np.outer(np.cos(theta), np.ones(width)),
            np.outer(np.sin(theta), np.cos(phi)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    area = np.repeat(np.sin(theta), width) * (np.pi / height) * (2 * np.pi / width)
    colour = radiance.reshape(-1, 3)
    level = colour.mean(axis=1)
    order = np.argsort(-level)
    bright = order[np.cumsum(area[order]) < SUN_SHARE * 4 * np.pi]
    rest = colour.copy()
    ceiling = level[bright].min() if len(bright) else np.inf
    rest[bright] *= (ceiling / level[bright].clip(1e-9))[:, None]
    extra = (colour - rest)[bright] * area[bright][:, None]
    towards = (direction[bright] * extra.mean(axis=1)[:, None]).sum(axis=0)
    harmonics = (basis(direction) * area[:, None]).T @ rest * (LOBE / np.pi)[:, None]
    scale = 1 / max(float((rest * area[:, None]).sum() / (4 * np.pi * 3)), 1e-9)
    length = float(np.linalg.norm(towards))
    return Light(
        harmonics * scale,
        extra.sum(axis=0) / np.pi * scale,
        towards / length if length > 1e-9 else np.array([0.0, 1, 0]),
    )


def turned(light: Light, angle: float) -> Light:
    """The light turned about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    about = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    probe = even_directions(64)
    turned_harmonics = np.linalg.lstsq(basis(probe @ about.T), basis(probe) @ light.harmonics, rcond=None)[0]
    return Light(np.asarray(turned_harmonics, np.float64), light.sun, about @ light.direction)


@dataclass(frozen=True)
class Openness:
    """Which directions are free as seen from each vertex of the template."""

    directions: F64  # [D, 3] avatar frame, unit
    free: F32  # [V, D] 0 or 1
    ambient: F32  # [V] 0..1

    def towards(self, direction: F64) -> F32:  # [3] avatar frame -> [V] 0..1
        """How much of a small light in this direction reaches each vertex."""
        weight = np.exp(18 * (self.directions @ direction - 1))
        share: F32 = self.free @ (weight / weight.sum()).astype(np.float32)
        return share


def measure_openness(head: HeadModel, count: int = DIRECTIONS) -> Openness:
    """Look at the template from all sides."""
    vertices, faces = torch.from_numpy(head.template.copy()), torch.from_numpy(head.faces.copy()).long()
    centre = (vertices.amax(0) + vertices.amin(0)) / 2
    normals = vertex_normals(vertices[None], faces)
    directions = even_directions(count)
    camera = Camera(SIDE * FAR / 0.36, (SIDE / 2, SIDE / 2), (SIDE, SIDE))
    free = []
    for direction in directions:
        view_from_avatar = torch.from_numpy(_looking_along(direction)).float()
        placed = (vertices - centre) @ view_from_avatar.T - torch.tensor([0.0, 0.0, FAR])
        points = project(placed[None], (camera,))
        fragments = get_rasteriser().rasterise(points, faces, (SIDE, SIDE))
        view = View(placed[None], points, fragments, fragments.bary, (camera,))
        free.append(vertices_seen(view, normals @ view_from_avatar.T)[0].numpy())
    seen = np.stack(free, axis=1)
    cosine = (normals[0].numpy() @ directions.T).clip(0)
    ambient = (cosine * seen).sum(axis=1) / cosine.sum(axis=1).clip(1e-6)
    return Openness(directions, seen, np.asarray(0.15 + 0.85 * ambient, np.float32))


def _looking_along(direction: F64) -> F64:  # [3, 3] rows: x, y, and z towards the looker
    side = np.cross([0.0, 1.0, 0.0] if abs(direction[1]) < 0.95 else [1.0, 0.0, 0.0], direction)
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(direction, side), direction])
