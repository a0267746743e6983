"""Teeth, tongue and the inside of the mouth: from the photo between open lips, else painted in tones that suit it.

Frames: avatar frame for the template, image frame of the crop (see frames.py). Colours are sRGB 0..1.
Dims:   P covered texels, R texels of one part, L landmarks.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.head.model import HeadModel
from meshlam_core.points import LIPS_INNER, OVAL
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.mathematics import luminance, smooth_step
from meshlam_core.texture.sight import Sight
from meshlam_core.texture.teeth import paint_teeth
from meshlam_core.texture.trust import openness
from meshlam_core.tracker.parsing import polygon_mask
from meshlam_core.tracker.ramps import ramp

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

TOOTH = (0.97, 1.05, 1.02)  # beside the geometric mean of light and skin: medians of 120 portraits with open mouths
# of the light, that reaches teeth behind lips which hardly open: five of these portraits beside the rest
BEHIND_LIPS = (0.90, 0.78, 0.74)
TONGUE = (0.66, 0.36, 0.35)
CAVITY = (0.38, 0.15, 0.14)
THROAT = (0.16, 0.055, 0.05)
GUM = (0.68, 0.40, 0.38)
ROWS = ("teeth_upper", "teeth_lower")
BRIGHT_FACE = 0.80  # luminance of the brightest skin in a well exposed portrait
SOFT_SATURATION = 0.42  # of skin in neutral light; warm light tints the teeth too
TONGUE_RED = (0.6, 1.07)  # saturations, relative to the skin's, between which tongue and cavity are believed
LIP_RED = (0.9, 1.15)  # and between which a pixel is no tooth any more
BRIGHT = (0.7, 0.9)  # the same for brightness
WIDE = (0.2, 0.35)  # openness of the lips between which what shows behind the teeth is believed
TOOTH_LIGHT = (0.15, 0.35)  # brightness, relative to the teeth's, between which they are believed
FEW = 30  # pixels


def paint_mouth(
    colours: Tensor,  # [P, 3] sRGB 0..1, written to
    crop: U8,  # [H, W, 3] sRGB
    sight: Sight,
    skin_colour: F32,  # [3]
    landmarks: F32,  # [L, 2] px of the crop
    model: HeadModel,
    atlas: Atlas,
    light: Tensor | None,  # [3] factor of the photo's light on the face; None: told from how bright the face is
) -> Tensor:  # [P, 3] factor of that light which reaches the texel; 1 where the photo shows it
    """Fill what the lips hide, in the photo's light."""
    light = _exposure(crop, landmarks) if light is None else light
    points = torch.from_numpy(np.array(model.template))
    skin = torch.from_numpy(skin_colour)
    # neither the light nor the skin's colour is known alone, and the skin around them is the teeth's second light
    usual = torch.tensor(TOOTH) * (light * skin).sqrt()
    shown = _tooth_tone(crop, landmarks, usual)
    teeth = usual if shown is None else shown
    behind_lips = torch.ones_like(colours)
    gum = light * torch.tensor(GUM)
    for name in ROWS:
        rows = atlas.rows_of(name)
        if len(rows):
            behind_lips[rows] = torch.tensor(BEHIND_LIPS) if shown is None else 1.0
            colours[rows] = behind_lips[rows] * paint_teeth(name, atlas.at_texels(points, rows), teeth, gum)
    rows = atlas.rows_of("tongue")
    if len(rows):
        tone = light * torch.tensor(TONGUE)
        shade = 1 - 0.45 * _depth(points, rows, atlas)
        colours[rows] = tone * (shade * (1 + 0.035 * atlas.grain[rows]))[:, None]
    _paint_cavity(colours, points, light, atlas)
    seen = sight.mouth
    # where mouths fit a little badly, teeth in the photo must not land on the tongue behind them, nor lips on teeth
    red = _saturation(seen.colour) / max(float(_saturation(skin)), SOFT_SATURATION)
    dim = 1 - smooth_step(luminance(seen.colour) / luminance(skin).clamp_min(0.02), *BRIGHT)
    on_teeth = torch.cat([atlas.rows_of(name) for name in ROWS])
    behind = ~torch.isin(seen.rows, on_teeth)
    # and the dark between rows of teeth not on their crowns
    bright = smooth_step(luminance(seen.colour) / luminance(teeth).clamp_min(0.02), *TOOTH_LIGHT)
    # nor may what is dark between teeth that are nearly closed lie on the tongue
    wide = ramp(openness(landmarks), *WIDE)
    # the upper lip's rim may stay on the teeth that it covers; on the lower ones it would show when the mouth opens
    lip = torch.where(torch.isin(seen.rows, atlas.rows_of("teeth_lower")), smooth_step(red, *LIP_RED), 0.0)
    believed = seen.weight * torch.where(behind, wide * smooth_step(red, *TONGUE_RED) * dim, bright * (1 - lip))
    share = smooth_step(believed, 0.05, 0.5)
    colours[seen.rows] += share[:, None] * (seen.colour - colours[seen.rows])
    behind_lips[seen.rows] += share[:, None] * (1 - behind_lips[seen.rows])
    return behind_lips


