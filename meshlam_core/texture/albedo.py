"""One photo -> a whole albedo: seen texels from the photo, hidden ones from the mirrored side or filled.

Frames: view frame and image frame of the crop (see frames.py). Colours are sRGB.
Dims:   S texture size, V vertices, P covered texels, R texels that the photo shows.

MeshLAM learns a texture branch for this (sec. 3); here it is done without learning, as METHOD.md 5.4 and 5.5 ask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.warp_runtime import over_list
from meshlam_core.skin.fit import WHITE
from meshlam_core.skin.model import GAMMA, load_skin_model
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.texture.eyes import paint_eyes
from meshlam_core.texture.gloss import cold_on_hair, fine_light
from meshlam_core.texture.hair_look import HairLook, look_of
from meshlam_core.texture.lashes import paint_lashes
from meshlam_core.texture.lids import around_eyes, lid_tones, spread_by_blink
from meshlam_core.texture.mathematics import luminance, smooth_step
from meshlam_core.texture.mouth import paint_mouth
from meshlam_core.texture.separate import separate
from meshlam_core.texture.sight import Sight, see, with_hidden_ears
from meshlam_core.texture.skin import CPU, HAIR_LINE, TRUSTED, Hull, Likely, complete_skin
from meshlam_core.texture.whites import white_of_eyes
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.pose import landmarks_on_crop, posed_vertices
from meshlam_core.tracker.types import TrackedFace

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

SAME = 3 / 255  # by which colours may differ, for an outline that says nothing new
GREY = 2.0  # of 255, mean spread of the channels up to which a photo counts as black and white
WHITEST = 0.95  # quantile of an eye's texels that its white is


@dataclass(frozen=True)
class Light:
    """The photo's light."""

    harmonics: F32  # [9, 3] in the avatar frame; an irradiance of 1 shows an albedo as it is
    tone_doubt: float  # standard deviation of the logarithm of the skin's tone beside it


@dataclass(frozen=True)
class Texture:
    """A baked texture."""

    photo: U8  # [S, S, 3] sRGB, with the photo's light
    seen: U8  # [S, S] 255 where the photo was seen, 0 where mirrored, filled or painted
    trust: U8  # [S, S, 4] where each texel comes from: shares of photo, mirrored side, model and network, together 255
    light: Light | None = None  # None for head models that no skin is known for
    albedo: U8 | None = None  # [S, S, 3] sRGB, without the photo's light, where that was asked for
    lids: Tensor | None = None  # [V, 4] tones of bare lids and how far a blink would stretch what shows, see lids.py
    hairy: F32 | None = None  # [V] 0..1 share of hair, seen or likely; None without a hull of hair
    look: HairLook | None = None  # of the hair; None without a hull
    outline: U8 | None = None  # [S, S, 4] see avatar.record; None where the photo's texture shows the photo anyway


def bake_albedo(
    crop: U8,  # [H, W, 3] sRGB
    regions: Regions,  # of the crop
    tracked: TrackedFace,
    camera: Camera,  # the photo's, cropped and scaled to the crop
    model: HeadModel,
    size: int = 1024,
    unlit: bool = False,  # take the photo's light off
) -> Texture:
    """The texture of a tracked head. The work is small and stays on the CPU."""
    with torch.inference_mode():
        return _bake(crop, regions, tracked, camera, model, size, unlit)


@dataclass(frozen=True)
class Observation:
    """A tracked head as its photo shows it."""

    image: Tensor  # [1, 3, H, W] sRGB 0..1, the crop
    landmarks: F32  # [L, 2] px of the crop
    posed: Tensor  # [V, 3] view frame, m
    tones: Tensor  # [V, 3] lid tones
    cover: Tensor  # [V] how far each vertex is hair and no skin
    valid: tuple[float, float, float, float]  # px, (x0, y0, x1, y1) of the crop that the photo covers
    sight: Sight


