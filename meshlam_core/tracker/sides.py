"""Cheeks, ears and neck as wide, and ears as long, as the photo shows them: landmarks say little or nothing of it, but
their outlines do.

Across the view, along the head's own axis from ear to ear, the outline of skin against the background is compared with
the mesh's, height by height; a line through the gaps is what a side of the head is wider, an ear stands off or a neck
is wider. Where hair, clothes or the picture's border end the skin, or the head is turned, nothing is said and the head
keeps the width of its identity.

Frames: avatar frame, view frame, image frame of the crop (frames.py). Dims: V vertices, R rows of a region, B heights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshlam_core.frames import Camera, project, rotation_from_axis_angle, yaw_of
from meshlam_core.head.model import ById, HeadModel
from meshlam_core.tracker.contour import outermost
from meshlam_core.tracker.lobes import longer_ears
from meshlam_core.tracker.parsing import DOUBTFUL, Regions
from meshlam_core.tracker.pose import posed_vertices, with_neutral
from meshlam_core.tracker.ramps import smooth_step
from meshlam_core.tracker.sampling import sample_nearest
from meshlam_core.tracker.types import TrackedFace

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

BIN = 0.0022  # m between heights at which an outline is looked at
BESIDE = 2  # heights around the outline of another part, that are not asked
ANSWERS = 5  # heights that must show skin against background
STEP = 0.0005  # m between samples across
INWARDS = 0.006  # m of skin that must lie inside the outline
TURNED = 0.5  # rad of yaw from which an outline is no longer the ear's or the neck's
EAR_HIDDEN = 0.3  # rad of yaw from which the cheek stands before the far ear, whatever ears a person has
CHEEKS = 0.0015, 0.0, 0.008  # m that the landmarks know; least and most change: of the whole side, ear and all
FADES = 0.04  # m above and below where the cheeks' outline answers
OUTWARDS = 0.02, 0.055  # m from the head's middle plane over which a side begins to follow its cheek
BELOW = 0.03  # m below the chin over which the neck ends to do so
REGIONS = (  # part, m from the rest of the head over which it follows, least and most change, m
    ("ears", 0.018, -0.003, 0.015),
    ("neck", 0.020, -0.006, 0.025),
)


@dataclass(frozen=True)
class Side:
    """A part of one side of the head that can be wider or narrower."""

    rows: NDArray[np.intp]  # [R] vertices whose outline is looked at, on their own side
    asked: NDArray[np.bool_]  # [R] where they form it, the photo's outline is theirs
    moved: NDArray[np.intp]  # [M] vertices that move
    share: F32  # [M] 0..1 how much of the change each takes
    side: int  # 1: the subject's left (+X), -1: right
    known: float  # m to which landmarks tell the width already
    least: float  # m of change
    most: float  # m
    believed: float = np.inf  # m of a gap at most
    fades: float = np.inf  # m above and below the heights that answer, over which the change ends


def with_sides(
    tracked: TrackedFace,
    regions: Regions,  # of the crop
    camera: Camera,  # of the crop
    head: HeadModel,
) -> TrackedFace:
    """The tracked head with ears and neck moved out, and ears down, to the photo's outline of skin."""
    rotation = rotation_from_axis_angle(tracked.rotations[0])
    yaw = yaw_of(rotation)
    if regions.trust < DOUBTFUL or abs(yaw) > TURNED:
        return tracked
    posed = posed_vertices(replace(tracked, hair=None), head).numpy().astype(np.float64)
    hidden = (yaw > EAR_HIDDEN, -yaw > EAR_HIDDEN)
    tracked = _wider(tracked, cheeks(ById(head), hidden), True, rotation, regions, camera, head)
    tracked = _wider(tracked, ears_and_neck(ById(head)), False, rotation, regions, camera, head)
    posed = posed_vertices(replace(tracked, hair=None), head).numpy().astype(np.float64)
    return with_neutral(tracked, longer_ears(tracked.vertices, posed, rotation, regions, camera, head), head)


def _wider(
    tracked: TrackedFace,
    sides: tuple[Side, ...],
    alike: bool,  # a side that says nothing is like the other; otherwise it stays
    rotation: F64,
    regions: Regions,
    camera: Camera,
    head: HeadModel,
) -> TrackedFace:
    posed = posed_vertices(replace(tracked, hair=None), head).numpy().astype(np.float64)
    answers = [outline_gaps(side, tracked.vertices, posed, rotation, regions, camera) for side in sides]
    enough = [answer for answer in answers if len(answer[1]) >= ANSWERS]
    vertices = np.array(tracked.vertices)
    for side, answer in zip(sides, answers, strict=True):
        if len(answer[1]) < ANSWERS:
            if not alike or not enough:
                continue
            answer = enough[0]
        change = straight(*answer, vertices[side.moved, 1])
        change = (change - change.clip(-side.known, side.known)).clip(side.least, side.most)
        height = vertices[side.moved, 1]
        beyond = np.maximum(np.maximum(answer[0].min() - height, height - answer[0].max()), 0)
        share = side.share * (1 - smooth_step(beyond, 0.0, side.fades))
        vertices[side.moved, 0] += side.side * change * share
    return with_neutral(tracked, vertices, head)


