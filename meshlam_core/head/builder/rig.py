"""Joints, joint regressor and skinning weights of the open head.

Frame: MakeHuman's, decimetres. Dims: V head vertices, J = 5 joints, P example heads.
"""

from __future__ import annotations

import json

import numpy as np
from scipy.optimize import nnls

from meshlam_core.head.builder.source import F64, I64, MPFB, Source, SourceMesh

JOINT_NAMES = ("root", "neck", "jaw", "left_eye", "right_eye")
JOINT_PARENTS = (-1, 0, 1, 1, 1)


def joint_targets(
    mesh: SourceMesh,
    vertices: F64,  # [S, 3] dm, some head in the source topology
) -> F64:  # [3, 3] dm: root, neck, jaw
    """Root at the base of the neck, neck halfway up to the skull, jaw at its hinge: where MPFB's rig has them."""
    group = np.array(mesh.group)

    def cube(name: str) -> F64:
        return np.asarray(vertices[np.unique(mesh.quads[group == name])].mean(axis=0))

    neck = vertices[[226, 17824]].mean(axis=0)  # start of MPFB's bone neck03
    joints = np.stack([cube("joint-neck"), neck, cube("joint-mouth")])
    joints[:, 0] = 0.0
    return np.asarray(joints)


def sparse_regressor(
    examples: F64,  # [P, V, 3]
    joint: F64,  # [P, 3]
    candidates: I64,  # [C] vertices that may take part
    mirror: I64,  # [V]
    most: int = 8,
) -> F64:  # [V] non-negative, sums to 1, symmetric, few non-zero
    """Mix of few vertices that follows a joint over the example heads."""
    points = examples[:, candidates].transpose(0, 2, 1).reshape(-1, len(candidates))
    firm = 100.0  # the weights must sum to one
    system = np.concatenate([points, np.full((1, len(candidates)), firm)])
    goal = np.concatenate([joint.ravel(), [firm]])
    weights, _ = nnls(system, goal)
    strongest = np.argsort(-weights, kind="stable")[:most]
    few, _ = nnls(system[:, strongest], goal)
    row = np.zeros(examples.shape[1])
    row[candidates[strongest]] = few
    row = (row + row[mirror]) / 2
    return np.asarray(row / row.sum())


def skinning_weights(
    source: Source,
    count: int,
    carry: F64,  # [V, S] (sparse) mix of source vertices of each head vertex; rows of the eyeballs are empty
    left_eye: I64,
    right_eye: I64,
    rigid_head: I64,  # vertices that follow the head only (upper teeth, lashes)
    rigid_jaw: I64,  # vertices that follow the jaw only (lower teeth)
) -> F64:  # [V, J]
    """MPFB's weights, each bone given to the nearest of our joints among its ancestors."""
    bones = json.loads(source.read(MPFB + "rigs/standard/rig.default.json"))
    weights = np.zeros((carry.shape[0], len(JOINT_NAMES)))
    for bone, values in source.bone_weights(count).items():
        column = carry @ values
        if not column.any():
            continue
        for joint, share in _owner(bone, bones):
            weights[:, joint] += share * column
    weights[rigid_head] = [0, 1, 0, 0, 0]
    weights[rigid_jaw] = [0, 0, 1, 0, 0]
    weights[left_eye] = [0, 0, 0, 1, 0]
    weights[right_eye] = [0, 0, 0, 0, 1]
    weights = weights.clip(0)  # fairing a refined surface takes a little from distant vertices
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _owner(bone: str, bones: dict[str, dict[str, str]]) -> list[tuple[int, float]]:
    """Joints that take over a bone, with their shares. The eye bones hold lid weights here, which stay on the head."""
    here = bone
    while here:
        if here == "jaw":
            return [(2, 1.0)]
        if here in ("head", "neck03"):
            return [(1, 1.0)]
        if here == "neck02":
            return [(0, 0.5), (1, 0.5)]
        here = bones[here]["parent"]
    return [(0, 1.0)]
