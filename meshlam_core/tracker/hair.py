"""The hair's hull from the outline of the hair and person masks: Gaussian-process regression on the growths.

    growth ~ N(mean, C),  C = modes' modes + short-range kernel       (head/hair.py; the kernel adds what modes lack)
    seen:  the outline's radius at some angles, scalp that shows skin
    fit:   growth = mean + C H' (H C H' + R)^-1 (seen - H mean), relinearised a few times

    know: var(growth) = C - C H' (H C H' + R)^-1 H C, on its diagonal         (at the last round)

The outline says how far the hair reaches across the view; how far it reaches along the view, and at the back, follows
from the covariance of real hairstyles. Outliers lose their weight round by round. Where an outline is cut off by the
picture's border, it only pulls outwards. (Rasmussen and Williams, "Gaussian processes for machine learning", 2.2.)

Frames: image frame of the crop, view frame (see frames.py). Dims: V head vertices, Q vertices that hair moves,
A angles around the head, O observations, H, W rows and columns of the masks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.spatial import cKDTree

from meshlam_core.frames import Camera, project, rotation_from_axis_angle, yaw_of
from meshlam_core.head.hair import HairModel
from meshlam_core.head.hair_transfer import hair_of
from meshlam_core.head.model import ById, HeadModel
from meshlam_core.head.surface import vertex_normals
from meshlam_core.points import CHIN, FOREHEAD
from meshlam_core.tracker.contour import outermost
from meshlam_core.tracker.parsing import DOUBTFUL, Regions
from meshlam_core.tracker.pose import landmarks_on_crop, posed_vertices
from meshlam_core.tracker.ramps import smooth_step
from meshlam_core.tracker.sampling import sample_nearest
from meshlam_core.tracker.types import HairHull, TrackedFace

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

ANGLES = 120  # directions in which the outline is looked at
STEPS = 160  # samples along each
LEVEL = 0.22  # of the masks, where the outline lies: strands are thin and their share of a pixel is small
REACH = 2.2  # face heights, how far out the outline is looked for
GAP = 0.12  # face heights of background that hair may leave before its last strand
ROUNDS = 4
# of the growths' standard deviations: hair is less Gaussian than its modes (training.bench.uncertainty)
CALIBRATION = np.float32(1.1)
OUTLINE_SIGMA = 0.0025  # m, of a clear outline
BARE_SIGMA = 0.003  # m, of scalp that shows skin
ROBUST = 3.0  # sigmas from which an observation loses weight
BEND_DOWN = 25.0  # degrees around straight down where chin, neck and collar hide the hair's outline
LOW = (122.0, 158.0)  # degrees from straight up between which hair beside the neck would be seen
SHORT = 0.35  # share of those angles with hair under which none hangs down
LOCKS = 3  # angles at which hair must reach down to somewhere, so that it does
SPARSE = 90  # vertices at most that say the same
NAPE_FADE = 0.015  # m over which hair ends above a bare nape
LONGEST = 1.0  # m below the template's origin, where no hair ends
TURNED = 0.35  # rad of yaw from which the far side of neck and forehead cannot be judged
HIDDEN = 0.4  # share of an ear's pixels that are hair from which the ear counts as hidden
BESIDE = 0.015  # m from an ear: hair beside it
BURIED = 0.025  # m of hair beside an ear from which it lies over the ear, whatever the masks say
STEEP = 2.5  # m of growth per m away from skin that never grows: more would end in needles
TUCKED = 0.004, 1.5  # m, and m per m away from a seen ear: the most that hair tucked behind it grows
SMOOTH = 0.006  # m, over which what the network says is averaged
AWAY = (-0.7, -0.3)  # of a growth's direction towards the camera, between which the outline begins to tell about it
HEARD = 4000  # vertices at most whose values are averaged: finer meshes are thinned
BALD_SHARE = 0.02  # hair area / face area under which nothing is fitted


@dataclass(frozen=True)
class Spread:
    """How growths vary about what is expected: the modes, and a short-range kernel for what these cannot say."""

    modes: float  # share of the modes' own standard deviations
    sigma: float  # m, of the kernel
    length: float  # m
    fine: float  # m, of a second one, the root of eight times narrower: locks that only the outline shows
    from_bald: bool  # whether the rounds begin at the skull, or at what is expected
    behind: bool  # whether the outline also tells what grows away from the camera


# about the mean of all hairstyles, and about what the network expects of one person
OF_ALL = Spread(modes=1.0, sigma=0.015, length=0.028, fine=0.01, from_bald=True, behind=True)
OF_ONE = Spread(modes=0.05, sigma=0.012, length=0.03, fine=0.01, from_bald=False, behind=False)


@dataclass(frozen=True)
class Outline:
    """How far hair and person reach around the head, in the picture."""

    centre: F64  # [2] px
    angle: F64  # [A] rad, 0 along +x, rising towards +y (down)
    radius: F64  # [A] px to the last pixel of the head
    hairy: Bools  # [A] whether that pixel is hair (or a hat), so that growth may explain it
    cut: Bools  # [A] whether the picture ends before the hair does


def with_hair(
    tracked: TrackedFace,
    regions: Regions,  # of the crop
    camera: Camera,  # of the crop
    head: HeadModel,
    correction: F32 | None = None,  # [Q] m, of the growths found so far; None: begin with the mean of all hairstyles
) -> TrackedFace:
    """The tracked head with the hull of its hair; as it was where the head model has no hair."""
    hair = load_hair(ById(head))
    if hair is None:
        return tracked
    posed = posed_vertices(replace(tracked, hair=None), head).numpy()
    rotation = rotation_from_axis_angle(tracked.rotations[0])
    landmarks = landmarks_on_crop(tracked, camera)
    spread = OF_ALL
    if correction is not None and tracked.hair is not None:
        expected = tracked.hair.growth + smoothed(correction, head.template[hair.indices])
        hair, spread = replace(hair, mean=expected.clip(0, hair.reach)), OF_ONE
    hull = fit_hair(regions, tracked.vertices, posed, rotation, camera, landmarks, head, hair, spread)
    return replace(tracked, hair=hull)


def smoothed(
    values: F32,  # [Q]
    places: F32,  # [Q, 3] m
) -> F32:  # [Q]
    """The mean of what is near."""
    heard = slice(None, None, -(-len(values) // HEARD))
    square = (places**2).sum(axis=1)
    near = 2 * places @ places[heard].T - square[:, None] - square[heard]  # minus the squared distance
    near *= 1 / (2 * SMOOTH**2)
    np.exp(near, out=near)
    return np.asarray(near @ values[heard] / near.sum(axis=1), np.float32)


@lru_cache(maxsize=4)
def load_hair(head: ById) -> HairModel | None:
    """The hair of a head model, read once, nowhere steeper than a mesh can follow; the open head's by correspondence
    where the model is another."""
    hair = hair_of(head.model)
    if hair is None:
        return None
    template = head.model.template
    bare = cKDTree(np.delete(template, hair.indices, axis=0))
    away = bare.query(template[hair.indices])[0].astype(np.float32)
    return replace(hair, reach=np.minimum(hair.reach, STEEP * away))


def fit_hair(
    regions: Regions,  # of the crop
    bald: F32,  # [V, 3] m, neutral head of the person
    posed: F32,  # [V, 3] m, view frame, the same head in the photo
    rotation: F64,  # [3, 3] view from avatar, of the skull
    camera: Camera,  # of the crop
    landmarks: F32,  # [L, 2] px of the crop
    head: HeadModel,
    hair: HairModel,
    spread: Spread = OF_ALL,
) -> HairHull:
    """Fit growths and hidden ears to the masks of one photo."""
    face_height = float(np.linalg.norm(landmarks[FOREHEAD] - landmarks[CHIN]))
    doubt = "" if regions.trust >= DOUBTFUL else regions.trouble
    if doubt or regions.hair_share < BALD_SHARE:
        # of hair that could not be looked at all is possible; where there is none, none grows
        sigma = np.hypot(hair.mean, _bounded(_prior_sigma(hair, spread), hair)) if doubt else 0 * hair.mean
        none = np.zeros(len(hair.indices), np.float32)
        return HairHull(np.zeros_like(bald), none, (0.0, 0.0), on_head(sigma, hair, (0.0, 0.0), len(bald)), doubt)
    outline = find_outline(regions, landmarks, face_height)
    ears = hidden_ears(regions, posed, rotation, camera, head)
    hem = hem_of(outline, landmarks, posed, rotation, camera, head)
    nape = bare_nape(hem, head, hair)

    def grown(ears: tuple[float, float]) -> tuple[F32, F32]:
        frame = _Hull.of(hair, bald, posed, rotation, camera, ears)
        bare = np.concatenate([bare_skin(regions, posed, rotation, camera, head, hair), nape])
        return _regress(frame, outline, bare, hair, spread)

    growth, sigma = grown(ears)
    if (buried := buried_ears(growth, ears, head, hair)) != ears:
        ears = buried
        growth, sigma = grown(ears)
    growth = np.minimum(growth, around_seen_ears(head, hair, ears))
    kept = above_hem(hem, head, hair)
    growth, sigma = growth * kept, sigma * kept
    hull = hair.hull(bald, growth, ears)
    return HairHull(hull - bald, growth, ears, on_head(sigma, hair, ears, len(bald)))


def on_head(sigma: F32, hair: HairModel, ears: tuple[float, float], count: int) -> F32:  # [Q] m -> [V] m
    """What is not known of the growths, at the head's vertices."""
    out = np.zeros(count, np.float32)
    out[hair.indices] = hair.growing(ears) * sigma
    return out


