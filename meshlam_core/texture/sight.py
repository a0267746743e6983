"""What the photo shows of the head's surface, texel by texel, and how far it can be trusted.

Frames: view frame and image frame of the crop (see frames.py).
Dims:   V vertices, F triangles, P covered texels, R texels that the photo shows, h and w rows and columns of the
        trust maps, L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional

from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.interface import get_rasteriser
from meshlam_core.raster.interpolate import halved
from meshlam_core.raster.project import project
from meshlam_core.raster.unwrap import view_texels
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.lids import lash_line_trust, lid_trust, relative_brightness
from meshlam_core.texture.mathematics import smooth_step
from meshlam_core.tracker.parsing import Regions, polygon_mask
from meshlam_core.tracker.points import CHIN, FOREHEAD, LEFT_EYE, LIPS_INNER, RIGHT_EYE

F32 = NDArray[np.float32]

HARDLY = 0.02  # weight below which a texel counts as not seen
TRUST_SIDE = 512  # px, long side of the maps: landmarks and masks know edges no better
DEPTH_JUMP = 6e-3  # m between neighbouring pixels: one surface in front of another
SOFT = 1  # px over which trust returns next to an edge
NECK_SKIN, NECK_SOFT = 0.7, 6  # level of the skin mask; px of the trust maps
MOUTH_RIM = 0.012  # of the face height, by which the mouth's inside may reach over the lips
MOUTH_SLANT = 6.0  # how many times less than skin teeth mind a slanted view
INNER_LIP = (0.02, 0.3)  # shares of the mouth's inside between which a lip's texel may take the dark between the lips
OPEN = 0.1  # height / width of the lips' opening from which the mouth's inside is read
NECK_SPREAD = (0.08, 0.18)  # distances from the neck's median colour between which a texel is given up
FEW = 200  # texels
LASH_LINE = 0.012  # of the face height, width of the band around the eye where lashes grow
EYE_MARGIN = 0.004  # of the face height, by which lids keep away from the eye


@dataclass(frozen=True)
class Texels:
    """Texels that the photo shows."""

    rows: Tensor  # [R] int64 among the covered texels
    colour: Tensor  # [R, 3] sRGB 0..1
    weight: Tensor  # [R] 0..1 trust
    hair: Tensor  # [R] 0..1 share of hair


@dataclass(frozen=True)
class Sight:
    """What the photo shows, but for the eyes."""

    skin: Texels
    mouth: Texels  # teeth, tongue and the inside of the mouth between open lips


def see(
    image: Tensor,  # [1, 3, H, W] sRGB 0..1, the crop
    regions: Regions,
    landmarks: F32,  # [L, 2] px of the crop
    posed: Tensor,  # [V, 3] view frame, m
    camera: Camera,  # of the crop
    valid: tuple[float, float, float, float],  # px, (x0, y0, x1, y1) of the crop that the photo covers
    tones: Tensor,  # [V, 3] lid tones
    model: HeadModel,
    atlas: Atlas,
) -> Sight:
    """Read the photo at every texel that is visible, not too grazing, and on the person; eyes are left to eyes.py."""
    height, width = image.shape[2:]
    scale = min(1.0, TRUST_SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    # lashes are too fine to be found again in the photo: what lies behind them is what it shows there
    faces = torch.from_numpy(model.faces[(model.part[model.faces] != atlas.parts.get("lashes", -1)).all(axis=1)])
    seen_through = camera.scaled(scale)
    fragments = get_rasteriser("auto").rasterise(project(posed[None], seen_through), faces, size)
    view = view_texels(posed[None], torch.from_numpy(np.array(model.faces)), atlas.uv_map, camera, fragments)

    texel = (view.weight.view(-1) > HARDLY).nonzero()[:, 0]
    rows = atlas.row_of_texel[texel].long()
    points = landmarks * scale
    good = _on_person(_shrunk(regions.person, size), valid, fragments.depth[0], scale)
    eyes, lips = _openings(points, size)
    span = float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))
    shown = good * _shows_skin(fragments.face[0], faces, atlas)
    on_skin = shown * (1 - lips)
    lids_end, lashes_end = (
        torch.from_numpy(box_blur(eyes, max(1, round(m * span)))) > 0 for m in (EYE_MARGIN, LASH_LINE)
    )
    maps = torch.stack(
        [
            _soft(on_skin * ~lids_end),
            _shrunk(regions.hair, size),
            # clothes must not reach the neck: only what is surely skin is trusted there, and fades slowly
            _soft(good * (_shrunk(regions.skin, size) > NECK_SKIN), NECK_SOFT),
            _shrunk(regions.other, size),
            _shrunk(regions.person, size) * torch.from_numpy(box_blur(_mouth_opening(points, size), SOFT)),
            shown * torch.maximum(lashes_end * (1 - lips), lips),
        ]
    )
    grid = view.pixel.view(-1, 2)[texel] * (2 / view.pixel.new_tensor([width, height])) - 1
    sampled = functional.grid_sample(maps[None], grid[None, None], align_corners=False)[0, :, 0]
    outer, hair, neck_skin, other, inner, rim = sampled
    in_mouth = atlas.mouth[rows]
    # a hat may stay on the scalp; elsewhere only glasses belong to the head, and those count as skin
    bare = 1 - smooth_step(other, 0.3, 0.6) * (1 - atlas.scalp[rows])
    bare = bare * (1 - atlas.ears[rows] * smooth_step(hair, 0.3, 0.6))  # hair that hides an ear hangs in front of it
    trusted = torch.where(in_mouth, inner, outer * bare * (1 - atlas.neck[rows] * (1 - neck_skin)) * atlas.skin[rows])
    seen = view.weight.view(-1)[texel]
    # teeth at the side are only seen at a slant, and still better known than painted
    slant = torch.where(atlas.cavity[rows] > 0, 1.0, MOUTH_SLANT)
    weight = torch.where(in_mouth, (slant * seen).clamp(max=1), seen) * trusted
    rim = seen * rim * torch.maximum(atlas.lash_line[rows], smooth_step(atlas.cavity[rows], *INNER_LIP))
    image = _not_finer(
        image, float(view.level.view(-1)[texel[:: len(texel) // 1000 + 1]].median()) if len(texel) else 0
    )

    def texels(kept: Tensor) -> Texels:
        colour = functional.grid_sample(image, grid[kept][None, None], align_corners=False)[0, :, 0]
        return Texels(rows[kept], colour.T.contiguous(), weight[kept], hair[kept])

    chosen = ((torch.maximum(weight, rim) > HARDLY) & ~in_mouth).nonzero()[:, 0]
    skin, mouth = texels(chosen), texels(((weight > HARDLY) & in_mouth).nonzero()[:, 0])
    skin = _without_doubtful_neck(skin, regions, atlas)
    reference = atlas.at_texels(tones, skin.rows)
    believed = skin.weight * lid_trust(skin.colour, reference, atlas.lids[skin.rows])
    dark = rim[chosen] * lash_line_trust(skin.colour, reference)
    # the line of the lashes darkens the lid's own tone: the iris behind it must not tint it
    shaded = reference * relative_brightness(skin.colour, reference)[:, None]
    lashes = (atlas.lash_line[skin.rows] * (dark > believed))[:, None]
    colour = skin.colour + lashes * (shaded - skin.colour)
    return Sight(replace(skin, colour=colour, weight=torch.maximum(believed, dark)), mouth)


def _not_finer(
    image: Tensor,  # [1, 3, H, W]
    level: float,  # log2 of photo pixels per texel, typical
) -> Tensor:  # [1, 3, h, w]
    """Shrink a photo that is much finer than the texture, so that sampling does not alias."""
    for _ in range(round(level)):
        image = halved(image)
    return image


def _without_doubtful_neck(seen: Texels, regions: Regions, atlas: Atlas) -> Texels:
    """Distrust what is far from the neck's usual colour: collars, chains, stray hair."""
    share = atlas.neck[seen.rows]
    on_neck = (share > 0).nonzero()[:, 0]
    share, colour = share[on_neck], seen.colour[on_neck]
    sample = colour[share * seen.weight[on_neck] > 0.5]
    unlike = torch.ones(len(on_neck))
    if len(sample) >= FEW:
        # a neck is hardly brighter than the face: where most of it is, that is a shirt
        centre = torch.minimum(sample.median(0).values, torch.from_numpy(regions.skin_colour) + 0.06)
        # brightness may vary more than hue
        off = colour - centre
        grey = off.mean(1, keepdim=True)
        unlike = smooth_step((0.6 * grey.abs() + (off - grey).norm(dim=1, keepdim=True))[:, 0], *NECK_SPREAD)
    return replace(seen, weight=seen.weight.index_copy(0, on_neck, seen.weight[on_neck] * (1 - share * unlike)))


