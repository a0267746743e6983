"""The lashes' texels.

Frame: avatar frame for the template (see frames.py). Colours are sRGB 0..1. Dims: V vertices, P covered texels, R lash
texels.

Lashes are opaque strips of triangles. Painted plainly dark they look like thick make-up, so they fade from hairs at the
lid to the skin behind their tips, more so below the eye, where lashes are sparse.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.head.model import HeadModel
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.mathematics import smooth_step

LASH = (0.055, 0.042, 0.038)
DARKNESS = (0.85, 0.4)  # of upper and lower lashes at the lid
LENGTH = 6e-3  # m from the lid over which they fade into the skin
HAIRS = 2200.0  # strands per metre along the lid


def paint_lashes(
    colours: Tensor,  # [P, 3] written to
    skin: Tensor,  # [V, 3] smooth skin colours
    hair_colour: NDArray[np.float32],  # [3]
    model: HeadModel,
    atlas: Atlas,
) -> None:
    """Paint the lashes over the colour of the lids behind them."""
    rows = atlas.rows_of("lashes")
    if not len(rows):
        return
    behind, length, upper = lash_frame(model, atlas)
    attributes = torch.cat([skin[behind], length[:, None], upper[:, None]], 1)
    at_texels = atlas.at_texels(attributes, rows)
    fade = 1 - smooth_step(at_texels[:, 3], 0.0, LENGTH)
    side = at_texels[:, 4]
    x = atlas.at_texels(torch.from_numpy(np.array(model.template[:, :1])), rows)[:, 0]
    strand = 0.75 + 0.25 * torch.sin(2 * np.pi * HAIRS * x)
    dark = strand * fade * (DARKNESS[1] + side.clamp(0, 1) * (DARKNESS[0] - DARKNESS[1]))
    hair = 0.8 * torch.tensor(LASH) + 0.2 * 0.4 * torch.from_numpy(hair_colour)
    colours[rows] = at_texels[:, :3] + dark[:, None] * (hair - at_texels[:, :3])


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
