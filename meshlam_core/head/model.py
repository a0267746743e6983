"""HeadModel: a parametric head, the open one or another (FLAME, GNM, ICT), as plain numpy arrays.

Frame: avatar frame (see frames.py), metres. The root joint of every shape is the origin.
Dims:  V vertices, F triangles, U texture vertices, N identity modes, K expression blendshapes, J joints,
       R raw keys, L landmarks (478, MediaPipe's order).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.correspondence import Correspondence

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

OPEN_HEAD = Path(__file__).resolve().parent.parent / "data" / "open_head.npz"


@dataclass(frozen=True)
class RawKeys:
    """A model's own parameters as shape keys, beside the blendshapes that are driven."""

    names: tuple[str, ...]  # [R] as expression001 ..., shape001 ...
    shapes: F32  # [R, V, 3] displacement at 1
    parameter_names: tuple[str, ...]  # [P] the model's parameters that its blendshapes are made of
    parameters: F32  # [K, P] their values at coefficient 1


@dataclass(frozen=True)
class HeadModel:
    """Template, bases and rig of a head. Immutable; one instance serves every reconstruction."""

    name: str
    licence: str
    template: F32  # [V, 3] mean neutral head
    faces: I32  # [F, 3] counter-clockwise from outside
    uvs: F32  # [U, 2]
    uv_faces: I32  # [F, 3]
    part: NDArray[np.uint8]  # [V] index into parts
    parts: tuple[str, ...]
    identity_basis: F32  # [N, V, 3] displacement at one standard deviation; the root joint stays put
    blendshapes: F32  # [K, V, 3] displacement at coefficient 1
    blendshape_names: tuple[str, ...]
    blendshape_ranges: F32  # [K, 2] slider minimum and maximum
    blendshape_kind: str  # "arkit" or "flame"
    joint_regressor: F32  # [J, V] rows sum to 1
    joint_names: tuple[str, ...]
    joint_parents: tuple[int, ...]  # joint_parents[0] == -1; parents precede children
    weights: F32  # [V, J] rows sum to 1, at most 4 non-zero
    landmark_faces: I32  # [L] triangle of each landmark
    landmark_bary: F32  # [L, 3] barycentric coordinates in it
    landmark_weight: F32  # [L] trust in 0..1: low where the embedding views disagree
    mirror: I32  # [V] index of the mirrored vertex (x -> -x); identity where there is none
    pose_correctives: F32 | None = None  # [36, V, 3], FLAME only
    correspondence: Correspondence | None = None  # with the open head; None: this is the open head
    raw: RawKeys | None = None

    def shaped(
        self,
        identity: F32,  # [N]
    ) -> F32:  # [V, 3]
        """The neutral head of an identity."""
        return self.template + np.tensordot(identity, self.identity_basis, axes=1).astype(np.float32)

    def joints(
        self,
        vertices: F32,  # [V, 3] neutral head
    ) -> F32:  # [J, 3]
        """Rest joint centres of a neutral head."""
        return (self.joint_regressor @ vertices).astype(np.float32)

    def landmarks(
        self,
        vertices: F32,  # [..., V, 3]
    ) -> F32:  # [..., L, 3]
        """The landmarks' positions on a mesh of this topology."""
        corners = vertices[..., self.faces[self.landmark_faces], :]
        return np.asarray(np.einsum("lk,...lkd->...ld", self.landmark_bary, corners), dtype=np.float32)


class ById:
    """Head models hold arrays and cannot be hashed; the same object is the same model, in caches."""

    def __init__(self, model: HeadModel) -> None:
        self.model = model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ById) and other.model is self.model
