"""What the photo shows of the head's surface, texel by texel, and how far it can be trusted.

Frames: view frame and image frame of the crop (see frames.py).
Dims:   V vertices, F triangles, P covered texels, R texels that the photo shows, h and w rows and columns of the
        trust maps, L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from meshlam_core.texture.mathematics import smooth_step
from meshlam_core.tracker.parsing import Regions, polygon_mask
from meshlam_core.tracker.points import CHIN, FOREHEAD, LEFT_EYE, LIPS_INNER, RIGHT_EYE

F32 = NDArray[np.float32]

HARDLY = 0.02  # weight below which a texel counts as not seen
TRUST_SIDE = 640  # px, long side of the maps: landmarks and masks know edges no better
DEPTH_JUMP = 6e-3  # m between neighbouring pixels: one surface in front of another
SOFT = 2  # px over which trust returns next to an edge
NECK_SKIN, NECK_MARGIN = 0.7, 3  # mask level; px of the trust maps
NECK_SPREAD = (0.08, 0.18)  # distances from the neck's median colour between which a texel is given up
FEW = 200  # texels
EYE_MARGIN, LIP_MARGIN = 0.012, 0.004  # of the face height, by which lids and lips keep away from what they frame


@dataclass(frozen=True)
class Sight:
    """The skin texels that the photo shows."""

    rows: Tensor  # [R] int64 among the covered texels
    colour: Tensor  # [R, 3] sRGB 0..1
    weight: Tensor  # [R] 0..1 trust
    hair: Tensor  # [R] 0..1 share of hair


def see_skin(
    image: Tensor,  # [1, 3, H, W] sRGB 0..1, the crop
    regions: Regions,
    landmarks: F32,  # [L, 2 or 3] px of the crop
    posed: Tensor,  # [V, 3] view frame, m
    camera: Camera,  # of the crop
    valid: tuple[float, float, float, float],  # px, (x0, y0, x1, y1) of the crop that the photo covers
    model: HeadModel,
    atlas: Atlas,
) -> Sight:
    """Read the photo at every texel of the skin that is visible, not too grazing, and on the person."""
    height, width = image.shape[2:]
    scale = min(1.0, TRUST_SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    # lashes are cards in front of the lids: what lies behind them is what the photo shows there
    faces = torch.from_numpy(model.faces[(model.part[model.faces] != atlas.parts.get("lashes", -1)).all(axis=1)])
    seen_through = camera.scaled(scale)
    fragments = get_rasteriser("auto").rasterise(project(posed[None], seen_through), faces, size)
    view = view_texels(posed[None], torch.from_numpy(np.array(model.faces)), atlas.uv_map, camera, fragments)

    texel = (view.weight.view(-1) > HARDLY).nonzero()[:, 0]
    rows = atlas.row_of_texel[texel].long()
    skin = atlas.skin[rows]
    rows, texel = rows[skin], texel[skin]
    pixel = view.pixel.view(-1, 2)[texel]
    trust = _trust(regions, landmarks * scale, valid, fragments.depth[0], fragments.face[0], faces, atlas, scale)
    # clothes must not reach the neck: only what is surely skin is trusted there
    bare = (box_blur((_shrunk(regions.skin, size) > NECK_SKIN).numpy().astype(np.float32), NECK_MARGIN) == 1)
    bare = box_blur(bare.astype(np.float32), NECK_MARGIN)
    maps = torch.cat([trust, _shrunk(regions.hair, size)[None], torch.from_numpy(bare)[None]])
    grid = (2 * pixel / pixel.new_tensor([width, height]) - 1)[None, None]
    trusted, hair, neck_skin = functional.grid_sample(maps[None], grid, align_corners=False)[0, :, 0]
    neck = atlas.neck[rows]
    weight = view.weight.view(-1)[texel] * trusted * (1 - neck * (1 - neck_skin))
    keep = weight > HARDLY
    rows, texel, weight, hair, neck = rows[keep], texel[keep], weight[keep], hair[keep], neck[keep]
    image = _not_finer(image, float(view.level.view(-1)[texel].median()) if len(texel) else 0.0)
    colour = functional.grid_sample(image, grid[:, :, keep], align_corners=False)[0, :, 0].T.contiguous()
    return Sight(rows, colour, weight * (1 - neck * _unlike_neck(colour, weight * neck)), hair)


def _not_finer(
    image: Tensor,  # [1, 3, H, W]
    level: float,  # log2 of photo pixels per texel, typical
) -> Tensor:  # [1, 3, h, w]
    """Shrink a photo that is much finer than the texture, so that sampling does not alias."""
    for _ in range(round(level)):
        image = halved(image)
    return image


def _unlike_neck(
    colour: Tensor,  # [R, 3]
    weight: Tensor,  # [R] on the neck, 0 elsewhere
) -> Tensor:  # [R] 1 where the colour is far from the neck's usual one: collars, chains, stray hair
    sample = colour[weight > 0.5]
    if len(sample) < FEW:
        return torch.ones(len(colour))
    centre = sample.median(0).values
    # brightness may vary more than hue
    off = colour - centre
    grey = off.mean(1, keepdim=True)
    distance = (0.6 * grey.abs() + (off - grey).norm(dim=1, keepdim=True))[:, 0]
    return smooth_step(distance, *NECK_SPREAD)


def _trust(
    regions: Regions,
    landmarks: F32,  # [L, 2 or 3] px of the maps
    valid: tuple[float, float, float, float],  # px of the crop
    depth: Tensor,  # [h, w] m
    face: Tensor,  # [h, w]
    faces: Tensor,  # [F, 3]
    atlas: Atlas,
    scale: float,  # map pixels per crop pixel
) -> Tensor:  # [1, h, w] 0..1
    """Where a pixel shows skin or hair of the person, away from every edge at which something else begins."""
    height, width = depth.shape
    skin_face = atlas.skin_vertex[faces[:, 0].long()].float()
    on_skin = torch.where(face >= 0, skin_face[face.clamp_min(0).long()], 0.0)
    good = on_skin * ~_depth_edges(depth) * (_shrunk(regions.person, (height, width)) > 0.5)
    x0, y0, x1, y1 = (round(v * scale) for v in valid)
    inside = torch.zeros(height, width)
    inside[max(0, y0 + 1) : max(0, y1 - 1), max(0, x0 + 1) : max(0, x1 - 1)] = 1
    good *= inside
    points = landmarks[:, :2].astype(np.float64)
    span = float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))
    for ring, margin in ((RIGHT_EYE, EYE_MARGIN), (LEFT_EYE, EYE_MARGIN), (LIPS_INNER, LIP_MARGIN)):
        opening = polygon_mask(points[ring], (height, width))
        good *= torch.from_numpy(box_blur(opening, max(1, round(margin * span)))) == 0
    # erode, then let the trust rise again over a few pixels
    eroded = (box_blur(good.numpy(), SOFT) == 1).astype(np.float32)
    return torch.from_numpy(box_blur(eroded, SOFT))[None]


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
