"""Where on the eyeball each of its texels lies; fixed for a head model.

Frame: avatar frame (see frames.py), rest pose: the eye looks along +Z. theta is the angle from that axis, phi the angle
around it. Dims: V vertices, E vertices of one eyeball, R texels of one eyeball, Q of them on its front half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.head.model import HeadModel
from meshlam_core.texture.noise import SEED, polar_noise

F64 = NDArray[np.float64]

FRONT = 1.35  # rad, theta beyond which no photo shows the eyeball
FIBRE_SPAN = 0.45  # rad, theta over which the iris' fibres run


@dataclass(frozen=True)
class EyeLayout:
    """One eyeball."""

    vertices: Tensor  # [E] int64
    arms: F64  # [E, 3] m, from the ball's centre to its vertices at rest
    rows: Tensor  # [R] int64 covered texels
    theta: Tensor  # [R] rad
    fibres: Tensor  # [R] noise of about unit strength, along the iris' fibres
    front: Tensor  # [Q] int64, which of the R lie on the front half
    front_direction: Tensor  # [Q, 3] unit vectors from the centre


def build_eye_layout(
    name: str,  # of the eyeball's part
    rows: Tensor,  # [R]
    at_texels: Callable[[Tensor, Tensor], Tensor],  # a vertex attribute [V, C] at covered texels [R]
    model: HeadModel,
) -> EyeLayout:
    """The layout of one eyeball."""
    vertices = np.flatnonzero(model.part == model.parts.index(name))
    rest = model.template[vertices].astype(np.float64)
    arms = rest - fit_sphere(rest)[0]
    outward = torch.zeros(len(model.template), 3)
    outward[torch.from_numpy(vertices)] = torch.from_numpy(arms.astype(np.float32))
    direction = functional.normalize(at_texels(outward, rows), dim=1)
    theta = torch.acos(direction[:, 2].clamp(-1, 1))
    phi = torch.atan2(direction[:, 1], direction[:, 0]) / (2 * np.pi)
    rng, along = np.random.default_rng(SEED + 2), (theta / FIBRE_SPAN).clamp(0, 1)
    fibres = polar_noise(rng, phi, along, 90, 3) + 0.7 * polar_noise(rng, phi, along, 36, 4)
    front = (theta < FRONT).nonzero()[:, 0]
    return EyeLayout(
        torch.from_numpy(vertices), arms, rows, theta, fibres.clamp(-2, 2), front, direction[front].contiguous()
    )


def fit_sphere(
    points: F64,  # [N, 3]
) -> tuple[F64, float]:  # [3] centre, radius
    """The sphere through points, by linear least squares."""
    middle = points.mean(axis=0)
    local = points - middle
    system = np.column_stack([2 * local, np.ones(len(local))])
    solution = np.linalg.lstsq(system, (local**2).sum(axis=1), rcond=None)[0]
    return solution[:3] + middle, float(np.sqrt(max(solution[3] + solution[:3] @ solution[:3], 1e-12)))
