"""Which pixels of a photo may colour what: skin, hair, neck, the inside of the mouth, the dark lines around it.

Image frame of the crop (see frames.py), shrunk to the trust maps' size.
Dims: h, w rows and columns of the maps; F triangles, L landmarks.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.opencv import cv2
from meshlam_core.points import (
    CHIN,
    FOREHEAD,
    LEFT_EYE,
    LEFT_EYE_OUTER,
    LEFT_SIDE,
    LIPS_INNER,
    NOSE_TIP,
    RIGHT_EYE,
    RIGHT_EYE_OUTER,
    RIGHT_SIDE,
)
from meshlam_core.raster.interface import Fragments
from meshlam_core.tracker.parsing import Regions, greenness, polygon_mask
from meshlam_core.tracker.ramps import ramp, smooth_step
from meshlam_core.tracker.sampling import resized

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

TRUST_SIDE = 712  # px of the maps, side of the head's window: landmarks and masks know edges no better
FILLED_SIDE = 512  # px of the maps, at least, along the crop's long side
DEPTH_JUMP = 6e-3  # m between neighbouring pixels: one surface in front of another
SOFT = 1  # px over which trust returns next to an edge
PURE, HAIR_RIM = 0.6, 1  # level of the person mask around hair; px of the maps by which hair is cut back
SHORE, DEEP = 0.06, 0.25  # of the face height: reach into hair of a background's colour, of its hue
SEE_THROUGH = 0.5  # share of the background in a colour that is given up
ANY, SOME_PERSON = (0.15, 0.4), 0.25  # masks of hair or skin, and of the person, from which a pixel is the head's
LEAST = 1e-4  # share of a square that counts as any
FREE, NEAR = 0.1, 0.03  # person mask of background; share of it close by
GREEN, SURE = 0.06, 0.9  # how green is no hair; masks of hair and of skin above which that is believed nevertheless
LIKE_HAIR, LIKE_HAIRS_HUE = 0.3, 0.1  # distance of colours and of hues that are not told apart
NECK_SKIN, NECK_SOFT = 0.7, 6  # level of the skin mask; px of the trust maps
MOUTH_RIM = 0.012  # of the face height, by which the mouth's inside may reach over the lips
OPEN = 0.1  # height / width of the lips' opening from which the mouth's inside is read
TURNED = (0.75, 1.05)  # lopsidedness between which a face counts as turned away: from about 30 to 40 degrees
TURN_RIM = 0.02  # of the face height, by which a turned face is distrusted next to where it hides itself
HIDDEN, HIDDEN_RIM = 0.35, 0.008  # share of what is before the face that hides it; of the face height, its soft edge
LASH_LINE = 0.012  # of the face height, width of the band around the eye where lashes grow
EYE_MARGIN = 0.004  # of the face height, by which lids keep away from the eye


def trust_maps(
    regions: Regions,  # of the crop
    points: F32,  # [L, 2] px of the maps, landmarks
    valid: tuple[float, float, float, float],  # px of the maps, (x0, y0, x1, y1) that the photo covers
    fragments: Fragments,  # of the head as the photo shows it, at the maps' size
    skin_faces: Mask,  # [F] triangles of skin, neither eyes nor teeth
    image: F32,  # [h, w, 3] sRGB 0..1, the crop at the maps' size
) -> Tensor:  # [h, w, 7] 0..1
    """Trust as skin, share of hair, trust as neck, share of neither, trust in the mouth, trust as a dark line, and
    where the head is, to its last pixel."""
    size = (fragments.depth.shape[1], fragments.depth.shape[2])
    person, hair, skin, other = (resized(m, size) for m in (regions.person, regions.hair, regions.skin, regions.other))
    span = float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))
    edges = _depth_edges(fragments.depth[0])
    if turn := _turned(points):
        edges |= dilated(edges & _far_half(points, size), TURN_RIM * span * turn)
    free = np.ones(size, bool)
    if (hiding := regions.in_front) is not None:
        free = ~dilated(resized(hiding, size) > HIDDEN, HIDDEN_RIM * span)
    within = _inside(valid, size) & free
    good = within & ~edges & (person > 0.5)
    # hair ends softly: its outermost pixels are mixed with what lies behind it
    good &= (hair < 0.5) | eroded(person > PURE, HAIR_RIM)
    good &= (hair < 0.5) | (shine_through(image, person, regions.hair_colour, SHORE * span) < SEE_THROUGH)
    # deeper in, between strands, gloss may be as bright as the wall, and shade as grey, but no hair is both
    hues, hue = (c - c.mean(axis=-1, keepdims=True) for c in (image, regions.hair_colour))
    walls = shine_through(hues, person, hue, DEEP * span, LIKE_HAIRS_HUE) > SEE_THROUGH
    walls &= shine_through(image, person, regions.hair_colour, DEEP * span) > SEE_THROUGH / 2
    good &= (hair < 0.5) | ~dilated(walls, HAIR_RIM)
    # what is hair nearly but not quite, and green, is a leaf between or behind the strands
    leaves = (greenness(image) > GREEN) & (np.maximum(hair, skin) < SURE)
    good &= ~dilated(leaves, HAIR_RIM)
    # the last entry is for pixels without a triangle, -1
    shown = good & np.append(skin_faces, False)[fragments.face[0].numpy()]
    eyes = _ring(points, RIGHT_EYE, size) | _ring(points, LEFT_EYE, size)
    lips = _ring(points, LIPS_INNER, size)
    maps = (
        _soft(shown & ~lips & ~dilated(eyes, EYE_MARGIN * span)),
        hair,
        # clothes must not reach the neck: only what is surely skin is trusted there, and fades slowly
        _soft(good & (skin > NECK_SKIN), NECK_SOFT),
        other,
        person * box_blur(_mouth_opening(points, lips, span) & free, SOFT),
        shown & (dilated(eyes, LASH_LINE * span) | lips),
        smooth_step(np.maximum(hair, skin), *ANY) * (within & (person > SOME_PERSON)),
    )
    return torch.from_numpy(np.stack([np.asarray(m, np.float32) for m in maps], axis=-1))


def shine_through(
    image: F32,  # [h, w, 3] sRGB 0..1
    person: F32,  # [h, w]
    hair: F32,  # [3] its colour
    radius: float,  # px, from how far a background shines through
    alike: float = LIKE_HAIR,  # distance of colours below which background and hair are not told apart
) -> F32:  # [h, w] 0..1, 0 where no background is near or it has the hair's colour
    """How much of a pixel's colour is that of the background beside it rather than the hair's."""
    beside, near = mean_around(image, person < FREE, radius)
    way = beside - hair
    length = (way**2).sum(axis=2)
    share = ((image - hair) * way).sum(axis=2) / np.maximum(length, alike**2)
    return np.asarray(np.where((near > NEAR) & (length > alike**2), share, 0).clip(0, 1), np.float32)


def mean_around(
    image: F32,  # [h, w, 3]
    mask: Mask,  # [h, w] what counts
    radius: float,  # px
    times: int = 1,  # that it is averaged
) -> tuple[F32, F32]:  # [h, w, 3], [h, w]
    """Means over what counts in a square around each pixel, and its share; 0 where there is none."""
    weight = mask.astype(np.float32)[..., None]
    sums = np.concatenate([image * weight, weight], axis=2)
    for _ in range(times):
        sums = cv2.blur(sums, _square(radius))
    total = sums[..., 3].clip(0, 1)
    total[total < LEAST] = 0  # what rounding leaves of none
    return np.asarray(sums[..., :3] / np.maximum(total, LEAST)[..., None], np.float32), total


def lopsided(
    points: F32,  # [L, 2] px
) -> float:  # 0 from the front; positive where the nose is nearer to the subject's left side
    """How far the nose has gone from the middle between the face's sides, as a turned head shows it."""
    across = points[LEFT_EYE_OUTER] - points[RIGHT_EYE_OUTER]
    right, left = ((points[NOSE_TIP] - points[side]) @ across for side in (RIGHT_SIDE, LEFT_SIDE))
    return float((right + left) / max(abs(right - left), 1e-6))


