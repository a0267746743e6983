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
from meshlam_core.head.skinning import pose_vertices
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.texture.eyes import paint_eyes
from meshlam_core.texture.fill import smooth_fill
from meshlam_core.texture.lashes import paint_lashes
from meshlam_core.texture.lids import lid_tones
from meshlam_core.texture.mathematics import luminance, smooth_step
from meshlam_core.texture.mouth import paint_mouth
from meshlam_core.texture.sight import Texels, see
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.types import TrackedFace

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

FIRM = 20.0  # how much more a seen vertex wants its colour than its neighbours' likeness
SKIN_PRIOR, HAIR_PRIOR = 1e-2, 0.04  # pull of the photo's median colours
LID_PRIOR = 0.15  # hidden lids must not inherit the dark of the crease and the lashes
LINE_PRIOR = (0.4, 0.1)  # pull of the template's hair line, on the scalp and elsewhere
TRUSTED = (0.05, 0.6)  # weights between which the photo takes over
GREY = 2.0  # of 255, mean spread of the channels up to which a photo counts as black and white
BALD = (0.08, 0.2)  # hair share between which unseen scalp turns from skin to hair: a thin dark rim is not yet hair


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
    sight = see(image, regions, landmarks, posed, camera, valid, tones, model, atlas)
    colour, smooth = _complete_skin(sight.skin, regions, tones, model, atlas)
    paint_mouth(colour, crop, sight, landmarks, model, atlas)
    paint_lashes(colour, smooth, regions.hair_colour, model, atlas)
    eyes = paint_eyes(colour, image, regions, landmarks, posed, camera, atlas)
    if _is_grey(crop):
        colour = luminance(colour)[:, None].expand(-1, 3).clone()
    seen = [(texels.rows, texels.weight) for texels in (sight.skin, sight.mouth)]
    return _pack(colour, seen + eyes, atlas)


def _is_grey(crop: U8) -> bool:
    """Whether the photo is black and white: then painted parts must not be the only coloured ones."""
    sample = crop[::8, ::8].astype(np.int16)
    return float(np.ptp(sample, axis=2).mean()) < GREY


def _pack(
    colour: Tensor,  # [P, 3]
    seen: list[tuple[Tensor, Tensor]],  # rows among the covered texels, and their trust 0..1
    atlas: Atlas,
) -> Texture:
    """Covered texels to whole 8-bit textures, through one scatter of four bytes a texel."""
    pixels = torch.zeros(len(colour), 4, dtype=torch.uint8)
    pixels[:, :3] = colour.clamp_(0, 1).mul_(255).add_(0.5).to(torch.uint8)
    for rows, weight in seen:
        pixels[rows, 3] = (weight * 255 + 0.5).to(torch.uint8)
    size = atlas.uv_map.size
    whole = np.zeros(size * size, np.int32)
    whole[atlas.uv_map.texel.numpy()] = pixels.view(torch.int32)[:, 0].numpy()
    parts = whole.view(np.uint8).reshape(size, size, 4)
    return Texture(np.ascontiguousarray(parts[..., :3]), np.ascontiguousarray(parts[..., 3]))


def posed_vertices(tracked: TrackedFace, model: HeadModel) -> Tensor:  # [V, 3] view frame, m
    """The tracked head as it stands before the camera."""
    correctives = None if model.pose_correctives is None else torch.from_numpy(np.array(model.pose_correctives))
    posed = pose_vertices(
        torch.from_numpy(np.array(tracked.vertices)),
        torch.from_numpy(np.array(tracked.blendshapes_on(model))),
        torch.from_numpy(np.array(tracked.expression))[None],
        torch.from_numpy(np.array(tracked.rotations))[None],
        torch.from_numpy(model.joints(tracked.vertices)),
        torch.from_numpy(np.array(model.weights)),
        model.joint_parents,
        correctives,
    )
    return (posed[0] + torch.from_numpy(np.array(tracked.translation))).float()


def landmarks_on_crop(tracked: TrackedFace, camera: Camera) -> F32:  # [L, 2] px of the crop
    """The detected landmarks, moved from the photo into the crop."""
    scale = camera.focal / tracked.camera.focal
    offset = np.array(camera.centre) - np.array(tracked.camera.centre) * scale
    return (tracked.detection.landmarks[:, :2] * scale + offset).astype(np.float32)


def _complete_skin(
    seen: Texels,
    regions: Regions,
    tones: Tensor,  # [V, 3] lid tones
    model: HeadModel,
    atlas: Atlas,
) -> tuple[Tensor, Tensor]:  # [P, 3] every texel, [V, 3] the skin's smooth colours
    """Photo where it is trusted, the mirrored side where that is, a smooth fill with fine detail elsewhere."""
    # colour, hair and trust of every covered texel, so that mirrored texels can be looked up
    photo = torch.zeros(len(atlas.corners), 5)
    photo[seen.rows] = torch.cat([seen.colour, seen.hair[:, None], seen.weight[:, None]], 1)
    mean, sure = atlas.at_vertices(photo[:, :4], photo[:, 4])
    mirror = torch.from_numpy(model.mirror.astype(np.int64))

    # low frequencies everywhere, following the mirrored side's differences where only that one is seen
    firmness = (FIRM * sure**2)[:, None].expand(-1, 3)
    guide = mean[mirror, :3]
    base = smooth_fill(atlas.graph, mean[:, :3], firmness, guide, sure[mirror] > 0.3)
    layers = _fill_layers(regions, tones, atlas, base, mean, sure, mirror)

    out = photo[:, :3].clone()
    doubtful = (photo[:, 4] < TRUSTED[1]).nonzero()[:, 0]
    trust = smooth_step(photo[doubtful, 4:], *TRUSTED)
    filled = _fill(doubtful, layers, _detail_strength(seen, base, atlas), atlas)
    out[doubtful] = filled + trust * (out[doubtful] - filled)
    hidden = _mirrored_rows(seen.rows, photo[:, 4], atlas)
    out[hidden] += _mirrored(hidden, photo, base, atlas, out[hidden])
    return out, layers[:, :3]


