"""The loop without pictures: geometry alone, from image features, masks and the start.

It is what stage G of training learns, on some vertices at a time, and what weights of that stage are used for: the
texture stage then paints the head that it gives. Frames and units: frames.py. Dims: B batch, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from meshlam_core.errors import UsageError
from meshlam_core.model.correction import keep_topology
from meshlam_core.model.deform import DEFORM
from meshlam_core.model.loop import Components, Step, refine
from meshlam_core.model.network import MeshLAM, see_borders, see_no_borders, start_in_photo
from meshlam_core.model.state import Observation, Photo, Rig, State, is_finite

STAGE = "geometry"  # what weights of this kind say in their notes, under "stage"


@torch.no_grad()
def shape_heads(network: MeshLAM, photo: Photo, rig: Rig) -> Tensor:  # [B, V, 3] m
    """The heads of photos, in the rig's topology."""
    photo.check(rig)
    preset = network.preset
    near = photo.resized(preset.error_size)
    about, ways = start_in_photo(near, rig, preset)
    pooled = network.pooled(photo.resized(preset.backbone_size).image)
    vertices = refine_geometry(network, pooled, near, rig, about, ways)[-1].state.vertices
    if not is_finite(vertices):
        raise UsageError(
            "vertices: expected finite numbers, got NaN or infinity.", "Fetch the network's weights again."
        )
    return vertices


def refine_geometry(
    network: MeshLAM,
    pooled: Tensor,  # [B, c, g, g] of the backbone's levels
    photo: Photo,  # its pictures are not looked at
    rig: Rig,  # of all vertices or of some
    about: Tensor | None,  # [B, V, ABOUT] of the start, where the preset looks at borders
    ways: Tensor | None,  # [B, V, 3, 3] where it keeps to rays
) -> list[Step]:
    """The network's own loop; errors and textures stay empty."""
    preset = network.preset
    if preset.geometry_update != "gru" or preset.deformation == "free":
        raise UsageError("geometry: expected the GRU and the part-aware clip.", "Use the preset small or paper.")
    image = network.image_tokens(pooled, photo.borders)
    features = network.shape_branch(rig.template, image, network.attention, about)
    blank = photo.vertices.new_zeros(len(photo.vertices), 1, 1, 1)
    state = State(photo.vertices, blank, blank, features.to(photo.vertices.dtype), blank, ways=ways)
    parts = Components(
        reproject=_Blind(preset.error_width),
        look_at_borders=see_borders if preset.borders == "masks" else see_no_borders,
        update_geometry=network.geometry_update,
        update_texture=_no_texture,
        deform=DEFORM[preset.deformation],
        correct=keep_topology,
    )
    return refine(Step(rig, state), photo, parts, preset.iterations)


@dataclass(frozen=True)
class _Blind:
    """An observation without any comparison of pictures."""

    width: int  # channels of the errors

    def __call__(self, state: State, photo: Photo, rig: Rig) -> Observation:
        del photo, rig
        blank = state.texture
        error = state.vertices.new_zeros(*state.vertices.shape[:2], self.width)
        return Observation(blank, blank, blank, blank, error, error[..., :1])


def _no_texture(state: State, observed: Observation, rig: Rig) -> tuple[Tensor, Tensor, Tensor | None]:
    del observed, rig
    return state.texture, state.trust, state.texture_hidden
