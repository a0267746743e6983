"""The eyelids: what must show when the eyes close, which most photos hide.

Frames: avatar frame for the template, image frame of the crop (see frames.py). Colours are sRGB 0..1.
Dims:   V vertices, R texels that the photo shows, L landmarks.

An open eye's upper lid is folded under the brow. The few pixels there are brow hair, crease and lashes; a blink would
spread them over the whole lid. So dark pixels are not believed on the lids, and what is hidden takes the tone of the
skin around the same eye. What does show there is the lid of an open eye: where a blink would draw it out into streaks,
a fold (folds.py) that comes with the blink turns it into the bare lid.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.head.lids import BLINKS
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.normals import face_normals
from meshlam_core.texture.mathematics import luminance, smooth_step
from meshlam_core.texture.trust import HIDDEN
from meshlam_core.tracker.pose import posed_vertices
from meshlam_core.tracker.types import TrackedFace

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

MOVED = (0.7e-3, 2.8e-3)  # m that a blink moves a vertex, between which it turns from other skin to lid
DARK = (0.32, 0.55)  # of the reference's brightness, between which a lid's pixel is believed
TURNED = 0.45  # of its size shows of a shut lid's triangle in any case
STRETCHED = (0.35, 0.8)  # of a triangle's area on the shut lid that the photo shows, between which it will do there
LASH_LINE = (0.7, 0.95)  # of the reference's brightness, between which the lashes' line ends
ROOTS = (0.6e-3, 1.6e-3)  # m from the lashes between which the band that they darken ends
LID_SHADE = 0.93  # lids lie deeper than cheekbones
# MediaPipe's landmarks on the cheekbone below each eye and between lid and brow, the subject's left first
AROUND_EYES = ((347, 348, 329, 330, 257, 258, 259, 260), (118, 119, 100, 101, 27, 28, 29, 30))


def lid_share(model: HeadModel) -> Tensor:  # [V] 0..1
    """How much a vertex belongs to the lids, by how far a blink moves it."""
    moved = np.zeros(len(model.template), np.float32)
    for name in BLINKS:
        if name in model.blendshape_names:
            shape = model.blendshapes[model.blendshape_names.index(name)]
            moved = np.maximum(moved, np.linalg.norm(shape, axis=1))
    return smooth_step(torch.from_numpy(moved), *MOVED)


def spread_by_blink(
    tracked: TrackedFace,
    posed: Tensor,  # [V, 3] the head as the photo shows it, view frame, m
    share: Tensor,  # [V] lid shares
    model: HeadModel,
) -> Tensor:  # [V] 0..1, 0 off the lids
    """How far a lid's skin shows smaller in the photo than it would with the eyes shut."""
    faces = torch.from_numpy(np.array(model.faces)).long()
    own = faces[(share[faces] > 0).any(1)]
    expression = tracked.expression.copy()
    expression[[i for i, name in enumerate(model.blendshape_names) if name in BLINKS]] = 1
    shut = posed_vertices(replace(tracked, expression=expression), model)
    sight = functional.normalize(posed[own].mean(1), dim=1)  # the camera is the view frame's origin
    areas, shut_areas = (face_normals(points[None], own, unit=False)[0] for points in (posed, shut))
    shown = (shut_areas * sight).sum(1).abs().maximum(TURNED * shut_areas.norm(dim=1))
    sizes = torch.stack([(areas * sight).sum(1).abs(), shown], 1)
    around = torch.zeros(len(posed), 2).index_add_(0, own.flatten(), sizes.repeat_interleave(3, 0))
    return share * (1 - smooth_step(around[:, 0] / around[:, 1].clamp_min(1e-12), *STRETCHED))


def lash_line_share(model: HeadModel) -> Tensor:  # [V] 0..1
    """How near to the roots of the lashes a vertex lies; 0 everywhere on a head without lashes."""
    points = torch.from_numpy(np.array(model.template))
    lashes = torch.from_numpy(model.part == (model.parts.index("lashes") if "lashes" in model.parts else -1))
    share = torch.zeros(len(points))
    if bool(lashes.any()):
        # a lash's root is its vertex nearest to the skin; far tips only widen the band a little
        near = ((lid_share(model) > 0) & ~lashes).nonzero()[:, 0]
        distance = torch.cdist(points[near], points[lashes]).min(1).values
        share[near] = 1 - smooth_step(distance, *ROOTS)
    return share


def lid_tones(
    crop: U8,  # [H, W, 3] sRGB
    landmarks: F32,  # [L, 2] px of the crop
    skin_colour: F32,  # [3]
    model: HeadModel,
    in_front: F32 | None = None,  # [H, W] 0..1 what is before the face
) -> Tensor:  # [V, 3] the tone of the skin around the eye of the vertex's side
    """Reference tones; the two sides of a face are often lit differently."""
    span = float(np.ptp(landmarks[:468, 1]))
    reach = max(1, round(0.012 * span))
    tones = []
    for numbers in AROUND_EYES:
        patches = []
        for x, y in landmarks[list(numbers)]:
            row, column = int(y), int(x)
            patch = np.s_[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
            free = np.ones(crop[patch].shape[:2], bool) if in_front is None else in_front[patch] < HIDDEN
            patches.append(crop[patch][free])
        pixels = np.concatenate(patches)
        # where the cheek is not in the picture, or hair or glasses lie over it, the face's tone serves
        tone = np.quantile(pixels, 0.6, axis=0) / 255 if len(pixels) else skin_colour
        tones.append(tone if tone.mean() > 0.4 * skin_colour.mean() else skin_colour)
    left, right = (LID_SHADE * torch.from_numpy(np.asarray(tone, np.float32)) for tone in tones)
    return _sided(left, right, model)


def around_eyes(
    values: Tensor,  # [V, C]
    model: HeadModel,
) -> Tensor:  # [V, C]
    """What holds where a vertex' lid tone was read."""
    corners, bary = model.faces[model.landmark_faces], torch.from_numpy(np.array(model.landmark_bary))
    left, right = (
        (values[torch.from_numpy(corners[list(numbers)]).long()] * bary[list(numbers), :, None]).sum(1).mean(0)
        for numbers in AROUND_EYES
    )
    return _sided(left, right, model)


def _sided(
    left: Tensor,  # [C]
    right: Tensor,  # [C]
    model: HeadModel,
) -> Tensor:  # [V, C]
    across = smooth_step(torch.from_numpy(np.array(model.template[:, :1])), -0.01, 0.01)
    return right + across * (left - right)


def relative_brightness(
    colour: Tensor,  # [R, 3]
    reference: Tensor,  # [R, 3]
) -> Tensor:  # [R]
    """1 where a colour is as bright as its reference."""
    return luminance(colour) / luminance(reference).clamp_min(0.02)


def lid_trust(
    colour: Tensor,  # [R, 3] the photo
    reference: Tensor,  # [R, 3] lid tones
    share: Tensor,  # [R] lid shares
) -> Tensor:  # [R] 0..1
    """Less than 1 where a lid's texel is too dark to be skin."""
    return 1 - share * (1 - smooth_step(relative_brightness(colour, reference), *DARK))


def lash_line_trust(
    colour: Tensor,  # [R, 3] the photo
    reference: Tensor,  # [R, 3] lid tones
) -> Tensor:  # [R] 0..1
    """Right at the lids' edge the dark line of the lashes is wanted, and the white of the eye is not."""
    return 1 - smooth_step(relative_brightness(colour, reference), *LASH_LINE)
