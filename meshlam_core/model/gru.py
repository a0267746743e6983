"""What turns an observation into the next geometry and texture (MeshLAM, sec. GRU decoding), and its stand-ins.

Frame: avatar frame, metres; texture rows run from the top.
Dims:  B batch, V vertices, C token channels, E error channels, S texture, G latent grid (S / stride), h hidden.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.model.borders import BORDERS, REACH, WAYS
from meshlam_core.model.config import Preset
from meshlam_core.model.encoding import encode_vertices, encoded_width
from meshlam_core.model.gates import run_cell
from meshlam_core.model.state import Observation, Rig, State

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)
START_TRUST = 2.0  # logit: before training 88 % of a well-seen texel is the photo


class GeometryUpdate(Protocol):
    """Proposes the displacement of one step. The clip comes afterwards."""

    def __call__(self, state: State, observed: Observation) -> tuple[Tensor, Tensor | None]:
        """ΔV [B, V, 3] m and the next hidden state [B, V, h]."""


class TextureUpdate(Protocol):
    """Makes the next texture."""

    def __call__(self, state: State, observed: Observation, rig: Rig) -> tuple[Tensor, Tensor, Tensor | None]:
        """T [B, 3, S, S], the trust in the photo [B, 1, S, S] 0..1 and the next hidden state [B, h, G, G]."""


class GeometryGru(nn.Module):
    """ΔV_{t+1} = GRU_geo([ψ(ϑ(V_t), F_d2v), F_V], h_geo), one cell shared by all vertices."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.frequencies = preset.frequencies
        self.step_scale = preset.step_scale
        self.borders = BORDERS if preset.borders == "masks" else 0
        inner = preset.geometry_hidden
        self.embed = nn.Sequential(  # ψ
            nn.Linear(encoded_width(3, preset.frequencies) + preset.error_width + 1 + self.borders, inner),
            nn.GELU(),
            nn.Linear(inner, inner),
        )
        self.cell = nn.GRUCell(inner + preset.width, inner)
        # the untrained network keeps the tracker's head; [ours] it also says how far to go to each border
        self.to_displacement = _zeroed(nn.Linear(inner, 3 + (2 if self.borders else 0)))

    def forward(self, state: State, observed: Observation) -> tuple[Tensor, Tensor]:
        position = encode_vertices(state.vertices, self.frequencies)
        seen = [observed.vertex_error, observed.vertex_seen]
        if self.borders:
            known = observed.vertex_borders
            seen.append(state.vertices.new_zeros(*state.vertices.shape[:2], BORDERS) if known is None else known)
        inputs = torch.cat([position, *seen], -1)
        embedded = self.embed(inputs)
        pieces = [embedded.flatten(0, 1), state.vertex_features.flatten(0, 1)]
        before = None if state.geometry_hidden is None else state.geometry_hidden.flatten(0, 1)
        hidden = run_cell(self.cell, pieces, before).view(*state.vertices.shape[:2], -1)
        with torch.autocast(hidden.device.type, enabled=False):  # bfloat16 would move a vertex by half a millimetre
            proposed = self.to_displacement(hidden.to(self.to_displacement.weight.dtype)).to(state.vertices.dtype)
        displacement = self.step_scale * proposed[..., :3]
        if self.borders and observed.vertex_borders is not None:
            ways = observed.vertex_borders[..., WAYS].reshape(*proposed.shape[:2], 2, 3) * REACH
            displacement = displacement + (proposed[..., 3:, None] * ways).sum(-2)
        return displacement, hidden.to(state.vertices.dtype)


class DirectGeometry(nn.Module):
    """Ablation "no GRU": an offset straight from F_V, without memory and without looking at the error."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.step_scale = preset.step_scale
        self.head = nn.Sequential(
            nn.Linear(preset.width, preset.geometry_hidden),
            nn.GELU(),
            _zeroed(nn.Linear(preset.geometry_hidden, 3)),
        )

    def forward(self, state: State, observed: Observation) -> tuple[Tensor, Tensor | None]:
        del observed
        displacement = self.step_scale * self.head(state.vertex_features)
        return displacement.to(state.vertices.dtype), state.geometry_hidden


class ConvGruCell(nn.Module):
    """A gated recurrent unit with 3x3 convolutions for its matrices (Ballas et al. 2016)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(inputs + hidden, 2 * hidden, 3, padding=1)
        self.candidate = nn.Conv2d(inputs + hidden, hidden, 3, padding=1)

    def forward(
        self,
        inputs: Tensor,  # [B, inputs, G, G]
        hidden: Tensor | None,  # [B, h, G, G]; None stands for zeros
    ) -> Tensor:  # [B, h, G, G]
        if hidden is None:
            return self._first(inputs)
        update, reset = self.gates(torch.cat([inputs, hidden], 1)).sigmoid().chunk(2, 1)
        candidate = self.candidate(torch.cat([inputs, reset * hidden], 1)).tanh()
        result: Tensor = hidden + update * (candidate - hidden)
        return result

    def _first(self, inputs: Tensor) -> Tensor:
        """From a hidden state of zeros: the reset gate has nothing to reset, and two thirds of the taps meet zeros."""
        width, count = inputs.shape[1], self.candidate.out_channels
        weight = torch.cat([self.gates.weight[:count, :width], self.candidate.weight[:, :width]])
        assert self.gates.bias is not None
        assert self.candidate.bias is not None
        bias = torch.cat([self.gates.bias[:count], self.candidate.bias])
        update, candidate = functional.conv2d(inputs, weight, bias, padding=1).chunk(2, 1)
        return update.sigmoid() * candidate.tanh()


