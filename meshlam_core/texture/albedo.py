"""One photo -> a whole albedo: seen texels from the photo, hidden ones from the mirrored side or filled.

Frames: view frame and image frame of the crop (see frames.py). Colours are sRGB.
Dims:   S texture size, V vertices, P covered texels, R texels that the photo shows.

MeshLAM learns a texture branch for this (sec. 3); here it is done without learning, as METHOD.md 5.4 and 5.5 ask.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.warp_runtime import over_list
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.texture.eyes import paint_eyes
from meshlam_core.texture.lashes import paint_lashes
from meshlam_core.texture.lids import lid_tones
from meshlam_core.texture.mathematics import luminance
from meshlam_core.texture.mouth import paint_mouth
from meshlam_core.texture.sight import see, with_hidden_ears
from meshlam_core.texture.skin import CPU, complete_skin
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.pose import landmarks_on_crop, posed_vertices
from meshlam_core.tracker.types import TrackedFace

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

GREY = 2.0  # of 255, mean spread of the channels up to which a photo counts as black and white


@dataclass(frozen=True)
class Texture:
    """A baked albedo."""

    albedo: U8  # [S, S, 3] sRGB
    seen: U8  # [S, S] 255 where the photo was seen, 0 where mirrored, filled or painted


def bake_albedo(
    crop: U8,  # [H, W, 3] sRGB
    regions: Regions,  # of the crop
    tracked: TrackedFace,
    camera: Camera,  # the photo's, cropped and scaled to the crop
    model: HeadModel,
    size: int = 1024,
) -> Texture:
    """The albedo of a tracked head. The work is small and stays on the CPU."""
    with torch.inference_mode():
        return _bake(crop, regions, tracked, camera, model, size)


def _bake(crop: U8, regions: Regions, tracked: TrackedFace, camera: Camera, model: HeadModel, size: int) -> Texture:
    atlas = build_atlas(model, size)
    posed = posed_vertices(tracked, model)
    scale = camera.focal / tracked.camera.focal
    landmarks = landmarks_on_crop(tracked, camera)
    x0, y0 = (c - t * scale for c, t in zip(camera.centre, tracked.camera.centre, strict=True))
    valid = (x0, y0, x0 + tracked.camera.size[0] * scale, y0 + tracked.camera.size[1] * scale)

    image = torch.from_numpy(np.array(crop)).permute(2, 0, 1)[None].float().div_(255)
    tones = lid_tones(crop, landmarks, regions.skin_colour, model)
    cover = torch.zeros(len(posed)) if tracked.hair is None else torch.from_numpy(tracked.hair.cover)
    cover = with_hidden_ears(cover, atlas)
    sight = see(image, regions, landmarks, posed, camera, valid, tones, cover, model, atlas)
    colour, smooth = complete_skin(sight.skin, regions, tones, cover, model, atlas)
    paint_mouth(colour, crop, sight, regions.skin_colour, landmarks, model, atlas)
    paint_lashes(colour, smooth, regions.hair_colour, model, atlas)
    eyes = paint_eyes(colour, image, regions, landmarks, posed, camera, atlas)
    if _is_grey(crop):
        colour = luminance(colour)[:, None].expand(-1, 3).clone()
    trust = sight.skin[:, 4].clone()
    for rows, weight in [(sight.mouth.rows, sight.mouth.weight), *eyes]:
        trust[rows] = weight
    return _pack(colour, trust, atlas)


def _is_grey(crop: U8) -> bool:
    """Whether the photo is black and white: then painted parts must not be the only coloured ones."""
    sample = crop[::8, ::8].astype(np.int16)
    return float(np.ptp(sample, axis=2).mean()) < GREY


def _pack(
    colour: Tensor,  # [P, 3]
    trust: Tensor,  # [P] 0..1
    atlas: Atlas,
) -> Texture:
    """Covered texels to whole 8-bit textures."""
    size = atlas.uv_map.size
    albedo = torch.zeros(size * size, 3, dtype=torch.uint8)
    seen = torch.zeros(size * size, dtype=torch.uint8)
    over_list("pack", len(colour), [atlas.places, colour, trust], [albedo, seen], CPU)
    return Texture(albedo.view(size, size, 3).numpy(), seen.view(size, size).numpy())
