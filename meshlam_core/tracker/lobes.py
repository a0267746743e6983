"""Ears as long as the photo shows them: where the outline of skin steps in from the ear to the jaw, the lobe ends.

From the middle of an ear down to below its lobe, the outline of skin against the background is compared with the
mesh's: both step in where the ear ends, and the ear's lower half is stretched or shortened until they do so at the same
height. The upper end is left alone: hair hides it in most pictures. As in sides.py, hair, clothes or the picture's
border say nothing.

Frames: avatar frame, view frame, image frame of the crop (frames.py). Dims: V vertices, R rows of an ear, H heights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshlam_core.frames import Camera, project
from meshlam_core.head.model import ById, HeadModel
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.ramps import smooth_step
from meshlam_core.tracker.sampling import sample_nearest

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIDDLE = 0.55  # of an ear's height above its lower end: what lies above keeps its place
BELOW = 0.016  # m below the lobe down to which outlines are compared
STEP = 0.001  # m between heights
LEAST = 0.0025  # m of difference, about a pixel of a small face, under which an ear keeps its length
LONGER = -0.005, 0.010  # m, least and most
FAR = 0.03  # m outwards and inwards from the ear's middle where its outline is looked for
SKIN = 0.004  # m of skin that must lie inside the outline
WIDE = 5  # heights over which an outline steps in
STANDS_OFF = 0.004  # m of such a step at least
ONLY = 0.75  # of the step, that no other one may have
NEAR, CLEAR = 8, 0.7  # heights around the step, and their share that must show skin against background
FOLLOWING = 0.02  # m around an ear over which the skin goes along


@dataclass(frozen=True)
class Ear:
    """One ear, and what stands beside it in a picture."""

    rows: NDArray[np.intp]  # [R] vertices
    around: NDArray[np.intp]  # [A] vertices that go along, the ear's own among them
    leader: NDArray[np.intp]  # [A] into rows: which vertex of the ear each follows
    share: F32  # [A] 0..1 how much
    edges: NDArray[np.intp]  # [E, 2] the ear's own, vertex numbers
    beside: NDArray[np.intp]  # [B, 2] edges of the head near it
    side: int  # 1: the subject's left (+X), -1: right


def longer_ears(
    neutral: F32,  # [V, 3] m
    posed: F64,  # [V, 3] m, view frame
    rotation: F64,  # [3, 3] view from avatar
    regions: Regions,  # of the crop
    camera: Camera,  # of the crop
    head: HeadModel,
) -> F32:  # [V, 3] m
    """The neutral head with its ears' lower ends where the photo has them; a hidden ear is as long as the other."""
    ears = ears_of(ById(head))
    lengths = [lobe_length(ear, neutral, posed, rotation, regions, camera) for ear in ears]
    found = [length for length in lengths if length is not None]
    if not found:
        return neutral
    moved = np.array(neutral)
    for ear, length in zip(ears, lengths, strict=True):
        height = neutral[ear.rows, 1]
        low, middle = _lower_half(height)
        down = np.clip((middle - height) / (middle - low), 0, 1) * (np.mean(found) if length is None else length)
        moved[ear.around, 1] -= ear.share * down[ear.leader]
    return moved


def _lower_half(height: NDArray[np.floating]) -> tuple[float, float]:
    """Where an ear ends, and from where it keeps its place."""
    low, high = float(height.min()), float(height.max())
    return low, low + MIDDLE * (high - low)


