"""Glasses in a photo: the parametric frame of head/glasses.py, laid where thin dark lines run around both eyes.

The sheet that the rims would lie in is cut out of the photo, seen straight on. A frame shows in it as a line darker
than what lies on both of its sides, along two rims of the same form, a bridge between them and the beginnings of two
temples: a matched filter over the frame's parameters, first on a grid, then by random search around its best places.
How much darker than its sides a line would be is computed once for each pixel and direction.
The opening of the eyes, whose lashes are such lines as well, says nothing. What it answers for people with and without
glasses: docs/masks.md.

Frames: avatar frame, view frame, image frame of the crop (frames.py); the sheet's u to the subject's left and v up.
Dims: H, W rows and columns of the crop; K frames tried, N points of a line, R, C rows and columns of the sheet, B
distances of BESIDE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.avatar.record import Glasses
from meshlam_core.frames import Camera, project
from meshlam_core.head.glasses import (
    FrameShape,
    Sheet,
    Skin,
    bridge_line,
    build_glasses,
    outlines,
    rims_of,
)
from meshlam_core.head.model import HeadModel
from meshlam_core.head.skinning import forward_kinematics, rotation_matrices
from meshlam_core.opencv import cv2
from meshlam_core.points import LEFT_EYE, MIRROR, RIGHT_EYE
from meshlam_core.tracker.parsing import grown, polygon_mask
from meshlam_core.tracker.types import TrackedFace

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

HALF = (0.080, 0.045)  # m of the sheet to each side of the eyes' middle
GREY = np.array([0.3, 0.59, 0.11], np.float32)  # of a colour, its brightness
STEP = 0.0005  # m, its pixels
SOFT = 1.0  # px of the sheet, of a blur against noise
AROUND = 16.0  # px, of the one that tells how bright the skin around is
WHITE, BLACK = 0.6, 0.3  # of the skin's brightness, below which the surroundings do not count as skin, and at least
EYE_GROWN = 1.35  # of the eyes' openings
RIGHT_BROW = np.array([70, 63, 105, 66, 107, 55, 65, 52, 53, 46])  # landmarks around it
BROW_GROWN, IN_BROWS = 1.15, 0.4  # of the brows, and how much a line says there
AS_DARK = 0.6  # of the clearer half of the rims, from which a line is taken for the frame itself
BESIDE = (0.0018, 0.003, 0.0045)  # m from a line to what it is compared with: wires and thick frames
LINE = 0.0006  # m to both sides of a line's middle that still are the line
DIRECTIONS = 8  # of half a turn, to which a line's normal is rounded
FULL = 0.10  # of the skin's brightness, by which a line is darker that surely is one
LIFTS_EAR = np.arange(-0.006, 0.0361, 0.003)  # m from the top of the ear's root, where a temple may rest
LIFTS_BRIDGE, LIFTS_TEMPLE = (0.0, 0.25, 0.5, 0.75), (0.1, 0.35, 0.6, 0.85)  # of the half height, where they may run
TEMPLE = 0.010  # m of a temple that are looked at
WEIGHTS = {"rims": 0.8, "weaker": 0.2, "bridge": 0.2, "temples": 0.3}  # of a score
# usual frames: mean and spread of across, up, gap, width, height, and of the distance of a rim's centre from the
# middle, m; of the clearest 63 of the portraits, the spread 1.4 standard deviations
USUAL = ((0.0, 0.0013), (-0.005, 0.003), (0.0085, 0.0012), (0.023, 0.002), (0.0155, 0.003), (0.031, 0.002))
UNUSUAL = 0.02  # of the score, a spread squared
GRID = (  # of across, up, gap, width, height, power, taper
    (-0.003, 0.0, 0.003),
    tuple(np.arange(-0.014, 0.0061, 0.002)),
    (0.007, 0.009, 0.011, 0.013),
    (0.018, 0.0205, 0.023, 0.0255, 0.028),
    (0.011, 0.0135, 0.016, 0.0185, 0.021, 0.0235),
    (3.0,),
    (0.0,),
)
SPREAD = np.array([0.001, 0.001, 0.001, 0.0015, 0.0015, 0.5, 0.06])  # of the first round's search
LEAST = np.array([-0.010, -0.020, 0.005, 0.015, 0.009, 2.0, -0.2])
MOST = np.array([0.010, 0.012, 0.016, 0.033, 0.028, 6.0, 0.25])
KEPT, TRIED, ROUNDS, NARROWER = 24, 12, 14, 0.85  # of the search: the best of a round, steps from each
HOPELESS = 0.25  # score of the grid below which nobody is looked at more closely; wearers have 0.35 and more
TOLD = 0.72  # score from which somebody wears glasses: docs/masks.md
THINNEST, THICKEST = 0.0010, 0.0065  # m
WIRE, PER_DARK = 0.0012, 0.018  # m, and m for a line as dark as black: what is thick is dark, a faint line a wire
FAINT = 0.08  # of the skin's brightness; a line that is less dark has no thickness that could be measured
NARROW, WIDE = 0.002, 0.007  # m that are taken off the skin with rims, and with temples, broad where rims are thick
ACROSS = 0.007  # m to both sides of a rim, over which its thickness is measured


@dataclass(frozen=True)
class FoundGlasses:
    """A frame in a photo."""

    shape: FrameShape
    sheet: Sheet
    colour: F32  # [3] sRGB 0..1
    score: float  # of the matched filter; TOLD and more

    def on(self, tracked: TrackedFace, head: HeadModel) -> Glasses:
        """Its mesh on the head."""
        return build_glasses(self.shape, self.sheet, Skin(tracked.vertices, head), self.colour, worn_on(head))

    def told(self) -> dict[str, float | list[float]]:
        """What opticians measure of it, in millimetres, and its colour (sRGB, 0..1)."""
        shape = self.shape
        lengths = {
            "lens_width": 2 * shape.width - shape.thickness,
            "lens_height": 2 * shape.height - shape.thickness,
            "bridge": 2 * shape.gap - shape.thickness,
            "rim": shape.thickness,
        }
        millimetres = {f"{name}_mm": round(1000 * value, 1) for name, value in lengths.items()}
        return {
            **millimetres,
            "colour": [round(float(value), 3) for value in self.colour],
            "score": round(self.score, 3),
        }


@dataclass(frozen=True)
class _Straight:
    """The sheet cut out of the photo."""

    pixels: F32  # [R, C, 3] sRGB 0..255
    light: F32  # [R, C] brightness, that of the skin around being 1
    trust: F32  # [R, C] 0..1, how much a line says there: little in brows and nothing in the eyes
    fine: float  # px of the photo a metre
    full: float = FULL  # of the skin's brightness, by which a line is darker that surely is the frame's

    def at(self, picture: NDArray[np.floating], uv: F64) -> NDArray[np.floating]:
        """Nearest pixels."""
        return picture.reshape(-1, *picture.shape[2:])[self.places(uv[..., 0], uv[..., 1])]

    def places(self, u: NDArray[np.floating], v: NDArray[np.floating]) -> I32:
        """Of the nearest pixels, row after row."""
        rows, columns = self.light.shape
        column = ((u + HALF[0]) * (1 / STEP)).clip(0, columns - 1).astype(np.int32)
        return np.asarray(((HALF[1] - v) * (1 / STEP)).clip(0, rows - 1).astype(np.int32) * columns + column)


def find_glasses(
    crop: U8,  # [H, W, 3] sRGB
    tracked: TrackedFace,
    landmarks: F32,  # [L, 2] px of the crop
    camera: Camera,  # of the crop
    head: HeadModel,
) -> FoundGlasses | None:
    """The frame that the person wears, standing clear of the skin; None where none shows."""
    skin, trust = Skin(tracked.vertices, head), _trust(landmarks.astype(np.float64), crop.shape[:2])
    numbers, score, sheet = _first_look(crop, trust, skin, tracked, camera, head)
    if score < TOLD:
        return None
    sheet = sheet.clear_of(skin, _frame(numbers))
    seen = _straight(crop, trust, sheet, tracked, camera, head)
    # what is as dark as the frame is it; brows and folds seldom are
    numbers, _ = _search(replace(seen, full=max(FULL, AS_DARK * _contrast(seen, numbers))))
    shape = _measured(seen, _frame(numbers))
    return FoundGlasses(shape, sheet.clear_of(skin, shape), _colour(seen, shape), score)


def frame_score(crop: U8, tracked: TrackedFace, landmarks: F32, camera: Camera, head: HeadModel) -> float:
    """How clearly the frame shows that shows most clearly, as find_glasses would ask; from TOLD on it is one."""
    skin, trust = Skin(tracked.vertices, head), _trust(landmarks.astype(np.float64), crop.shape[:2])
    return _first_look(crop, trust, skin, tracked, camera, head)[1]


def mask_of(
    found: FoundGlasses,
    crop: U8,  # [H, W, 3] sRGB
    tracked: TrackedFace,
    camera: Camera,
    head: HeadModel,
) -> F32:  # [H, W] 0 or 1
    """Where rims, bridge and the temples beside the face are drawn in the crop, a little wider than they are."""
    mask = np.zeros(crop.shape[:2], np.uint8)
    place, frame, skin = on_crop(tracked, camera, head), found.shape, Skin(tracked.vertices, head)
    scale = camera.focal / abs(float(tracked.translation[2]))  # px a metre
    light = cv2.GaussianBlur(crop @ GREY, (0, 0), SOFT * STEP * scale)
    lines = [(place(found.sheet.points(rim)), True, NARROW) for rim in rims_of(frame)]
    lines.append((place(bridge_line(frame, found.sheet, skin)), False, NARROW))
    temples = [_temple_seen(found, np.asarray(light), scale, place, skin, side) for side in (1, -1)]
    lines += [(temple, False, WIDE + frame.thickness) for temple in temples]
    for pixels, closed, more in lines:
        width = max(2, round((frame.thickness + more) * scale))
        cv2.polylines(mask, [np.rint((pixels - 0.5) * 16).astype(np.int32)], closed, 1, width, cv2.LINE_8, 4)
    return mask.astype(np.float32)


def _temple_seen(
    found: FoundGlasses,
    light: NDArray[np.floating],  # [H, W] 0..255
    scale: float,  # px a metre
    place: Callable[[F64], F64],
    skin: Skin,
    side: int,
) -> F64:  # [2, 2] px
    """From a rim to the ear, where the clearest dark line runs: ears sit higher or lower than the head model's."""
    shape, ear = found.shape, skin.ear(side)
    u, v = shape.across + side * (shape.gap + 2 * shape.width), shape.up + np.array(LIFTS_TEMPLE) * shape.height
    hinges = place(found.sheet.points(np.stack([np.full_like(v, u), v], axis=-1)))
    ends = place(ear + np.stack([0 * LIFTS_EAR, LIFTS_EAR, 0 * LIFTS_EAR], axis=-1))
    ahead = hinges.mean(axis=0) - place(found.sheet.points(np.array([[shape.across, shape.up]])))[0]
    ahead /= np.linalg.norm(ahead)
    # the far one goes behind the face soon
    ends += np.maximum(TEMPLE * scale - (ends - hinges.mean(axis=0)) @ ahead, 0)[:, None] * ahead
    ways = np.stack([np.broadcast_to(x, (len(hinges), len(ends), 2)) for x in (hinges[:, None], ends)], axis=2)
    ways = ways.reshape(-1, 2, 2)
    along = ways[:, 1] - ways[:, 0]
    across = np.stack([-along[:, 1], along[:, 0]], axis=-1) / np.linalg.norm(along, axis=1, keepdims=True)
    points = ways[:, :1] + np.linspace(0.1, 0.9, 24)[:, None] * along[:, None]

    def at(off: float) -> NDArray[np.floating]:  # [K, N]
        x, y = np.moveaxis(points + off * scale * across[:, None], -1, 0)
        rows, columns = (z.astype(int).clip(0, size - 1) for z, size in zip((y, x), light.shape, strict=True))
        return np.asarray(light[rows, columns])

    darker = np.minimum(at(BESIDE[1]), at(-BESIDE[1])) - at(0.0)
    best = int((darker / np.maximum(at(BESIDE[1]), 1)).clip(0, FULL).mean(axis=1).argmax())
    return np.asarray(ways[best])


