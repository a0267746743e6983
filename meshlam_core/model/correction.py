"""Topology correction as a component of the loop: the mesh changes, and all that lives on it follows.

The correction itself is the package `topology`; here the rig and the state of the loop are carried over.
Dims: B batch, V vertices before, V' after.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from meshlam_core.model.part_clip import part_limits, with_hair
from meshlam_core.model.state import Rig, State
from meshlam_core.model.topology import Correction, correct

MAX_VERTICES = 12_000  # a typical head ends near 8 000; an untrained network's spikes must not end in millions


def correct_topology(rig: Rig, state: State) -> tuple[Rig, State]:
    """Split long edges and mend the mesh. In a batch an edge is split when it is long in any of the heads.

    The longest edges are split first, and none beyond MAX_VERTICES; a head that comes with more keeps its own.
    """
    found = correct(
        state.vertices.detach().float(),
        rig.faces.cpu().numpy(),
        rig.uvs.detach().cpu().float().numpy(),
        rig.uv_faces.cpu().numpy(),
        rig.max_edge,
        max(MAX_VERTICES, state.vertices.shape[1]),
    )
    if found.unchanged:
        return rig, state
    moved = replace(
        state,
        vertices=found.carry(state.vertices),
        vertex_features=found.carry(state.vertex_features),
        ways=None if state.ways is None else found.carry(state.ways.flatten(2)).view(len(state.ways), -1, 3, 3),
        geometry_hidden=None if state.geometry_hidden is None else found.carry(state.geometry_hidden),
    )
    return carry_rig(rig, found), moved


def keep_topology(rig: Rig, state: State) -> tuple[Rig, State]:
    """The component that leaves the mesh alone: in training, where a batch shares one topology."""
    return rig, state


def carry_rig(rig: Rig, found: Correction) -> Rig:
    """The rig on the corrected mesh. Limits are made anew, so that every vertex of a fixed part is exactly fixed."""
    part = found.carry_part(rig.part.cpu().numpy())
    weights = found.carry_weights(rig.weights.detach().cpu().float().numpy())
    device, dtype = rig.template.device, rig.template.dtype
    limits = part_limits(part, rig.parts, found.faces).to(device, dtype)
    hair = None if rig.hair is None else found.carry(rig.hair[:, None])[:, 0]
    return replace(
        rig,
        faces=torch.from_numpy(found.faces).long().to(device),
        uvs=torch.from_numpy(found.uvs).to(device, dtype),
        uv_faces=torch.from_numpy(found.uv_faces).long().to(device),
        part=torch.from_numpy(part).to(device),
        limits=limits if hair is None else with_hair(limits, hair),
        template=found.carry(rig.template),
        weights=torch.from_numpy(weights).to(device, dtype),
        blendshapes=found.carry(rig.blendshapes),
        pose_correctives=None if rig.pose_correctives is None else found.carry(rig.pose_correctives),
        hair=hair,
        hair_rays=None if rig.hair_rays is None else found.carry(rig.hair_rays),
        maps={},
    )
