"""The skin's texels, all of them: the photo where it is trusted, the mirrored side where that is, a fill elsewhere.

Colours are sRGB 0..1. Dims: V vertices, P covered texels.

What follows single texels is one pass of a kernel (warp_texture.py); what must be smooth is solved on the mesh
(fill.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.head.model import HeadModel
from meshlam_core.raster.warp_runtime import over_list
from meshlam_core.skin.model import DARK
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.fill import smooth_fill
from meshlam_core.texture.hair_look import HairLook
from meshlam_core.texture.mathematics import luminance, smooth_step
from meshlam_core.texture.noise import strands
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.ramps import ramp

FIRM = 20.0  # how much more a seen vertex wants its colour than its neighbours' likeness
EAR_FIRM = 2.0  # the same for a hidden ear and the other ear's colour
SKIN_PRIOR, HAIR_PRIOR = 1e-2, 0.02  # pull of the photo's median colours
LID_PRIOR = 0.15  # hidden lids must not inherit the dark of the crease and the lashes
LINE_PRIOR = (0.4, 0.1)  # pull of the template's hair line, on the scalp and elsewhere
RATIO = (0.4, 1.8)  # of a colour to what is likely, that is believed enough to be spread
MATT, MIDDLE = 0.5, (0.3, 0.9)  # quantiles of the hair's brightness: its own, and those that tell its hue
PALLID = 0.3  # share of these that something tints
BALD = (0.08, 0.2)  # hair share between which unseen scalp turns from skin to hair: a thin dark rim is not yet hair
SOLID = (0.0, 0.025)  # share of sure hair between which hair is more than stubble or a shade on bare skin
DENSE = (0.025, 0.06)  # the same between which hair covers the unseen scalp, however little is seen of it
PURE = (0.7, 0.95)  # share of hair in a texel between which its colour is the hair's own
LEAST_SURE, TWIN = 0.02, 0.5  # of a vertex in its hair's colour; what the mirrored side counts where it has none
RINGS, NARROW = 4, (0.4, 0.65)  # of vertices around one; share of them seen between which hair is not painted over
TRUSTED = (0.05, 0.6)  # weights between which the photo takes over
SHOWN = (0.02, 0.3)  # weights between which hair that nobody sees goes on from it
HAIR_LINE, STRAND_WANDER = (0.35, 0.65), 0.06  # share of hair between which skin ends; how far strands bend that line
LID_GRAIN = 0.2  # a blink stretches the lids' texels, and grain on them with it
FEW, ENOUGH = 50, 300  # sampled texels that tell a colour, that tell its spread
SAMPLED = 7  # every so many texels tell how strong the detail is
LIFT, DETAIL = 0.06, (0.3, 2.5)  # mirrored detail is a ratio, as light acts; lifted, so that dark does not explode

F32 = NDArray[np.float32]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Likely:
    """What the skin model expects of this person, in the light that the photo's texels are in."""

    skin: Tensor  # [V, 3]
    tone: float  # mean logarithm of its albedo on the face


@dataclass(frozen=True)
class Hull:
    """The neutral head with its hair."""

    surface: Tensor  # [V, 3] m
    growth: float  # m, mean over the scalp
    look: HairLook  # of the hair in the photo


@dataclass(frozen=True)
class Completed:
    """The whole skin."""

    colour: Tensor  # [P, 3] every texel
    shares: Tensor  # [P, 2] what of each colour is the photo's, and the mirrored side's
    smooth: Tensor  # [V, 3] the skin's smooth colours
    hair: Tensor  # [V] share of hair