def on_crop(tracked: TrackedFace, camera: Camera, head: HeadModel) -> Callable[[F64], F64]:
    """A function from places [P, 3] of the rest pose, which move with the skull, to pixels [P, 2]."""
    joints = torch.from_numpy(head.joints(tracked.vertices))[None]
    turns = rotation_matrices(torch.from_numpy(np.array(tracked.rotations)))[None]
    turned, placed = forward_kinematics(joints, turns, head.joint_parents)
    joint = head.joint_names.index(worn_on(head))
    rest, turn, at = (tensor[0, joint].numpy().astype(np.float64) for tensor in (joints, turned, placed))

    def place(points: F64) -> F64:
        view = (points.reshape(-1, 3) - rest) @ turn.T + at + tracked.translation
        return np.asarray(project(view, camera)[:, :2])

    return place


def worn_on(head: HeadModel) -> str:
    """The joint that moves the skull."""
    return "neck" if "neck" in head.joint_names else head.joint_names[0]


def _first_look(
    crop: U8, trust: F32, skin: Skin, tracked: TrackedFace, camera: Camera, head: HeadModel
) -> tuple[F64, float, Sheet]:  # [7], score
    """The clearest frame in the sheet where usual frames stand."""
    (gap, _), (width, _), (height, _) = USUAL[2:5]
    sheet = Sheet.before(skin.landmarks).clear_of(skin, FrameShape(0.0, -0.004, gap, width, height, 3.0, 0.0))
    return *_search(_straight(crop, trust, sheet, tracked, camera, head), HOPELESS), sheet


