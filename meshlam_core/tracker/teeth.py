"""How far the upper teeth reach down, from a photo whose lips show it.

Landmarks fix the lips but not the teeth between them, and people show theirs by up to half a centimetre more or less.
The teeth's lower edge in the photo is compared with the mesh's, column by column, and the teeth move up or down.

Frames: avatar frame; image frame of the photo (see frames.py). Dims: V vertices, U vertices of the upper teeth,
F their triangles, N columns across the mouth, M samples down a column, L landmarks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.files.images import Photo
from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.points import LIPS_INNER
from meshlam_core.tracker.types import TrackedFace

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

PART = "teeth_upper"
COLUMNS = np.linspace(-0.55, 0.55, 15)  # of the mouth's half width: the front teeth and canines
SAMPLES = 48  # down a column
PARTED = 0.003  # m between the lips, below which a column shows no teeth
CROWN = 0.012  # m, the longest visible part of an upper front tooth: more shows the lower teeth too
BRIGHT = 0.62  # of the mouth's brightest, from which a pixel can be a tooth
PALE = 0.26  # saturation above the mouth's palest, below which it can be one
MARGIN = 0.0015  # m above the lower lip, within which teeth end hidden behind it
BEHIND_LIP = 0.002  # m by which teeth that end behind the lower lip reach on
FRONT = 0.012  # m from the foremost tooth, within which teeth can show their edge
ENOUGH = 6  # columns that must agree
LOWEST, HIGHEST = -0.004, 0.0025  # m, how far the teeth may move


def seat_teeth(
    photo: Photo,
    tracked: TrackedFace,
    model: HeadModel,
) -> TrackedFace:
    """The same face with its upper teeth where the photo shows them; unchanged where it does not."""
    if PART not in model.parts:
        return tracked
    moved = teeth_shift(photo.pixels, photo.scale, tracked, model)
    if moved == 0:
        return tracked
    vertices = tracked.vertices.copy()
    vertices[model.part == model.parts.index(PART), 1] += np.float32(moved)
    return replace(tracked, vertices=vertices)


def teeth_shift(
    pixels: U8,  # [H, W, 3] sRGB
    scale: float,  # pixels per pixel of the tracked camera
    tracked: TrackedFace,
    model: HeadModel,
) -> float:
    """How far up the upper teeth should move, m; 0 where the photo does not tell."""
    ring = tracked.detection.landmarks[LIPS_INNER, :2].astype(np.float64)
    half = len(ring) // 2
    right, left = ring[0], ring[half]
    width = float(np.linalg.norm(left - right))
    if width < 8:
        return 0.0
    across = (left - right) / width
    down = np.array([-across[1], across[0]])
    middle = (left + right) / 2
    local = (ring - middle) @ np.stack([across, down], 1)  # [20, 2] px along and below the line between the corners
    along = COLUMNS * width / 2
    lower, upper = local[: half + 1], np.concatenate([local[:1], local[: half - 1 : -1]])
    bottom = np.interp(along, lower[:, 0], lower[:, 1])  # [N]
    top = np.interp(along, upper[:, 0], upper[:, 1])
    rim, metre = _rim(tracked, model, middle, across, down, along)
    open_columns = (bottom - top) > PARTED * metre
    if open_columns.sum() < ENOUGH:
        return 0.0
    depth = np.linspace(0, 1, SAMPLES)[:, None] * (bottom - top) + top  # [M, N]
    at = (middle + along[None, :, None] * across + depth[..., None] * down) * scale
    column, row = (at[..., i].astype(int).clip(0, pixels.shape[1 - i] - 1) for i in (0, 1))
    teeth = _tooth_like(pixels[row, column].astype(np.float64) / 255, open_columns)
    shifts = []
    for i in np.flatnonzero(open_columns & np.isfinite(rim)):
        shown = np.flatnonzero(teeth[:, i])
        if not len(shown):
            continue
        first, last = depth[shown[0], i], depth[shown[-1], i]
        hidden = bottom[i] - last < MARGIN * metre
        if last - first > CROWN * metre:
            continue
        gap = (last - rim[i]) / metre  # m by which the photo's teeth reach below the mesh's
        shifts.append(max(gap + BEHIND_LIP, 0.0) if hidden else gap)
    if len(shifts) < ENOUGH:
        return 0.0
    return float(np.clip(-np.median(shifts), LOWEST, HIGHEST))


def _tooth_like(
    colours: F64,  # [M, N, 3]
    columns: NDArray[np.bool_],  # [N]
) -> NDArray[np.bool_]:  # [M, N]
    """Bright and pale compared with the rest of this mouth."""
    light = colours.mean(2)
    tint = np.ptp(colours, axis=2) / np.maximum(colours.max(2), 1e-3)
    brightest = float(np.quantile(light[:, columns], 0.9))
    palest = float(np.quantile(tint[:, columns], 0.1))
    found: NDArray[np.bool_] = (light > BRIGHT * brightest) & (tint < palest + PALE)
    return found


def _rim(
    tracked: TrackedFace,
    model: HeadModel,
    middle: F64,  # [2] px
    across: F64,  # [2]
    down: F64,  # [2]
    along: F64,  # [N] px
) -> tuple[F64, float]:  # [N] px, how far down the mesh's teeth reach; px per metre there
    """The lower edge of the mesh's upper teeth in the mouth's own axes; nan in columns without any."""
    faces = model.faces[(model.part[model.faces] == model.parts.index(PART)).all(1)]
    depth = model.template[faces, 2].mean(1)
    faces = faces[depth > depth.max() - FRONT]
    teeth, corners = np.unique(faces, return_inverse=True)
    shaped = tracked.vertices[teeth] + np.tensordot(tracked.expression, tracked.blendshapes_on(model)[:, teeth], 1)
    # a tooth's edge is longer than a column is wide: its triangles are sampled along their sides
    sides = shaped[corners.reshape(-1, 3)]  # [F, 3, 3]
    steps = np.linspace(0, 1, 6)[:, None, None, None]
    shaped = (sides + steps * (np.roll(sides, 1, axis=1) - sides)).reshape(-1, 3)
    view = shaped @ np.asarray(rotation_from_axis_angle(tracked.rotations[0])).T + tracked.translation  # [U, 3]
    metre = tracked.camera.focal / -view[:, 2]
    pixel = np.stack([view[:, 0] * metre, -view[:, 1] * metre], 1) + np.array(tracked.camera.centre)
    local = (pixel - middle) @ np.stack([across, down], 1)
    reach = 0.7 * (along[1] - along[0])
    rim = np.full(len(along), np.nan)
    for i, x in enumerate(along):
        near = np.abs(local[:, 0] - x) < reach
        if near.any():
            rim[i] = local[near, 1].max()
    return rim, float(metre.mean())
