"""The function of FLAME and its like, exactly: shape, expression and pose to vertices, in double precision.

    T(b, e, r) = template + shapes b + expressions e + correctives (R(r) - I)
    skinned about the joints J(template + shapes b)

Source: Li et al., "Learning a model of facial shape and expression from 4D scans" (2017), eqs. 1-5. The pose features
are the rows of R - I of neck, jaw, left and right eye, in this order.

Frame: the model's own (the avatar frame's axes, origin where the file has it), metres.
Dims:  V vertices, N identity, E expression directions, J = 5 joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.head.adopt import JOINT_PARENTS
from meshlam_core.head.skinning import pose_vertices

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Parametric:
    """A model's arrays as its file has them."""

    template: F64  # [V, 3]
    faces: NDArray[np.int64]  # [F, 3]
    shapes: F64  # [N, V, 3]
    expressions: F64  # [E, V, 3]
    correctives: F64  # [36, V, 3]
    regressor: F64  # [5, V]
    weights: F64  # [V, 5]

    def neutral(
        self,
        shape: F64,  # [<=N]
    ) -> F64:  # [V, 3]
        """A person's head without expression and pose."""
        return np.asarray(self.template + np.tensordot(shape, self.shapes[: len(shape)], 1))

    def joints(
        self,
        shape: F64,  # [<=N]
    ) -> F64:  # [5, 3]
        """Root, neck, jaw, left and right eye of a person."""
        return np.asarray(self.regressor @ self.neutral(shape))

    def vertices(
        self,
        shape: F64,  # [<=N]
        expression: F64,  # [<=E]
        rotations: F64,  # [5, 3] rad, axis-angle relative to the parent
        translation: F64 | None = None,  # [3] m
    ) -> F64:  # [V, 3]
        """The posed head."""
        neutral = torch.from_numpy(self.neutral(shape))
        posed = pose_vertices(
            neutral,
            torch.from_numpy(self.expressions[: len(expression)]),
            torch.from_numpy(np.asarray(expression, np.float64))[None],
            torch.from_numpy(np.asarray(rotations, np.float64))[None],
            torch.from_numpy(self.regressor) @ neutral,
            torch.from_numpy(self.weights),
            JOINT_PARENTS,
            torch.from_numpy(self.correctives),
        )[0].numpy()
        return np.asarray(posed if translation is None else posed + translation)
