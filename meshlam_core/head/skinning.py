"""Linear blend skinning: blendshapes first, then every vertex follows the joints it is bound to.

Frame: avatar frame (see frames.py) in, view frame before its translation out: the same axes. Units: metres, radians.
Dims:  B batch, V vertices, J joints, K blendshapes; joint 0 is the root and parents precede children.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.raster.shapes import check_shape


def rotation_matrices(
    axis_angle: Tensor,  # [..., 3] rad
) -> Tensor:  # [..., 3, 3]
    """Rodrigues' formula R = I + a K + b K^2, with smooth gradients at the zero rotation.

    a = sin t / t and b = (1 - cos t) / t^2 are written through sinc of t^2 + tiny, whose derivative exists at t = 0.
    """
    square = (axis_angle * axis_angle).sum(dim=-1)
    small = square < 1e-12
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    # near zero the series a = 1 - t^2/6, b = 1/2 - t^2/24 is exact to float64
    a = torch.where(small, 1 - square / 6, torch.sin(angle) / angle)
    b = torch.where(small, 0.5 - square / 24, (1 - torch.cos(angle)) / (angle * angle))
    x, y, z = axis_angle.unbind(dim=-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*x.shape, 3, 3)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + a[..., None, None] * cross + b[..., None, None] * (cross @ cross)


def forward_kinematics(
    joints: Tensor,  # [B, J, 3] rest joint centres, m
    rotations: Tensor,  # [B, J, 3, 3] each joint relative to its parent
    parents: tuple[int, ...],  # parents[0] == -1
) -> tuple[Tensor, Tensor]:  # [B, J, 3, 3] world rotation and [B, J, 3] world position of each joint
    """Walk from the root to the leaves; the root turns about its own rest position."""
    if parents[0] != -1 or any(not 0 <= parent < child for child, parent in enumerate(parents) if child):
        raise ValueError(f"parents: expected -1 first and every parent before its children, got {parents}.")
    turned = [rotations[:, 0]]
    placed = [joints[:, 0]]
    for child, parent in list(enumerate(parents))[1:]:
        bone = (joints[:, child] - joints[:, parent])[..., None]
        turned.append(turned[parent] @ rotations[:, child])
        placed.append(placed[parent] + (turned[parent] @ bone)[..., 0])
    return torch.stack(turned, dim=1), torch.stack(placed, dim=1)


def skin(
    vertices: Tensor,  # [B, V, 3] rest positions, m
    joints: Tensor,  # [B, J, 3] rest joint centres, m
    rotations: Tensor,  # [B, J, 3, 3] each joint relative to its parent
    weights: Tensor,  # [V, J] rows sum to 1
    parents: tuple[int, ...],  # parents[0] == -1
) -> Tensor:  # [B, V, 3] posed positions, m
    """Blend the joints' rigid motions per vertex: x' = sum_j w_j (R_j x + offset_j)."""
    sizes = check_shape("vertices", vertices, "B V 3")
    sizes = check_shape("joints", joints, "B J 3", **sizes)
    check_shape("rotations", rotations, "B J 3 3", **sizes)
    check_shape("weights", weights, "V J", **sizes)
    if len(parents) != sizes["J"]:
        raise ValueError(f"parents: expected {sizes['J']} joints, got {len(parents)}.")

    world_rotation, world_position = forward_kinematics(joints, rotations, parents)
    offset = world_position - (world_rotation @ joints[..., None])[..., 0]  # [B, J, 3]
    motion = torch.cat([world_rotation, offset[..., None]], dim=-1)  # [B, J, 3, 4]
    blended = (weights @ motion.flatten(2)).reshape(-1, sizes["V"], 3, 4)  # [B, V, 3, 4]
    return (blended[..., :3] @ vertices[..., None])[..., 0] + blended[..., 3]


def pose_features(
    rotations: Tensor,  # [B, J, 3, 3]
) -> Tensor:  # [B, 9 (J - 1)]
    """What FLAME's pose correctives answer to: the rows of R - I of every joint but the root (FLAME, eq. 4)."""
    eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, 1:] - eye).flatten(1)


def pose_vertices(
    vertices: Tensor,  # [V, 3] or [B, V, 3] neutral head, m
    blendshapes: Tensor,  # [K, V, 3] m at coefficient 1
    expression: Tensor,  # [B, K]
    rotations: Tensor,  # [B, J, 3] axis-angle, rad
    joints: Tensor,  # [J, 3] or [B, J, 3] rest joint centres of the neutral head, m
    weights: Tensor,  # [V, J]
    parents: tuple[int, ...],
    pose_correctives: Tensor | None = None,  # [9 (J - 1), V, 3] m
) -> Tensor:  # [B, V, 3] m
    """A head with an expression and a pose; add the photo's translation to reach the view frame."""
    sizes = check_shape("expression", expression, "B K")
    sizes = check_shape("blendshapes", blendshapes, "K V 3", **sizes)
    check_shape("rotations", rotations, "B J 3", **sizes)
    turns = rotation_matrices(rotations)
    shaped = vertices + torch.tensordot(expression, blendshapes, dims=1)
    if pose_correctives is not None:
        shaped = shaped + torch.tensordot(pose_features(turns), pose_correctives, dims=1)
    return skin(shaped, joints.expand(len(expression), *joints.shape[-2:]), turns, weights, parents)


def heaviest(
    weights: NDArray[np.float64],  # [V, J]
    most: int,
) -> NDArray[np.float64]:  # [V, J] rows sum to 1, at most `most` of them not 0
    """Skinning weights without the smallest of a vertex that has too many."""
    result = weights.copy()
    if weights.shape[1] > most:
        order = np.argsort(-weights, axis=1, kind="stable")
        np.put_along_axis(result, order[:, most:], 0.0, axis=1)
    return np.asarray(result / result.sum(axis=1, keepdims=True))