def outline_gaps(
    region: Side,
    neutral: F32,  # [V, 3] m
    posed: F64,  # [V, 3] m, view frame
    rotation: F64,  # [3, 3] view from avatar
    regions: Regions,
    camera: Camera,
) -> tuple[F64, F64]:  # [<=B], [<=B] the heights that answer
    """How far the skin reaches beyond the mesh.

    Heights in metres of the neutral head, gaps in metres along the head's axis from ear to ear.
    """
    axis = region.side * rotation[:, 0]
    moving = posed[region.rows]
    pixel = project(moving, camera)[:, :2]
    ahead = project(moving + 0.001 * axis, camera)[:, :2] - pixel
    per_metre = 1000 * float(np.linalg.norm(np.median(ahead, axis=0)))  # px
    out = np.median(ahead, axis=0) * 1000 / max(per_metre, 1e-6)
    across, along = pixel @ out, pixel @ [out[1], -out[0]]
    low, high = np.quantile(along[region.asked], [0.1, 0.9])
    which = np.floor((along - low) / (BIN * per_metre)).astype(int)
    count = int((high - low) / (BIN * per_metre))
    own, others = (np.flatnonzero(region.asked == asked) for asked in (True, False))
    outer = own[outermost(across[own], which[own])]
    outer = outer[(which[outer] >= 0) & (which[outer] < count)]
    beyond = others[
        outermost(across[others], which[others])
    ]  # where these reach farther, the photo's outline is theirs
    near = abs(which[beyond] - which[outer, None]) <= BESIDE
    outer = outer[~(near & (across[beyond] > across[outer, None])).any(axis=1)]
    reach = np.arange(region.least - INWARDS, region.most + INWARDS, STEP)  # [S] m
    line = pixel[outer, None] + reach[:, None] * per_metre * out  # [B, S, 2] px
    person, skin = sample_nearest(regions.person, line) > 0.5, sample_nearest(regions.skin, line) > 0.5
    end = (~person).argmax(axis=1)  # first sample outside the person
    steps = round(INWARDS / STEP)
    index = np.arange(len(reach))
    before = (index >= end[:, None] - steps) & (index < end[:, None])
    clear = (skin | ~before).all(axis=1) & (end >= steps) & (sample_nearest(regions.looked_at, line) > 0.5).all(axis=1)
    clear &= reach[end] <= region.believed  # farther out it is something else: neck beside a jaw
    return neutral[region.rows[outer[clear]], 1], np.asarray(reach[end[clear]])


def straight(height: F64, gaps: F64, at: F64) -> F64:
    """The line through the medians of the lower and the upper half, at other heights; flat beyond them."""
    order = np.argsort(height)
    halves = np.array_split(order, 2)
    places, values = ([float(np.median(of[half])) for half in halves] for of in (height, gaps))
    return np.interp(at, places, values)


@lru_cache(maxsize=16)
def cheeks(
    head: ById,
    hidden: tuple[bool, bool],  # whether the left and the right ear cannot be seen, and so form no outline
) -> tuple[Side, ...]:
    """Both sides of the head, as wide as their cheeks."""
    model = head.model
    if "face" not in model.parts:
        return ()
    x, y = model.template[:, 0], model.template[:, 1]
    face = model.part == model.parts.index("face")
    chin = float(y[face].min())
    share = smooth_step(abs(x), *OUTWARDS) * smooth_step(y, chin - BELOW, chin)
    ears = y[model.part == model.parts.index("ears")] if "ears" in model.parts else y[:0]
    level = (y > ears.min(initial=np.inf)) & (y < ears.max(initial=-np.inf))
    found = []
    for side, without_ear in zip((1, -1), hidden, strict=True):
        rows = np.flatnonzero(side * x > OUTWARDS[0])
        moved = rows[share[rows] > 0]
        asked = face[rows] & (without_ear | ~level[rows])
        found.append(Side(rows, asked, moved, share[moved].astype(np.float32), side, *CHEEKS, CHEEKS[-1], FADES))
    return tuple(found)


@lru_cache(maxsize=4)
def ears_and_neck(head: ById) -> tuple[Side, ...]:
    """Both ears, and both sides of the neck."""
    model = head.model
    every = np.arange(len(model.template))
    # on a turned head cheek and jaw may stand before an ear and the neck
    face = model.part == model.parts.index("face") if "face" in model.parts else np.zeros(len(every), bool)
    found = []
    for part, softness, least, most in REGIONS:
        if part not in model.parts:
            continue
        rows = np.flatnonzero(model.part == model.parts.index(part))
        elsewhere = cKDTree(np.delete(model.template, rows, axis=0))
        share = smooth_step(elsewhere.query(model.template[rows])[0], 0.0, softness)
        x = model.template[rows, 0]
        if part == "neck":
            share = share * (abs(x) / abs(x).max()).clip(0, 1)
        for side in (1, -1):
            own = side * x > 0
            beside = np.flatnonzero((side * model.template[:, 0] > 0) & (face | np.isin(every, rows)))
            asked, moved = np.isin(beside, rows), rows[own]
            found.append(Side(beside, asked, moved, share[own].astype(np.float32), side, 0.0, least, most))
    return tuple(found)
