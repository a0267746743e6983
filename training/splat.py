"""Drawing Gaussians with gradients, for learning them; training/evaluate/splatter.py is the reference for it.

Frames: view frame in, image frame out (frames.py). Dims: N Gaussians, H rows, W columns, P pairs of a Gaussian and a
pixel that it reaches.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from meshlam_core.frames import CAMERA_FROM_VIEW, Camera
from training.evaluate.splatter import FAINTEST, LOW_PASS, MOST_OPAQUE, NEAREST, pairs


def splat(
    centres: Tensor,  # [N, 3] m, view frame
    axes: Tensor,  # [N, 3, 3] the own axes as columns, as long as the standard deviations, m
    opacity: Tensor,  # [N] 0..1
    colours: Tensor,  # [N, 3]
    camera: Camera,
) -> Tensor:  # [4, H, W] colours times alpha, and alpha
    """Elliptical weighted averaging, blended from front to back."""
    width, height = camera.size
    turn = torch.from_numpy(np.array(CAMERA_FROM_VIEW)).to(centres)
    at = centres @ turn.T
    shown = torch.nonzero(at[:, 2] > NEAREST)[:, 0]
    shown = shown[torch.argsort(at[shown, 2].detach(), stable=True)]
    x, y, z = at[shown].unbind(1)
    zero = torch.zeros_like(z)
    rows = torch.stack([torch.stack([1 / z, zero, -x / z**2], 1), torch.stack([zero, 1 / z, -y / z**2], 1)], 1)
    spread = camera.focal * rows @ (turn @ axes[shown])  # [M, 2, 3]
    covariance = spread @ spread.transpose(1, 2)
    xx, xy, yy = covariance[:, 0, 0] + LOW_PASS, covariance[:, 0, 1], covariance[:, 1, 1] + LOW_PASS
    middle = torch.stack([x, y], 1) * (camera.focal / z)[:, None] + centres.new_tensor(camera.centre)
    strength = opacity[shown]
    with torch.no_grad():  # the box in which a Gaussian is stronger than FAINTEST
        reach = (2 * (strength / FAINTEST).clamp_min(1).log()).sqrt()[:, None] * torch.stack([xx, yy], 1).sqrt()
        far = centres.new_tensor([width, height])
        low = torch.minimum((middle - reach - 0.5).ceil().clamp_min(0), far).long()
        high = torch.minimum((middle + reach + 0.5).floor().clamp_min(0), far).long()
        own, pixel = (torch.from_numpy(found) for found in pairs(low.numpy(), (high - low).clamp_min(0).numpy()))
    dx, dy = (pixel + 0.5 - middle[own]).unbind(1)
    xx, xy, yy = xx[own], xy[own], yy[own]
    distance = (yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy) / (xx * yy - xy * xy)
    share = strength[own] * torch.exp(-0.5 * distance)
    kept = torch.nonzero(share.detach() >= FAINTEST)[:, 0]
    where = pixel[kept, 1] * width + pixel[kept, 0]
    order = torch.argsort(where, stable=True)
    kept, where = kept[order], where[order]
    share = share[kept].clamp_max(MOST_OPAQUE).double()
    through = torch.log1p(-share)
    before = torch.cumsum(through, 0) - through
    first = torch.searchsorted(where, where)  # the pixel's first pair
    weight = (share * torch.exp(before - before[first])).to(centres.dtype)
    values = torch.cat([colours[shown][own[kept]], torch.ones_like(weight)[:, None]], 1) * weight[:, None]
    picture = centres.new_zeros(height * width, 4).index_add(0, where, values)
    return picture.T.view(4, height, width)
