"""The lashes' texels.

Frames: avatar frame for the template, view and image frame of the crop (see frames.py). Colours are sRGB 0..1.
Dims:   V vertices, P covered texels, R lash texels, h and w rows and columns of the depth map, L landmarks.

Lashes are opaque strips of triangles. Painted plainly dark they look like thick make-up. They stand where the photo
shows the real lashes over the skin of the lids, so they show just that; only in front of the eye, and where the photo
does not show them, are they painted: hairs at the lid that fade into the skin behind.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.project import project
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.mathematics import depth_inside, smooth_step
from meshlam_core.texture.sight import Sight
from meshlam_core.tracker.points import LEFT_EYE, RIGHT_EYE

F32 = NDArray[np.float32]

LASH = (0.055, 0.042, 0.038)
DARKNESS = (0.85, 0.4)  # of upper and lower lashes at the lid
LENGTH = 6e-3  # m from the lid over which they fade into the skin
BEHIND = 3e-3  # m that a lash may lie behind the depth map and still be seen
EDGE = 0.04  # opening widths from the eye over which the photo takes over
HAIRS = 2200.0  # strands per metre along the lid


def paint_lashes(
    colours: Tensor,  # [P, 3] written to
    image: Tensor,  # [1, 3, H, W] sRGB 0..1, the crop
    sight: Sight,
    landmarks: F32,  # [L, 2] px of the crop
    posed: Tensor,  # [V, 3] view frame, m
    camera: Camera,  # of the crop
    skin: Tensor,  # [V, 3] smooth skin colours
    hair_colour: F32,  # [3]
    model: HeadModel,
    atlas: Atlas,
) -> None:
    """Photo and painted hairs for the lashes."""
    rows = atlas.rows_of("lashes")
    if not len(rows):
        return
    behind, length, upper = lash_frame(model, atlas)
    x = torch.from_numpy(np.array(model.template[:, :1]))
    attributes = torch.cat([skin[behind], length[:, None], upper[:, None], x, project(posed[None], camera)[0]], 1)
    at_texels = atlas.at_texels(attributes, rows)
    fade = 1 - smooth_step(at_texels[:, 3], 0.0, LENGTH)
    strand = 0.75 + 0.25 * torch.sin(2 * np.pi * HAIRS * at_texels[:, 5])
    dark = strand * fade * (DARKNESS[1] + at_texels[:, 4].clamp(0, 1) * (DARKNESS[0] - DARKNESS[1]))
    hair = 0.8 * torch.tensor(LASH) + 0.2 * 0.4 * torch.from_numpy(hair_colour)
    painted = at_texels[:, :3] + dark[:, None] * (hair - at_texels[:, :3])

    pixel, depth = at_texels[:, 6:8], at_texels[:, 8]
    grid = (2 * pixel / pixel.new_tensor([image.shape[3], image.shape[2]]) - 1)[None, None]
    photo = functional.grid_sample(image, grid, align_corners=False)[0, :, 0].T
    front = functional.grid_sample(sight.depth[None, None], grid, mode="nearest", align_corners=False)[0, 0, 0]
    on_head = functional.grid_sample(sight.clear[None, None], grid, align_corners=False)[0, 0, 0]
    clear = torch.from_numpy(_outside_eyes(pixel.numpy(), landmarks).astype(np.float32))
    trust = (depth < front + BEHIND).float() * smooth_step(on_head, 0.8, 1.0) * smooth_step(clear, 0.0, EDGE)
    colours[rows] = painted + trust[:, None] * (photo - painted)


def _outside_eyes(
    pixel: NDArray[np.float32],  # [R, 2]
    landmarks: F32,  # [L, 2]
) -> NDArray[np.float64]:  # [R] distance from the nearer eye's opening in opening widths, negative inside
    nearest = np.full(len(pixel), np.inf)
    for ring in (landmarks[RIGHT_EYE].astype(np.float64), landmarks[LEFT_EYE].astype(np.float64)):
        width = max(float(np.linalg.norm(ring[0] - ring[8])), 1e-6)
        near = (np.abs(pixel - ring.mean(axis=0)) < 0.8 * width).all(axis=1)
        nearest[near] = np.minimum(nearest[near], -depth_inside(pixel[near], ring) / width)
    return nearest


def lash_frame(
    model: HeadModel,
    atlas: Atlas,
) -> tuple[Tensor, Tensor, Tensor]:  # [V] nearest skin vertex, [V] m from it, [V] 1 above the eye's middle, 0 below
    """Where each lash vertex stands on the lids; zeros for all other vertices."""
    points = torch.from_numpy(np.array(model.template))
    lash = (atlas.share("lashes") > 0).nonzero()[:, 0]
    skin = atlas.skin_vertex.nonzero()[:, 0]
    distance, nearest = torch.cdist(points[lash], points[skin]).min(1)
    behind = torch.zeros(len(points), dtype=torch.int64)
    length, upper = torch.zeros(len(points)), torch.zeros(len(points))
    behind[lash], length[lash] = skin[nearest], distance
    for name in ("eyeball_left", "eyeball_right"):
        ball = (atlas.share(name) > 0).nonzero()[:, 0]
        if len(ball):
            middle = points[ball].mean(0)
            mine = lash[(points[lash, 0] > 0) == bool(middle[0] > 0)]
            upper[mine] = (points[mine, 1] > middle[1]).float()
    return behind, length, upper
