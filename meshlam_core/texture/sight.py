"""What the photo shows of the head's surface, texel by texel, and how far it can be trusted.

Frames: view frame and image frame of the crop (see frames.py). Colours are sRGB 0..1.
Dims:   V vertices, F triangles, P covered texels, R texels that the photo shows, h and w rows and columns of the
        trust maps, L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.opencv import cv2
from meshlam_core.points import CHIN, FOREHEAD
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.interpolate import halved
from meshlam_core.raster.project import project
from meshlam_core.raster.unwrap import TexelView, view_texels
from meshlam_core.raster.warp_runtime import over_list
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.foreground import without_ground
from meshlam_core.texture.lids import lash_line_trust, lid_trust, relative_brightness
from meshlam_core.texture.mathematics import smooth_step
from meshlam_core.texture.trust import FILLED_SIDE, TRUST_SIDE, lopsided, trust_maps
from meshlam_core.tracker.parsing import Regions, head_window
from meshlam_core.tracker.ramps import ramp

F32 = NDArray[np.float32]

HARDLY = 0.02  # weight below which a texel counts as not seen
STRANGE = (0.3, 0.6)  # shares of a pixel between which what is neither hair nor skin, and hair on ears, is given up
HAIR_SLANT = (0.2, 0.7)  # weights by slant between which hair is used: drawn out along the hull it is no hair
OUTLINE_SLANT = (0.02, 0.12)  # cosines of a view between which the outline begins to show
SKIN_EDGE = (0.5, 0.7)  # cosines between which skin ceases to be outline
ENCLOSED = (0.7, 0.95)  # mean covers below an ear's root between which hair hides the ear
MOUTH_SLANT = 6.0  # how many times less than skin teeth mind a slanted view
INNER_LIP = (0.02, 0.3)  # shares of the mouth's inside between which a lip's texel may take the dark between the lips
NECK_SPREAD = (0.08, 0.18)  # distances from the neck's median colour between which a texel is given up
OTHER_HUE = 0.12  # distance of its colour from the face's, brightness aside, from which most of the neck is clothes
NECK_BARE = (0.04, 0.1)  # shares of the neck facing the camera between which what shows of it is used
NEARER = (0.05, 0.25)  # by which the mirrored texel is seen better, for its bare skin to deny hair on this one
SOME_HAIR = (0.05, 0.4)  # shares of hair between which that is doubted
DENIED = (0.02, 0.25)  # mean doubts around a texel between which it is doubted, too
STRIP = (0.5, 0.9)  # mean weights around a texel of the far side between which it is seen with all around it
WIDELY = 4  # rings of vertices that this mean reaches over
ASIDE = (0.3, 0.6)  # lopsidedness between which a head counts as turned: from about 11 to 22 degrees
FEW = 200  # texels
SAMPLED = 101  # every so many texels tell how fine the photo is


@dataclass(frozen=True)
class Texels:
    """Texels that the photo shows."""

    rows: Tensor  # [R] int64 among the covered texels
    colour: Tensor  # [R, 3]
    weight: Tensor  # [R] 0..1 trust


@dataclass(frozen=True)
class Sight:
    """What the photo shows, but for the eyes."""

    skin: Tensor  # [P, 5] colour, share of hair, trust 0..1; 0 where the photo does not show the skin
    outline: Tensor  # [P, 4] colour of hair and of the skin's edge as the photo has them, and how far it shows them
    mouth: Texels  # teeth, tongue and the inside of the mouth between open lips


def see(
    image: Tensor,  # [1, 3, H, W] the crop
    regions: Regions,
    landmarks: F32,  # [L, 2] px of the crop
    posed: Tensor,  # [V, 3] view frame, m
    camera: Camera,  # of the crop
    valid: tuple[float, float, float, float],  # px, (x0, y0, x1, y1) of the crop that the photo covers
    tones: Tensor,  # [V, 3] lid tones
    cover: Tensor,  # [V] how far each vertex is hair and no skin
    model: HeadModel,
    atlas: Atlas,
) -> Sight:
    """Read the photo at every texel that is visible, not too grazing, and on the person; eyes are left to eyes.py."""
    height, width = image.shape[2:]
    # a face that fills its photo has finer maps: the window would lie mostly outside of it
    scale = min(1.0, max(TRUST_SIDE / head_window(landmarks).side, FILLED_SIDE / max(height, width)))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    # lashes are too fine to be found again in the photo: what lies behind them is what it shows there
    shown = (model.part[model.faces] != atlas.parts.get("lashes", -1)).all(axis=1)
    faces = model.faces[shown]
    projected = project(posed[None], camera.scaled(scale))
    fragments = get_rasteriser("auto").rasterise(projected, torch.from_numpy(faces), size)
    view = view_texels(posed[None], torch.from_numpy(np.array(model.faces)), atlas.uv_map, camera, fragments)
    within = (valid[0] * scale, valid[1] * scale, valid[2] * scale, valid[3] * scale)
    whole = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    small = np.asarray(cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA))
    on_skin = atlas.skin_vertex.numpy()[faces[:, 0]]
    maps = trust_maps(regions, landmarks * scale, within, fragments, on_skin, small)
    image = _not_finer(image, view, atlas)
    span = float(np.linalg.norm(landmarks[FOREHEAD] - landmarks[CHIN])) * image.shape[3] / width
    clean = without_ground(image, regions, span)
    photo, rim, outline = _read(clean, image, (width, height), maps, view, cover, atlas)
    mouth = _take_mouth(photo, atlas)
    turned = ramp(abs(lopsided(landmarks)), *ASIDE)
    _doubt_far_hair(photo, turned, atlas)
    doubt_far_strips(photo, turned, atlas)
    _doubt_ears_on_hair(photo, cover, atlas)
    _doubt_neck(photo, view, regions, atlas)
    _judge_lids(photo, rim, tones, atlas)
    return Sight(photo, outline, mouth)


def with_hidden_ears(
    cover: Tensor,  # [V] how far each vertex is hair and no skin
    atlas: Atlas,
) -> Tensor:  # [V]
    """An ear whose root is hair below is hidden, whether or not the photo shows its side."""
    cover = cover.clone()
    for ear, rim in atlas.ear_rims:
        cover[ear] = torch.maximum(cover[ear], smooth_step(cover[rim].mean(), *ENCLOSED))
    return cover


def _not_finer(
    image: Tensor,  # [1, 3, H, W]
    view: TexelView,
    atlas: Atlas,
) -> Tensor:  # [1, 3, h, w]
    """Shrink a photo that is much finer than the texture, so that sampling does not alias."""
    some = atlas.uv_map.texel[::SAMPLED]
    level = view.level.view(-1)[some][view.weight.view(-1)[some] > HARDLY]  # log2 of photo pixels per texel
    for _ in range(round(float(level.median())) if len(level) else 0):
        image = halved(image)
    return image


def _read(
    clean: Tensor,  # [1, 3, h, w] without the ground in hair
    image: Tensor,  # [1, 3, h, w]
    size: tuple[int, int],  # px, width and height of the crop
    maps: Tensor,  # [h, w, 7]
    view: TexelView,
    cover: Tensor,  # [V]
    atlas: Atlas,
) -> tuple[Tensor, Tensor, Tensor]:  # [P, 5] colour, share of hair, trust; [P] trust as a dark line; [P, 4] outline
    """Photo and maps at every texel.

    A hat may stay on the scalp; elsewhere only glasses belong to the head, and those count as skin. Hair that hides an
    ear hangs in front of it. Teeth at the side are only seen at a slant, and still better known than painted.
    """
    out, rim, outline = (torch.empty(len(atlas.corners), *shape) for shape in ((5,), (), (4,)))
    seen = [atlas.places, view.pixel.view(-1, 2), *(x.view(-1) for x in (view.weight, view.visible, view.cosine))]
    hull = atlas.at_texels(cover[:, None])[:, 0]
    scalp, ears, neck = torch.maximum(atlas.scalp, hull), atlas.ears * (1 - hull), atlas.neck * (1 - hull)
    shares = [hull, scalp, ears, neck, atlas.cavity, atlas.lash_line, atlas.skin, atlas.mouth]
    pixels = [picture[0].permute(1, 2, 0).contiguous() for picture in (clean, image)]
    over_list("read_photo", len(out), [*seen, *shares, *pixels, maps, *size], [out, rim, outline], image.device)
    return out, rim, outline


def _take_mouth(photo: Tensor, atlas: Atlas) -> Texels:
    """The mouth's texels, which are taken out of the skin's."""
    inside = atlas.mouth_rows
    values = photo[inside]
    photo[inside] = 0
    kept = values[:, 4] > HARDLY
    return Texels(inside[kept], values[kept, :3], values[kept, 4])


def _doubt_far_hair(photo: Tensor, turned: float, atlas: Atlas) -> None:
    """Distrust hair on the far temple and brow where the near side, which shows better, is bare.

    Where a turned head hides itself the mesh is off by some pixels, and the hair behind falls onto the forehead. There
    the mask may miss some of it, and what is around is doubted, too.
    """
    rows = atlas.rows_of("face")
    twin = photo[atlas.mirror_texel[rows].long()]
    hair, bare = smooth_step(photo[rows, 3], *SOME_HAIR), 1 - twin[:, 3]
    denied = hair * bare * smooth_step(twin[:, 4] - photo[rows, 4], *NEARER)
    mixed = smooth_step(_around(denied, rows, 1, atlas), *DENIED)
    photo[rows, 4] *= 1 - torch.maximum(denied, mixed)
    if turned > 0:
        photo[rows, 4] *= 1 - turned * smooth_step(_around(mixed, rows, 1, atlas), *DENIED)


def doubt_far_strips(
    photo: Tensor,  # [P, 5] colour, share of hair, trust; the trust is written to
    turned: float,  # 0..1
    atlas: Atlas,
) -> None:
    """Distrust what shows of a turned head's far side in strips beyond what it hides: there the mesh is off by some
    pixels, and what lies behind the head falls onto them."""
    if turned == 0:
        return
    rows = torch.cat([atlas.rows_of("face"), atlas.rows_of("scalp")])
    around = _around(photo[rows, 4], rows, WIDELY, atlas)
    farther = smooth_step(photo[atlas.mirror_texel[rows].long(), 4] - around, *NEARER)
    photo[rows, 4] *= 1 - turned * farther * (1 - smooth_step(around, *STRIP))


def _around(
    values: Tensor,  # [R] at some texels
    rows: Tensor,  # [R] which these are
    rings: int,  # of vertices that the surroundings are wide
    atlas: Atlas,
) -> Tensor:  # [R]
    """Means over what is around each texel."""
    every = torch.zeros(len(atlas.corners), 2)
    every[rows, 1] = 1
    for _ in range(rings):
        every[rows, 0] = values
        values = atlas.at_texels(atlas.at_vertices(every)[0], rows)[:, 0]
    return values


def _doubt_ears_on_hair(photo: Tensor, cover: Tensor, atlas: Atlas) -> None:
    """Distrust bare skin on the hair beside an ear: it is the ear, which the mesh has smaller or elsewhere."""
    hull = atlas.at_texels((cover * atlas.beside_ears)[:, None])[:, 0]
    photo[:, 4] *= 1 - hull * (1 - smooth_step(photo[:, 3], *STRANGE))


def _doubt_neck(photo: Tensor, view: TexelView, regions: Regions, atlas: Atlas) -> None:
    """Distrust what is far from the neck's usual colour, collars, chains, stray hair, and a neck that hardly shows."""
    rows = atlas.neck_rows[photo[atlas.neck_rows, 4] > 0]
    facing = view.weight.view(-1)[atlas.places[atlas.neck_rows].long()]
    colour, weight, share = photo[rows, :3], photo[rows, 4], atlas.neck[rows]
    sample = colour[share * weight > 0.5]
    unlike = torch.ones(len(rows))
    if len(sample) >= FEW:
        # a neck is hardly brighter than the face: where most of it is, that is a shirt
        skin = torch.from_numpy(regions.skin_colour)
        centre = torch.minimum(sample.median(0).values, skin + 0.06)
        hue = (centre - skin) - (centre - skin).mean()
        if float(hue.norm()) > OTHER_HUE:
            centre = skin
        # brightness may vary more than hue
        off = colour - centre
        grey = off.mean(1, keepdim=True)
        unlike = smooth_step((0.6 * grey.abs() + (off - grey).norm(dim=1, keepdim=True))[:, 0], *NECK_SPREAD)
    weight = weight * (1 - share * unlike)
    # a patch between collars, alone on a smooth neck, looks like a mark
    bare = (weight * share).sum() / (facing * atlas.neck[atlas.neck_rows]).sum().clamp_min(1)
    photo[rows, 4] = weight * (1 - share * (1 - smooth_step(bare, *NECK_BARE)))


def _judge_lids(
    photo: Tensor,  # [P, 5]
    rim: Tensor,  # [P] trust as a dark line
    tones: Tensor,  # [V, 3] lid tones
    atlas: Atlas,
) -> None:
    """Lids and lips: dark pixels are no lid, but along the lashes and between the lips the dark line is wanted."""
    rows = atlas.opening_rows[torch.maximum(photo[atlas.opening_rows, 4], rim[atlas.opening_rows]) > HARDLY]
    colour, reference = photo[rows, :3], atlas.at_texels(tones, rows)
    believed = photo[rows, 4] * lid_trust(colour, reference, atlas.lids[rows])
    dark = rim[rows] * lash_line_trust(colour, reference)
    # the line of the lashes darkens the lid's own tone: the iris behind it must not tint it
    shaded = reference * relative_brightness(colour, reference)[:, None]
    photo[rows, :3] += (atlas.lash_line[rows] * (dark > believed))[:, None] * (shaded - colour)
    photo[rows, 4] = torch.maximum(believed, dark)
