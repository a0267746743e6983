"""The surface point of every texel of a texture: the record that build_uv_map.py makes of a UV layout.

Frame: UV (see frames.py). Texel (row, column) is centred at u = (column + 0.5) / S, v = 1 - (row + 0.5) / S.
Dims:  B batch, V vertices, U texture vertices, F triangles, S texture size (square),
       P covered texels (islands and their margin).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from meshlam_core.raster import quick
from meshlam_core.raster.interpolate import blend
from meshlam_core.raster.shapes import check_shape


@dataclass(frozen=True)
class UvMap:
    """Which triangle each texel lies on, and where in it. Shared between callers: don't write into its tensors."""

    size: int
    texel_face: Tensor  # [S, S] int32 triangle, -1 where empty
    texel_bary: Tensor  # [S, S, 3] float32, sum to 1; extrapolated (some negative) in the margin; 0 where empty
    islands: Tensor  # [S, S] bool, true on islands, margin excluded
    scale: Tensor  # [F] texels each triangle covers

    @property
    def covered(self) -> Tensor:  # [S, S] bool
        """True on islands and their margin."""
        return self.texel_face >= 0

    @cached_property
    def texel(self) -> Tensor:  # [P] int64
        """row * S + column of each covered texel, ascending."""
        return self.covered.view(-1).nonzero()[:, 0]

    @cached_property
    def face(self) -> Tensor:  # [P] int64
        """Triangle of each covered texel."""
        return self.texel_face.view(-1).index_select(0, self.texel).long()

    @cached_property
    def bary(self) -> Tensor:  # [P, 3]
        """Barycentrics of each covered texel."""
        return self.texel_bary.view(-1, 3).index_select(0, self.texel)

    def scatter(
        self,
        values: Tensor,  # [B, P, C]
        empty: float = 0.0,
    ) -> Tensor:  # [B, S, S, C]
        """Values of the covered texels, placed into whole textures."""
        sizes = check_shape("values", values, "B P C", P=len(self.texel))
        out = torch.full((sizes["B"], self.size**2, sizes["C"]), empty, dtype=values.dtype, device=values.device)
        return out.index_copy(1, self.texel, values).view(sizes["B"], self.size, self.size, sizes["C"])

    def attribute(
        self,
        attributes: Tensor,  # [B, V, C] per vertex
        faces: Tensor,  # [F, 3] int
    ) -> Tensor:  # [B, P, C]
        """A vertex attribute at the covered texels, e.g. positions or part weights. Differentiable."""
        sizes = check_shape("attributes", attributes, "B V C")
        corners = faces.long().index_select(0, self.face)  # [P, 3]
        picked = (corners[:, 0], corners[:, 1], corners[:, 2])
        bary = self.bary.to(attributes.dtype)
        return torch.stack([blend(attributes[i], picked, bary) for i in range(sizes["B"])])

    def spread(
        self,
        attributes: Tensor,  # [B, V, C] per vertex
        faces: Tensor,  # [F, 3] int
    ) -> Tensor:  # [B, S, S, C] zeros where empty
        """A vertex attribute as a whole texture: scatter(attribute(...)) in one go. Differentiable."""
        check_shape("attributes", attributes, "B V C")
        if quick.fits(attributes, self.texel_bary):
            return quick.blend(attributes, faces, self.texel_face[None], self.texel_bary[None])
        return self.scatter(self.attribute(attributes, faces))

    def to(self, device: torch.device | str) -> UvMap:
        """The same map on another device."""
        tensors = (self.texel_face, self.texel_bary, self.islands, self.scale)
        return UvMap(self.size, *(tensor.to(device) for tensor in tensors))
