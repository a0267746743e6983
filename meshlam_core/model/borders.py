"""Where the borders of hair and person lie, as each vertex sees them. [ours]

Colours alone hardly tell a vertex whether to grow or to stay; its distance from the border of the hair mask does
(METHOD.md 6.2). Masks come with their confidence, as values between 0 and 1, and with what is known of them: beyond the
photo's edge nothing is.

Frames: view frame, image frame, avatar frame (frames.py). Distances are those in the image at the vertex's depth, m.
Dims: B batch, V vertices, R side of the masks over the square canvas, N masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.frames import Camera
from meshlam_core.head.skinning import rotation_matrices
from meshlam_core.model.encoding import encode_positions, encoded_width
from meshlam_core.opencv import cv2
from meshlam_core.raster.project import intrinsics, project
from meshlam_core.raster.shapes import check_shape

F32 = NDArray[np.float32]

SIDE = 128  # R
FIELDS = 9  # signed distances (2), their slopes (2 x 2), hair, person, known
BORDERS = 14  # channels that a vertex gets in each step
WAYS = slice(2, 8)  # of them: the ways to the borders of hair and of person
REACH = 0.05  # m, the distance that counts as one
FARTHEST = 3.0  # REACH
PLACE_OCTAVES = 5  # of the encoding of where a vertex lies in the image
ABOUT = encoded_width(2, PLACE_OCTAVES) + 7  # channels of about_start


def border_fields(
    masks: Tensor,  # [B, 3, R, R] hair and person 0..1, and where they are known
) -> Tensor:  # [B, FIELDS, R, R]
    """What is sampled at the vertices. Distances are in sides of the canvas."""
    check_shape("masks", masks, "B 3 R R")
    found = [[signed_distance(mask) for mask in both] for both in masks[:, :2].cpu().numpy()]
    distance = torch.from_numpy(np.array(found)).to(masks)
    side = masks.shape[-1]
    padded = functional.pad(distance, (1, 1, 1, 1), mode="replicate")
    smooth = functional.avg_pool2d(padded, 3, 1)
    wide = functional.pad(smooth, (1, 1, 1, 1), mode="replicate")
    across = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    down = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
    slope = torch.stack([across, down], 2).flatten(1, 2)  # hair x, hair y, person x, person y
    return torch.cat([distance / side, slope, masks], 1)


def signed_distance(
    mask: F32,  # [R, R] 0..1
) -> F32:  # [R, R] px, positive inside; +-R where there is no border
    """Euclidean distance to the border between pixels above and below one half."""
    inside = (mask > 0.5).astype(np.uint8)
    if not inside.any() or inside.all():
        return np.full(mask.shape, len(mask) if inside.any() else -len(mask), np.float32)
    found = (cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (inside, 1 - inside))
    # squares are whole numbers: OpenCV's roots differ from call to call in their last bits
    within, beyond = (np.sqrt(np.rint(distance**2)) for distance in found)
    return np.asarray(np.where(inside > 0, within - 0.5, 0.5 - beyond), np.float32)


def look_at_borders(
    posed: Tensor,  # [B, V, 3] view frame, m
    cameras: Sequence[Camera],  # B, of the canvas
    rotations: Tensor,  # [B, J, 3] rad; the first one turns the head
    fields: Tensor,  # [B, FIELDS, R, R]
) -> Tensor:  # [B, V, BORDERS]
    """Signed distances, the ways to the borders and to the camera in the avatar frame, and the masks themselves."""
    pixels, depth, focal = _pixels(posed, cameras)
    read = _sample(fields, pixels)
    metres = depth / focal * cameras[0].size[0]  # a canvas side at the vertex
    distance = read[..., :2] * metres
    slope = read[..., 2:6].reshape(*read.shape[:2], 2, 2)
    steep = slope.square().sum(-1, keepdim=True).sqrt().clamp_min(0.3)
    way = -distance[..., None] * slope / steep  # [B, V, 2, 2] m, right and down in the image
    flat = torch.cat([way[..., :1], -way[..., 1:], torch.zeros_like(way[..., :1])], -1)
    turn = rotation_matrices(rotations[:, 0])  # view from avatar
    avatar_way = (flat.flatten(1, 2) @ turn).view(*flat.shape[:3], 3).flatten(2)
    to_camera = functional.normalize(-posed, dim=-1) @ turn
    inside = ((pixels.abs() < 1).all(-1, keepdim=True)).to(posed.dtype)
    near = torch.cat([distance, avatar_way], -1) / REACH
    return torch.cat([near.clamp(-FARTHEST, FARTHEST), read[..., 6:] * inside, to_camera], -1)


def about_start(
    posed: Tensor,  # [B, V, 3] view frame, m, the start V_0 in the photo
    normals: Tensor,  # [B, V, 3] unit, view frame
    seen: Tensor,  # [B, V] 0..1
    displacement: Tensor,  # [B, V, 3] m, the neutral start from the template
    cameras: Sequence[Camera],  # B
) -> Tensor:  # [B, V, ABOUT]
    """Where a vertex lies in the image, which way it faces, whether it is seen, how far it is from the template."""
    pixels, _, _ = _pixels(posed, cameras)
    place = encode_positions(pixels.clamp(-1.5, 1.5) / 2, PLACE_OCTAVES).to(posed.dtype)
    return torch.cat([place, normals, seen[..., None], (displacement / REACH).clamp(-FARTHEST, FARTHEST)], -1)


def _pixels(posed: Tensor, cameras: Sequence[Camera]) -> tuple[Tensor, Tensor, Tensor]:
    """[B, V, 2] places in -1..1 over the canvas, [B, V, 1] depth in m, [B, 1, 1] focal in px."""
    found = project(posed, cameras)
    size = found.new_tensor([camera.size[0] for camera in cameras])[:, None, None]
    return 2 * found[..., :2] / size - 1, found[..., 2:].clamp_min(1e-3), intrinsics(cameras, posed)[0]


def _sample(fields: Tensor, place: Tensor) -> Tensor:  # [B, C, R, R], [B, V, 2] -> [B, V, C]
    read = functional.grid_sample(fields, place[:, None], mode="bilinear", padding_mode="border", align_corners=False)
    return read[:, :, 0].transpose(1, 2)
