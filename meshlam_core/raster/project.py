"""frames.project for torch: differentiable, and for batches with a camera per image.

Frames: view frame in, image frame with camera depth out (see frames.py). Units: metres and pixels.
Dims:  B batch, N points.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from meshlam_core.frames import Camera
from meshlam_core.raster.shapes import check_shape


def project(
    points: Tensor,  # [B, N, 3] view frame, m
    camera: Camera | Sequence[Camera],  # one for all, or one per image
) -> Tensor:  # [B, N, 3] pixel x, pixel y, camera depth in m (positive in front of the camera)
    """The rasteriser's input from view-frame points."""
    check_shape("points", points, "B N 3")
    focal, centre = intrinsics(camera, points)
    depth = -points[..., 2:]
    # points on or behind the camera plane are dropped by the rasteriser; keep their pixels (and gradients) finite
    safe = torch.where(depth.abs() < 1e-9, torch.full_like(depth, 1e-9), depth)
    flip = points.new_tensor([1.0, -1.0])
    return torch.cat([focal * flip * points[..., :2] / safe + centre, depth], -1)


def intrinsics(
    camera: Camera | Sequence[Camera],
    like: Tensor,  # [B, ...] gives the batch size, dtype and device
) -> tuple[Tensor, Tensor]:  # [B or 1, 1, 1] px, [B or 1, 1, 2] px
    """Focal lengths and centres, ready to broadcast over [B, N, 2]."""
    cameras = [camera] if isinstance(camera, Camera) else list(camera)
    if len(cameras) not in (1, len(like)):
        raise ValueError(f"camera: expected one camera or {len(like)}, one per image, got {len(cameras)}.")
    focal = like.new_tensor([c.focal for c in cameras])
    centre = like.new_tensor([c.centre for c in cameras])
    return focal[:, None, None], centre[:, None, :]