def lobe_length(
    ear: Ear,
    neutral: F32,  # [V, 3] m
    posed: F64,  # [V, 3] m, view frame
    rotation: F64,  # [3, 3] view from avatar
    regions: Regions,
    camera: Camera,
) -> float | None:
    """How much longer than the mesh's the ear is, m; None where the picture does not say."""
    low, middle = _lower_half(neutral[ear.rows, 1])
    centre = float(neutral[ear.rows, 1].mean())
    origin = posed[ear.rows].mean(axis=0)
    axes = np.stack([ear.side * rotation[:, 0], rotation[:, 1]])  # outwards, up
    here = project(origin[None], camera)[0, :2]
    per_metre = (project(origin + 0.001 * axes, camera)[:, :2] - here) * 1000  # [2, 2] px
    if abs(np.linalg.det(per_metre)) < 1e-6:
        return None
    heights = np.arange(middle - centre, low - centre - BELOW, -STEP)  # m above the origin
    across = np.arange(-FAR, FAR, STEP / 2)
    line = here + across[:, None] * per_metre[0] + heights[:, None, None] * per_metre[1]  # [H, S, 2] px
    person, skin = sample_nearest(regions.person, line) > 0.5, sample_nearest(regions.skin, line) > 0.5
    known = (sample_nearest(regions.looked_at, line) > 0.5).all(axis=1)
    end = np.where(person.all(axis=1), 0, (~person).argmax(axis=1))  # the first sample outside, from within
    index, steps = np.arange(len(across)), round(SKIN / (STEP / 2))
    within = (index >= end[:, None] - steps) & (index < end[:, None])
    clear = (skin | ~within).all(axis=1) & (end >= steps) & known

    def flat(edges: NDArray[np.intp]) -> F64:  # [N, 2] m outwards and up from the origin
        ends = project(posed[edges.ravel()], camera)[:, :2].reshape(-1, 2, 2)
        share = np.linspace(0, 1, 6)[:, None, None]
        points = ((1 - share) * ends[None, :, 0] + share * ends[None, :, 1]).reshape(-1, 2)
        return np.asarray((points - here) @ np.linalg.inv(per_metre))

    own, beside = flat(ear.edges), flat(ear.beside)
    drawn = _lobe_end(np.maximum(_reach(own, heights), _reach(beside, heights)))
    photo = _lobe_end(across[end])
    if drawn is None or photo is None or clear[max(photo - NEAR, 0) : photo + NEAR].mean() < CLEAR:
        return None
    length = (photo - drawn) * STEP
    return float(np.clip(length, *LONGER)) if abs(length) > LEAST else 0.0


def _lobe_end(reach: F64) -> int | None:  # [H] m, from above
    """Where an outline steps in from the ear to the jaw; None without a clear step."""
    steps = reach[:-WIDE] - reach[WIDE:]
    best = int(steps.argmax())
    away = abs(np.arange(len(steps)) - best) > WIDE
    if steps[best] < STANDS_OFF or steps[away].max() > ONLY * steps[best]:
        return None
    inner, outer = reach[best + WIDE], reach[best]
    return best + int((reach[best : best + WIDE + 1] < (inner + outer) / 2).argmax())


def _reach(points: F64, heights: F64) -> F64:  # [N, 2], [H] m -> [H] m
    """How far points reach out at each height; -FAR where there are none."""
    found = np.full(len(heights), -FAR)
    row = np.round((heights[0] - points[:, 1]) / STEP).astype(int)
    near = (row >= 0) & (row < len(heights))
    np.maximum.at(found, row[near], points[near, 0])
    return found


@lru_cache(maxsize=4)
def ears_of(head: ById) -> tuple[Ear, ...]:
    """Both ears; none of a head model that does not tell them."""
    model = head.model
    if "ears" not in model.parts:
        return ()
    edges = np.unique(np.sort(model.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0).astype(np.intp)
    is_ear = model.part == model.parts.index("ears")
    found = []
    for side in (1, -1):
        rows = np.flatnonzero(is_ear & (side * model.template[:, 0] > 0))
        distance, leader = cKDTree(model.template[rows]).query(model.template)
        skin = np.isin(model.part, [model.parts.index(name) for name in ("ears", "face", "neck", "scalp")])
        around = np.flatnonzero((distance < FOLLOWING) & skin)
        share = 1 - smooth_step(distance[around], 0.0, FOLLOWING)
        own = np.isin(edges, rows)
        near = (side * model.template[edges, 0] > 0).all(1) & (distance[edges] < 3 * FAR).all(1) & skin[edges].all(1)
        found.append(Ear(rows, around, leader[around], share.astype(np.float32), edges[own.all(1)],
                         edges[near & ~own.any(1)], side))  # fmt: skip
    return tuple(found)
