"""Bones that let long hair sway: up to three chains of two, left, right and behind, for whoever animates or simulates.

At rest nothing changes: the bones only take over the weights of hair that hangs below the neck joint, more the lower
it hangs. A side whose hair is short gets no bones.

Frame: avatar frame (see frames.py), metres. Dims: V vertices, J joints, S sides.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.avatar.record import Avatar
from meshlam_core.head.skinning import heaviest
from meshlam_core.tracker.ramps import smooth_step
from meshlam_core.tracker.types import COVER

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SIDES = ("left", "right", "back")
SHORTEST = 0.05  # m that hair must hang below the neck joint to get bones
FEWEST = 20  # vertices of such hair
BEHIND = (0.35, 0.8)  # of the way to straight behind, from which hair is no longer a side's
ACROSS = 0.01  # m beside the middle over which left and right meet
UPPER, LOWER = (0.0, 0.55), (0.4, 1.0)  # shares of the length over which a bone takes over
MOST = 4  # weights a vertex


def with_sway_bones(avatar: Avatar) -> Avatar:
    """The avatar with bones for its long hair; as it was where none hangs down.

    Heads whose pose correctives belong to a fixed set of joints (FLAME) keep that set.
    """
    if avatar.hair is None or avatar.pose_correctives is not None or "neck" not in avatar.joint_names:
        return avatar
    neck = avatar.joint_names.index("neck")
    cover = smooth_step(np.linalg.norm(avatar.hair, axis=1), *COVER)
    shares = side_shares(avatar.vertices.astype(np.float64), avatar.joints[neck].astype(np.float64))  # [V, S]
    below = float(avatar.joints[neck, 1]) - avatar.vertices[:, 1].astype(np.float64)
    names, parents = list(avatar.joint_names), list(avatar.joint_parents)
    joints = list(avatar.joints)
    columns: list[F64] = []
    left = np.ones(len(avatar.vertices))
    for side, share in zip(SIDES, shares.T, strict=True):
        own = share * cover
        hanging = (own > 0.5) & (below > 0)
        length = float(np.quantile(below[hanging], 0.95)) if hanging.sum() >= FEWEST else 0.0
        if length < SHORTEST:
            continue
        way = below / length
        upper, lower = (own * smooth_step(way, *bounds) for bounds in (UPPER, LOWER))
        lower = np.minimum(lower, upper)
        for name, at, parent in ((f"hair_{side}_1", 0.1, neck), (f"hair_{side}_2", 0.55, len(names))):
            near = hanging & (abs(way - at) < 0.25)
            joints.append(avatar.vertices[near if near.any() else hanging].mean(axis=0))
            names.append(name)
            parents.append(parent)
        columns += [upper - lower, lower]
        left -= upper
    if not columns:
        return avatar
    weights = np.column_stack([avatar.weights * left[:, None], *columns])
    rotations = np.zeros((len(joints), 3), np.float32)
    rotations[: len(avatar.joints)] = avatar.photo.rotations
    return replace(
        avatar,
        joints=np.array(joints, np.float32),
        joint_names=tuple(names),
        joint_parents=tuple(parents),
        weights=heaviest(weights, MOST).astype(np.float32),
        photo=replace(avatar.photo, rotations=rotations),
    )


def side_shares(
    vertices: F64,  # [V, 3] m
    neck: F64,  # [3] m, the joint
) -> F64:  # [V, S] rows sum to 1
    """How far each vertex belongs to the left, to the right and to the back, as one goes around the neck."""
    across, ahead = vertices[:, 0] - neck[0], vertices[:, 2] - neck[2]
    behind = smooth_step(-ahead / np.maximum(np.hypot(across, ahead), 1e-9), *BEHIND)
    left = smooth_step(across, -ACROSS, ACROSS)
    return np.stack([(1 - behind) * left, (1 - behind) * (1 - left), behind], axis=1)
