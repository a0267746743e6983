"""The surface point of every texel: computed once for a UV layout and a texture size.

Frame and dims: uv_map.py.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.raster.backends import get_rasteriser, has_warp
from meshlam_core.raster.interpolate import triangle_areas
from meshlam_core.raster.texel_twin import grow_islands_slowly
from meshlam_core.raster.uv_map import UvMap
from meshlam_core.raster.warp_runtime import in_bands, launch, warp_device

MARGIN = 8  # texels that islands grow, so that bilinear sampling and two mip levels never read an empty texel
CACHED_MAPS = 4

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
    if not has_warp():
        return grow_islands_slowly(face, bary, layout, uv_faces, margin)
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
