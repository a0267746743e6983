"""Light that is finer than nine harmonics: gloss, patches of sun, coloured lamps.

What an albedo shows beside the skin that the model has for this person is the person's own where it is small or fine:
freckles, lines, a rosy nose. Where it is smooth and brighter than skin varies by, or of another hue, it is light that
the harmonics could not follow. How much of it is light is what a Wiener filter expects whose noise is the person:

    light = d^2 / (d^2 + skin^2) d

for the brighter part d of the smooth difference and for its hue. What is darker stays, stubble is no shadow, but on
ears, where it is one, or hair. So does the hue of lips and lids, which people paint.

Colours are sRGB 0..1; differences are logarithms of these. Dims: V vertices, P covered texels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from meshlam_core.head.model import HeadModel
from meshlam_core.opencv import cv2
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.mathematics import smooth_step

DARK = 0.02  # coded, below which a colour is noise
SIDE = 256  # texels on which the difference is looked at
FINE = 1.5  # of these texels: standard deviation of what is smooth
BRIGHTER = 0.04  # of the logarithm: how far skin is brighter than the model has it
HUE = 0.025  # and of another hue
CHEEK, MOST = 0.12, 1.7  # spread among people of a cheek's brightness; how many times that where beards grow, or do not
ABOVE_LIPS = 0.015  # m, to which they do
DARK_EAR = (0.1, 0.3)  # of the logarithm, by which an ear is darker than skin where it turns out to be hair before it
PAINTED = ("lips", "eyelids")


def fine_light(
    skin: Tensor,  # [P, 5] colour without the harmonics' light, share of hair, trust
    person: Tensor,  # [V, 3] what the model has for the person
    spread: Tensor,  # [V] how much people differ there, in logarithms of linear colours
    model: HeadModel,
    atlas: Atlas,
) -> tuple[Tensor, Tensor]:  # [P, 3] what the skin is lit by beside the harmonics, [P] 0..1 how far it is believed
    """The light that is left in an albedo; 1 where the photo shows none of the skin."""
    size = atlas.uv_map.size
    known = skin[:, 4:] * (1 - 2 * skin[:, 3:4]).clamp_min(0) * atlas.skin[:, None]
    difference = skin[:, :3].clamp_min(DARK).log() - atlas.at_texels(person.clamp_min(DARK).log())
    height = torch.from_numpy(model.template[:, 1].copy())
    beard = height < height[atlas.share("lips") > 0].max() + ABOVE_LIPS
    vary = (atlas.at_texels((spread * beard)[:, None]) / CHEEK).clamp(1, MOST) ** 2
    picture = torch.zeros(size * size, 5)
    picture[atlas.uv_map.texel] = torch.cat([difference * known, vary * known, known], 1)
    coarse = functional.adaptive_avg_pool2d(picture.view(1, size, size, 5).permute(0, 3, 1, 2), min(SIDE, size))
    smooth = cv2.GaussianBlur(coarse[0].permute(1, 2, 0).numpy(), (0, 0), FINE * coarse.shape[-1] / SIDE)
    weight = smooth[..., 4:]
    shown = weight[..., 0] > 0.5
    if not shown.any():
        return torch.ones_like(skin[:, :3]), torch.ones(len(skin))
    off = smooth[..., :3] / np.maximum(weight, 1e-6)
    people = smooth[..., 3:4] / np.maximum(weight, 1e-6)
    off -= np.median(off[shown], axis=0)
    grey = off.mean(axis=2, keepdims=True)
    hue = off - grey
    strength = (hue**2).sum(axis=2, keepdims=True)
    level = grey**3 / (grey**2 + (people * BRIGHTER) ** 2)
    tint = strength / (strength + (people * HUE) ** 2) * hue
    parts = np.concatenate([level, tint], axis=2) * (weight / (weight + 0.1))
    fine = cv2.resize(parts.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    at = torch.from_numpy(fine.reshape(-1, 4))[atlas.uv_map.texel]
    painted = atlas.at_texels(atlas.share(*PAINTED)[:, None])
    shaded = torch.maximum(atlas.ears, atlas.neck)[:, None]
    level = torch.where(at[:, :1] > 0, at[:, :1], shaded * at[:, :1])
    believed = 1 - atlas.ears * smooth_step(-at[:, 0], *DARK_EAR)
    return ((4 * known).clamp(0, 1) * (level + (1 - painted) * at[:, 1:])).exp(), believed
