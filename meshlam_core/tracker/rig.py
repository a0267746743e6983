"""LandmarkRig: a head model reduced to its landmarks, the only part of it that the fit touches.

Frame: avatar frame (frames.py), metres; the root joint of every shape is the origin.
Dims:  L landmarks, N identity modes, K blendshapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.model import ById
from meshlam_core.head.surface import vertex_normals
from meshlam_core.points import CHIN, FOREHEAD, LOWER_INNER_LIP, LOWER_OUTER_LIP

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class LandmarkRig:
    """Landmark positions as a linear function of identity and expression, the identity modes first."""

    neutral: F64  # [3, L] m
    basis: NDArray[np.floating]  # [3, N + K, L] m at one standard deviation, at coefficient 1
    modes: int  # N
    names: tuple[str, ...]  # [K]
    ranges: F64  # [K, 2]
    normals: F64  # [3, L] unit, outwards, of the neutral template
    trust: F64  # [L] 0..1
    corners: NDArray[np.int32]  # [L, 3] the vertices each landmark lies between
    bary: F64  # [L, 3]
    eyes: F64  # [2, 3] m, centres of the right and the left eyeball

    def positions(
        self,
        identity: F64,  # [N]
        expression: F64,  # [K]
    ) -> F64:  # [3, L] m
        """The landmarks of a face before its pose."""
        # the basis is single precision in a head model: the coefficients are cast to it, not the basis to them
        shaped: F64 = self.neutral + np.concatenate([identity, expression]).astype(self.basis.dtype) @ self.basis
        return shaped

    def truncated(self, modes: int) -> LandmarkRig:
        """The same with the first identity modes only."""
        kept = np.concatenate([self.basis[:, : min(modes, self.modes)], self.basis[:, self.modes :]], axis=1)
        return replace(self, basis=kept, modes=min(modes, self.modes))

    def of_person(
        self,
        vertices: NDArray[np.floating],  # [V, 3] m, a neutral head of the model's topology
        blendshapes: F32 | None = None,  # [K, V, 3] m, the person's own; None: the model's
    ) -> LandmarkRig:
        """The rig of one person: nothing of the identity left to fit."""
        neutral = np.einsum("lk,lkd->dl", self.bary, np.asarray(vertices, np.float64)[self.corners])
        basis = self.basis[:, self.modes :]
        if blendshapes is not None:
            basis = np.einsum("lk,nlkd->dnl", self.bary.astype(np.float32), blendshapes[:, self.corners])
        return replace(self, neutral=neutral, basis=np.ascontiguousarray(basis), modes=0)

    @property
    def face_height(self) -> float:
        """Forehead to chin, m."""
        return float(np.linalg.norm(self.neutral[:, FOREHEAD] - self.neutral[:, CHIN]))


@lru_cache(maxsize=4)
def _cached(key: ById) -> LandmarkRig:
    return _build(key.model)


def landmark_rig(model: HeadModel) -> LandmarkRig:
    """The rig of a head model; computed once per model."""
    return _cached(ById(model))


def _build(model: HeadModel) -> LandmarkRig:
    corners, bary = _reseated_lips(model)

    def embed(values: NDArray[np.floating]) -> F64:  # [..., V, 3] -> [..., L, 3]
        embedded: F64 = np.einsum("lk,...lkd->...ld", bary, values[..., corners, :].astype(np.float64))
        return embedded

    normals = embed(vertex_normals(model.template.astype(np.float64), model.faces)).T
    return LandmarkRig(
        neutral=np.ascontiguousarray(embed(model.template).T),
        basis=stacked_basis(embed(model.identity_basis), embed(model.blendshapes)),
        modes=len(model.identity_basis),
        names=model.blendshape_names,
        ranges=model.blendshape_ranges.astype(np.float64),
        normals=normals / np.maximum(np.linalg.norm(normals, axis=0), 1e-12),
        trust=model.landmark_weight.astype(np.float64),
        corners=corners,
        bary=bary,
        eyes=(model.joint_regressor[list(eye_joints(model))] @ model.template).astype(np.float64),
    )


def eye_joints(model: HeadModel) -> tuple[int, int]:
    """Indices of the right and the left eye among the joints; the root where a model has none."""
    names = [name.lower() for name in model.joint_names]
    right = next((i for i, name in enumerate(names) if "eye" in name and "right" in name), 0)
    left = next((i for i, name in enumerate(names) if "eye" in name and "left" in name), 0)
    return right, left


def stacked_basis(
    identity: NDArray[np.floating],  # [N, L, 3]
    expression: NDArray[np.floating],  # [K, L, 3]
) -> F32:  # [3, N + K, L]
    """Both bases in the layout that the Jacobian multiplies fastest."""
    return np.ascontiguousarray(np.concatenate([identity, expression]).transpose(2, 0, 1), dtype=np.float32)


def _reseated_lips(model: HeadModel) -> tuple[NDArray[np.int32], F64]:  # [L, 3], [L, 3]
    """Corner vertices and weights of the landmarks, with the lower inner lip on the lower lip.

    An embedding made with the mouth closed sees only the upper lip there, and its points would never open. Such points
    are told by how little they move with the jaw, and go to the nearest lip vertex that does move with it.
    """
    corners = model.faces[model.landmark_faces].copy()
    bary = model.landmark_bary.astype(np.float64)
    if "jawOpen" not in model.blendshape_names or "lips" not in model.parts:
        return corners, bary
    drop = -model.blendshapes[model.blendshape_names.index("jawOpen"), :, 1]
    lips = model.part == model.parts.index("lips")
    for inner, outer in zip(LOWER_INNER_LIP, LOWER_OUTER_LIP, strict=True):
        wanted = 0.6 * float(bary[outer] @ drop[corners[outer]])
        if float(bary[inner] @ drop[corners[inner]]) < wanted:
            position = bary[inner] @ model.template[corners[inner]]
            movers = np.flatnonzero(lips & (drop >= wanted))
            if len(movers):
                corners[inner] = movers[np.linalg.norm(model.template[movers] - position, axis=1).argmin()]
    return corners, bary