def box_blur(
    mask: F32 | Mask,  # [h, w] 0..1
    radius: int,  # px
) -> F32:  # [h, w] 0..1 in steps of 1/255; 0 and 1 stay exact
    """Mean over a square."""
    grey = mask.view(np.uint8) * np.uint8(255) if mask.dtype == np.bool_ else (mask * 255 + 0.5).astype(np.uint8)
    blurred = cv2.blur(grey, _square(radius), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32) / np.float32(255)


def eroded(
    mask: Mask,  # [h, w]
    radius: float,  # px
) -> Mask:  # [h, w]
    """Without the pixels closer than the radius to its edge; the picture's border is none."""
    return np.asarray(cv2.erode(mask.view(np.uint8), np.ones(_square(radius), np.uint8)).view(bool))


def dilated(
    mask: Mask,  # [h, w]
    radius: float,  # px
) -> Mask:  # [h, w]
    """With all pixels within the radius."""
    return np.asarray(cv2.dilate(mask.view(np.uint8), np.ones(_square(radius), np.uint8)).view(bool))


def _square(radius: float) -> tuple[int, int]:  # px
    return (2 * max(1, round(radius)) + 1,) * 2


def _soft(good: Mask, radius: int = SOFT) -> F32:  # [h, w] 0..1
    """Eroded, with the trust rising again over a few pixels."""
    return box_blur(eroded(good, radius), radius)


