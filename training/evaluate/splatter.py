"""A reference for rendering Gaussians: slow, obvious, and what the viewers of trained Gaussians do.

Elliptical weighted averaging (Zwicker et al. 2001, "EWA Volume Splatting") as Kerbl et al. 2023, "3D Gaussian Splatting
for Real-Time Radiance Field Rendering", use it: each Gaussian is projected to one of the picture by the camera's
derivative at its centre, widened by LOW_PASS, and the Gaussians of a pixel are blended from front to back in the order
of their centres' depths. Colours are blended as they are coded.

Frames: view frame in, image frame out (see frames.py). Dims: N Gaussians, H rows, W columns, P pairs of a Gaussian and
a pixel that it reaches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import CAMERA_FROM_VIEW, Camera
from meshlam_core.viewing.gaussians import Gaussians, rotation_of

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

LOW_PASS = 0.3  # px^2, added to the variances in the picture; the viewers' own figure
MOST_OPAQUE = 0.99
FAINTEST = 1 / 255  # weaker contributions are left out
NEAREST = 0.01  # m, in front of the camera
MAX_PAIRS = 1 << 22  # at once; larger pictures are made in strips of rows to bound the memory


def splat(gaussians: Gaussians, camera: Camera) -> U8:  # [H, W, 4] sRGB and alpha; colours are zero where alpha is
    """The picture of Gaussians through a camera."""
    width, height = camera.size
    centre, covariance, shown = projected(gaussians, camera)
    alpha = gaussians.opacity[shown].astype(np.float64)
    colour = gaussians.colours[shown].astype(np.float64)
    # half of the box in which a Gaussian is stronger than FAINTEST
    reach = np.sqrt(2 * np.log(np.maximum(alpha / FAINTEST, 1)))[:, None] * np.sqrt(covariance[:, (0, 2)])
    low = np.clip(np.ceil(centre - reach - 0.5), 0, (width, height)).astype(np.int64)  # the first pixel in the box
    high = np.clip(np.floor(centre + reach + 0.5), 0, (width, height)).astype(np.int64)  # one behind the last
    picture = np.zeros((height, width, 4))
    rows = max(1, int(height * MAX_PAIRS / max(int(np.prod(np.maximum(high - low, 0), axis=1).sum()), 1)))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first = np.stack([low[:, 0], np.clip(low[:, 1], top, bottom)], 1)
        size = np.maximum(np.stack([high[:, 0], np.clip(high[:, 1], top, bottom)], 1) - first, 0)
        own, pixel = pairs(first, size)
        offset = pixel + 0.5 - centre[own]
        share = alpha[own] * np.exp(-0.5 * mahalanobis(covariance[own], offset))
        keep = share >= FAINTEST
        where = (pixel[keep, 1] - top) * width + pixel[keep, 0]
        strip = blend_front_to_back(
            where, np.minimum(share[keep], MOST_OPAQUE), colour[own[keep]], width * (bottom - top)
        )
        picture[top:bottom] = strip.reshape(bottom - top, width, 4)
    straight = np.concatenate([picture[..., :3] / np.maximum(picture[..., 3:], 1e-9), picture[..., 3:]], 2)
    straight[picture[..., 3] < 0.5 / 255] = 0
    result: U8 = np.clip(straight * 255 + 0.5, 0, 255).astype(np.uint8)
    return result


def projected(gaussians: Gaussians, camera: Camera) -> tuple[F64, F64, I64]:  # [M, 2] px, [M, 3] xx, xy, yy px^2, [M]
    """Centres and covariances in the picture, from front to back, and which Gaussians they belong to."""
    at = gaussians.centres.astype(np.float64) @ CAMERA_FROM_VIEW.T
    shown = np.flatnonzero(at[:, 2] > NEAREST)
    shown = shown[np.argsort(at[shown, 2], kind="stable")]
    x, y, z = at[shown].T
    axes = CAMERA_FROM_VIEW @ rotation_of(gaussians.rotations[shown]) * gaussians.scales[shown, None]  # columns
    zero = np.zeros_like(z)
    rows = [np.stack([1 / z, zero, -x / z**2], 1), np.stack([zero, 1 / z, -y / z**2], 1)]
    derivative = camera.focal * np.stack(rows, 1)  # [M, 2, 3] px / m
    spread = derivative @ axes
    covariance = spread @ spread.transpose(0, 2, 1)
    centre = camera.focal * np.stack([x, y], 1) / z[:, None] + camera.centre
    terms = [covariance[:, 0, 0] + LOW_PASS, covariance[:, 0, 1], covariance[:, 1, 1] + LOW_PASS]
    return centre, np.stack(terms, 1), shown


def mahalanobis(
    covariance: F64,  # [P, 3] xx, xy, yy
    offset: F64,  # [P, 2]
) -> F64:  # [P]
    """Squared distances in units of the standard deviation."""
    xx, xy, yy = covariance.T
    dx, dy = offset.T
    result: F64 = (yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy) / (xx * yy - xy * xy)
    return result


def pairs(
    first: I64,  # [M, 2] column and row
    size: I64,  # [M, 2] columns and rows of each box
) -> tuple[I64, I64]:  # [P] box, [P, 2] column and row
    """All pixels of all boxes, box by box."""
    count = size[:, 0] * size[:, 1]
    own = np.repeat(np.arange(len(first)), count)
    inside = np.arange(len(own)) - np.repeat(np.cumsum(count) - count, count)
    row, column = np.divmod(inside, size[own, 0])
    return own, first[own] + np.stack([column, row], 1)


def blend_front_to_back(
    where: I64,  # [P] pixel
    share: F64,  # [P] opacities, those of one pixel from front to back
    colour: F64,  # [P, 3]
    count: int,
) -> F64:  # [count, 4] colour times opacity, and opacity
    """What is seen: each share of the light that those in front let through."""
    order = np.argsort(where, kind="stable")
    where, share, colour = where[order], share[order], colour[order]
    passed = np.cumsum(np.log1p(-share)) - np.log1p(-share)  # the logarithm, from the first pixel's front on
    start = np.flatnonzero(np.diff(where, prepend=-1))
    before = np.repeat(passed[start], np.diff(start, append=len(where)))
    weight = share * np.exp(passed - before)
    channels = [np.bincount(where, weight * colour[:, k], count) for k in range(3)]
    return np.stack([*channels, np.bincount(where, weight, count)], 1)