def observe(
    crop: U8,  # [H, W, 3] sRGB
    regions: Regions,  # of the crop
    tracked: TrackedFace,
    camera: Camera,  # the photo's, cropped and scaled to the crop
    model: HeadModel,
    atlas: Atlas,
) -> Observation:
    """Read the photo at every texel that shows."""
    posed = posed_vertices(tracked, model)
    scale = camera.focal / tracked.camera.focal
    landmarks = landmarks_on_crop(tracked, camera)
    x0, y0 = (c - t * scale for c, t in zip(camera.centre, tracked.camera.centre, strict=True))
    valid = (x0, y0, x0 + tracked.camera.size[0] * scale, y0 + tracked.camera.size[1] * scale)

    image = torch.from_numpy(np.array(crop)).permute(2, 0, 1)[None].float().div_(255)
    tones = lid_tones(crop, landmarks, regions.skin_colour, model, regions.in_front)
    cover = torch.zeros(len(posed)) if tracked.hair is None else torch.from_numpy(tracked.hair.cover)
    cover = with_hidden_ears(cover, atlas)
    sight = see(image, regions, landmarks, posed, camera, valid, tones, cover, model, atlas)
    return Observation(image, landmarks, posed, tones, cover, valid, sight)


def _bake(
    crop: U8, regions: Regions, tracked: TrackedFace, camera: Camera, model: HeadModel, size: int, unlit: bool
) -> Texture:
    atlas = build_atlas(model, size)
    found = observe(crop, regions, tracked, camera, model, atlas)
    image, landmarks, posed, cover = found.image, found.landmarks, found.posed, found.cover
    photo, tones, colours = found.sight.skin, found.tones, regions
    skin, parted, shade = load_skin_model(model), None, None
    grey = _is_grey(crop)
    if skin is not None:
        white = white_of_eyes(crop, landmarks)
        parted = separate(photo, posed, tracked.rotations[0], cover, white, regions.hair_colour, skin, model, atlas)
        parted = parted.in_grey() if parted is not None and grey else parted
    likely = None if parted is None else Likely(parted.person * parted.shade, parted.tone)
    if unlit and parted is not None and skin is not None:
        shade = atlas.at_texels(parted.shade)
        bare = torch.cat([photo[:, :3] / shade, photo[:, 3:]], 1)
        fine, believed = fine_light(bare, parted.person, torch.from_numpy(skin.spread), model, atlas)
        likely, level, on_hair = Likely(parted.person, parted.tone), parted.level.numpy(), parted.hair.numpy()
        colours = replace(regions, skin_colour=regions.skin_colour / level, hair_colour=regions.hair_colour / on_hair)
        shade = shade * fine * cold_on_hair(bare, torch.from_numpy(colours.hair_colour))
        photo = torch.cat([photo[:, :3] / shade, photo[:, 3:4], photo[:, 4:] * believed[:, None]], 1)
        tones = tones / around_eyes(parted.shade, model)
    hull = _hull(tracked, crop, regions, posed, camera, atlas)
    done = complete_skin(photo, colours, tones, cover, model, atlas, likely, hull)
    colour, smooth = done.colour, done.smooth
    if shade is not None and parted is not None:
        shade = _in_hair(shade, done.hair, photo[:, 4], parted.hair, atlas)
        colour, smooth = colour * shade, smooth * parted.shade
    lit = None if parted is None else parted.level
    behind_lips = paint_mouth(colour, crop, found.sight, regions.skin_colour, landmarks, model, atlas, lit)
    paint_lashes(colour, smooth, regions.hair_colour, model, atlas)
    eyes = paint_eyes(colour, image, regions, found.tones, landmarks, posed, camera, found.valid, atlas)
    if shade is not None:
        shade = _no_whiter(shade * behind_lips, colour, atlas)
    for eye in eyes:
        colour[eye.front] *= eye.lit
        if shade is not None:
            shade[eye.front] *= eye.lit
    if grey:
        colour = luminance(colour)[:, None].expand(-1, 3).clone()
        shade = None if shade is None else luminance(shade)[:, None].expand(-1, 3)
    weight, shares = found.sight.skin[:, 4].clone(), done.shares
    for rows, own in [(found.sight.mouth.rows, found.sight.mouth.weight), *((e.seen, e.weight) for e in eyes)]:
        weight[rows] = own
        shares[rows] = torch.stack([own, torch.zeros_like(own)], 1)
    seen, trust = _pack_trust(weight, shares, atlas)
    light = None if parted is None else Light(parted.light, parted.tone_doubt)
    albedo = None if shade is None else _pack_colours(colour / shade, atlas)
    lids = torch.cat([tones, spread_by_blink(tracked, posed, atlas.lid_vertices, model)[:, None]], 1)
    hairy, look = (None, None) if hull is None else (done.hair.numpy(), hull.look)
    outline = _pack_outline(found.sight.outline, colour, atlas)
    return Texture(_pack_colours(colour, atlas), seen, trust, light, albedo, lids, hairy, look, outline)