def _prior_sigma(hair: HairModel, spread: Spread) -> F32:  # [Q] m
    """How much growths vary before anything is seen."""
    local = np.hypot(spread.sigma, spread.fine)
    return np.asarray(np.hypot(np.linalg.norm(spread.modes * hair.modes, axis=0), local), np.float32)


def _bounded(sigma: F32, hair: HairModel) -> F32:  # [Q] m
    """Of a growth that is only known to lie between none and the longest (uniform), no more than that is uncertain."""
    return np.asarray(np.minimum(sigma, hair.reach / np.float32(np.sqrt(12))), np.float32)


def _regress(
    frame: _Hull, outline: Outline, bare: NDArray[np.intp], hair: HairModel, spread: Spread
) -> tuple[F32, F32]:  # [Q] m, the growths and their standard deviations
    """Condition the prior on what is seen, round by round."""
    places = frame.template.astype(np.float32)
    square = (places**2).sum(axis=1)
    modes = spread.modes * hair.modes
    growth = np.zeros(len(hair.indices)) if spread.from_bald else hair.mean.astype(np.float64)
    for _ in range(ROUNDS):
        rows, wanted, sigma = frame.contour(growth, outline)
        rows = np.concatenate([rows, bare])
        wanted = np.concatenate([wanted, np.zeros(len(bare))])
        sigma = np.concatenate([sigma, np.full(len(bare), BARE_SIGMA)])
        if not len(rows):
            return np.asarray(hair.growth(np.zeros(0)), np.float32), _bounded(_prior_sigma(hair, spread), hair)
        off = (growth[rows] - wanted) / sigma
        sigma = sigma * np.sqrt(1 + (off / ROBUST) ** 2)
        # single precision: the noise of a seen growth is a million times its round-off
        prior = modes.T @ modes[:, rows]  # [Q, O]
        near = 2 * places @ places[rows].T - square[:, None] - square[rows]  # minus the squared distance
        near *= 1 / (2 * spread.length**2)
        np.exp(near, out=near)
        prior += spread.sigma**2 * near
        for _ in range(3):
            near *= near  # its eighth power is the same kernel, the root of eight times narrower
        prior += spread.fine**2 * near
        seen = prior[rows].astype(np.float64) + np.diag(sigma**2)
        growth = hair.mean + prior @ np.linalg.solve(seen, wanted - hair.mean[rows]).astype(np.float32)
        growth = np.clip(growth, 0, hair.reach)
    told = solve_triangular(np.linalg.cholesky(seen).astype(np.float32), prior.T, lower=True, check_finite=False)
    told = np.einsum("oq,oq->q", told, told)
    if not spread.behind:  # the pose is some degrees off: what brings the outline onto the masks is wrong behind
        share = smooth_step(frame.ray[:, 2], *AWAY)
        growth, told = hair.mean + share * (growth - hair.mean), share * told
    left = np.maximum(_prior_sigma(hair, spread) ** 2 - told, 0)
    return np.asarray(growth, np.float32), _bounded(CALIBRATION * np.sqrt(left), hair)


