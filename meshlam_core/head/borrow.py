"""What a head model lacks, borrowed from the open head: teeth, tongue, lashes, the mouth's inside, eyeballs.

The pieces stand where the registration has laid them and are appended to the mesh, so that the model's own vertices
keep their numbers. They go with the skin around them when the identity changes, and have the open head's own shapes,
weights and texels.

Frame: avatar frame, metres. Dims: O vertices of the open head, B of them borrowed, V of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshlam_core.head.model import HeadModel
from meshlam_core.head.pieces import connected_labels

GROUPS = {
    "mouth": ("teeth_upper", "teeth_lower", "tongue", "mouth_interior"),
    "lashes": ("lashes",),
    "eyes": ("eyeball_left", "eyeball_right"),
}
ANCHORS = 8  # vertices of the skin that each borrowed vertex looks at
LINED = 0.004  # m from the model's skin, below which its mouth has an inside of its own


def with_borrowed(
    head: HeadModel,
    source: HeadModel,  # the open head
    groups: Sequence[str],
) -> HeadModel:
    """The model with the pieces of these groups that it lacks. Its texture must have the open head's layout."""
    place = head.correspondence
    wanted = [part for group in groups for part in GROUPS[group] if _lacks(head, source, part)]
    if not wanted or place is None:
        return head
    taken = np.isin(np.array(source.parts)[source.part], wanted)
    faces = source.faces[taken[source.faces].all(axis=1)]
    uv_faces = source.uv_faces[taken[source.faces].all(axis=1)]
    rows = np.unique(faces)
    count = len(head.template)
    number = np.full(len(source.template), -1)
    number[rows] = count + np.arange(len(rows))
    parts = (*head.parts, *(name for name in wanted if name not in head.parts))
    own_part = np.array([parts.index(source.parts[part]) for part in source.part[rows]], np.uint8)
    follow = _Follower(head, source, rows)
    size = place.scale(source.template)
    shapes = _named_shapes(head, source, rows) * np.float32(size)
    raw = head.raw
    if raw is not None:
        moved = follow.of(raw.shapes)
        moved[[not name.startswith("shape") for name in raw.names]] = 0
        raw = replace(raw, shapes=np.concatenate([raw.shapes, moved], axis=1))
    correctives = head.pose_correctives
    mirror = number[source.mirror[rows]]
    on_model, on_model_bary = place.on_model.copy(), place.on_model_bary.copy()
    on_model[rows], on_model_bary[rows] = number[rows, None], (1, 0, 0)
    return replace(
        head,
        template=np.concatenate([head.template, place.laid[rows]]),
        faces=np.concatenate([head.faces, number[faces].astype(np.int32)]),
        uvs=np.concatenate([head.uvs, source.uvs]),
        uv_faces=np.concatenate([head.uv_faces, (uv_faces + len(head.uvs)).astype(np.int32)]),
        part=np.concatenate([head.part, own_part]),
        parts=parts,
        identity_basis=np.concatenate([head.identity_basis, follow.of(head.identity_basis)], axis=1),
        blendshapes=np.concatenate([head.blendshapes, shapes], axis=1),
        joint_regressor=np.pad(head.joint_regressor, ((0, 0), (0, len(rows)))),
        weights=np.concatenate([head.weights, source.weights[rows]]),
        mirror=np.concatenate([head.mirror, np.where(mirror >= 0, mirror, number[rows])]).astype(np.int32),
        pose_correctives=None if correctives is None else np.pad(correctives, ((0, 0), (0, len(rows)), (0, 0))),
        raw=raw,
        correspondence=replace(
            place,
            on_open=np.concatenate([place.on_open, np.repeat(rows[:, None], 3, axis=1).astype(np.int32)]),
            on_open_bary=np.concatenate([place.on_open_bary, np.tile(np.array([1, 0, 0], np.float32), (len(rows), 1))]),
            on_model=on_model,
            on_model_bary=on_model_bary,
        ),
    )


def _lacks(head: HeadModel, source: HeadModel, part: str) -> bool:
    if part != "mouth_interior":
        return part not in head.parts
    assert head.correspondence is not None
    inside = head.correspondence.laid[source.part == source.parts.index(part)]
    return float(np.median(cKDTree(head.template).query(inside)[0])) > LINED


def _named_shapes(head: HeadModel, source: HeadModel, rows: NDArray[np.integer]) -> NDArray[np.float32]:  # [K, B, 3]
    """The open head's shapes of the same names."""
    shapes = np.zeros((len(head.blendshapes), len(rows), 3), np.float32)
    for k, name in enumerate(head.blendshape_names):
        if name in source.blendshape_names:
            shapes[k] = source.blendshapes[source.blendshape_names.index(name)][rows]
    return shapes


class _Follower:
    """Each piece moves as a whole, as the skin around it does on average."""

    def __init__(self, head: HeadModel, source: HeadModel, rows: NDArray[np.integer]) -> None:
        assert head.correspondence is not None
        self.near = cKDTree(head.template).query(head.correspondence.laid[rows], ANCHORS)[1]  # [B, ANCHORS]
        label = connected_labels(source.faces, len(source.template))[rows]
        _, self.piece = np.unique(label, return_inverse=True)

    def of(self, values: NDArray[np.floating]) -> NDArray[np.float32]:  # [..., V, 3] -> [..., B, 3]
        around = values[..., self.near, :].mean(axis=-2)
        means = [around[..., self.piece == i, :].mean(axis=-2) for i in range(self.piece.max() + 1)]
        return np.asarray(np.stack(means, axis=-2)[..., self.piece, :], np.float32)
