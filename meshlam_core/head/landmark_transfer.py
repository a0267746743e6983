"""Carry the landmark embedding of one head model over to another of any topology.

Frame: avatar frame, metres. Dims: V vertices, N identity modes, L landmarks.

The source head is laid over the target: a similarity from the joints, then its identity modes and a similarity, fitted
to the closest points of the target's skin. Its landmarks then snap to the target's surface. This needs neither
rendering nor a detector, and works for a model without painted lips and brows, such as FLAME.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.model import HeadModel
from meshlam_core.head.surface import closest_vertices, snap

F64 = NDArray[np.float64]
ROUNDS = 12
MODES = 40
FIRST_IRIS = 468
RIDGE = 1e-3  # m: how far the surface may stay off for one standard deviation of identity


def transfer_landmarks(
    source: HeadModel,
    target: HeadModel,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:  # [L], [L, 3], [L]
    """Triangles, barycentric coordinates and weights of the source's landmarks on the target."""
    goal = target.template.astype(np.float64)
    eye_parts = [i for i, name in enumerate(target.parts) if name.startswith("eyeball")]
    eyeball = np.isin(target.part, eye_parts)
    laid = lay_over(source, goal, goal[~eyeball], target.joints(target.template).astype(np.float64))
    landmarks = source.landmarks(laid.astype(np.float32)).astype(np.float64)
    on_eye = np.asarray(eyeball[target.faces].all(axis=1))
    triangle, bary = snap(landmarks, goal, target.faces, ~on_eye)
    if on_eye.any():
        triangle[FIRST_IRIS:], bary[FIRST_IRIS:] = snap(landmarks[FIRST_IRIS:], goal, target.faces, on_eye)
    points = (bary[..., None] * goal[target.faces[triangle]]).sum(axis=1)
    off = np.linalg.norm(points - landmarks, axis=1)
    weight = source.landmark_weight / (1 + (off / 0.004) ** 2)
    return triangle.astype(np.int32), bary.astype(np.float32), weight.astype(np.float32)


def lay_over(
    source: HeadModel,
    goal: F64,  # [W, 3] the target's vertices
    skin: F64,  # [S, 3] those of its skin
    goal_joints: F64,  # [5, 3] root, neck, jaw, left eye, right eye
) -> F64:  # [V, 3] the source head's vertices on the target
    """Alternate closest points and a ridge solution, trusting the face more than the rest."""
    moving = source.template.astype(np.float64)
    joints = source.joints(source.template).astype(np.float64)
    scale, rotation, shift = similarity(joints[2:], goal_joints[2:])
    face = np.isin(source.part, [source.parts.index(name) for name in ("face", "lips", "eyelids")])
    chosen = np.flatnonzero(face)
    basis = source.identity_basis[:MODES, chosen].astype(np.float64)  # [N, C, 3]
    identity = np.zeros(len(basis))
    for _ in range(ROUNDS):
        shaped = moving[chosen] + np.tensordot(identity, basis, axes=1)
        placed = scale * shaped @ rotation.T + shift
        nearest = closest_vertices(placed, skin)
        distance = np.linalg.norm(skin[nearest] - placed, axis=1)
        trust = 1 / (1 + (distance / 0.006) ** 2)
        scale, rotation, shift = similarity(shaped, skin[nearest], trust)
        wanted = (skin[nearest] - shift) @ rotation / scale - moving[chosen]  # in the source's frame
        system = np.einsum("ncd,c,mcd->nm", basis, trust, basis) + RIDGE**2 * trust.sum() * np.eye(len(basis))
        identity = np.linalg.solve(system, np.einsum("ncd,c,cd->n", basis, trust, wanted))
    whole = moving + np.tensordot(identity, source.identity_basis[:MODES].astype(np.float64), axes=1)
    return np.asarray(scale * whole @ rotation.T + shift)


def similarity(
    points: F64,  # [P, 3]
    onto: F64,  # [P, 3]
    weight: F64 | None = None,  # [P]
) -> tuple[float, F64, F64]:  # scale, rotation [3, 3], shift [3]: onto = scale * points @ rotation.T + shift
    """Umeyama's least-squares similarity."""
    w = np.ones(len(points)) if weight is None else weight
    w = (w / w.sum())[:, None]
    a, b = (w * points).sum(axis=0), (w * onto).sum(axis=0)
    p, q = points - a, onto - b
    u, s, vt = np.linalg.svd((w * q).T @ p)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / (w * p**2).sum())
    return scale, rotation, b - scale * rotation @ a