def _on_person(
    person: Tensor,  # [h, w]
    valid: tuple[float, float, float, float],  # px of the crop
    depth: Tensor,  # [h, w] m
    scale: float,  # map pixels per crop pixel
) -> Tensor:  # [h, w] 0 or 1
    """Pixels of the photo that show the person, away from edges in depth."""
    height, width = depth.shape
    x0, y0, x1, y1 = (round(v * scale) for v in valid)
    inside = torch.zeros(height, width)
    inside[max(0, y0 + 1) : max(0, y1 - 1), max(0, x0 + 1) : max(0, x1 - 1)] = 1
    return inside * ~_depth_edges(depth) * (person > 0.5)


def _shows_skin(
    face: Tensor,  # [h, w]
    faces: Tensor,  # [F, 3]
    atlas: Atlas,
) -> Tensor:  # [h, w] 0 or 1
    """Pixels where the mesh shows skin, neither eyes nor teeth."""
    skin_face = torch.cat([atlas.skin_vertex[faces[:, 0].long()].float(), torch.zeros(1)])  # the last is for -1
    return skin_face[face.long()]


def _openings(
    landmarks: F32,  # [L, 2] px of the maps
    size: tuple[int, int],
) -> tuple[F32, Tensor]:  # [h, w] 1 between the lids, [h, w] 1 between the lips
    """What the landmarks say is not skin."""
    right, left, lips = (polygon_mask(landmarks[r].astype(np.float64), size) for r in (RIGHT_EYE, LEFT_EYE, LIPS_INNER))
    return np.maximum(right, left), torch.from_numpy(np.array(lips))