def _inside(valid: tuple[float, float, float, float], size: tuple[int, int]) -> Mask:
    """Pixels of the photo, but for its outermost."""
    x0, y0, x1, y1 = (round(v) for v in valid)
    inside = np.zeros(size, bool)
    inside[max(0, y0 + 1) : max(0, y1 - 1), max(0, x0 + 1) : max(0, x1 - 1)] = True
    return inside


def _depth_edges(
    depth: Tensor,  # [h, w] m
) -> Mask:  # [h, w]
    """Pixels next to a jump in depth, on both sides of it."""
    near = torch.where(torch.isfinite(depth), depth, 1e3)
    edge = torch.zeros_like(near, dtype=torch.bool)
    down = (near[1:] - near[:-1]).abs() > DEPTH_JUMP
    right = (near[:, 1:] - near[:, :-1]).abs() > DEPTH_JUMP
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return np.asarray(edge.numpy())


def _turned(
    points: F32,  # [L, 2] px
) -> float:  # 0..1
    """Whether the face is turned so far that the fit does not know to a pixel where it begins to hide itself.

    Beyond it the photo shows background, an eye's corner or hair, and what is hidden is better mirrored.
    """
    return ramp(abs(lopsided(points)), *TURNED)


def _far_half(
    points: F32,  # [L, 2] px
    size: tuple[int, int],
) -> Mask:  # [h, w]
    """Pixels on the hidden side of the nearer eye's inner corner: nose, far eye and far cheek, but not the ear."""
    across = points[LEFT_EYE_OUTER] - points[RIGHT_EYE_OUTER]
    near = RIGHT_EYE if lopsided(points) > 0 else LEFT_EYE
    start, way = points[near[len(near) // 2]], across if near is RIGHT_EYE else -across
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    return np.asarray((columns - start[0]) * way[0] + (rows - start[1]) * way[1] > 0)


def _ring(points: F32, ring: NDArray[np.integer], size: tuple[int, int]) -> Mask:
    """Pixels inside a ring of landmarks."""
    return polygon_mask(points[ring].astype(np.float64), size) > 0


def openness(
    points: F32,  # [L, 2] px
) -> float:
    """Height by width of the lips' opening."""
    width, height = np.ptp(points[LIPS_INNER], axis=0)
    return float(height / max(width, 1e-6))


def _mouth_opening(
    points: F32,  # [L, 2] px
    lips: Mask,  # [h, w] inside of the lips' inner ring
    span: float,  # px, height of the face
) -> Mask:  # [h, w]
    """Pixels between the lips, when they are open far enough to show something."""
    if openness(points) < OPEN:
        return np.zeros_like(lips)
    # the mesh's lips open a little further or less than the photo's: a rim of lip reads as gum, a gap does not
    return dilated(lips, MOUTH_RIM * span)
