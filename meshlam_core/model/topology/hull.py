"""The hull of the hair on a mesh fine enough for it: growth stretches triangles, and long ones show as corners.

Frame: avatar frame (see frames.py), metres. Dims: V vertices before, V' after.

Long edges are split by the topology correction, and the new vertices lie on the curve that the corners' normals ask
for (Boubekeur and Alexa, "Phong tessellation", 2008), so that the outline bends where it was straight. Edges are then
flipped where the pieces of a slender triangle are as slender as it was, and needles that stay are relaxed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.avatar.record import Avatar
from meshlam_core.head.surface import vertex_normals
from meshlam_core.model.topology.correct import Correction, correct
from meshlam_core.model.topology.flip import flip_slender, normals
from meshlam_core.model.topology.relax import relax_needles

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

LONGEST = 0.012  # m, edges of the hull: outlines then turn a few degrees at each
MOST = 9500  # vertices
ROUNDNESS = 0.75  # the paper's
FIXED = (
    "lips", "eyelids", "mouth_interior", "eye_sockets", "teeth_upper", "teeth_lower", "tongue", "lashes",
    "eyeball_left", "eyeball_right",
)  # fmt: skip


def with_fine_hull(avatar: Avatar) -> Avatar:
    """The avatar with the long triangles of its hair split and rounded; as it was where nothing is long."""
    if avatar.hair is None or not avatar.hair.any():
        return avatar
    found = correct(avatar.vertices, avatar.faces, avatar.uvs, avatar.uv_faces, LONGEST, MOST)
    if found.unchanged:
        return avatar
    flat: F64 = found.carry(avatar.vertices.astype(np.float64))
    bent = flat + upright(flat, rounding(avatar, found, flat), found.faces)
    faces, uv_faces = flip_slender(bent, found.faces, found.uvs, found.uv_faces)
    part = found.carry_part(avatar.part)
    fixed = [avatar.parts.index(name) for name in FIXED if name in avatar.parts]
    vertices = relax_needles(bent, faces, ~np.isin(part, fixed))
    correctives = avatar.pose_correctives
    return replace(
        avatar,
        vertices=vertices.astype(np.float32),
        faces=faces.astype(np.int32),
        uvs=found.uvs,
        uv_faces=uv_faces.astype(np.int32),
        part=part,
        weights=found.carry_weights(avatar.weights),
        blendshapes=found.carry(avatar.blendshapes),
        pose_correctives=None if correctives is None else found.carry(correctives),
        raw_shapes=None if avatar.raw_shapes is None else found.carry(avatar.raw_shapes),
        uncertainty=None if avatar.uncertainty is None else found.carry(avatar.uncertainty, axis=0),
        # 0 where nothing grew
        hair=(found.carry(avatar.hair.astype(np.float64)) + (vertices - flat)).astype(np.float32),
    )


def rounding(
    avatar: Avatar,
    found: Correction,
    flat: F64,  # [V', 3] m, the new vertices on the triangles they were made in
) -> F32:  # [V', 3] m
    """How far each new vertex of the hair lies off the flat triangle it was made in."""
    assert avatar.hair is not None
    outwards = vertex_normals(avatar.vertices.astype(np.float64), avatar.faces)
    corners, outwards = avatar.vertices[found.indices].astype(np.float64), outwards[found.indices]  # [V', 3, 3]
    height = ((corners - flat[:, None]) * outwards).sum(axis=2, keepdims=True)
    bent = (found.weights[..., None] * height * outwards).sum(axis=1)
    grown = np.linalg.norm(avatar.hair, axis=1)[found.indices].min(axis=1) > 0.0
    bent[: found.copies] = 0
    return np.asarray(ROUNDNESS * bent * grown[:, None], np.float32)


def upright(
    flat: F64,  # [V', 3] m
    bent: F32,  # [V', 3] m
    faces: NDArray[np.integer],  # [F, 3]
) -> F32:  # [V', 3] m
    """The same displacement without that of triangles that it would turn over, as it does in narrow creases."""
    result = bent.copy()
    before = normals(flat[faces])
    while (turned := (normals((flat + result)[faces]) * before).sum(axis=1) < 0).any():
        result[faces[turned]] = 0
    return result