def complete_skin(
    photo: Tensor,  # [P, 5] colour, hair, trust; 0 where not seen
    regions: Regions,
    tones: Tensor,  # [V, 3] lid tones
    cover: Tensor,  # [V] how far each vertex is hair and no skin
    model: HeadModel,
    atlas: Atlas,
    likely: Likely | None = None,
    hull: Hull | None = None,  # None: strands as on the template
) -> Completed:
    """A colour for every texel."""
    photo = smooth_bordered(photo, atlas)
    mean, sure = atlas.at_vertices(photo)
    mirror = torch.from_numpy(model.mirror.astype(np.int64))

    # low frequencies everywhere, following the mirrored side's differences where only that one is seen
    firmness = (FIRM * sure**2)[:, None].expand(-1, 3)
    # as ratios, for light is a factor: the difference between skin and hair, taken off a darker side, would be a tint
    ratios = (mean[:, :3] + LIFT).log()
    wanted = ratios
    if likely is not None:
        # an ear stands off: of the hair and the shade beside it, where it grows out, it has nothing
        hidden = (atlas.share("ears") * sure[mirror] ** 2 * (sure < sure[mirror]))[:, None]
        turned = ratios[mirror] + (likely.skin + LIFT).log() - (likely.skin[mirror] + LIFT).log()
        wanted = torch.where(hidden > 0, turned, wanted)
        firmness = torch.where(hidden > 0, EAR_FIRM * hidden, firmness)
    filled = smooth_fill(atlas.graph, wanted, firmness, ratios[mirror], sure[mirror] > 0.3)
    base = (filled.exp() - LIFT).clamp(0, 1)
    hair = hair_tone(photo, regions.hair_colour)
    shown = smooth_step(photo[:, 4:], *SHOWN) * smooth_step(photo[:, 3:4], *PURE)
    of_hair = atlas.at_vertices(torch.cat([photo[:, :3], shown], 1))
    layers = _fill_layers(regions, hair, of_hair, tones, cover, atlas, base, mean, sure, mirror, likely)
    grain = _grain_strength(photo, base, atlas)
    strand = HairLook().strength if hull is None else hull.look.strength
    pores = atlas.grain
    if likely is not None and len(atlas.pores):
        # those of the complete skin that is most like this one in tone
        pores, grain = atlas.pores[int((atlas.pore_tones - likely.tone).abs().argmin())], 1.0
    combed = atlas.strands if hull is None else combed_hair(hull, layers[:, 6], photo[:, 4], atlas)
    return Completed(*compose(photo, base, layers, (grain, strand), pores, combed, atlas), layers[:, :3], layers[:, 6])


def smooth_bordered(
    photo: Tensor,  # [P, 5] colour, hair, trust
    atlas: Atlas,
) -> Tensor:  # [P, 5]
    """The same without hair that is seen in narrow pieces, where single waves of the hull face the camera: dabs."""
    seen = (atlas.at_vertices(photo[:, 4:].expand(-1, 2))[1] > TRUSTED[0]).float()[:, None]
    around = seen
    for _ in range(RINGS):
        around = (around + atlas.graph.sum_of_neighbours(around)) / (1 + atlas.graph.degree[:, None])
    kept = atlas.at_texels(smooth_step(around, *NARROW))[:, 0]
    trust = photo[:, 4] * (1 - photo[:, 3] * (1 - kept))
    return torch.cat([photo[:, :4], trust[:, None]], 1)


def combed_hair(
    hull: Hull,
    hairy: Tensor,  # [V] share of hair
    trust: Tensor,  # [P] of the photo
    atlas: Atlas,
) -> Tensor:  # [P] zero mean, unit variance where strands are painted
    """Strands that follow this person's hair."""
    out = atlas.strands.clone()
    rows = ((atlas.at_texels(hairy[:, None])[:, 0] > HAIR_LINE[0] - 0.2) & (trust < TRUSTED[1])).nonzero()[:, 0]
    if len(rows):
        out[rows] = strands(atlas.at_texels(hull.surface, rows), atlas.skull, hull.growth, hull.look)
    return out


def hair_tone(
    photo: Tensor,  # [P, 5] colour, hair, trust
    usual: F32,  # [3] where too little of it is sure
) -> Tensor:  # [3]
    """What hair is like where it is sure: along its outline the ground shines through it, above it is gloss.

    The hue is that of the warmer ones: sky makes hair bluer, and gloss whiter.
    """
    sure = photo[((photo[:, 3] > 0.9) & (photo[:, 4] > TRUSTED[1])).nonzero()[::SAMPLED, 0], :3]
    if len(sure) < FEW:
        return torch.from_numpy(usual)
    brightness = luminance(sure)
    matt, low, high = brightness.quantile(torch.tensor([MATT, *MIDDLE])).tolist()
    lit = sure[(brightness >= low) & (brightness <= high)].clamp_min(DARK)
    hues, warm = lit / luminance(lit)[:, None], lit[:, 0] / lit[:, 2]
    hue = hues[warm >= warm.quantile(PALLID)].quantile(0.5, dim=0)
    return hue * float(matt)


