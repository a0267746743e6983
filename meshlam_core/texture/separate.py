"""The photo's light taken off the skin that it shows.

Frames: view frame and avatar frame (see frames.py). Colours are sRGB 0..1, so that light is a factor whose power
GAMMA is the linear one. Dims: V vertices, P covered texels.

What the light's nine harmonics leave over is skin where it is the same on both sides of the face. Where the sides
differ it is light too: a shadow that something else casts, a window close by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.skin.fit import Points, fit_light, shading
from meshlam_core.skin.model import DARK, GAMMA, SkinModel
from meshlam_core.skin.tone import load_tone_model, with_tone
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.fill import smooth_fill
from meshlam_core.texture.mathematics import luminance
from meshlam_core.texture.skin import hair_tone

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SHOWN = 0.1  # weight from which a vertex is used
HELD = 0.12  # how firmly a vertex holds its own difference: its neighbours over about 15 mm have a say
CALM = 0.02  # pull towards no difference, where nothing is seen
HAIR_SHADE = 0.5  # of the light's differences that hair shows: its hull has no true normals
HAIR_TINT = 0.4  # of the light's tint that hair seems to show: some of it is the hair's own
HAIRY = 0.7  # share of hair from which a vertex tells its colour
WHITE_HAIR, SHEEN = -0.5, 0.25  # logarithm of the brightest hair; by how much even that varies
HELD_HAIR, CALM_HAIR = 20.0, 0.02  # how firmly hair holds its sun, and how soon it fades where none shows
FIRM = 20.0  # how firmly the skin around openings keeps its light
GUESS_FIRM, EARS_FIRM = 0.3, 0.1
INSIDE = ("eye_sockets", "mouth_interior", "eyelids")
SHOWN_LIGHT = (0.02, 0.95)  # quantiles of the light on what the photo shows
DARKER = 0.3  # of the logarithm, by which a side that is not shown may be darker
BRIGHTEST = (0.95, 0.85)  # quantile of the linear albedo of what shows, channel by channel, and what it is at most
PLAIN = 0.3  # of the logarithm, to which that must be as the model has it, neither gloss nor a patch of sun
ENOUGH = 900  # of them: more tell nothing new
FEW = 100  # vertices that must show, so that light and skin can be told apart


@dataclass(frozen=True)
class Separation:
    """Light and skin of one photo."""

    light: F32  # [9, 3] harmonics, avatar frame; an irradiance of 1 shows an albedo as it is
    tone_doubt: float  # standard deviation of the logarithm of the skin's tone
    shade: Tensor  # [V, 3] coded: photo = albedo x shade
    level: Tensor  # [3] coded: the shade of the whole face
    hair: Tensor  # [3] coded: that of hair
    person: Tensor  # [V, 3] coded: the skin that the model has for this person
    tone: float  # mean logarithm of that, on the face

    def in_grey(self) -> Separation:
        """The same of a black and white photo, whose light and skin would come out in opposite colours."""
        colours = (self.shade, self.level, self.hair, self.person)
        shade, level, hair, person = (luminance(colour)[..., None].expand_as(colour) for colour in colours)
        light = self.light.mean(axis=1, keepdims=True).repeat(3, axis=1)
        return replace(self, light=light, shade=shade, level=level, hair=hair, person=person)


@dataclass(frozen=True)
class Shown:
    """What a photo shows at the vertices."""

    colour: F32  # [V, 3] logarithm
    weight: F32  # [V] 0..1
    sure: F32  # [V] 0..1 the same of hair and skin
    hair: F32  # [V] share of hair in the colour
    transfer: F32  # [V, 9]
    rows: NDArray[np.intp]  # vertices that show
    some: NDArray[np.intp]  # as many of them as are solved for
    points: Points  # at these


def separate(
    seen: Tensor,  # [P, 5] colour, share of hair, trust
    posed: Tensor,  # [V, 3] view frame, m
    rotation: F32,  # [3] axis-angle, the head's
    cover: Tensor,  # [V] how far each vertex is hair and no skin
    white: F64 | None,  # [3] of the eyes
    hair: F32,  # [3] colour of the hair
    skin: SkinModel,
    model: HeadModel,
    atlas: Atlas,
) -> Separation | None:  # None where the photo shows too little skin
    """Solve for the light and for the person, and spread the light over the whole head."""
    shown = what_shows(seen, posed, rotation, cover, white, skin, model, atlas)
    if shown is None:
        return None
    fit = with_tone(fit_light(shown.points, skin.prior), shown.points, load_tone_model())
    colour, weight, rows, transfer = shown.colour, shown.weight, shown.rows, shown.transfer
    person = skin.vertices_of(fit.coefficients) + (fit.paler * skin.describes[:, None]).astype(np.float32)
    lit = np.log(shading(transfer, fit.light)).astype(np.float32)
    face = (model.part == model.parts.index("face")) & (skin.normals[:, 2] > 0.5)
    level = lit[face].mean(axis=0)
    # beyond what the photo shows the light is a guess: nothing is left without any, nor is it brighter than the face
    low, high = np.quantile(lit[rows], SHOWN_LIGHT, axis=0)
    lit = lit.clip(low - DARKER, high).astype(np.float32)
    believed = np.zeros_like(weight)
    believed[rows] = weight[rows]
    lit += _sided(colour - person - lit, believed, model, atlas)
    # no skin gives back more light than it gets: what would is lit more brightly
    plain = rows[np.abs((colour - lit - person)[rows].mean(axis=1)) < PLAIN]
    most = float(np.quantile((colour - lit)[plain], BRIGHTEST[0], axis=0).max()) if len(plain) else -np.inf
    brighter = max(0.0, most - float(np.log(BRIGHTEST[1])))
    lit, level = lit + brighter, level + brighter
    hidden = believed == 0
    lit[hidden] = np.minimum(lit[hidden], level)
    lit = _around_openings(lit, hidden, level, model, atlas)
    # last, so that the skin's tint does not reach hair that no photo shows
    share, on_hair = np.maximum(cover.numpy(), shown.hair)[:, None], _on_hair(level, hair)
    lit += share * (HAIR_SHADE * (lit - level).mean(axis=1, keepdims=True) + on_hair - lit)
    lit += share * _sun_in_hair(lit, hair_tone(seen, hair).numpy(), shown, atlas)
    shade, whole, hair_shade, skin_colour = (
        torch.from_numpy(np.exp(values / GAMMA).astype(np.float32)) for values in (lit, level, on_hair, person)
    )
    light = (np.exp(brighter) * fit.light).astype(np.float32)
    return Separation(light, fit.tone_doubt, shade, whole, hair_shade, skin_colour, float(person[face].mean()))


def _on_hair(
    level: F32,  # [3] logarithm
    hair: F32,  # [3] its colour in the photo
) -> F32:  # [3]
    """The light on hair: of the light's tint what the hair shows too. White hair that looks white is in white light."""
    tint = level - level.mean()
    shown = np.log(np.maximum(hair, DARK))
    share = float((shown - shown.mean()) @ tint) * GAMMA / max(float(tint @ tint), 1e-9)
    return np.asarray(level.mean() + HAIR_TINT * min(max(share, 0.0), 1.0) * tint, np.float32)


