"""The lashes' texels: dark hairs, softer below the eye.

Frame: avatar frame for the template (see frames.py). Colours are sRGB 0..1. Dims: V vertices, P covered texels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.head.model import HeadModel
from meshlam_core.texture.atlas import Atlas

LASH = (0.055, 0.042, 0.038)
HAIR_SHARE = 0.2  # of the hair's colour: fair people's lashes are a little fairer
SOFTNESS = (0.35, 0.7)  # share of skin in upper and lower lashes, as both are finer than their triangles


def paint_lashes(
    colours: Tensor,  # [P, 3] written to
    skin: Tensor,  # [V, 3] smooth skin colours
    hair_colour: NDArray[np.float32],  # [3]
    model: HeadModel,
    atlas: Atlas,
) -> None:
    """Paint the lashes in a dark tone that suits the hair and the lids."""
    rows = atlas.rows_of("lashes")
    if not len(rows):
        return
    hair = (1 - HAIR_SHARE) * torch.tensor(LASH) + HAIR_SHARE * torch.from_numpy(hair_colour)
    lids = skin[(atlas.lid_vertices > 0.5) & atlas.skin_vertex]
    tone = lids.mean(0) if len(lids) else skin[atlas.skin_vertex].mean(0)
    upper = atlas.at_texels(_above_eyes(model, atlas)[:, None], rows)
    softness = SOFTNESS[1] + upper.clamp(0, 1) * (SOFTNESS[0] - SOFTNESS[1])
    colours[rows] = hair + softness * (tone - hair)


def _above_eyes(model: HeadModel, atlas: Atlas) -> Tensor:  # [V] 1 above the middle of the eyeballs, 0 below
    y = torch.from_numpy(np.array(model.template[:, 1]))
    balls = (atlas.share("eyeball_left", "eyeball_right") > 0).nonzero()[:, 0]
    middle = y[balls].mean() if len(balls) else y.mean()
    return (y > middle).float()