class TextureGru(nn.Module):
    """T_{t+1} = GRU_tex(φ([φ([T_t, U_t]), F_a, F_d]), h_tex), with the visibility as a channel beside U_t and F_d.

    The unit works on the latent grid and hands out a correction and a trust w per texel:
    T_{t+1} = T_t + w seen (U_t - T_t) + ΔT, so that photo detail need not squeeze through the hidden state. [ours]
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.stride = preset.latent_stride
        width = preset.latent_width
        texels = self.stride**2
        self.read = nn.Conv2d(7 * texels, width, 3, padding=1)  # inner φ, on [T_t, U_t, seen]
        self.join = nn.Conv2d(2 * width + preset.error_width + 1, width, 3, padding=1)  # outer φ
        self.cell = ConvGruCell(width, preset.texture_hidden)
        self.to_texture = _zeroed(nn.Conv2d(preset.texture_hidden, 4 * texels, 3, padding=1))

    def forward(self, state: State, observed: Observation, rig: Rig) -> tuple[Tensor, Tensor, Tensor]:
        texels = torch.cat([state.texture, observed.reprojection, observed.texel_seen], 1)
        # convolutions on the CPU are faster, and their gradients much faster, with the channels last
        texels = functional.pixel_unshuffle(texels, self.stride).contiguous(memory_format=torch.channels_last)
        read = functional.gelu(self.read(texels))
        joined = torch.cat([read, state.latent, observed.texel_error, observed.latent_seen], 1)
        joined = self.join(joined.contiguous(memory_format=torch.channels_last))
        joined = functional.gelu(joined)
        before = None if state.texture_hidden is None else state.texture_hidden.to(joined.dtype)
        hidden = self.cell(joined, before)
        output = functional.pixel_shuffle(self.to_texture(hidden), self.stride).to(state.texture.dtype)
        trust = (output[:, 3:] + START_TRUST).sigmoid()
        share = trust * observed.texel_seen * rig.paintable(state.texture.shape[-1])
        blended = state.texture + share * (observed.reprojection - state.texture)
        return blended + output[:, :3], trust, hidden.to(state.texture.dtype)


class PassthroughTexture(nn.Module):
    """Ablation "no GRU" for the texture: the first texture stands."""

    def forward(self, state: State, observed: Observation, rig: Rig) -> tuple[Tensor, Tensor, Tensor | None]:
        del observed, rig
        return state.texture, state.trust, state.texture_hidden


class VertexColours(nn.Module):
    """Ablation "no texture map": one colour per vertex, spread over the texels of its triangles."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.hidden = preset.geometry_hidden
        self.head = nn.Linear(preset.width + preset.geometry_hidden, 3)

    def forward(self, state: State, observed: Observation, rig: Rig) -> tuple[Tensor, Tensor, Tensor | None]:
        del observed
        features, hidden = state.vertex_features, state.geometry_hidden
        if hidden is None:  # beside the ablation "no GRU"
            hidden = features.new_zeros(*features.shape[:2], self.hidden)
        colours = self.head(torch.cat([features, hidden], -1)).sigmoid()
        uv_map = rig.uv_map(state.texture.shape[-1])
        texture = uv_map.spread(colours.to(state.texture.dtype), rig.faces)
        return texture.permute(0, 3, 1, 2), torch.zeros_like(state.trust), state.texture_hidden


def make_geometry_update(preset: Preset) -> nn.Module:
    """The component that preset.geometry_update names."""
    return {"gru": GeometryGru, "direct": DirectGeometry}[preset.geometry_update](preset)


def make_texture_update(preset: Preset) -> nn.Module:
    """The component that preset.texture_update names."""
    if preset.texture_update == "passthrough":
        return PassthroughTexture()
    return {"gru": TextureGru, "vertex_colours": VertexColours}[preset.texture_update](preset)


def _zeroed(layer: Layer) -> Layer:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
