"""The nearest pixel of a region, exactly: what a distance transform knows, for the pixels that ask.

Frame: image rows and columns. Dims: N images, H rows, W columns.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from meshlam_core.raster.backends import has_warp
from meshlam_core.raster.shapes import check_shape


def nearest_pixels(
    wanted: Tensor,  # [N, H, W] bool, the pixels that ask
    region: Tensor,  # [N, H, W] bool
) -> Tensor:  # [N, H, W] int32 row * W + column of the region's nearest pixel; -1 where nobody asks or there is none
    """Nearest in each row, then over the rows, going up and down until none can be nearer (Rosenfeld and Pfaltz 1966).

    Of several pixels equally near, any may come back.
    """
    sizes = check_shape("wanted", wanted, "N H W")
    check_shape("region", region, "N H W", **sizes)
    if not has_warp() or wanted.device.type not in ("cpu", "cuda"):
        return nearest_pixels_slowly(wanted, region)
    from meshlam_core.raster.warp_runtime import launch, over_rows, warp_device

    device = warp_device(wanted)
    count, height, width = wanted.shape
    out = torch.full(wanted.shape, -1, dtype=torch.int32, device=device)
    column = torch.empty_like(out)
    if wanted.numel():
        launch("nearest_column", (count, height), [region.contiguous(), column], device)
        over_rows("nearest_pixel", (count, height, width), [wanted.contiguous(), column], [out], device)
    return out


def nearest_pixels_slowly(
    wanted: Tensor,  # [N, H, W] bool
    region: Tensor,  # [N, H, W] bool
) -> Tensor:  # [N, H, W] int32
    """The twin of nearest_pixels by scipy's distance transform, for the tests and where warp cannot be had."""
    out = np.full(tuple(wanted.shape), -1, np.int32)
    asks, masks = wanted.cpu().numpy(), region.cpu().numpy()
    for i in range(len(out)):
        if masks[i].any():
            row, column = distance_transform_edt(~masks[i], return_distances=False, return_indices=True)
            out[i] = np.where(asks[i], row * masks.shape[2] + column, -1)
    return torch.from_numpy(out).to(wanted.device)
