"""From a baked texture to what an avatar carries: the face at rest, the folds of its expression, the surface's maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.avatar.record import Fold
from meshlam_core.head.model import HeadModel
from meshlam_core.texture.albedo import Texture
from meshlam_core.texture.atlas import build_atlas
from meshlam_core.texture.folds import find_folds, lid_folds, without_folds
from meshlam_core.texture.maps import SurfaceMaps, surface_maps
from meshlam_core.tracker.types import TrackedFace

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class FinishedTexture:
    """The textures of the face at rest and what goes with them."""

    albedo: U8  # [S, S, 3] sRGB, without the photo's light where that was asked for
    photo: U8 | None  # [S, S, 3] sRGB, with the photo's light, where albedo is without it
    folds: tuple[Fold, ...]
    maps: SurfaceMaps


def painted_by_network(
    trust: U8,  # [S, S, 4] of the texture that the network was given
    seen: U8,  # [S, S] 255 where a texel of its own texture is the photo's
) -> U8:  # [S, S, 4]
    """Where the texels come from after the network: it corrects all that is not the photo's own."""
    photo = np.maximum(trust[..., 0], seen)
    nothing = np.zeros_like(photo)
    return np.stack([photo, nothing, nothing, 255 - photo], axis=-1)


def finish(texture: Texture, tracked: TrackedFace, model: HeadModel) -> FinishedTexture:
    """Take the expression's folds out and make the maps."""
    shown = texture.photo if texture.albedo is None else texture.albedo
    folds = find_folds(shown, tracked.expression, model)
    albedo = without_folds(shown, folds)
    photo = None if texture.albedo is None else without_folds(texture.photo, folds)
    cover = torch.zeros(len(model.template)) if tracked.hair is None else torch.from_numpy(tracked.hair.cover)
    atlas = build_atlas(model, len(albedo))
    with torch.inference_mode():
        maps = surface_maps(albedo, cover, model, atlas)
        if texture.lids is not None:
            folds += lid_folds(albedo, texture.lids[:, :3], texture.lids[:, 3], model, atlas)
    return FinishedTexture(albedo, photo, folds, maps)
