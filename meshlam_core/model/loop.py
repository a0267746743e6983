"""The reconstruction: from image features to a neutral textured head, as the paper tells it (MeshLAM, fig. 2).

Dims: B batch, V vertices, M image tokens, S texture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from meshlam_core.model.error_features import Reprojection
from meshlam_core.model.gru import GeometryUpdate, TextureUpdate
from meshlam_core.model.state import Observation, Photo, Rig, State

Deform = Callable[[State, Tensor, Rig], Tensor]  # with ΔV [B, V, 3] m -> V_{t+1} [B, V, 3] m
Correct = Callable[[Rig, State], tuple[Rig, State]]
LookAtBorders = Callable[[Observation, State, Photo, Rig], Observation]


@dataclass(frozen=True)
class Components:
    """What stands at each place of the loop. Ablations put simpler parts here."""

    reproject: Reprojection
    look_at_borders: LookAtBorders
    update_geometry: GeometryUpdate
    update_texture: TextureUpdate
    deform: Deform
    correct: Correct


@dataclass(frozen=True)
class Step:
    """A state and the mesh that it belongs to."""

    rig: Rig
    state: State


def refine(
    start: Step,  # M_0 and T_0, with the features of both branches
    photo: Photo,  # at the size of the comparison
    parts: Components,
    iterations: int,
) -> list[Step]:  # iterations, the last one is the result
    """Refine geometry and texture by looking at the photo again and again."""
    steps = []
    rig, state = start.rig, start.state
    for _ in range(iterations):
        # animate M_t with the tracked expression and pose, rasterise it, unwrap the photo and the error features
        observed = parts.look_at_borders(parts.reproject(state, photo, rig), state, photo, rig)

        # geometry GRU -> ΔV -> part-aware clip -> V_{t+1}
        displacement, geometry_hidden = parts.update_geometry(state, observed)
        vertices = parts.deform(state, displacement, rig)
        state = replace(state, vertices=vertices, geometry_hidden=geometry_hidden)

        # texture GRU -> T_{t+1}
        texture, trust, texture_hidden = parts.update_texture(state, observed, rig)
        state = replace(state, texture=texture, trust=trust, texture_hidden=texture_hidden)

        # split long edges, mend orientation, drop invalid faces; everything per vertex follows
        rig, state = parts.correct(rig, state)
        steps.append(Step(rig, state))
    return steps
