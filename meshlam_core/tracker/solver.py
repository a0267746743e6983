"""Gauss-Newton with priors, bounds and a robust loss: the engine of the fit.

It minimises  sum_i rho(|W_i (pixel_i - target_i)|) + sum_p ((x_p - mean_p) / sigma_p)^2  over a Face, where W_i is a
2x2 matrix a landmark (its confidence, and which direction counts), rho is Geman and McClure's loss by reweighting, and
the expression stays within its ranges by an active set. Levenberg-Marquardt damping catches bad steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.tracker.problem import POSE, Face, jacobian, project_face
from meshlam_core.tracker.rig import LandmarkRig

F64 = NDArray[np.float64]
# What a face makes of the problem: the rig (outline points slide), and W [2, 2, L] per px (hidden points fade).
STEPS = (1.0, 0.5, 0.25)  # of a Gauss-Newton step, the first that lowers the cost
DAMPING = (
    1e-5  # keeps the system solvable; more would hold size and distance, which landmarks hardly tell, where they are
)
View = Callable[[Face], tuple[LandmarkRig, F64]]


@dataclass(frozen=True)
class Prior:
    """Independent Gaussians on the parameters; an infinite sigma leaves one free."""

    identity_sigma: float
    expression_mean: F64  # [K]
    expression_sigma: F64  # [K]
    log_focal_mean: float = 0.0
    log_focal_sigma: float = np.inf
    log_distance_mean: float = 0.0  # log m, of the origin from the camera plane
    log_distance_sigma: float = np.inf


@dataclass(frozen=True)
class Solution:
    """Where the iteration ended."""

    face: Face
    cost: float
    iterations: int


def solve(
    look: View,
    start: Face,
    targets: F64,  # [2, L] px
    centre: F64,  # [2] px
    prior: Prior,
    iterations: int = 8,
    robust_scale: float = np.inf,  # residual after W at which the loss bends
    fix_focal: bool = False,
    fix_pose: bool = False,  # rotation, translation and focal length
    tolerance: float = 5e-3,  # relative fall of the cost at which to stop
) -> Solution:
    """Fit a face to landmark positions."""
    face = start
    rig, W = look(face)
    cost = _cost(rig, face, targets, centre, W, prior, robust_scale)
    for count in range(1, iterations + 1):
        hessian, gradient = normal_equations(rig, face, targets, centre, W, prior, robust_scale)
        free = free_parameters(rig, face, gradient)
        if fix_focal or fix_pose:
            free[-POSE if fix_pose else -1 :] = False
        step = _step(hessian, gradient, free)
        for length in STEPS:
            trial = clamped(rig, face.moved(length * step))
            new_cost = _cost(rig, trial, targets, centre, W, prior, robust_scale)
            if new_cost < cost:
                break
        else:
            return Solution(face, cost, count)
        gained = (cost - new_cost) / max(cost, 1e-12)
        face = trial
        # outline and visibility follow the head's turn; the cost is then another one
        rig, W = look(face)
        cost = _cost(rig, face, targets, centre, W, prior, robust_scale)
        if gained < tolerance:
            break
    return Solution(face, cost, count)


def _step(hessian: F64, gradient: F64, free: NDArray[np.bool_]) -> F64:
    step = np.zeros(len(gradient))
    index = np.flatnonzero(free)
    matrix = hessian[np.ix_(index, index)]
    matrix[np.diag_indices(len(index))] *= 1 + DAMPING
    step[index] = -np.linalg.solve(matrix, gradient[index])
    return step


def free_parameters(rig: LandmarkRig, face: Face, gradient: F64) -> NDArray[np.bool_]:  # [N + K + 7]
    """All but the coefficients that stand at a bound and are pushed against it."""
    free = np.ones(len(gradient), dtype=bool)
    n, k = len(face.identity), len(face.expression)
    push = gradient[n : n + k]
    low = (face.expression <= rig.ranges[:, 0] + 1e-9) & (push > 0)
    high = (face.expression >= rig.ranges[:, 1] - 1e-9) & (push < 0)
    free[n : n + k] = ~(low | high)
    return free


def clamped(rig: LandmarkRig, face: Face) -> Face:
    """The face with its expression inside the ranges."""
    expression = np.clip(face.expression, rig.ranges[:, 0], rig.ranges[:, 1])
    return Face(face.identity, expression, face.rotation, face.translation, face.log_focal)


def _residuals(rig: LandmarkRig, face: Face, targets: F64, centre: F64, W: F64) -> F64:  # [2, L]
    residuals: F64 = np.einsum("ijl,jl->il", W, project_face(rig, face, centre).pixels - targets)
    return residuals


def _cost(rig: LandmarkRig, face: Face, targets: F64, centre: F64, W: F64, prior: Prior, scale: float) -> float:
    squares = (_residuals(rig, face, targets, centre, W) ** 2).sum(axis=0)
    data = squares if np.isinf(scale) else squares / (1 + squares / scale**2)
    value, _ = _prior_terms(face, prior)
    return float(data.sum() + (value**2).sum())


def _prior_terms(face: Face, prior: Prior) -> tuple[F64, F64]:
    """Residuals of the priors, and their derivative by the parameter each belongs to; distance goes to t's z."""
    n, k = len(face.identity), len(face.expression)
    distance = -face.translation[2]
    value, slope = np.zeros(n + k + 7), np.zeros(n + k + 7)
    value[:n], slope[:n] = face.identity / prior.identity_sigma, 1 / prior.identity_sigma
    value[n : n + k] = (face.expression - prior.expression_mean) / prior.expression_sigma
    slope[n : n + k] = 1 / prior.expression_sigma
    value[-2] = (np.log(distance) - prior.log_distance_mean) / prior.log_distance_sigma
    slope[-2] = -1 / (distance * prior.log_distance_sigma)
    value[-1] = (face.log_focal - prior.log_focal_mean) / prior.log_focal_sigma
    slope[-1] = 1 / prior.log_focal_sigma
    return value, slope


def normal_equations(
    rig: LandmarkRig, face: Face, targets: F64, centre: F64, W: F64, prior: Prior, scale: float
) -> tuple[F64, F64]:
    """Half the Gauss-Newton Hessian and half the gradient of the cost."""
    projection = project_face(rig, face, centre)
    residual = np.einsum("ijl,jl->il", W, projection.pixels - targets)
    squares = (residual**2).sum(axis=0)
    root = np.ones(len(squares)) if np.isinf(scale) else 1 / (1 + squares / scale**2)  # sqrt of the loss's weight
    J = jacobian(rig, face, projection)
    V = (W * root).astype(J.dtype)
    weighted = np.empty((J.shape[1], 2, J.shape[2]), J.dtype)
    buffer = np.empty(J.shape[1:], J.dtype)
    for row in (0, 1):
        np.multiply(J[0], V[row, 0], out=weighted[:, row])
        weighted[:, row] += np.multiply(J[1], V[row, 1], out=buffer)
    flat = weighted.reshape(len(weighted), -1)
    hessian = (flat @ flat.T).astype(np.float64)
    gradient = (flat @ (residual * root).ravel().astype(J.dtype)).astype(np.float64)
    value, slope = _prior_terms(face, prior)
    hessian[np.diag_indices(len(slope))] += slope**2
    return hessian, gradient + slope * value
