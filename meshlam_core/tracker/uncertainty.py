"""How far each vertex of the fitted skin may be from the truth, as the fit itself knows it.

The fit minimises  c(x) = |r(x)|^2 + sum_p ((x_p - mean_p) / sigma_p)^2,  r in units of the landmarks' noise, so that
exp(-c / 2) is the posterior of its parameters x (identity, expression, pose, focal length). Near the minimum this is a
Gaussian of covariance  C = (J' J + diag(1 / sigma^2))^-1,  the inverse of the solver's half Hessian (Laplace's
approximation; Bishop, "Pattern recognition and machine learning", 4.4). Inverting the whole of it takes the pose,
distance and focal length that are not known into account: what a nearer camera would explain as well stays uncertain,
and that is the relief of the face. The variance of vertex v, summed over the three axes, is then

    var_v = tr(B_v' C_identity B_v) + tr(E_v' C_expression E_v) + sum_unused |B_v|^2 + |d_v|^2 / 2

with B_v, E_v the identity modes and blendshapes at v. The field that bends the fitted head onto the landmarks hands an
error of the expression on to the neutral head, hence the second term. Identity modes that the fit does not use keep
their prior, variance 1. The field d stays parallel to the picture; the model's lack that it takes up is as large along
the view, where nothing corrects it: the mean square of one of the two axes it has.

Landmarks of one region err together, so that they tell less than as many independent ones. TOGETHER says by how much,
the one number that is not derived: chosen on drawn heads whose shape is known (training.bench.uncertainty).

Size and place of a head are not told by one photo and not meant: of each identity mode the similarity that is best
over the landmarks is taken off.

Frames: avatar frame, metres. Dims: V vertices, N identity modes that the fit uses, K blendshapes, L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.model import ById
from meshlam_core.tracker.rig import landmark_rig

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

TOGETHER = 2.0  # times the landmarks' noise that independent errors would need to leave the face as uncertain
RIDGE = 1e-5  # of the diagonal, as in the solver: distance and focal length hardly differ


@dataclass(frozen=True)
class Modes:
    """What each parameter of a head model moves."""

    identity: F32  # [N, 3 V] m, without what a similarity explains
    expression: F32  # [K, 3 V] m
    unused: F32  # [V] m^2, the prior variance of the modes that are not fitted


def skin_uncertainty(
    half_hessian: F64,  # [N + K + 7, N + K + 7] of the fit, the landmarks' noise TOGETHER times as large
    modes: Modes,
    bent: F64,  # [V, 3] m, the field on top of the fitted head
) -> F32:  # [V] m
    """One standard deviation of each vertex's position."""
    n, k = len(modes.identity), len(modes.expression)
    precision = half_hessian.copy()
    precision[np.diag_indices(len(precision))] *= 1 + RIDGE
    covariance = np.linalg.inv(precision)
    variance = modes.unused + np.float32(0.5) * (bent**2).sum(axis=1).astype(np.float32)
    for basis, block in ((modes.identity, slice(0, n)), (modes.expression, slice(n, n + k))):
        # the trace is the squared length of the modes times a root of the covariance
        root = np.linalg.cholesky(covariance[block, block]).astype(np.float32)
        moved = root.T @ basis
        variance += np.einsum("pi,pi->i", moved, moved).reshape(-1, 3).sum(axis=1)
    return np.asarray(np.sqrt(variance), np.float32)


def uncertain_modes(model: HeadModel, count: int) -> Modes:
    """The modes of a head model of which the fit uses the first `count`; prepared once per model."""
    return _modes(ById(model), count)


@lru_cache(maxsize=4)
def _modes(key: ById, count: int) -> Modes:
    model, rig = key.model, landmark_rig(key.model)
    points = rig.neutral.T  # [L, 3]
    everywhere = similar_motions(model.template.astype(np.float64), points.mean(axis=0))  # [V, 3, 7]
    at_landmarks = similar_motions(points, points.mean(axis=0)).reshape(-1, 7)
    wanted = rig.basis[:, : rig.modes].transpose(2, 0, 1).reshape(-1, rig.modes)  # [3 L, modes]
    motion = np.linalg.lstsq(at_landmarks, wanted.astype(np.float64), rcond=None)[0]  # [7, modes]
    identity = model.identity_basis - np.einsum("vcp,pn->nvc", everywhere, motion).astype(np.float32)
    fitted = np.ascontiguousarray(identity[:count].reshape(min(count, len(identity)), -1), np.float32)
    expression = np.ascontiguousarray(model.blendshapes.reshape(len(model.blendshapes), -1), np.float32)
    return Modes(fitted, expression, (identity[count:] ** 2).sum(axis=(0, 2)).astype(np.float32))


def similar_motions(
    points: F64,  # [P, 3] m
    centre: F64,  # [3] m
) -> F64:  # [P, 3, 7]
    """How a small shift (3), turn (3) and growth (1) about a centre move points."""
    x, y, z = (points - centre).T
    out = np.zeros((len(points), 3, 7))
    out[:, range(3), range(3)] = 1
    out[:, 1, 3], out[:, 2, 3] = -z, y
    out[:, 0, 4], out[:, 2, 4] = z, -x
    out[:, 0, 5], out[:, 1, 5] = -y, x
    out[:, :, 6] = points - centre
    return out