@dataclass(frozen=True)
class _Hull:
    """The vertices that hair moves, as the camera sees them."""

    rows: NDArray[np.intp]  # [G] those that grow: hidden ears do, seen ones don't
    template: F64  # [Q, 3] m, for distances between them
    start: F64  # [Q, 3] view frame, without growth
    ray: F64  # [Q, 3] view frame
    camera: Camera

    @classmethod
    def of(
        cls, hair: HairModel, bald: F32, posed: F32, rotation: F64, camera: Camera, ears: tuple[float, float]
    ) -> _Hull:
        flat = hair.hull(bald, np.zeros(len(hair.indices)), ears) - bald
        start = posed + flat @ rotation.T
        rows = np.flatnonzero(hair.growing(ears) > 0)
        rays = hair.directions.astype(np.float64) @ rotation.T
        return cls(rows, bald[hair.indices].astype(np.float64), start[hair.indices].astype(np.float64), rays, camera)

    def contour(
        self, growth: F64, outline: Outline
    ) -> tuple[NDArray[np.intp], F64, F64]:  # [O] row, wanted growth m, sigma m
        """For each angle the vertex that forms the outline, and the growth that would put it where the mask ends."""
        at = self.start[self.rows] + growth[self.rows, None] * self.ray[self.rows]
        pixel, ahead = project(at, self.camera), project(at + 0.001 * self.ray[self.rows], self.camera)
        offset = pixel[:, :2] - outline.centre
        radius = np.linalg.norm(offset, axis=1)
        slope = ((ahead[:, :2] - pixel[:, :2]) * offset).sum(axis=1) / np.maximum(radius, 1e-6) / 0.001  # px per m
        scale = self.camera.focal / float(np.median(pixel[:, 2]))  # px per m across the view
        count = len(outline.angle)
        turn = np.arctan2(offset[:, 1], offset[:, 0])
        sector = np.round(turn / (2 * np.pi) * count).astype(int) % count
        outer = outermost(radius, sector)
        sector = sector[outer]
        gap = outline.radius[sector] - radius[outer]
        pull = outline.hairy[sector] | (gap < 0)
        pull &= ~(outline.cut[sector] & (gap < 0)) & np.isfinite(gap) & (slope[outer] > 0.3 * scale)
        outer, sector, gap = outer[pull], sector[pull], gap[pull]
        wanted = np.maximum(growth[self.rows[outer]] + gap / slope[outer], 0)
        sigma = OUTLINE_SIGMA * scale / slope[outer]
        return self.rows[outer], wanted, sigma


