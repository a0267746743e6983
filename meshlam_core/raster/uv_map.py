"""The surface point of every texel: computed once for a UV layout and a texture size.

Frame: UV (see frames.py). Texel (row, column) is centred at u = (column + 0.5) / S, v = 1 - (row + 0.5) / S.
Dims:  B batch, V vertices, U texture vertices, F triangles, S texture size (square),
       P covered texels (islands and their margin).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.raster import quick
from meshlam_core.raster.interface import get_rasteriser, has_warp
from meshlam_core.raster.interpolate import blend, triangle_areas
from meshlam_core.raster.shapes import check_shape

MARGIN = 8  # texels that islands grow, so that bilinear sampling and two mip levels never read an empty texel
CACHED_MAPS = 4


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


_maps: OrderedDict[tuple[bytes, int, int], UvMap] = OrderedDict()


def build_uv_map(
    uvs: Tensor | NDArray[np.float32],  # [U, 2]
    uv_faces: Tensor | NDArray[np.int32],  # [F, 3]
    size: int,
    margin: int = MARGIN,  # texels
) -> UvMap:
    """Rasterise the UV layout, with the islands grown by `margin`. The last few maps are kept and returned again."""
    points = _tensor(uvs).float().contiguous()
    faces = _tensor(uv_faces).int().contiguous()
    content = hashlib.blake2b(points.numpy().tobytes() + faces.numpy().tobytes()).digest()
    key = (content, size, margin)
    if key not in _maps:
        _maps[key] = _build(points, faces, size, margin)
        while len(_maps) > CACHED_MAPS:
            _maps.popitem(last=False)
    _maps.move_to_end(key)
    return _maps[key]


def _tensor(values: Tensor | NDArray[np.generic]) -> Tensor:
    # a copy, since arrays of a head model are read-only and torch has no such tensors
    return values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))


def _build(
    uvs: Tensor,  # [U, 2]
    uv_faces: Tensor,  # [F, 3]
    size: int,
    margin: int,
) -> UvMap:
    layout = torch.stack([uvs[:, 0] * size, (1 - uvs[:, 1]) * size], -1)  # [U, 2] px
    flat = torch.cat([layout, torch.ones_like(layout[:, :1])], -1)  # any constant depth: no perspective
    fragments = get_rasteriser("auto").rasterise(flat[None], uv_faces, (size, size))
    face, bary = grow_islands(fragments.face[0], fragments.bary[0], layout, uv_faces, margin)
    return UvMap(size, face, bary, fragments.mask[0], triangle_areas(layout[None], uv_faces)[0])


def grow_islands(
    face: Tensor,  # [S, S] int32, -1 where empty
    bary: Tensor,  # [S, S, 3]
    layout: Tensor,  # [U, 2] px
    uv_faces: Tensor,  # [F, 3] int32
    margin: int,  # texels
) -> tuple[Tensor, Tensor]:  # [S, S], [S, S, 3] new tensors
    """Give each empty texel within `margin` of an island the nearest triangle there, its barycentrics extrapolated.

    The distance is found in two passes, along rows and then down columns (Rosenfeld and Pfaltz 1966).
    """
    from meshlam_core.raster.texel_twin import grow_islands_slowly

    if not has_warp():
        return grow_islands_slowly(face, bary, layout, uv_faces, margin)
    from meshlam_core.raster.warp_runtime import in_bands, launch, warp_device

    device = warp_device(face)
    layout, uv_faces = layout.contiguous(), uv_faces.int().contiguous()
    nearest, grown, extended = torch.empty_like(face), torch.empty_like(face), bary.clone()
    size = len(face)
    lanes = face.shape[1] if device.type == "cuda" else 1

    def scan(first: int, end: int) -> None:
        launch("nearest_in_row", (end - first,), [first, face, nearest], device)

    def grow(first: int, end: int) -> None:
        inputs = [layout, uv_faces, nearest, margin, first, lanes, face, grown, extended]
        launch("grow", (end - first, lanes), inputs, device)

    in_bands(scan, size, device)
    in_bands(grow, size, device)
    return grown, extended
