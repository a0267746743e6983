"""What every rasteriser backend takes and returns.

Frame: image frame (see frames.py): pixel x, pixel y, camera depth in metres. A pixel is sampled at its centre
       (x + 0.5, y + 0.5).
Dims:  B batch, V vertices, F triangles, H rows, W columns.

Rules that all backends share, so that their results agree pixel by pixel:

- Vertices snap to a grid of 1/4096 pixel; coverage is then exact integer arithmetic. Pixel centres on an edge
  belong to one side only (the top-left rule), so neighbouring triangles leave no holes and share no pixel.
- The nearest surface wins; at equal depth (float32) the lowest triangle index wins.
- Nothing is clipped. A triangle is dropped whole when a corner is nearer than NEAR metres or behind the camera,
  lies more than MAX_PIXEL pixels from the image origin, or is not finite. Heads in photos never come that close.
- Triangles of no area on the snap grid cover nothing.

The nvdiffrast backend snaps to a coarser grid and breaks ties its own way; it agrees except on such pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from meshlam_core.raster.shapes import check_shape

SUBPIXELS = 4096  # grid steps per pixel
MAX_PIXEL = 131072.0  # keeps every product of two coordinate differences below 2^61
NEAR = 1e-3  # m
MARGIN_REACH = 4.0  # how far barycentrics of UV margins may differ from those of the island texel beside them

Cull = Literal["none", "back"]


@dataclass(frozen=True)
class Fragments:
    """The visible surface at each pixel centre. Carries no gradient: see interpolate.barycentrics."""

    face: Tensor  # [B, H, W] int32 triangle index, -1 where nothing is hit
    bary: Tensor  # [B, H, W, 3] float32 perspective-correct, sum to 1; zeros where nothing is hit
    depth: Tensor  # [B, H, W] float32 camera depth, m; infinity where nothing is hit

    @property
    def mask(self) -> Tensor:  # [B, H, W] bool
        """True where a triangle is hit."""
        return self.face >= 0


class Rasteriser(Protocol):
    """Finds the visible triangle of each pixel. Backends keep no state between calls and may be shared."""

    def rasterise(
        self,
        vertices: Tensor,  # [B, V, 3] pixel x, pixel y, camera depth in m
        faces: Tensor,  # [F, 3] int
        size: tuple[int, int],  # (height, width)
        cull: Cull = "none",  # "back" drops triangles that are clockwise as seen on the image
    ) -> Fragments: ...


def check_inputs(vertices: Tensor, faces: Tensor, size: tuple[int, int], cull: str) -> None:
    """The guard every backend calls first."""
    sizes = check_shape("vertices", vertices, "B V 3")
    check_shape("faces", faces, "F 3")
    if not vertices.is_floating_point() or faces.is_floating_point():
        raise ValueError(f"expected float vertices and integer faces, got {vertices.dtype} and {faces.dtype}.")
    if min(size) < 1 or max(size) > MAX_PIXEL:
        raise ValueError(f"size: expected (height, width) of 1 to {MAX_PIXEL:.0f} pixels, got {size}.")
    if cull not in ("none", "back"):
        raise ValueError(f'cull: expected "none" or "back", got {cull!r}.')
    if len(faces):
        lowest, highest = torch.stack(torch.aminmax(faces)).tolist()  # one wait for the device
        if lowest < 0 or highest >= sizes["V"]:
            raise ValueError(f"faces: expected indices 0 to {sizes['V'] - 1}, got {lowest} to {highest}.")