def find_outline(regions: Regions, landmarks: F32, face_height: float) -> Outline:
    """March outwards from the middle of the face to the last pixel of hair or person."""
    centre = landmarks[:468].mean(axis=0).astype(np.float64)
    up = (landmarks[FOREHEAD] - landmarks[CHIN]).astype(np.float64)
    up /= max(float(np.linalg.norm(up)), 1e-6)
    centre = centre + 0.25 * face_height * up
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    distance = (np.arange(STEPS) + 1) / STEPS * REACH * face_height
    points = centre + distance[None, :, None] * direction[:, None]  # [A, STEPS, 2]
    inside = sample_nearest(regions.looked_at, points) > 0.5
    hair = sample_nearest(regions.hair, points)
    person = np.maximum(sample_nearest(regions.person, points), hair)
    above = direction @ up > -0.15  # below, the person goes on as neck and clothes
    head = np.where(above[:, None], person, hair) > LEVEL
    last = last_before_gap(head & inside, GAP * STEPS / REACH)
    found = last >= 0
    end = last.clip(0)
    radius = np.where(found, distance[end], np.nan)
    radius += 0.5 * distance[0]
    along = np.arange(ANGLES)
    inward = (end - 2).clip(0)
    other = sample_nearest(regions.other, points)
    hairy = np.maximum(hair[along, inward], hair[along, end]) > 0.4
    hairy |= above & (other[along, inward] > 0.5) & (direction @ up > 0.3)  # a hat
    cut = found & ~inside[along, (end + 2).clip(0, STEPS - 1)]
    straight_down = -(direction @ up) > np.cos(np.radians(BEND_DOWN))
    return Outline(centre, angle, np.where(straight_down, np.nan, radius), hairy & found, cut)


