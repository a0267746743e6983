"""The topology correction of one deformation step, and how everything on the mesh is carried over.

MeshLAM, "topology correction": split long edges, turn disagreeing faces, drop invalid ones. Invalid faces go first
here, because a split would multiply them; on a sound mesh the order makes no difference.
Which faces to change is decided outside the autograd graph; positions pass through `Correction.carry`, which is linear,
so gradients reach the old vertices.

Frame: avatar frame (see frames.py), metres.
Dims:  B batch, V vertices, F triangles, U texture vertices, J joints, L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.errors import UsageError
from meshlam_core.head.skinning import heaviest
from meshlam_core.model.topology.edges import F64, I64, MAX_VERTICES
from meshlam_core.model.topology.records import Repaired, Repairs
from meshlam_core.model.topology.repair import repair
from meshlam_core.model.topology.split import Split, split_long_edges

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


@dataclass(frozen=True)
class Correction:
    """A corrected mesh and the sparse map from the old vertices to the new ones.

    New vertex i is sum_k weights[i, k] * old[indices[i, k]]; the first `copies` rows copy one old vertex each.
    """

    faces: I32  # [F', 3]
    uvs: F32  # [U', 2]
    uv_faces: I32  # [F', 3]
    indices: I64  # [V', 3] old vertices
    weights: F32  # [V', 3] rows sum to 1
    copies: int
    parent: I64  # [F'] the repaired face that each face lies in
    corner_bary: F32  # [F', 3, 3] its corners in that face
    repaired: Repaired

    @property
    def vertex_count(self) -> int:
        return len(self.indices)

    @property
    def repairs(self) -> Repairs:
        return self.repaired.repairs

    @property
    def unchanged(self) -> bool:
        """Whether the old mesh was right as it was."""
        return self.repairs.total == 0 and self.vertex_count == self.copies

    @overload
    def carry(self, values: Tensor, axis: int = -2) -> Tensor: ...
    @overload
    def carry(self, values: NDArray[np.floating], axis: int = -2) -> NDArray[Any]: ...
    def carry(
        self,
        values: Tensor | NDArray[np.floating],  # [..., V, ...] any per-vertex attribute
        axis: int = -2,
    ) -> Tensor | NDArray[Any]:  # [..., V', ...] same type
        """The attribute on the corrected mesh, differentiable for tensors. Copied vertices are bit-equal.

        axis is that of the vertices: -2 for positions, hidden states, weights and blendshapes, 0 for scalars.
        """
        old_count = len(self.repaired.representative)
        if not -values.ndim <= axis < values.ndim or values.shape[axis] != old_count:
            raise UsageError(f"values: expected {old_count} vertices along axis {axis}, got {tuple(values.shape)}.")
        if isinstance(values, Tensor):
            return self._carry_tensor(values, axis)
        axis = axis % values.ndim
        shape = (*values.shape[:axis], self.vertex_count, *values.shape[axis + 1 :])
        new = np.empty(shape, dtype=values.dtype)
        copied, blended = np.split(new, [self.copies], axis=axis)  # views
        copied[...] = values if self.repairs.total == 0 else values.take(self.indices[: self.copies, 0], axis)
        rows, shares = self.indices[self.copies :], self.weights[self.copies :].astype(values.dtype)
        shares = shares.reshape(-1, 3, *(1,) * (values.ndim - axis - 1))
        blended[...] = values.take(rows[:, 0], axis) * shares[:, 0]
        for k in (1, 2):
            blended += values.take(rows[:, k], axis) * shares[:, k]
        return new

    def _carry_tensor(self, values: Tensor, axis: int) -> Tensor:
        rows = torch.from_numpy(self.indices).to(values.device)
        shares = torch.from_numpy(self.weights[self.copies :]).to(values.device, values.dtype)
        axis = axis % values.ndim
        shares = shares.reshape(-1, 3, *(1,) * (values.ndim - axis - 1))
        copied = values.index_select(axis, rows[: self.copies, 0])
        blended = [values.index_select(axis, rows[self.copies :, k]) * shares[:, k] for k in range(3)]
        return torch.cat([copied, blended[0] + blended[1] + blended[2]], dim=axis)

    def carry_part(
        self,
        part: NDArray[np.uint8],  # [V]
    ) -> NDArray[np.uint8]:  # [V']
        """The part with the largest share in each vertex; a tie goes to the oldest of its vertices."""
        labels = part[self.indices]  # [V', 3]
        share = sum(np.where(labels == labels[:, [k]], self.weights[:, [k]], 0.0) for k in range(3))
        assert isinstance(share, np.ndarray)
        best = np.lexsort((self.indices, -share), axis=1)[:, 0]
        return labels[np.arange(len(labels)), best]

    def carry_weights(
        self,
        skin: F32,  # [V, J] rows sum to 1
        most: int = 4,
    ) -> F32:  # [V', J] rows sum to 1, at most `most` non-zero
        """Skinning weights, with the smallest shares removed where a new vertex would have too many."""
        new = self.carry(skin, axis=0)
        new[self.copies :] = heaviest(new[self.copies :].astype(np.float64), most)
        return new

    def carry_regressor(
        self,
        regressor: F32,  # [J, V] rows sum to 1
        undeformed: F32,  # [V, 3] the shape whose joints are kept
    ) -> F32:  # [J, V'] rows sum to 1
        """A joint regressor with regressor' @ carry(undeformed) == regressor @ undeformed.

        Split vertices get weight 0, which is exact for every shape. Where repairs took vertices away, their weight goes
        to the vertex that stands for them and the least-norm change of the row puts the joint back.
        """
        first = np.full(len(self.repaired.representative), -1)
        first[self.indices[: self.copies, 0][::-1]] = np.arange(self.copies)[::-1]
        target = first[self.repaired.representative]
        new = np.zeros((len(regressor), self.vertex_count))
        kept = np.flatnonzero(target >= 0)
        np.add.at(new.T, target[kept], regressor.T[kept].astype(np.float64))
        if np.array_equal(target, np.arange(len(target))):
            return new.astype(regressor.dtype)
        points = self.carry(undeformed.astype(np.float64))
        wanted = np.concatenate([regressor @ undeformed.astype(np.float64), np.ones((len(regressor), 1))], axis=1)
        for row, goal in zip(new, wanted, strict=True):
            support = np.flatnonzero(row)
            if len(support) < 4:
                support = np.argsort(((points - goal[:3]) ** 2).sum(1), kind="stable")[:64]
            system = np.concatenate([points[support], np.ones((len(support), 1))], axis=1)  # [n, 4]
            row[support] += np.linalg.pinv(system.T) @ (
                goal - row @ np.pad(points, ((0, 0), (0, 1)), constant_values=1)
            )
        return new.astype(regressor.dtype)


def correct(
    vertices: NDArray[np.floating] | Tensor,  # [V, 3] or [B, V, 3] m: one topology serves a batch
    faces: NDArray[np.integer],  # [F, 3]
    uvs: F32,  # [U, 2]
    uv_faces: NDArray[np.integer],  # [F, 3]
    epsilon: float,  # m, the longest edge allowed
    max_vertices: int = MAX_VERTICES,
) -> Correction:
    """Correct the topology of a deformed mesh.

    In a batch an edge is split when it is long in any mesh, and a face is flat when it is flat in all of them.
    Old vertices keep their index unless a repair removes some; new ones follow. The same input gives the same output.
    """
    array = vertices.detach().cpu().double().numpy() if isinstance(vertices, Tensor) else vertices
    positions: F64 = np.asarray(array, dtype=np.float64)
    positions = positions[None] if positions.ndim == 2 else positions
    corners, uv_corners = np.asarray(faces).astype(np.int64), np.asarray(uv_faces).astype(np.int64)
    _check(positions, corners, uvs, uv_corners, epsilon)

    sound = repair(positions, corners, uvs, uv_corners)
    split = split_long_edges(
        positions[:, sound.source_vertex], sound.faces, sound.uvs, sound.uv_faces, epsilon, max_vertices
    )
    return _correction(sound, split)


def _correction(sound: Repaired, split: Split) -> Correction:
    copied = np.repeat(sound.source_vertex[:, None], 3, axis=1)
    # heaviest first, so that the order of a face's corners leaves no trace
    corners = sound.source_vertex[sound.faces[split.new_parent]]
    order = np.lexsort((corners, -split.new_bary), axis=1)
    blended, shares = (np.take_along_axis(table, order, axis=1) for table in (corners, split.new_bary))
    whole = np.broadcast_to(np.eye(3, dtype=np.float32)[0], (len(copied), 3))
    return Correction(
        faces=split.faces.astype(np.int32),
        uvs=split.uvs.astype(np.float32),
        uv_faces=split.uv_faces.astype(np.int32),
        indices=np.concatenate([copied, blended]),
        weights=np.concatenate([whole, shares]),
        copies=len(copied),
        parent=split.parent,
        corner_bary=split.corner_bary,
        repaired=sound,
    )


def _check(positions: F64, faces: I64, uvs: F32, uv_faces: I64, epsilon: float) -> None:
    if positions.ndim != 3 or positions.shape[2] != 3:
        raise UsageError(f"vertices: expected [V, 3] or [B, V, 3], got {positions.shape}.")
    if positions.shape[1] > MAX_VERTICES:
        raise UsageError(f"vertices: expected at most {MAX_VERTICES}, got {positions.shape[1]}.")
    if not np.isfinite(positions).all():
        raise UsageError("vertices: expected finite positions, got nan or inf.", "Check the weights and the input.")
    if not epsilon > 0:
        raise UsageError(f"epsilon: expected a positive length in metres, got {epsilon}.")
    if uvs.ndim != 2 or uvs.shape[1] != 2:
        raise UsageError(f"uvs: expected [U, 2], got {uvs.shape}.", "The head model needs texture coordinates.")
    if faces.ndim != 2 or faces.shape[1] != 3 or uv_faces.shape != faces.shape:
        raise UsageError(f"faces, uv_faces: expected the same [F, 3], got {faces.shape} and {uv_faces.shape}.")
    for name, array, count in (("faces", faces, positions.shape[1]), ("uv_faces", uv_faces, len(uvs))):
        if array.size and (array.min() < 0 or array.max() >= count):
            raise UsageError(f"{name}: expected indices from 0 to {count - 1}, got {array.min()} to {array.max()}.")
