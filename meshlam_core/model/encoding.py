"""Positional encodings: the function that METHOD and paper call ϑ (after Mildenhall et al. 2020, NeRF, eq. 4).

Dims: N points, D coordinates.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

REACH = 0.25  # m; a head spans about this distance from its root joint, which one half-wave of octave 0 covers


def encode_positions(
    points: Tensor,  # [..., D] in about -1..1
    frequencies: int,
) -> Tensor:  # [..., D * (2 * frequencies + 1)] the points, then their sines and cosines
    """ϑ(x) = (x, sin(2^k pi x), cos(2^k pi x)) for k below `frequencies`. Computed in at least float32."""
    points = points if points.dtype == torch.float64 else points.float()
    octaves = math.pi * 2.0 ** torch.arange(frequencies, dtype=points.dtype, device=points.device)
    angles = (points[..., None] * octaves).flatten(-2)
    return torch.cat([points, angles.sin(), angles.cos()], -1)


def encoded_width(coordinates: int, frequencies: int) -> int:
    """Channels of encode_positions."""
    return coordinates * (2 * frequencies + 1)


def encode_vertices(
    vertices: Tensor,  # [..., 3] avatar frame, m
    frequencies: int,
) -> Tensor:  # [..., encoded_width(3, frequencies)]
    """Positional encoding of head vertices. The finest of 8 octaves has a wavelength of 4 mm."""
    return encode_positions(vertices / REACH, frequencies)


def grid_encoding(
    height: int,
    width: int,
    channels: int,
    like: Tensor,
) -> Tensor:  # [height * width, channels]
    """Sinusoidal positions of image tokens, half the channels for rows and half for columns (Vaswani et al. 2017)."""
    pairs = (channels + 3) // 4
    scale = torch.exp(-math.log(100.0) * torch.arange(pairs, dtype=torch.float32, device=like.device) / pairs)
    row = torch.linspace(0, 4 * math.pi, height, device=like.device)[:, None] * scale
    column = torch.linspace(0, 4 * math.pi, width, device=like.device)[:, None] * scale
    rows = torch.cat([row.sin(), row.cos()], -1)[:, None].expand(-1, width, -1)
    columns = torch.cat([column.sin(), column.cos()], -1)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], -1).reshape(height * width, -1)[:, :channels].to(like.dtype)