def last_before_gap(filled: Bools, gap: float) -> NDArray[np.intp]:  # [A], [A] index of the last filled sample, or -1
    """The last sample of each row before a run of more than `gap` empty ones that follows a filled one."""
    count = filled.shape[1]
    index = np.arange(count)
    last = np.maximum.accumulate(np.where(filled, index, -1), axis=1)
    over = (last >= 0) & (index - last > gap)
    first_over = np.where(over.any(axis=1), over.argmax(axis=1), count - 1)
    return np.asarray(last[np.arange(len(filled)), first_over])


def bare_skin(
    regions: Regions, posed: F32, rotation: F64, camera: Camera, head: HeadModel, hair: HairModel
) -> NDArray[np.intp]:  # rows of Q
    """Vertices that face the camera and show skin where hair could be: nothing grows there. What a turned head hides of
    its far side is taken to be as bare as the near one."""
    normals = vertex_normals(posed.astype(np.float64), head.faces)[hair.indices]
    to_camera = -posed[hair.indices].astype(np.float64)
    to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
    facing = (normals * to_camera).sum(axis=1) > 0.35
    pixel = project(posed[hair.indices], camera)[:, :2]
    skin = (sample_nearest(regions.hair, pixel) < 0.2) & (sample_nearest(regions.skin, pixel) > 0.6)
    part = head.part[hair.indices]
    scalp, face = part == head.parts.index("scalp"), part == head.parts.index("face")
    bare = facing & skin & scalp
    if abs(yaw_of(rotation)) > TURNED:
        bare |= ~facing & (facing & skin & (scalp | face))[hair.mirror]
    rows = np.flatnonzero(bare)
    return rows[:: max(1, len(rows) // SPARSE)]


def hem_of(
    outline: Outline,
    landmarks: F32,  # [L, 2] px of the crop
    posed: F32,  # [V, 3] m, view frame
    rotation: F64,  # [3, 3] view from avatar
    camera: Camera,  # of the crop
    head: HeadModel,
) -> float:  # m, height on the template
    """How far down hair is seen beside the neck, which is how far down it hides the nape; no lower than the ears where
    hardly any hangs there, and below the head where the picture ends before it does.

    A side that is turned away is not asked.
    """
    up = (landmarks[FOREHEAD] - landmarks[CHIN]).astype(np.float64)
    around = np.degrees(outline.angle - np.arctan2(up[1], up[0]))
    around = (around + 180) % 360 - 180  # clockwise from straight up: the subject's left is positive
    yaw = yaw_of(rotation)
    asked = np.zeros(len(around), bool)
    for side in (1, -1):
        if side * yaw < TURNED:
            asked |= (side * around > LOW[0]) & (side * around < LOW[1])
    ears = np.flatnonzero(head.part == head.parts.index("ears"))
    lowest = lobes_of(head)
    hangs = asked & np.isfinite(outline.radius)
    if hangs.sum() < SHORT * asked.sum() or not hangs.any():
        return lowest
    if outline.cut[hangs].any():
        return -LONGEST
    up /= max(float(np.linalg.norm(up)), 1e-6)
    ends = outline.radius * (np.stack([np.cos(outline.angle), np.sin(outline.angle)], axis=1) @ up)  # px above centre
    pixel = project(posed[ears], camera)
    lobes = float(((pixel[:, :2] - outline.centre) @ up).min())
    below = (lobes - np.sort(ends[hangs])[:LOCKS].max()) * float(np.median(pixel[:, 2])) / camera.focal
    return float(lowest - max(below, 0.0))


def bare_nape(
    hem: float,  # m, height on the template
    head: HeadModel,
    hair: HairModel,
) -> NDArray[np.intp]:  # rows of Q
    """Vertices below the ears, where no hair hangs beside the neck: nothing grows there.

    Where some hangs, it is cut off at its hem afterwards; were nothing known to grow below, all hair would be shorter.
    """
    if hem < lobes_of(head):
        return np.zeros(0, np.intp)
    rows = np.flatnonzero(head.template[hair.indices, 1] < hem)
    return rows[:: max(1, len(rows) // SPARSE)]


def lobes_of(head: HeadModel) -> float:  # m
    """Height of the ears' lower ends."""
    return float(head.template[head.part == head.parts.index("ears"), 1].min())


def above_hem(
    hem: float,  # m, height on the template
    head: HeadModel,
    hair: HairModel,
) -> F32:  # [Q] 0..1
    """The share of its growth that a vertex keeps.

    What masks and expectation leave below is a few millimetres, now some and now none: folds in the skin.
    """
    return np.asarray(smooth_step(head.template[hair.indices, 1], hem - NAPE_FADE, hem), np.float32)


def buried_ears(
    growth: F32,  # [Q] m
    ears: tuple[float, float],  # left, right; 0 seen, 1 hidden
    head: HeadModel,
    hair: HairModel,
) -> tuple[float, float]:
    """The ears, hidden too where the hair beside them grows so far that they would stand in a pit."""
    left, right = (
        max(hidden, float(np.median(growth[from_ear(head, hair, side) < BESIDE]) > BURIED))
        for side, hidden in zip((1, -1), ears, strict=True)
    )
    return left, right


def from_ear(head: HeadModel, hair: HairModel, side: int) -> F64:  # [Q] m
    """How far what grows lies from an ear."""
    places = head.template[hair.indices].astype(np.float64)
    return np.asarray(cKDTree(places[hair.ear == side]).query(places)[0])


def around_seen_ears(
    head: HeadModel,
    hair: HairModel,
    ears: tuple[float, float],  # left, right; 0 seen, 1 hidden
) -> F32:  # [Q] m
    """The most that hair grows beside an ear that is seen: it rises from behind the ear, not from a pit around it."""
    limit = np.full(len(hair.indices), np.inf, np.float32)
    near, rise = TUCKED
    for side, hidden in zip((1, -1), ears, strict=True):
        if not hidden:
            limit = np.minimum(limit, (near + rise * from_ear(head, hair, side)).astype(np.float32))
    return limit


def hidden_ears(
    regions: Regions, posed: F32, rotation: F64, camera: Camera, head: HeadModel
) -> tuple[float, float]:  # left, right
    """Whether hair lies where the ears would be seen; an ear that is turned away is like the other."""
    ears = np.flatnonzero(head.part == head.parts.index("ears"))
    middle = head.template[:, 0].mean()
    share: list[float | None] = []
    for side in (1, -1):
        own = ears[side * (head.template[ears, 0] - middle) > 0]
        outwards = rotation @ np.array([side * 0.9, 0.0, 0.45])
        if outwards[2] < 0.05:
            share.append(None)
            continue
        pixel = project(posed[own], camera)[:, :2]
        hair, skin = sample_nearest(regions.hair, pixel), sample_nearest(regions.skin, pixel)
        share.append(float(hair.sum() / max(float((hair + skin).sum()), 0.05 * len(own))))
    left, right = share
    left = right if left is None else left
    right = left if right is None else right
    return float((left or 0) > HIDDEN), float((right or 0) > HIDDEN)