def _mouth_opening(
    landmarks: F32,  # [L, 2] px of the maps
    size: tuple[int, int],
) -> F32:  # [h, w] 0 or 1
    """Pixels between the lips, when they are open far enough to show something."""
    ring = landmarks[LIPS_INNER].astype(np.float64)
    width, height = np.ptp(ring[:, 0]), np.ptp(ring[:, 1])
    if height < OPEN * width:
        return np.zeros(size, np.float32)
    # the mesh's lips open a little further or less than the photo's: a rim of lip reads as gum, a gap does not
    span = float(np.linalg.norm(landmarks[FOREHEAD] - landmarks[CHIN]))
    return (box_blur(polygon_mask(ring, size), round(MOUTH_RIM * span)) > 0).astype(np.float32)


def _soft(
    good: Tensor,  # [h, w] 0 or 1
    radius: int = SOFT,  # px
) -> Tensor:  # [h, w] 0..1
    """Eroded, with the trust rising again over a few pixels."""
    eroded = (box_blur((good.numpy() > 0.5).astype(np.float32), radius) == 1).astype(np.float32)
    return torch.from_numpy(box_blur(eroded, radius))


def _depth_edges(
    depth: Tensor,  # [h, w] m
) -> Tensor:  # [h, w] bool
    """Pixels next to a jump in depth, on both sides of it."""
    near = torch.where(torch.isfinite(depth), depth, 1e3)
    edge = torch.zeros_like(near, dtype=torch.bool)
    down = (near[1:] - near[:-1]).abs() > DEPTH_JUMP
    right = (near[:, 1:] - near[:, :-1]).abs() > DEPTH_JUMP
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge


def box_blur(
    mask: F32,  # [h, w] 0..1
    radius: int,  # px
) -> F32:  # [h, w] 0..1 in steps of 1/255; 0 and 1 stay exact
    """Mean over a square."""
    picture = Image.fromarray((mask * 255 + 0.5).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.BoxBlur(radius)), np.float32) / np.float32(255)


def _shrunk(mask: F32, size: tuple[int, int]) -> Tensor:
    """[h, w] the mask at the trust maps' size."""
    whole = torch.from_numpy(np.ascontiguousarray(mask))[None, None]
    return functional.interpolate(whole, size=size, mode="bilinear", align_corners=False)[0, 0]
