"""How a proposed displacement moves the vertices: the paper's part-aware clip, its ablation, and our rays.

The photo shows where everything lies across the view; what it cannot show is how far away. So a vertex that hair moves
goes along the ray on which hair grows, skin that the camera sees goes to and from the camera, and only what is hidden
goes anywhere. What the fit has laid onto the photo stays there, and nothing shrinks or folds. [ours]

Frame: avatar frame, metres. Dims: B batch, V vertices.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from meshlam_core.head.skinning import rotation_matrices
from meshlam_core.model.part_clip import move
from meshlam_core.model.state import Rig, State


def ways_to_go(
    posed: Tensor,  # [B, V, 3] view frame, m, the start V_0 in the photo
    seen: Tensor,  # [B, V] 0..1
    rotations: Tensor,  # [B, J, 3] rad; the first one turns the head
    rig: Rig,
) -> Tensor:  # [B, V, 3, 3] projections in the avatar frame
    """Where each vertex may go."""
    to_camera = functional.normalize(-posed, dim=-1) @ rotation_matrices(rotations[:, 0])
    free = torch.eye(3, dtype=posed.dtype, device=posed.device)
    skin = free - seen[..., None, None] * (free - _onto(to_camera))
    if rig.hair is None or rig.hair_rays is None:
        return skin
    share = rig.hair[:, None, None]
    return share * _onto(rig.hair_rays) + (1 - share) * skin


def along_rays(
    state: State,
    displacement: Tensor,  # [B, V, 3] m
    rig: Rig,
) -> Tensor:  # [B, V, 3] m
    """The part-aware clip on what of the displacement goes the state's ways."""
    if state.ways is not None:
        displacement = (state.ways @ displacement[..., None])[..., 0]
    return move(state.vertices, displacement, rig.limits)


def part_aware(state: State, displacement: Tensor, rig: Rig) -> Tensor:  # [B, V, 3] m
    """The paper's clip."""
    return move(state.vertices, displacement, rig.limits)


def freely(state: State, displacement: Tensor, rig: Rig) -> Tensor:  # [B, V, 3] m
    """Ablation "no part-aware deformation": every vertex goes where the network says."""
    del rig
    return state.vertices + displacement


DEFORM = {"rays": along_rays, "part_aware": part_aware, "free": freely}


def _onto(rays: Tensor) -> Tensor:  # [..., 3] unit -> [..., 3, 3]
    return rays[..., :, None] * rays[..., None, :]