def _in_hair(
    shade: Tensor,  # [P, 3]
    hair: Tensor,  # [V] share of hair
    trust: Tensor,  # [P] of the photo
    on_hair: Tensor,  # [3] the light on hair
    atlas: Atlas,
) -> Tensor:  # [P, 3]
    """Painted hair in the hue of hair's light down to its last strands, where the skin's begins to show."""
    painted = smooth_step(atlas.at_texels(hair[:, None])[:, 0], *HAIR_LINE) * (1 - smooth_step(trust, *TRUSTED))
    hue = on_hair / luminance(on_hair[None])
    return shade + painted[:, None] * (luminance(shade)[:, None] * hue - shade)


def _no_whiter(
    shade: Tensor,  # [P, 3]
    colour: Tensor,  # [P, 3]
    atlas: Atlas,
) -> Tensor:  # [P, 3]
    """The light on each eye, at least what its white needs to be no whiter than whites are."""
    shade = shade.clone()
    for eye in atlas.eyes.values():
        white = torch.quantile(colour[eye.rows] / shade[eye.rows], WHITEST, dim=0)
        shade[eye.rows] *= (white / torch.tensor(WHITE) ** (1 / GAMMA)).clamp_min(1).float()
    return shade


def _hull(tracked: TrackedFace, crop: U8, regions: Regions, posed: Tensor, camera: Camera, atlas: Atlas) -> Hull | None:
    """The hair to comb, in the avatar frame."""
    if tracked.hair is None:
        return None
    growth = np.linalg.norm(tracked.hair.displacement, axis=1)
    scalp = atlas.share("scalp").numpy() > 0
    look = look_of(crop, regions.hair, -float(posed[:, 2].mean()) / camera.focal)
    return Hull(torch.from_numpy(np.array(tracked.surface, np.float32)), float(growth[scalp].mean()), look)


def _is_grey(crop: U8) -> bool:
    """Whether the photo is black and white: then painted parts must not be the only coloured ones."""
    sample = crop[::8, ::8].astype(np.int16)
    return float(np.ptp(sample, axis=2).mean()) < GREY


def _pack_colours(
    colour: Tensor,  # [P, 3]
    atlas: Atlas,
) -> U8:  # [S, S, 3]
    """Covered texels to a whole 8-bit texture."""
    size = atlas.uv_map.size
    picture = torch.zeros(size * size, 3, dtype=torch.uint8)
    over_list("pack_colours", len(colour), [atlas.places, colour.contiguous()], [picture], CPU)
    picture[atlas.empty] = picture[atlas.lender]
    return picture.view(size, size, 3).numpy()


def _pack_outline(
    outline: Tensor,  # [P, 4] colour, and how far it shows
    colour: Tensor,  # [P, 3] of the photo's texture
    atlas: Atlas,
) -> U8 | None:  # [S, S, 4]
    """What differs from the texture."""
    rows = ((outline[:, 3] > 0) & ((outline[:, :3] - colour).abs().amax(1) > SAME)).nonzero()[:, 0]
    if not len(rows):
        return None
    size = atlas.uv_map.size
    picture = torch.zeros(size * size, 4, dtype=torch.uint8)
    picture[atlas.places[rows].long()] = (outline[rows].clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return picture.view(size, size, 4).numpy()


def _pack_trust(
    weight: Tensor,  # [P] 0..1, how far the photo is trusted
    shares: Tensor,  # [P, 2] what is the photo's, and the mirrored side's
    atlas: Atlas,
) -> tuple[U8, U8]:  # [S, S], [S, S, 4]
    """The masks of what was seen, and of where each texel comes from, as the textures lie."""
    size = atlas.uv_map.size
    seen = torch.zeros(size * size, dtype=torch.uint8)
    trust = torch.zeros(size * size, 4, dtype=torch.uint8)
    over_list("pack_trust", len(weight), [atlas.places, weight, shares], [seen, trust], CPU)
    texels = trust.view(torch.int32)  # four bytes at once
    texels[atlas.empty] = texels[atlas.lender]
    return seen.view(size, size).numpy(), trust.view(size, size, 4).numpy()
