"""A head model on a corrected mesh: every array that hangs on the vertices, carried over.

Frame and units: frames.py; dims: head/model.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import UsageError
from meshlam_core.head.model import HeadModel
from meshlam_core.model.topology.correct import Correction
from meshlam_core.model.topology.landmarks import carry_landmarks

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


def corrected_head(
    head: HeadModel,
    correction: Correction,  # of a mesh with the head's faces
    undeformed: F32 | None = None,  # [V, 3] the shape whose joints are kept; the template by default
    with_identity: bool = True,  # the identity basis is large, and of no use once the person is known
) -> HeadModel:
    """The same head on the corrected faces. Joints, landmarks and every shape of it stay where they were."""
    if len(head.template) != len(correction.repaired.representative):
        raise UsageError(
            f"correction: expected one of a mesh with {len(head.template)} vertices, "
            f"got one with {len(correction.repaired.representative)}."
        )
    shape = head.template if undeformed is None else undeformed
    landmark_faces, landmark_bary = carry_landmarks(
        correction, head.landmark_faces, head.landmark_bary, head.faces, head.template
    )
    identity = head.identity_basis if with_identity else head.identity_basis[:0]
    correctives = head.pose_correctives
    return replace(
        head,
        template=correction.carry(head.template),
        faces=correction.faces,
        uvs=correction.uvs,
        uv_faces=correction.uv_faces,
        part=correction.carry_part(head.part),
        identity_basis=correction.carry(identity),
        blendshapes=correction.carry(head.blendshapes),
        joint_regressor=correction.carry_regressor(head.joint_regressor, shape),
        weights=correction.carry_weights(head.weights),
        landmark_faces=landmark_faces,
        landmark_bary=landmark_bary,
        mirror=carry_mirror(head.mirror, correction),
        pose_correctives=None if correctives is None else correction.carry(correctives),
    )


def carry_mirror(
    mirror: I32,  # [V] index of the mirrored vertex
    correction: Correction,
) -> I32:  # [V']
    """The mirrored vertex of each vertex; itself where the correction made none."""
    mirrored = _signatures(mirror[correction.indices], correction.weights)
    own = _signatures(correction.indices, correction.weights)
    table = np.unique(np.concatenate([own, mirrored]), axis=0, return_inverse=True)[1].ravel()
    count = correction.vertex_count
    found = np.full(table.max(initial=-1) + 1, -1)
    found[table[:count][::-1]] = np.arange(count)[::-1]
    partner = found[table[count:]]
    return np.where(partner >= 0, partner, np.arange(count)).astype(np.int32)


def _signatures(indices: NDArray[np.integer], weights: F32) -> NDArray[np.float64]:  # [V', 6]
    """Each vertex as sorted (old vertex, weight) pairs; equal for equal places on the old mesh."""
    shares = np.where(weights > 0, weights, 0.0)
    names = np.where(weights > 0, indices, -1)
    order = np.lexsort((shares, names), axis=1)
    pairs = [np.take_along_axis(table, order, axis=1) for table in (names.astype(np.float64), shares)]
    return np.concatenate(pairs, axis=1)
