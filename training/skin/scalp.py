"""The scalp of the skin model without the shaved hair that the complete skins have painted on it.

All of them are made for heads under a wig: half as bright as the forehead, in blotches. On bald people that is rust,
and on others it lies under hair. What little a bald head keeps of it is the shade of its shaved sides.

Frame: avatar frame, UV (see frames.py). Colours are logarithms of linear albedo. Dims: V vertices, P texels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshlam_core.head.model import HeadModel
from meshlam_core.skin.model import DETAIL_SIDE, SIDE, SkinModel
from meshlam_core.texture.atlas import build_atlas
from meshlam_core.texture.fill import smooth_fill
from meshlam_core.tracker.ramps import smooth_step

F32 = NDArray[np.float32]

KEPT = 0.3  # of the shade and of its blotches
REACH = 0.025  # m around the scalp, over which the painted hair fades out
FIRM = 1e3  # how firmly skin beyond it stays


def bare_scalp(
    skin: SkinModel,
    head: HeadModel,
) -> SkinModel:
    """The model with a scalp like the skin around it."""
    scalp = head.part == head.parts.index("scalp")
    away = cKDTree(head.template[scalp]).query(head.template)[0]
    plain = np.isin(head.part, [head.parts.index(name) for name in ("face", "neck", "scalp")])
    painted = np.where(plain, 1 - smooth_step(away, 0.0, REACH), 0.0).astype(np.float32)  # [V]
    known = (plain & (away > REACH)).astype(np.float32)
    atlas = build_atlas(head, SIDE)
    like = torch.from_numpy(skin.mean.copy())
    spread = smooth_fill(atlas.graph, like, torch.from_numpy(FIRM * known)[:, None].expand(-1, 3)).numpy()
    # only what is darker than the skin around is hair
    lifted = (1 - KEPT) * painted[:, None] * (spread - skin.mean).clip(0)
    at_vertices = np.concatenate([lifted, skin.mean, painted[:, None]], axis=1)
    at_texels = atlas.at_texels(torch.from_numpy(at_vertices)).numpy()[_nearest(atlas.places.numpy(), skin.texel, SIDE)]
    change, mean, share = at_texels[:, :3], at_texels[:, 3:6], at_texels[:, 6:]
    texel_mean = mean + change + (skin.texel_mean - mean) * (1 - (1 - KEPT) * share)
    fine = build_atlas(head, DETAIL_SIDE)
    every = np.arange(DETAIL_SIDE**2)
    calm = fine.at_texels(torch.from_numpy(painted)[:, None])[:, 0].numpy()
    calm = calm[_nearest(fine.places.numpy(), every, DETAIL_SIDE)].reshape(DETAIL_SIDE, DETAIL_SIDE)
    detail = np.round(skin.detail * (1 - (1 - KEPT) * calm)).astype(np.int8)
    mean = (skin.mean + lifted).astype(np.float32)
    return replace(skin, mean=mean, texel_mean=texel_mean.astype(np.float32), detail=detail)


def _nearest(
    covered: NDArray[np.integer],  # [P] row * side + column
    wanted: NDArray[np.integer],  # [Q] the same
    side: int,
) -> NDArray[np.intp]:  # [Q] rows of P
    """The covered texel next to each wanted one."""
    places = np.stack(np.divmod(covered, side), axis=1)
    return np.asarray(cKDTree(places).query(np.stack(np.divmod(wanted, side), axis=1))[1])