def _sun_in_hair(
    lit: F32,  # [V, 3] logarithm, the light so far
    usual: F32,  # [3] the hair's colour in the photo
    shown: Shown,
    atlas: Atlas,
) -> F32:  # [V, 3] logarithm
    """No hair is brighter than white hair; where it seems to be it is lit more brightly, and has lost its hue."""
    bare = shown.colour - lit
    hairy = shown.sure * (shown.hair > HAIRY)
    rows = np.flatnonzero(hairy > SHOWN)
    if len(rows) == 0:
        return np.zeros_like(bare)
    tone = GAMMA * np.log(np.maximum(usual, DARK)) - lit[rows].mean(axis=0)
    above = np.maximum((bare[rows] - tone).mean(axis=1, keepdims=True), 1e-3)
    room = max(WHITE_HAIR - float(tone.mean()), SHEEN)
    kept = room * np.tanh(above / room)
    off = bare[rows] - tone
    glare = np.zeros_like(bare)
    glare[rows] = above - kept + (1 - kept / above) * (off - off.mean(axis=1, keepdims=True))
    firm = torch.from_numpy(HELD_HAIR * hairy[:, None] + CALM_HAIR).expand(-1, 3).float()
    wanted = torch.from_numpy(glare) * (firm - CALM_HAIR) / firm
    return np.asarray(smooth_fill(atlas.graph, wanted, firm).numpy())