def _fill_layers(
    regions: Regions,
    hair: Tensor,  # [3]
    of_hair: tuple[Tensor, Tensor],  # [V, 3] colour of the hair that is seen, [V] how sure it is
    tones: Tensor,  # [V, 3] lid tones
    cover: Tensor,  # [V]
    atlas: Atlas,
    base: Tensor,  # [V, 3]
    mean: Tensor,  # [V, 4] seen colour and hair share
    sure: Tensor,  # [V]
    mirror: Tensor,  # [V]
    guess: Likely | None,
) -> Tensor:  # [V, 7] skin colour, hair colour, share of hair
    """Skin and hair spread over the hidden surface as two layers with a hair line between them."""
    known = torch.maximum(sure, sure[mirror])  # [V]
    solid = ramp(regions.hair_solid, *SOLID)
    hairy = solid * torch.where(sure >= sure[mirror], mean[:, 3], mean[mirror, 3])
    scalp = atlas.share("scalp")
    # unseen scalp has hair all over or none, as far as is not known: where a hull bulges there is no patch of it
    grown = max(solid * ramp(regions.hair_share, *BALD), ramp(min(regions.hair_solid, regions.hair_share), *DENSE))
    grown = max(grown, solid * float(cover[scalp > 0].mean()))
    colour, sure_of_it = of_hair
    own = sure_of_it >= LEAST_SURE
    seen_hair = torch.where(own[:, None], colour, colour[mirror])
    sure_hair = solid * torch.where(own, sure_of_it, TWIN * sure_of_it[mirror])
    lids = torch.maximum(atlas.lid_vertices, atlas.share("eyelids"))
    likely = torch.from_numpy(regions.skin_colour).expand_as(base) if guess is None else guess.skin
    inside = torch.maximum(lids, atlas.share("eye_sockets", "mouth_interior"))
    likely = skin_tone = torch.where(inside[:, None] > 0, tones, likely)
    layers = (  # wanted colour, its weight, prior colour, its weight
        (
            (base / likely).clamp(*RATIO),
            FIRM * (known * (1 - hairy) ** 2) ** 2,
            skin_tone / likely,
            SKIN_PRIOR + LID_PRIOR * lids,
        ),
        (seen_hair, FIRM * sure_hair, hair, HAIR_PRIOR + 0 * known),
        (
            hairy[:, None],
            FIRM * known**2,
            torch.where(scalp > 0, grown, solid * cover)[:, None],
            torch.where(scalp > 0, *LINE_PRIOR) + atlas.share("ears") + cover,
        ),
    )
    targets, weights = [], []
    for wanted, weight, prior, prior_weight in layers:
        total = weight + prior_weight
        targets.append((weight[:, None] * wanted + prior_weight[:, None] * prior) / total[:, None])
        weights.append(total[:, None].expand(-1, wanted.shape[1]))
    filled = smooth_fill(atlas.graph, torch.cat(targets, 1), torch.cat(weights, 1))
    filled[:, :3] *= likely  # skin is spread as a ratio to what is likely
    return filled


def compose(
    photo: Tensor,  # [P, 5]
    base: Tensor,  # [V, 3]
    layers: Tensor,  # [V, 7]
    detail: tuple[float, float],  # strength of pores and strands, relative
    pores: Tensor,  # [P]
    combed: Tensor,  # [P]
    atlas: Atlas,
) -> tuple[Tensor, Tensor]:  # [P, 3], [P, 2] what of it is the photo's, and the mirrored side's
    """The photo over the mirrored side over the fill.

    The fill has grain on the skin and strands in the hair. The mirrored side gives its fine detail, as a ratio to
    its smooth colours, on this side's smooth colours, so that no edge in brightness appears.
    """
    out, shares = torch.empty(len(photo), 3), torch.empty(len(photo), 2)
    smooth = torch.cat([base, layers], 1)
    texels = [atlas.corners, atlas.uv_map.bary, atlas.mirror_texel, pores, combed, atlas.lids, atlas.relief]
    over_list("compose_skin", len(photo), [*texels, photo, smooth, *detail], [out, shares], CPU)
    return out, shares


def _grain_strength(photo: Tensor, base: Tensor, atlas: Atlas) -> float:
    """Spread of the skin's brightness about the smooth colours, relative."""
    some = SAMPLED * (photo[::SAMPLED, 4] > 0.8).nonzero()[:, 0]  # enough for a spread
    light = photo[some, :3].mean(1)
    smooth = atlas.at_texels(base, some).mean(1)
    skin = photo[some, 3] < 0.1
    # the median ignores brows, lips and nostrils; 1.48 makes it a standard deviation
    off = (light - smooth) / smooth.clamp_min(0.03)
    grain = 1.48 * float(off[skin].abs().median()) if int(skin.sum()) > ENOUGH else 0.02
    return min(max(0.5 * grain, 0.005), 0.016)