def _mirrored_rows(
    rows: Tensor,  # [R] texels that the photo shows
    weight: Tensor,  # [P]
    atlas: Atlas,
) -> Tensor:  # [M] texels that it hardly shows but whose mirrored point it does
    there = atlas.mirror_texel[rows]
    return there[(weight[there] < TRUSTED[1]) & (atlas.mirror_texel[there] == rows)]


def _mirrored(
    rows: Tensor,  # [M]
    photo: Tensor,  # [P, 5]
    base: Tensor,  # [V, 3]
    atlas: Atlas,
    below: Tensor,  # [M, 3] photo and fill there
) -> Tensor:  # [M, 3] what to add to that
    """The mirrored side's fine detail on this side's smooth colours, so that no edge in brightness appears.

    Detail is a ratio, as light acts on it; lifted, so that dark colours do not explode.
    """
    twin = atlas.mirror_texel[rows]
    lift = 0.06
    detail = (photo[twin, :3] + lift) / (atlas.at_texels(base, twin).clamp_min(0) + lift)
    colour = (atlas.at_texels(base, rows).clamp_min(0) + lift) * detail.clamp(0.3, 2.5) - lift
    hidden = 1 - smooth_step(photo[rows, 4:], *TRUSTED)
    return hidden * smooth_step(photo[twin, 4:], *TRUSTED) * (colour - below)


def _fill_layers(
    regions: Regions,
    tones: Tensor,  # [V, 3] lid tones
    atlas: Atlas,
    base: Tensor,  # [V, 3]
    mean: Tensor,  # [V, 4] seen colour and hair share
    sure: Tensor,  # [V]
    mirror: Tensor,  # [V]
) -> Tensor:  # [V, 7] skin colour, hair colour, share of hair
    """Skin and hair spread over the hidden surface as two layers with a hair line between them."""
    known = torch.maximum(sure, sure[mirror])  # [V]
    hairy = torch.where(sure >= sure[mirror], mean[:, 3], mean[mirror, 3])
    scalp = atlas.share("scalp")
    low, high = BALD
    growth = min(max((regions.hair_share - low) / (high - low), 0.0), 1.0)
    lids = torch.maximum(atlas.lid_vertices, atlas.share("eyelids"))
    skin_tone = torch.where(lids[:, None] > 0, tones, torch.from_numpy(regions.skin_colour))
    layers = (  # wanted colour, its weight, prior colour, its weight
        (base, FIRM * (known * (1 - hairy) ** 2) ** 2, skin_tone, SKIN_PRIOR + LID_PRIOR * lids),
        (base, FIRM * (known * hairy**2) ** 2, torch.from_numpy(regions.hair_colour), HAIR_PRIOR + 0 * known),
        (
            hairy[:, None],
            FIRM * known**2,
            (growth * scalp)[:, None],
            torch.where(scalp > 0, *LINE_PRIOR) + atlas.share("ears"),
        ),
    )
    targets, weights = [], []
    for wanted, weight, prior, prior_weight in layers:
        total = weight + prior_weight
        targets.append((weight[:, None] * wanted + prior_weight[:, None] * prior) / total[:, None])
        weights.append(total[:, None].expand(-1, wanted.shape[1]))
    return smooth_fill(atlas.graph, torch.cat(targets, 1), torch.cat(weights, 1))


def _fill(
    rows: Tensor,  # [D] covered texels
    layers: Tensor,  # [V, 7]
    detail: tuple[float, float],  # of skin and hair
    atlas: Atlas,
) -> Tensor:  # [D, 3]
    """The layers at texels, with grain on the skin and strands in the hair."""
    at_texels = atlas.at_texels(layers, rows)
    skin, hair, line = at_texels[:, :3], at_texels[:, 3:6], at_texels[:, 6:]
    strands = atlas.strands[rows, None]
    hair = hair * (1 + detail[1] * strands)
    # a blink stretches the lids' texels, and grain on them with it
    skin = skin + detail[0] * (atlas.grain[rows] * (1 - 0.8 * atlas.lids[rows]))[:, None]
    return skin + smooth_step(line + 0.06 * strands, 0.35, 0.65) * (hair - skin)


def _detail_strength(seen: Texels, base: Tensor, atlas: Atlas) -> tuple[float, float]:
    """Spread of the brightness about the smooth colours: of skin (absolute), of hair (relative)."""
    some = (seen.weight > 0.8).nonzero()[::7, 0]  # enough for two spreads
    light = seen.colour[some].mean(1)
    smooth = atlas.at_texels(base, seen.rows[some]).mean(1)
    skin, hair = seen.hair[some] < 0.1, seen.hair[some] > 0.9
    # the median ignores brows, lips and nostrils; 1.48 makes it a standard deviation
    grain = 1.48 * float((light - smooth)[skin].abs().median()) if int(skin.sum()) > 300 else 0.01
    strand = float(((light - smooth) / smooth.clamp_min(0.03))[hair].std()) if int(hair.sum()) > 300 else 0.12
    return min(max(0.5 * grain, 0.003), 0.01), min(max(strand, 0.06), 0.3)
