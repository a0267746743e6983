"""Light that is finer than nine harmonics: gloss, patches of sun, coloured lamps.

What an albedo shows beside the skin that the model has for this person is the person's own where it is small or fine:
freckles, lines, a rosy nose. Where it is smooth and brighter than skin varies by, or of another hue, it is light that
the harmonics could not follow. How much of it is light is what a Wiener filter expects whose noise is the person:

    light = d^2 / (d^2 + skin^2) d

for the brighter part d of the smooth difference and for its hue. What is darker stays, stubble is no shadow, but on
ears, where it is one, or hair, and where only one side of the face is dark (shadow.py). So does the hue of lips and
lids, which people paint.

Colours are sRGB 0..1; differences are logarithms of these. Dims: V vertices, P covered texels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.head.model import HeadModel
from meshlam_core.opencv import cv2
from meshlam_core.skin.model import DARK
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.fill import smooth_fill
from meshlam_core.texture.mathematics import luminance, smooth_step
from meshlam_core.texture.shadow import along_borders, cast_shadow

F32 = NDArray[np.float32]

SIDE = 256  # texels on which the difference is looked at
FINE = 1.5  # of these texels: standard deviation of what is smooth
BRIGHTER = 0.04  # of the logarithm: how far skin is brighter than the model has it
HUE = 0.025  # and of another hue
CHEEK, MOST = 0.12, 1.7  # spread among people of a cheek's brightness; how many times that where beards grow, or do not
ABOVE_LIPS = 0.015  # m, to which they do
DARK_EAR = (0.1, 0.3)  # of the logarithm, by which an ear is darker than skin where it turns out to be hair before it
COLD, DYED = (-0.02, 0.08), (0.15, 0.3)  # blue or green beyond red, of the brightest: what is light, what is dyed
HAIRY = (0.3, 0.7)  # share of hair between which a texel's colour is taken for it
HUES = (0.7, 1.3)  # least and most of the hair's own hue, beside grey, that it turns to: gloss is paler than hair
COLOURED = (0.15, 0.35)  # brightness from which hair shows a dye
SEEN = (0.0, 0.05)  # trust in the photo between which its colours are asked
FIRM, FADING = 20.0, 0.02  # pull of light that is seen, and of none where it is not
PAINTED = ("lips", "eyelids")


def cold_on_hair(
    shown: Tensor,  # [P, 5] colour without the harmonics' light, share of hair, trust
    usual: Tensor,  # [3] of the hair
) -> Tensor:  # [P, 3] what the hair is lit by
    """Sky, lamps and leaves in hair: none grows blue or green, but where all of it is somebody has dyed it.

    What is left has the hair's own hue.
    """
    colour = shown[:, :3].clamp_min(DARK)
    brightest = usual.amax().clamp_min(DARK)
    dyed = smooth_step((usual[1:].amax() - usual[0]) / brightest, *DYED) * smooth_step(brightest, *COLOURED)
    cold = (colour[:, 1:].amax(1) - colour[:, 0]) / colour.amax(1)
    share = smooth_step(shown[:, 3], *HAIRY) * smooth_step(cold, *COLD) * smooth_step(shown[:, 4], *SEEN) * (1 - dyed)
    hue = (usual / luminance(usual[None]).clamp_min(DARK)).clamp(*HUES)
    own = torch.minimum(hue, hue[0])  # of cold light on all of it nothing but grey is known
    own = luminance(colour)[:, None] * own / luminance(own[None])
    return colour / (colour + share[:, None] * (own - colour))


def fine_light(
    skin: Tensor,  # [P, 5] colour without the harmonics' light, share of hair, trust
    person: Tensor,  # [V, 3] what the model has for the person
    spread: Tensor,  # [V] how much people differ there, in logarithms of linear colours
    model: HeadModel,
    atlas: Atlas,
) -> tuple[Tensor, Tensor]:  # [P, 3] what the skin is lit by beside the harmonics, [P] 0..1 how far it is believed
    """The light that is left in an albedo, and how it goes on where the photo shows none of the skin."""
    known = skin[:, 4] * (1 - 2 * skin[:, 3]).clamp_min(0) * atlas.skin
    lit, believed = torch.ones_like(skin[:, :3]), torch.ones(len(skin))
    beside = _beside_the_model(skin, known, person, spread, model, atlas)
    if not beside.shown.any():
        return lit, believed
    size = (atlas.uv_map.size, atlas.uv_map.size)
    fine = cv2.resize(_light(beside), size, interpolation=cv2.INTER_LINEAR)
    rows = (known > 0).nonzero()[:, 0]
    at = torch.from_numpy(fine.reshape(-1, 6))[atlas.uv_map.texel[rows]]
    tint, level, factor, more = at[:, :3], at[:, 3], at[:, 4:5], at[:, 5:]
    brightness = luminance(skin[rows, :3]).clamp_min(DARK).log()[:, None]
    sure = (4 * known[rows, None]).clamp(0, 1)
    beyond = _beyond(torch.cat([tint + level[:, None], known[rows, None]], 1), rows, atlas)
    lit = beyond.exp()
    lit[rows] = (sure * (tint + factor * brightness + more) + (1 - sure) * beyond[rows]).exp()
    believed[rows] -= atlas.ears[rows] * smooth_step(-level, *DARK_EAR)
    return lit, believed


def _beyond(
    light: Tensor,  # [R, 4] smooth logarithms, and how far each is known
    rows: Tensor,  # [R] of the texels
    atlas: Atlas,
) -> Tensor:  # [P, 3]
    """The same light where the photo shows no skin: it fades away from where it is seen, without an edge."""
    values = torch.zeros(len(atlas.places), 4)
    values[rows] = light
    mean, sure = atlas.at_vertices(values)
    weight = (FIRM * sure + FADING)[:, None].expand(-1, 3)
    filled = smooth_fill(atlas.graph, mean * (FIRM * sure)[:, None] / weight, weight)
    return atlas.at_texels(filled) * (1 - atlas.scalp)[:, None]  # hair has a light of its own


@dataclass(frozen=True)
class _Beside:
    """A skin beside what the model has for the person, on S x S texels; smooth but for the brightness."""

    off: F32  # [S, S, 3] difference of the logarithms
    people: F32  # [S, S, 1] how much people differ there, beside cheeks
    painted: F32  # [S, S, 1] 0..1 lips and lids
    shaded: F32  # [S, S, 1] 0..1 ears and neck
    brightness: F32  # [S, S] logarithm
    weight: F32  # [S, S, 1] 0..1 where the photo shows skin
    shown: NDArray[np.bool_]  # [S, S]


def _beside_the_model(
    skin: Tensor,
    known: Tensor,  # [P] 0..1 where the photo shows skin
    person: Tensor,
    spread: Tensor,
    model: HeadModel,
    atlas: Atlas,
) -> _Beside:
    size, side = atlas.uv_map.size, min(SIDE, atlas.uv_map.size)
    height = torch.from_numpy(model.template[:, 1].copy())
    beard = height < height[atlas.share("lips") > 0].max() + ABOVE_LIPS
    vary = (spread * beard / CHEEK).clamp(1, MOST) ** 2
    marks = torch.stack([vary, atlas.share(*PAINTED), atlas.share("ears", "neck")], 1)
    step = max(1, size // (2 * side))  # of the texels that are looked at
    rows = (((atlas.places % size) % step == 0) & ((atlas.places // size) % step == 0)).nonzero()[:, 0]
    expected = atlas.at_texels(torch.cat([person.clamp_min(DARK).log(), marks], 1), rows)
    colour, seen = skin[rows, :3].clamp_min(DARK), known[rows, None]
    brightness = luminance(colour).log()[:, None]
    values = torch.cat([colour.log() - expected[:, :3], expected[:, 3:], brightness], 1) * seen
    picture = torch.zeros((size // step) ** 2, 8)
    place = atlas.places[rows] // size // step * (size // step) + atlas.places[rows] % size // step
    picture[place.long()] = torch.cat([values, seen], 1)
    coarse = functional.adaptive_avg_pool2d(picture.view(1, size // step, size // step, 8).permute(0, 3, 1, 2), side)
    pooled = coarse[0].permute(1, 2, 0).numpy()
    smooth = cv2.GaussianBlur(pooled, (0, 0), FINE * side / SIDE)
    weight = smooth[..., 7:]
    off, people, painted, shaded = np.split(smooth[..., :6] / np.maximum(weight, 1e-6), [3, 4, 5], axis=2)
    sharp = pooled[..., 6] / np.maximum(pooled[..., 7], 1e-6)
    return _Beside(off, people, painted, shaded, sharp, weight, weight[..., 0] > 0.5)


def _light(beside: _Beside) -> F32:  # [S, S, 6] tint, level, factor of the brightness, and what is added to it
    off = beside.off - np.median(beside.off[beside.shown], axis=0)
    grey = off.mean(axis=2, keepdims=True)
    hue = off - grey
    colourful = (hue**2).sum(axis=2, keepdims=True)
    people = np.maximum(beside.people, 1e-3)  # beyond the skin there is nobody to vary
    level = grey**3 / (grey**2 + (people * BRIGHTER) ** 2)
    tint = colourful / (colourful + (people * HUE) ** 2) * hue
    bright = np.where(level > 0, level, beside.shaded * level)
    cast = cast_shadow((grey - bright)[..., 0], beside.shown)[..., None]
    strength = bright + (1 - np.maximum(beside.painted, beside.shaded)) * cast
    pull = beside.weight / (beside.weight + 0.1)
    borders = along_borders((pull * strength)[..., 0], beside.brightness, beside.weight[..., 0])
    return np.concatenate([pull * (1 - beside.painted) * tint, pull * level, borders], axis=2).astype(np.float32)