def _frame(numbers: F64) -> FrameShape:  # [7]
    return FrameShape(*(float(value) for value in numbers))


def _straight(crop: U8, trust: F32, sheet: Sheet, tracked: TrackedFace, camera: Camera, head: HeadModel) -> _Straight:
    u, v = (np.arange(-half, half, STEP) + STEP / 2 for half in HALF)
    uv = np.stack(np.meshgrid(u, v[::-1]), axis=-1)
    pixel = on_crop(tracked, camera, head)(sheet.points(uv)).reshape(uv.shape).astype(np.float32) - np.float32(0.5)
    middle = pixel[len(v) // 2, len(u) // 2 - 10 : len(u) // 2 + 11]
    places = np.ascontiguousarray(pixel[..., 0]), np.ascontiguousarray(pixel[..., 1])
    pixels = cv2.remap(crop.astype(np.float32), *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    light = cv2.GaussianBlur(pixels @ GREY, (0, 0), SOFT)
    rows, columns = light.shape
    skin = float(np.percentile(light[rows // 3 : -rows // 6, columns // 5 : -columns // 5], 70))
    around = cv2.GaussianBlur(np.maximum(light, WHITE * skin), (0, 0), AROUND)
    return _Straight(
        np.asarray(pixels, np.float32),
        np.asarray(light / np.maximum(around, max(BLACK * skin, 1.0)), np.float32),
        np.asarray(cv2.remap(trust, *places, cv2.INTER_LINEAR), np.float32),
        float(np.linalg.norm(middle[-1] - middle[0])) / (20 * STEP),
    )


@cache
def _grid() -> F64:  # [K, 7]
    return np.stack(np.meshgrid(*GRID, indexing="ij"), axis=-1).reshape(-1, len(GRID))


def _search(seen: _Straight, hopeless: float = -np.inf) -> tuple[F64, float]:  # [7]
    """The frame that shows most clearly and its score: random steps that get smaller, from the best of a grid."""
    tried, answers = _grid(), _darker(seen, BESIDE[1:2])
    # a first look with fewer points and one distance
    scores = np.concatenate([_score(seen, answers, part, 24) for part in np.array_split(tried, 4)])
    random = np.random.default_rng(0)  # always the same steps
    if scores.max() > hopeless:
        answers = _darker(seen, BESIDE)
        for turn in range(ROUNDS):
            kept = tried[np.argsort(-scores, kind="stable")[:KEPT]]
            steps = random.normal(0, 1, (TRIED, *kept.shape)) * SPREAD * NARROWER**turn
            tried = np.concatenate([kept[None], (kept + steps).clip(LEAST, MOST)]).reshape(-1, kept.shape[1])
            scores = _score(seen, answers, tried, 48)
    return np.asarray(tried[scores.argmax()]), float(scores.max())


def _trust(landmarks: F64, shape: tuple[int, int]) -> F32:  # [L, 2] px -> [H, W]
    trust = np.ones(shape, np.float32)
    for ring in (RIGHT_BROW, MIRROR[RIGHT_BROW]):
        trust[polygon_mask(grown(landmarks[ring], BROW_GROWN), shape) > 0] = IN_BROWS
    for ring in (RIGHT_EYE, LEFT_EYE):
        trust[polygon_mask(grown(landmarks[ring], EYE_GROWN), shape) > 0] = 0
    return trust


def _contrast(seen: _Straight, numbers: F64) -> float:  # [7]
    """How much darker than what is on both sides of them the clearer half of the rims is."""
    rims, _ = _along_rims(seen, _darker(replace(seen, full=1.0), BESIDE), numbers[None], 48)
    return float(np.quantile(rims.max(axis=-1), 0.75))


def _score(seen: _Straight, answers: F32, numbers: F64, count: int) -> F64:  # [K, 7] -> [K]
    """How clearly these frames show: about 1 for a dark frame, below TOLD for brows, folds and shadows."""
    across, up, gap, width, height = numbers[:, :5].astype(np.float32).T[..., None]

    def level(u: F32, lifts: tuple[float, ...]) -> F32:  # [K, N] -> [K, B], the clearest of some level lines
        places = seen.places(u[:, None], (up + np.array(lifts, np.float32) * height)[..., None])
        upright = DIRECTIONS // 2 * seen.light.size
        return np.asarray(answers.take(upright + places, axis=0).mean(axis=2).max(axis=1))

    points, share = _along_rims(seen, answers, numbers, count)
    rims = np.einsum("skpb,kp->skb", points, share)
    t, s = np.linspace(-0.9, 0.9, 9, dtype=np.float32), np.linspace(0.1, 1, 6, dtype=np.float32) * np.float32(TEMPLE)
    temples = [level(across + side * (gap + 2 * width + s), LIFTS_TEMPLE) for side in (1, -1)]
    score = (
        WEIGHTS["rims"] * rims.mean(axis=0)
        + WEIGHTS["weaker"] * rims.min(axis=0)
        + WEIGHTS["bridge"] * level(across + t * gap, LIFTS_BRIDGE)
        + WEIGHTS["temples"] * (temples[0] + temples[1]) / 2
    )
    asked = (across, up, gap, width, height, gap + width)
    unusual = sum(((value[:, 0] - mean) / spread) ** 2 for value, (mean, spread) in zip(asked, USUAL, strict=True))
    return np.asarray(score.max(axis=1) - UNUSUAL * unusual, np.float64)


def _along_rims(
    seen: _Straight, answers: F32, numbers: F64, count: int
) -> tuple[F32, F32]:  # [K, 7] -> [2, K, count, B], and the points' shares [K, count] of a rim's length
    across, up, gap, width = numbers[:, :4].astype(np.float32).T[..., None]
    x, y = np.moveaxis(outlines(numbers, count).astype(np.float32), -1, 0)
    along = [np.roll(z, -1, 1) - np.roll(z, 1, 1) for z in (x, y)]
    length = np.hypot(*along)
    normal = np.rint(np.arctan2(-along[0], along[1]) * (DIRECTIONS / np.pi)).astype(np.int32)
    points = [
        seen.places(across + side * (gap + width + x), up + y) + side * normal % DIRECTIONS * seen.light.size
        for side in (1, -1)
    ]
    return answers.take(np.stack(points), axis=0), length / length.sum(axis=1, keepdims=True)


def _darker(seen: _Straight, beside: tuple[float, ...]) -> F32:  # [DIRECTIONS * R * C, B] -0.5..1
    """How much darker a line through each pixel is than what lies on both sides, for its normals from u over v.

    1 and more counts as 1.
    """
    rows, columns = seen.light.shape
    edge = round(max(beside) / STEP)
    wide = np.pad(seen.light, edge, mode="edge")
    found = np.empty((DIRECTIONS, rows, columns, len(beside)), np.float32)
    for answers, angle in zip(found, np.arange(DIRECTIONS) * np.pi / DIRECTIONS, strict=True):

        def least(off: float, angle: float = angle) -> F32:  # of both sides
            x, y = (round(off / STEP * float(f(angle))) for f in (np.cos, np.sin))
            sides = [wide[edge - k * y :, edge + k * x :][:rows, :columns] for k in (1, -1)]
            return np.minimum(*sides)

        line = np.minimum(least(LINE), seen.light)
        for k, off in enumerate(beside):
            answers[..., k] = ((least(off) - line) / seen.full).clip(-0.5, 1) * seen.trust
    return found.reshape(-1, len(beside))


def _measured(seen: _Straight, shape: FrameShape) -> FrameShape:
    """The same with the rims' thickness, and their middle line in the middle of it."""
    form = outlines(shape.numbers[None])[0]
    along = np.roll(form, -1, 0) - np.roll(form, 1, 0)
    out = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
    reach = np.arange(-ACROSS, ACROSS + STEP / 2, STEP)
    profile = []
    for side in (1, -1):
        rim = [shape.across + side * (shape.gap + shape.width), shape.up] + form * [side, 1]
        profile.append(seen.at(seen.light, rim[:, None] + reach[:, None] * out[:, None] * [side, 1]))
    depth = np.median(np.concatenate(profile), axis=0)  # [S] brightness across a rim
    middle = abs(reach) <= 0.002
    darkest = depth[middle].min()
    half = (min(depth[reach < 0].max(), depth[reach > 0].max()) + darkest) / 2
    at = int(np.flatnonzero(middle)[depth[middle].argmin()])
    low = at - int((depth[at::-1] > half).argmax() or at)
    high = at + int((depth[at:] > half).argmax() or len(depth) - 1 - at)
    wide = reach[high] - reach[low] - STEP
    blur = 1.2 / seen.fine  # m that a photo's pixel makes a line wider
    shift = float(reach[low] + reach[high]) / 2
    drop = 2 * float(half - darkest)
    if drop < FAINT:  # hardly a line: a rim without a frame
        return replace(shape, thickness=THINNEST)
    return replace(
        shape,
        width=shape.width + shift,
        height=shape.height + shift,
        gap=shape.gap - shift,
        thickness=float(np.sqrt(max(wide**2 - blur**2, 0)).clip(THINNEST, min(WIRE + PER_DARK * drop, THICKEST))),
    )


def _colour(seen: _Straight, shape: FrameShape) -> F32:  # [3] sRGB 0..1
    """Of the darker half of the rims' pixels: the others are half skin, or shine."""
    rims = np.concatenate(rims_of(shape))
    light, pixels = seen.at(seen.light, rims), seen.at(seen.pixels, rims)
    dark = pixels[light <= np.quantile(light, 0.4)]
    return np.asarray((np.median(dark, axis=0) / 255).clip(0, 1), np.float32)
