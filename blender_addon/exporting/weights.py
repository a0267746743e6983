"""Skinning weights as engines take them: at most four bones a vertex, summing to 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..scene.weights import weights_of

MOST = 4


def weight_matrix(mesh: Any) -> Any:
    """[V, G] of all vertex groups, or None where the mesh has none."""
    columns = list(weights_of(mesh).values())
    return np.stack(columns, axis=1) if columns else None


def limit_weights(mesh: Any, bones: set[str]) -> None:
    """Keep the largest four bones of each vertex and make them sum to 1, where an artist's painting left more."""
    weights = weight_matrix(mesh)
    of_bones = np.array([group.name in bones for group in mesh.vertex_groups], bool)
    if weights is None or not of_bones.any():
        return
    skin = np.where(of_bones, weights, 0.0)
    skin[skin.sum(axis=1) == 0, np.flatnonzero(of_bones)[0]] = 1.0  # what was joined to the head goes with its root
    too_many = ((skin > 0).sum(axis=1) > MOST).any()
    if too_many or (np.abs(weights[:, of_bones].sum(axis=1) - 1) > 1e-4).any():
        give_weights(mesh, skin)


def give_weights(
    mesh: Any,
    weights: Any,  # [V, G]
) -> None:
    """The largest four of each vertex, summing to 1; equals go to the earlier group."""
    order = np.argsort(-weights, axis=1, kind="stable")
    np.put_along_axis(weights, order[:, MOST:], 0.0, axis=1)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    for index, group in enumerate(mesh.vertex_groups):
        group.remove(range(len(mesh.data.vertices)))
        for vertex in np.flatnonzero(weights[:, index] > 1e-4):
            group.add([int(vertex)], float(weights[vertex, index]), "REPLACE")