def what_shows(
    seen: Tensor,  # [P, 5] colour, share of hair, trust
    posed: Tensor,  # [V, 3] view frame, m
    rotation: F32,  # [3] axis-angle, the head's
    cover: Tensor,  # [V] how far each vertex is hair and no skin
    white: F64 | None,  # [3] of the eyes
    skin: SkinModel,
    model: HeadModel,
    atlas: Atlas,
) -> Shown | None:  # None where the photo shows too little skin
    """What a photo says of the skin, at the vertices."""
    mean, sure = (values.numpy() for values in atlas.at_vertices(seen))
    weight = sure * (1 - cover.numpy()) * (1 - 2 * mean[:, 3]).clip(0) * skin.describes
    normals = vertex_normals(posed[None], torch.from_numpy(model.faces.astype(np.int64)))[0].numpy()
    transfer = skin.transfer_of(normals @ rotation_from_axis_angle(rotation).astype(np.float32))
    colour = GAMMA * np.log(np.maximum(mean[:, :3], DARK))
    rows = np.flatnonzero(weight > SHOWN)
    if len(rows) < FEW:
        return None
    some = rows[:: -(-len(rows) // ENOUGH)]
    eyes = atlas.share("eyeball_left", "eyeball_right").numpy() * (skin.normals[:, 2] > 0.6) > 0
    points = Points(
        colour[some],
        weight[some],
        transfer[some],
        skin.mean[some],
        skin.basis[:, some],
        None if white is None else GAMMA * np.log(np.maximum(white, DARK)),
        transfer[eyes].mean(axis=0).astype(np.float64),
    )
    return Shown(colour, weight, sure, mean[:, 3] * (sure > SHOWN), transfer, rows, some, points)


def _around_openings(
    lit: F32,  # [V, 3] logarithm
    hidden: NDArray[np.bool_],  # [V] what the photo does not show: a guess, which passes softly into what it shows
    level: F32,  # [3]
    model: HeadModel,
    atlas: Atlas,
) -> F32:  # [V, 3]
    """Lids, sockets and lips' insides as the skin around them: a blink or a smile turns them to the light."""
    inside = torch.maximum(atlas.lid_vertices, atlas.share(*INSIDE))
    firm = torch.where(torch.from_numpy(hidden), GUESS_FIRM, FIRM) * (1 - inside) ** 2
    # an ear's folds are finer than the fit
    firm = torch.where(atlas.share("ears") > 0, EARS_FIRM, firm)[:, None].expand(-1, 3)
    given = torch.from_numpy(lit)
    lit = smooth_fill(atlas.graph, given, firm, start=given).numpy()
    skin, lids = atlas.skin_vertex.numpy(), atlas.lid_vertices.numpy() > 0.5
    for name, side in (("eyeball_left", 1), ("eyeball_right", -1)):
        beside = lids & (side * model.template[:, 0] > 0)
        lit[atlas.share(name).numpy() > 0] = lit[beside].mean(axis=0) if beside.any() else level
    lit[~skin & (atlas.share("eyeball_left", "eyeball_right").numpy() == 0)] = level
    return np.asarray(lit)


def _sided(
    left_over: F32,  # [V, 3] logarithm, photo beside model
    weight: F32,  # [V]
    model: HeadModel,
    atlas: Atlas,
) -> F32:  # [V, 3]
    """The smooth part of it that has the other sign on the other side."""
    mirror = torch.from_numpy(model.mirror.astype(np.int64))
    firm = HELD * torch.from_numpy(weight)[:, None] + CALM
    wanted = torch.from_numpy(np.where(weight[:, None] > 0, left_over, 0)) * (firm - CALM) / firm
    smooth = smooth_fill(atlas.graph, wanted.float(), firm.expand(-1, 3).float())
    return np.asarray(((smooth - smooth[mirror]) / 2).numpy())
