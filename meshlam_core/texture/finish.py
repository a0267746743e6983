"""From a baked texture to what an avatar carries: the face at rest, the folds of its expression, the surface's maps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.avatar.record import Fold
from meshlam_core.head.model import HeadModel
from meshlam_core.opencv import cv2
from meshlam_core.texture.albedo import Texture
from meshlam_core.texture.atlas import build_atlas
from meshlam_core.texture.folds import find_folds, lid_folds, without_folds
from meshlam_core.texture.gloss import SIDE
from meshlam_core.texture.maps import SurfaceMaps, surface_maps
from meshlam_core.tracker.types import TrackedFace

U8 = NDArray[np.uint8]

NOISE = 2.0  # of 255, below which a colour says nothing of it


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


def with_network(
    texture: Texture,  # that the network was given
    painted: U8,  # [S, S, 3] what it made of that, with the photo's light
) -> Texture:
    """The network's texture in the tracker's place; the light is taken off it as it was there."""
    if texture.albedo is None:
        return replace(texture, photo=painted)
    side = min(SIDE, len(painted))
    bare, lit = (
        cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) + NOISE
        for picture in (texture.albedo, texture.photo)
    )
    ratio = cv2.resize(bare / lit, painted.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return replace(texture, photo=painted, albedo=np.round(painted * ratio).clip(0, 255).astype(np.uint8))


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