def _saturation(
    colour: Tensor,  # [..., 3]
) -> Tensor:  # [...]
    """Spread of the channels, relative to the brightest."""
    return (colour.amax(-1) - colour.amin(-1)) / colour.amax(-1).clamp_min(1e-3)


def _paint_cavity(colours: Tensor, points: Tensor, light: Tensor, atlas: Atlas) -> None:
    """Dark red, darker towards the throat; the lips' colour runs a little way in."""
    rows = (atlas.cavity > 0.01).nonzero()[:, 0]
    if not len(rows):
        return
    inside = smooth_step(atlas.cavity[rows, None], 0.1, 0.9)
    deep = smooth_step(_depth(points, rows, atlas), 0.05, 0.7)[:, None]
    tone = light * (torch.tensor(CAVITY) + deep * (torch.tensor(THROAT) - torch.tensor(CAVITY)))
    colours[rows] += inside * (tone - colours[rows])


def _depth(points: Tensor, rows: Tensor, atlas: Atlas) -> Tensor:  # [R] 0 at the front, 1 at the back
    z = atlas.at_texels(points[:, 2:], rows)[:, 0]
    return (z.max() - z) / (z.max() - z.min()).clamp_min(1e-6)


def _exposure(crop: U8, landmarks: F32) -> Tensor:  # [3]
    """How bright the photo shows bright skin, relative to a well exposed one; the skin's own tone counts little."""
    step = max(1, int(np.ptp(landmarks[OVAL, 1])) // 64)
    small = crop[::step, ::step]
    face = small[polygon_mask(landmarks[OVAL] / step, small.shape[:2]) > 0].astype(np.float32) / 255
    if len(face) < FEW:
        return torch.ones(3)
    bright = float(np.quantile(luminance(torch.from_numpy(face)).numpy(), 0.95))
    return torch.full((3,), float(np.clip(0.45 + 0.55 * bright / BRIGHT_FACE, 0.5, 1.05)))


def _tooth_tone(crop: U8, landmarks: F32, usual: Tensor) -> Tensor | None:  # [3]
    """The teeth's own colour where an open mouth shows them."""
    if openness(landmarks) < 0.12:
        return None
    ring = landmarks[LIPS_INNER].astype(np.float64)
    middle = ring.mean(axis=0)
    x0, y0 = (max(0, int(v)) for v in ring.min(axis=0))
    part = crop[y0 : int(ring[:, 1].max()) + 1, x0 : int(ring[:, 0].max()) + 1]
    inner = middle + 0.8 * (ring - middle) - [x0, y0]
    mouth = part[polygon_mask(inner, part.shape[:2]) > 0].astype(np.float32) / 255
    light = mouth.mean(axis=1)
    tinted = np.ptp(mouth, axis=1) / np.maximum(mouth.max(axis=1), 1e-3)  # lips and tongue are redder than teeth
    teeth = mouth[(tinted < 0.38) & (light > 0.5 * float(usual.mean()))]
    if len(teeth) < FEW:
        return None
    return 0.2 * usual + 0.75 * torch.from_numpy(np.quantile(teeth, 0.6, axis=0).astype(np.float32))
