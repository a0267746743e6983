"""Things before a head: glasses, masks and scarves, hands, microphones, headphones, telephones, cups, papers.

They are drawn flat, along the face's landmarks, with shading of their own; hands are pictures (hands.py).
Image frame. Colours linear. Dims: H side of the picture, L landmarks, V vertices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.glasses import rounded_outline
from meshlam_core.points import CHIN, FOREHEAD, LEFT_EYE, LEFT_SIDE, RIGHT_EYE, RIGHT_SIDE
from training.synthetic.hands import Hand
from training.synthetic.world import GLASSES, HAND, MASK, OTHER, to_linear

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

FINE = 4  # bits of sub-pixel positions in OpenCV's drawing
DARK = 0.4  # cover from which a lens hides what is behind it
NOSE = 4  # its tip
SHARES = {"glasses": 0.22, "mask": 0.06, "headphones": 0.05, "hand": 0.06, "microphone": 0.04, "thing": 0.04}
# a mask's upper edge from cheek to cheek by how high it sits on the nose, and the jaw that its lower edge follows
CHEEKS, NOSES = ((93, 123, 50, 101), (323, 352, 280, 330)), (197, 195, 5)
JAW = (58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288)
MASK_COLOURS = np.array(  # sRGB
    [[160, 200, 222], [160, 200, 222], [236, 238, 240], [236, 238, 240], [22, 22, 24], [150, 205, 190], [230, 170, 185]]
)


@dataclass
class Canvas:
    """A picture that things are laid onto."""

    colour: F32  # [H, H, 3]
    label: U8  # [H, H]
    cover: F32 = field(init=False)  # [H, H] 0..1 by what was laid on

    def __post_init__(self) -> None:
        self.cover = np.zeros(self.label.shape, np.float32)

    def lay(self, alpha: F32, paint: NDArray[np.floating], kind: int | None) -> None:
        """A colour, or [H, H, 3] of them, over what the alpha covers; no kind: a tint, which hides nothing."""
        rows, columns = (np.flatnonzero(alpha.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        share = alpha[part]
        tint = np.asarray(paint if paint.ndim < 3 else paint[part], np.float32)
        self.colour[part] += share[..., None] * (tint - self.colour[part])
        if kind is not None:
            self.label[part][share > 0.5] = kind
            self.cover[part] = np.maximum(self.cover[part], share)

    def shadow(self, alpha: F32, reach: float, strength: float, rng: np.random.Generator) -> None:
        """Darken what lies behind and beside a thing."""
        shift = rng.normal(0, 0.6, 2) * reach + [0, 0.5 * reach]
        moved = cv2.warpAffine(alpha, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), alpha.shape[::-1])
        soft = cv2.GaussianBlur(moved, (0, 0), max(reach, 0.6))
        self.colour *= (1 - strength * soft)[..., None]

    def blank(self) -> U8:  # [H, H]
        return np.zeros(self.label.shape, np.uint8)


@dataclass(frozen=True)
class Face:
    """Where things go."""

    points: F64  # [L, 2] px
    height: float  # px
    right: F64  # [2] unit, from the right to the left side of the face
    up: F64  # [2] unit
    top: F64  # [2] px, of the head
    skin: F32  # [3] linear

    @staticmethod
    def of(landmarks: F64, hull: F64, skin: F32) -> Face:
        up = landmarks[FOREHEAD] - landmarks[CHIN]
        height = max(float(np.linalg.norm(up)), 1e-6)
        up = up / height
        middle = landmarks[[RIGHT_SIDE, LEFT_SIDE]].mean(axis=0)
        return Face(
            landmarks, height, np.array([-up[1], up[0]]), up, middle + up * float(((hull - middle) @ up).max()), skin
        )

    def place(self, across: float, upwards: float, origin: int = NOSE) -> F64:
        """A place by its distance from a landmark in face heights."""
        return np.asarray(self.points[origin] + self.height * (across * self.right + upwards * self.up))


def add_occluders(
    colour: F32,  # [H, H, 3] drawn into
    label: U8,  # [H, H]
    landmarks: F64,  # [L, 2] px
    hull: F64,  # [V, 2] px, all the head's vertices
    skin: F32,  # [3]
    rng: np.random.Generator,
    hands: Sequence[Hand] = (),
    shares: Mapping[str, float] = SHARES,  # how often each is there
) -> F32:  # [H, H] 0..1, how much of each pixel they cover
    """Each of them now and then."""
    canvas, face = Canvas(colour, label), Face.of(landmarks, hull, skin)

    def now(name: str) -> bool:
        return bool(rng.random() < shares[name])

    if now("glasses"):
        _glasses(canvas, face, rng)
    if now("mask"):
        _mask(canvas, face, rng)
    if now("headphones"):
        _headphones(canvas, face, rng)
    if now("microphone"):
        _microphone(canvas, face, rng, hands)
    if now("thing"):
        (_telephone, _cup, _paper)[rng.integers(3)](canvas, face, rng, hands)
    if now("hand") and len(hands):
        _hand(canvas, face, rng, hands)
    return canvas.cover


def _tone(rng: np.random.Generator) -> F32:  # [3]
    """A thing's colour: often black, white or grey."""
    kind = rng.random()
    if kind < 0.4:
        return np.full(3, rng.uniform(0.008, 0.06), np.float32)
    if kind < 0.6:
        return np.full(3, rng.uniform(0.3, 0.8), np.float32)
    grey = rng.uniform(0.1, 0.85)
    return np.asarray((grey + rng.uniform(0, 0.4) * rng.normal(0, 1, 3)).clip(0.02, 0.95) ** 2, np.float32)


def _line(mask: U8, points: F64, thickness: float, closed: bool = False) -> None:
    fixed = (points * 2**FINE).round().astype(np.int32)
    cv2.polylines(mask, [fixed], closed, 255, max(1, round(thickness)), cv2.LINE_AA, FINE)


def _filled(shape: tuple[int, ...], outline: F64) -> F32:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [(outline * 2**FINE).round().astype(np.int32)], 255, cv2.LINE_AA, FINE)
    return _alpha(mask)


def _alpha(mask: U8) -> F32:
    return np.asarray(mask, np.float32) / np.float32(255)


def _rounded(alpha: F32, depth: float, rng: np.random.Generator) -> F32:  # [H, H] about 1
    """Light on a thing whose edges turn away, over a distance in px."""
    inside = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    height = np.sqrt(1 - (1 - (inside / max(depth, 1)).clip(0, 1)) ** 2) * depth
    height = cv2.GaussianBlur(height.astype(np.float32), (0, 0), max(0.15 * depth, 0.5))
    x, y = cv2.Sobel(height, -1, 1, 0, scale=0.125), cv2.Sobel(height, -1, 0, 1, scale=0.125)
    light = rng.standard_normal(3) + np.array([0, -0.6, 1.2])
    light /= np.linalg.norm(light)
    facing = (light[2] - x * light[0] - y * light[1]) / np.sqrt(1 + x * x + y * y)
    return np.asarray(rng.uniform(0.35, 0.6) + 0.65 * facing.clip(0, None), np.float32)


def _shape(rng: np.random.Generator) -> F64:  # [40, 2] in -1..1, y down, x outwards
    """A lens: round, square, aviator, cat-eye."""
    x, y = rounded_outline(np.array([rng.uniform(2, 5)]), 40)[0].T
    kind = rng.random()
    if kind < 0.25:  # aviator: narrow below, hanging outwards
        x = x * (1 - 0.25 * (y > 0) * y) + 0.12 * y
    elif kind < 0.45:  # cat-eye: the upper outer corner raised
        y = y - 0.35 * (x > 0) * x * (y < 0)
    return np.asarray(np.stack([x, y], axis=1))


def _glasses(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    shape, height, bigger = _shape(rng), rng.uniform(0.5, 1.05), rng.uniform(0.92, 1.22)
    rim = rng.choice(["full", "full", "full", "half", "none"])
    thick = face.height * (rng.uniform(0.006, 0.014) if rng.random() < 0.5 else rng.uniform(0.014, 0.045))
    metal = thick < 0.014 * face.height
    tint = _tone(rng) if not metal or rng.random() < 0.5 else np.array([0.35, 0.27, 0.13]) * rng.uniform(0.3, 1.6)
    across = face.points[LEFT_EYE].mean(axis=0) - face.points[RIGHT_EYE].mean(axis=0)
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]]) * face.height * 0.2
    lower = rng.uniform(0.0, 0.3) if rng.random() < 0.9 else rng.uniform(0.6, 1.2)  # slid down the nose
    frame, lens, inner = canvas.blank(), np.zeros(canvas.label.shape, np.float32), []
    for ring, side, temple in ((RIGHT_EYE, -1, RIGHT_SIDE), (LEFT_EYE, 1, LEFT_SIDE)):
        eye = face.points[ring]
        wide = float(np.abs((eye[8] - eye[0]) @ across)) * 0.92 * bigger
        centre = eye.mean(axis=0) + lower * down + across * side * 0.06 * wide
        outline = centre + shape[:, :1] * side * wide * across + shape[:, 1:] * height * bigger * down * 0.85
        if rim == "full":
            _line(frame, outline, thick, closed=True)
        elif rim == "half":
            upper = np.flatnonzero(shape[:, 1] < 0.15)
            _line(frame, np.roll(outline, 19, 0)[np.isin(np.roll(np.arange(40), 19), upper)], thick)
        lens = np.maximum(lens, _filled(lens.shape, outline))
        along = outline @ across
        edge = outline[int((side * along).argmax())] - 0.25 * down * (rim != "none")
        inner.append(outline[int((side * along).argmin())] - 0.1 * down)
        end = face.points[temple] - 0.3 * down
        if side * float((end - edge) @ across) > 0:
            _line(frame, np.stack([edge, edge + 0.15 * (end - edge), end]), thick * rng.uniform(0.7, 1.1))
    rise = np.array([[0.0], [-0.1], [-0.1], [0.0]]) * down
    _line(frame, inner[0] + np.linspace(0, 1, 4)[:, None] * (inner[1] - inner[0]) + rise, thick * rng.uniform(0.6, 1.2))
    if metal and rng.random() < 0.3:  # a second bridge
        _line(frame, np.stack(inner) - 0.35 * down, thick)
    solid = _alpha(frame)
    canvas.shadow(solid, 0.02 * face.height, rng.uniform(0, 0.5), rng)
    rows = ((np.indices(lens.shape)[0] - inner[0][1]) / (0.25 * face.height)).clip(-1, 1)
    if rng.random() < 0.3:
        dark, colour = rng.uniform(0.45, 0.99), rng.uniform(0, 0.06, 3) ** np.array([1, 1, 1])
        if rng.random() < 0.3:
            colour = rng.uniform(0, 0.35, 3)  # tinted, or a mirror
        fading = rng.uniform(0, 0.35) * (rng.random() < 0.5)
        cover = lens * (dark - fading * (0.5 + 0.5 * rows)).clip(0, 1).astype(np.float32)
        canvas.lay(cover, colour, None)
        hidden = lens * (cover > DARK)
        canvas.label[hidden > 0.5] = GLASSES
        canvas.cover = np.maximum(canvas.cover, hidden)
    elif rng.random() < 0.5:
        canvas.lay(lens * np.float32(rng.uniform(0, 0.12)), rng.uniform(0.05, 0.9, 3), None)
    if rng.random() < 0.35:  # a window mirrored
        slope, at = rng.normal(0, 1, 2), rng.normal(0, 0.15)
        places = (np.indices(lens.shape)[::-1].transpose(1, 2, 0) - sum(inner) / 2) / face.height
        band = np.abs(places @ slope - at) < rng.uniform(0.01, 0.12)
        soft = cv2.GaussianBlur(band.astype(np.float32), (0, 0), 0.01 * face.height + 0.3)
        canvas.lay(lens * soft * np.float32(rng.uniform(0.1, 0.7)), np.full(3, rng.uniform(0.4, 1.0)), None)
    shade = _rounded(solid, thick / 2, rng)[..., None] * (1 + rng.uniform(0, 1) * rng.random((1, len(solid), 1)))
    canvas.lay(solid, np.asarray(tint, np.float32) * shade, GLASSES)


def _grid(upper: F64, lower: F64, rows: int = 14, columns: int = 24) -> F64:  # [rows, columns, 2]
    """A sheet hung between two lines."""
    ends = []
    for line in (upper, lower):
        walked = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        at = np.linspace(0, walked[-1], columns)
        ends.append(np.stack([np.interp(at, walked, line[:, k]) for k in (0, 1)], axis=1))
    v = np.linspace(0, 1, rows)[:, None, None]
    return np.asarray(ends[0] * (1 - v) + ends[1] * v)


def _sheet(shape: tuple[int, ...], grid: F64) -> tuple[F32, F32, F32]:  # [H, H] each
    """Cover, and the place in a sheet, u across and v down, of the pixels that show it."""
    rows, columns = grid.shape[:2]
    found = np.zeros((*shape, 3), np.float32)
    for r in range(rows - 1):
        for c in range(columns - 1):
            quad = np.array([grid[r, c], grid[r, c + 1], grid[r + 1, c + 1], grid[r + 1, c]])
            value = (1.0, (c + 0.5) / (columns - 1), (r + 0.5) / (rows - 1))
            cv2.fillPoly(found, [(quad * 2**FINE).round().astype(np.int32)], value, cv2.LINE_8, FINE)
    step = float(np.linalg.norm(np.diff(grid[rows // 2], axis=0), axis=1).mean())
    soft = cv2.GaussianBlur(found, (0, 0), max(0.6 * step, 0.5))
    cover = cv2.GaussianBlur(found[..., 0], (0, 0), 0.6)
    weight = soft[..., 0].clip(1e-3)
    return cover, soft[..., 1] / weight, soft[..., 2] / weight


def _cloth(u: F32, v: F32, rng: np.random.Generator) -> F32:  # [H, H, 3] sRGB 0..1
    """Plain or patterned."""
    base, second = (rng.uniform(0.03, 0.95) + rng.uniform(0, 0.35) * rng.normal(0, 1, 3) for _ in range(2))
    kind, often = rng.integers(6), rng.uniform(8, 40)
    if kind == 0:
        share = (np.sin(often * u) > 0.3).astype(np.float32)
    elif kind == 1:
        share = 0.5 * (np.sin(often * u) > 0) + 0.5 * (np.sin(0.7 * often * v) > 0)
    elif kind == 2:
        share = (np.sin(often * u) * np.sin(0.7 * often * v) > 0.5).astype(np.float32)
    elif kind == 3:
        noise = cv2.resize(rng.random((16, 24)).astype(np.float32), (256, 256), interpolation=cv2.INTER_CUBIC)
        share = (noise[(v * 255).clip(0, 255).astype(int), (u * 255).clip(0, 255).astype(int)] > 0.6) * 1.0
    else:
        share = np.zeros_like(u)
    return np.asarray((base + share[..., None] * (second - base)).clip(0, 1), np.float32)


def _mask(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """A surgical mask, a cloth mask, a respirator, or a scarf drawn over the nose."""
    points, kind = face.points, rng.choice(["surgical", "surgical", "cloth", "respirator", "scarf"])
    nose = points[NOSES[int(rng.integers(len(NOSES)))]] if rng.random() < 0.9 else points[2] + 0  # below the nose
    start = int(rng.integers(2))
    lift = face.up * face.height * rng.normal(0, 0.015)
    cheeks = [points[list(side[start:])] for side in CHEEKS]
    upper = np.concatenate([cheeks[0], nose[None] + 0.01 * face.height * face.up, cheeks[1][::-1]]) + lift
    if nose is not points[NOSES[0]] and np.linalg.norm(nose - points[2]) < 1e-6:
        upper = upper - face.up * 0.06 * face.height
    jaw = points[list(JAW[start : len(JAW) - start])]
    middle = points[list(NOSES)].mean(axis=0)
    grow = rng.uniform(1.0, 1.12)
    lower = middle + (jaw - middle) * grow
    if kind == "scarf":
        fall = np.sin(np.linspace(0, np.pi, len(lower))) ** 0.5
        lower = lower - face.up * face.height * rng.uniform(0.1, 0.7) * (0.5 + 0.5 * fall[:, None])
    cover, u, v = _sheet(canvas.label.shape, _grid(upper, lower))
    folds = np.zeros_like(u)
    if kind == "surgical":
        colour = np.broadcast_to(MASK_COLOURS[rng.integers(len(MASK_COLOURS))] / 255, (*u.shape, 3))
        depth = rng.uniform(0.05, 0.2)
        for at in np.linspace(0.3, 0.72, int(rng.integers(2, 5))):
            folds -= depth * np.exp(-(((v - at) / 0.02) ** 2)) - 0.4 * depth * np.exp(-(((v - at - 0.05) / 0.03) ** 2))
    elif kind == "respirator":
        colour = np.broadcast_to(rng.choice([[0.93] * 3, [0.1] * 3, [0.8, 0.85, 0.9]]), (*u.shape, 3))
        seam = u if rng.random() < 0.5 else v
        folds -= 0.2 * np.exp(-(((seam - 0.5) / 0.02) ** 2))
        if rng.random() < 0.3:
            folds -= 0.3 * (np.abs(np.hypot((u - 0.68) * 1.4, v - 0.55) - 0.09) < 0.015)
    else:
        colour = _cloth(u, v, rng)
        wave = np.sin(rng.uniform(4, 14) * v + rng.normal(0, 2) * np.sin(3 * u + rng.uniform(0, 6)) + rng.uniform(0, 6))
        folds += rng.uniform(0, 0.3) * wave
    if rng.random() < 0.6 and kind != "scarf":
        edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
        folds -= rng.uniform(0.05, 0.2) * np.exp(-(((edge - 0.04) / 0.012) ** 2))
    noise = cv2.GaussianBlur(rng.standard_normal(u.shape).astype(np.float32), (0, 0), rng.uniform(0.6, 3))
    # the sheet bulges over nose and chin and turns away at the cheeks
    side = rng.normal(0, 0.5)
    bulge = 1 - 0.45 * np.abs(2 * u - 1) ** 2.5 + side * (u - 0.5) - rng.uniform(0, 0.35) * (v - 0.3)
    light = (bulge + folds + 0.03 * noise / noise.std()) * rng.uniform(0.55, 1.05)
    paint = to_linear((colour * 255).astype(np.uint8)) * light.clip(0.05, 1.6)[..., None].astype(np.float32)
    canvas.shadow(cover, 0.02 * face.height, rng.uniform(0.1, 0.5), rng)
    if kind != "scarf" and rng.random() < 0.85:
        loops = canvas.blank()
        for temple, ends in ((RIGHT_SIDE, (upper[0], lower[0])), (LEFT_SIDE, (upper[-1], lower[-1]))):
            out = points[temple] - points[NOSE]
            ear = points[temple] + 0.08 * out + 0.03 * face.height * face.up
            for end in ends:
                _line(loops, np.stack([end, ear]), 0.012 * face.height)
        canvas.lay(_alpha(loops), np.full(3, rng.choice([0.02, 0.7, 0.85])), MASK)
    canvas.lay(cover, paint, MASK)


def _headphones(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    tint = _tone(rng)
    sides = face.points[[RIGHT_SIDE, LEFT_SIDE]]
    out = sides[1] - sides[0]
    ears = sides + np.array([[-0.13], [0.13]]) * out + 0.05 * face.height * face.up
    top = float((face.top - ears.mean(axis=0)) @ face.up) * 1.03
    t = np.linspace(np.pi, 0, 24)
    arc = ears.mean(axis=0) + np.cos(t)[:, None] * (ears[1] - ears[0]) / 2 + np.sin(t)[:, None] * top * face.up
    mask = canvas.blank()
    _line(mask, arc, face.height * rng.uniform(0.03, 0.1))
    angle = float(np.degrees(np.arctan2(out[1], out[0])))
    for ear in ears:
        size = (int(face.height * rng.uniform(0.07, 0.14)), int(face.height * rng.uniform(0.13, 0.23)))
        cv2.ellipse(mask, tuple(int(x) for x in ear), size, angle, 0, 360, 255, -1, cv2.LINE_AA)
    alpha = _alpha(mask)
    canvas.shadow(alpha, 0.03 * face.height, rng.uniform(0.1, 0.5), rng)
    canvas.lay(alpha, tint * _rounded(alpha, 0.08 * face.height, rng)[..., None], OTHER)
    if rng.random() < 0.3:  # a boom
        _boom(canvas, face, ears[int(rng.integers(2))], rng)


def _boom(canvas: Canvas, face: Face, start: F64, rng: np.random.Generator) -> None:
    end = face.place(
        np.sign((start - face.points[NOSE]) @ face.right) * rng.uniform(0.1, 0.25), -rng.uniform(0.15, 0.35)
    )
    mask, t = canvas.blank(), np.linspace(0, 1, 12)[:, None]
    bend = -face.up * 0.12 * face.height * 4 * t * (1 - t)
    _line(mask, start + t * (end - start) + bend, 0.015 * face.height)
    cv2.circle(
        mask, tuple(int(x) for x in end), max(1, int(face.height * rng.uniform(0.025, 0.06))), 255, -1, cv2.LINE_AA
    )
    canvas.lay(_alpha(mask), np.full(3, rng.uniform(0.005, 0.08)), OTHER)


def _hand(canvas: Canvas, face: Face, rng: np.random.Generator, hands: Sequence[Hand]) -> None:
    """Before mouth, cheek, brow, eyes or chin; also both."""
    for _ in range(2 if rng.random() < 0.15 else 1):
        target = face.place(rng.normal(0, 0.28), rng.choice([-0.25, -0.25, -0.05, 0.15, 0.4]) + rng.normal(0, 0.12))
        _lay_hand(canvas, face, target, rng, hands, at_palm=rng.random() < 0.5)


def _lay_hand(
    canvas: Canvas,
    face: Face,
    target: F64,
    rng: np.random.Generator,
    hands: Sequence[Hand],
    at_palm: bool,
    size: float = 1.0,
) -> None:
    hand = hands[int(rng.integers(len(hands)))]
    scale = face.height / (1.85 * 60) * size * rng.uniform(0.88, 1.12)  # a face is 18.5 cm high, the picture 60 px a dm
    outwards = np.sign((target - face.points[NOSE]) @ face.right)
    angle = float(np.arctan2(face.up[0], -face.up[1])) + rng.normal(-0.3 * outwards, 0.55)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * [flip, 1]
    anchor = hand.palm if at_palm else hand.tip
    matrix = np.column_stack([turn, target - turn @ anchor])
    picture = hand.picture
    if scale < 0.6:
        smaller = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        picture, matrix = smaller, np.column_stack([2 * turn, matrix[:, 2]])
    laid = cv2.warpAffine(picture, matrix, canvas.label.shape[::-1], flags=cv2.INTER_LINEAR)
    alpha = _alpha(laid[..., 3])
    paint = to_linear(laid[..., :3])
    if rng.random() < 0.75:  # one's own hand, lit as the face
        own = paint * (face.skin / hand.skin.clip(0.01)) * rng.uniform(0.75, 1.2)
    else:
        own = paint * rng.uniform(0.6, 1.2)
    canvas.shadow(alpha, 0.04 * face.height, rng.uniform(0.1, 0.6), rng)
    canvas.lay(alpha, np.asarray(own, np.float32), HAND)


def _microphone(canvas: Canvas, face: Face, rng: np.random.Generator, hands: Sequence[Hand]) -> None:
    """Held, on a stand, with foam or a grille, some with a station's cube."""
    head = face.place(rng.normal(0, 0.28), rng.uniform(-0.85, -0.2))
    towards = np.array([rng.normal(0, 0.6), 1.0])
    towards /= np.linalg.norm(towards)
    size, long = face.height * rng.uniform(0.07, 0.16), face.height * rng.uniform(0.6, 2.5)
    body = canvas.blank()
    _line(body, np.stack([head, head + towards * long]), size * rng.uniform(0.3, 1.3))
    alpha = _alpha(body)
    canvas.shadow(alpha, 0.04 * face.height, rng.uniform(0, 0.4), rng)
    canvas.lay(alpha, _tone(rng) * _rounded(alpha, 0.4 * size, rng)[..., None], OTHER)
    ball, angle = canvas.blank(), float(np.degrees(np.arctan2(towards[1], towards[0])))
    axes = (int(size * rng.uniform(1, 1.5)), int(size))
    cv2.ellipse(ball, tuple(int(x) for x in head), axes, angle, 0, 360, 255, -1, cv2.LINE_AA)
    alpha = _alpha(ball)
    grain = rng.standard_normal(ball.shape).astype(np.float32)
    if rng.random() < 0.5:  # a grille
        rows, columns = np.indices(ball.shape)
        pitch = max(0.12 * size, 1.0)
        grain = 2 * np.sin(rows * 2 / pitch) * np.sin(columns * 2 / pitch)
        tint = np.full(3, rng.uniform(0.08, 0.45))
    else:
        tint = _tone(rng)
    light = _rounded(alpha, size, rng) * (1 + rng.uniform(0.03, 0.25) * grain)
    canvas.lay(alpha, np.asarray(tint * light.clip(0.05, 2)[..., None], np.float32), OTHER)
    if rng.random() < 0.2:
        middle = head + towards * 1.8 * size
        across = np.array([-towards[1], towards[0]])
        box = middle + size * np.array([-across - towards, across - towards, across + towards, -across + towards])
        alpha = _filled(ball.shape, box)
        canvas.lay(alpha, _tone(rng) * _rounded(alpha, 0.2 * size, rng)[..., None], OTHER)
    if rng.random() < 0.35 and len(hands):
        _lay_hand(canvas, face, head + towards * rng.uniform(2, 4) * size, rng, hands, at_palm=True)


def _telephone(canvas: Canvas, face: Face, rng: np.random.Generator, hands: Sequence[Hand]) -> None:
    """At an ear, or taking a picture in the mirror."""
    side = rng.choice([-1.0, 1.0])
    wide, high = face.height * rng.uniform(0.18, 0.24), face.height * rng.uniform(0.4, 0.46)
    if rng.random() < 0.6:
        centre, angle = face.place(side * rng.uniform(0.3, 0.5), rng.uniform(-0.25, 0.1)), side * rng.uniform(0.0, 0.6)
        wide *= rng.uniform(0.25, 1)
    else:
        centre, angle = face.place(rng.normal(0, 0.25), rng.uniform(-0.4, 0.3)), rng.normal(0, 0.3)
    if len(hands) and rng.random() < 0.5:
        _lay_hand(canvas, face, centre - face.up * 0.1 * face.height, rng, hands, at_palm=True)
    mask, turn = canvas.blank(), angle + float(np.arctan2(face.right[1], face.right[0]))
    cos, sin = np.cos(turn), np.sin(turn)
    corner = 0.15 * wide
    box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (np.array([wide, high]) - corner)
    outline = centre + box @ np.array([[cos, sin], [-sin, cos]])
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 255, cv2.LINE_AA)
    _line(mask, outline, 2 * corner, closed=True)
    alpha = _alpha(mask)
    canvas.shadow(alpha, 0.03 * face.height, rng.uniform(0, 0.5), rng)
    canvas.lay(alpha, _tone(rng) * _rounded(alpha, corner, rng)[..., None], OTHER)
    for k in range(int(rng.integers(0, 4))):
        at = centre + np.array([[cos, sin], [-sin, cos]]).T @ (np.array([-0.55, -0.75 + 0.22 * k]) * [wide, high])
        cv2.circle(
            canvas.colour, tuple(int(x) for x in at), max(1, int(0.15 * wide)), (0.01, 0.01, 0.015), -1, cv2.LINE_AA
        )
    if len(hands) and rng.random() < 0.6:
        _lay_hand(canvas, face, centre - face.up * rng.uniform(0.2, 0.5) * face.height, rng, hands, at_palm=False)


def _cup(canvas: Canvas, face: Face, rng: np.random.Generator, hands: Sequence[Hand]) -> None:
    """Something to drink from."""
    rim = face.place(rng.normal(0, 0.1), -rng.uniform(0.15, 0.35))
    wide, high, lower = face.height * rng.uniform(0.18, 0.32), face.height * rng.uniform(0.35, 0.7), rng.uniform(0.6, 1)
    box = np.array([[-wide, 0], [wide, 0], [lower * wide, high], [-lower * wide, high]])
    alpha = _filled(canvas.label.shape, rim + box @ np.stack([face.right, -face.up]))
    rows, columns = (np.indices(alpha.shape) / len(alpha)).astype(np.float32)
    tint = _cloth(columns, rows, rng)
    canvas.shadow(alpha, 0.04 * face.height, rng.uniform(0, 0.5), rng)
    canvas.lay(alpha, to_linear((tint * 255).astype(np.uint8)) * _rounded(alpha, wide, rng)[..., None], OTHER)
    if len(hands) and rng.random() < 0.7:
        _lay_hand(canvas, face, rim - face.up * 0.5 * high + face.right * rng.normal(0, wide), rng, hands, at_palm=True)


def _paper(canvas: Canvas, face: Face, rng: np.random.Generator, hands: Sequence[Hand]) -> None:
    """A sheet, a book, a board, a leaf: any flat thing from the side or from below."""
    centre = face.place(rng.choice([-1, 1]) * rng.uniform(0.2, 1.0), -rng.uniform(-0.2, 0.9))
    corners = rng.uniform(0.3, 0.9, (4, 2)) * [[-1, -1], [1, -1], [1, 1], [-1, 1]] * face.height
    if rng.random() < 0.3:  # round
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        reach = face.height * rng.uniform(0.15, 0.5) * (1 + 0.2 * np.sin(3 * angle + rng.uniform(0, 6)))
        corners = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
    alpha = _filled(canvas.label.shape, centre + corners)
    rows, columns = (np.indices(alpha.shape) / len(alpha)).astype(np.float32)
    tint = _cloth(columns, rows, rng)
    canvas.shadow(alpha, 0.05 * face.height, rng.uniform(0, 0.5), rng)
    canvas.lay(alpha, to_linear((tint * 255).astype(np.uint8)) * np.float32(rng.uniform(0.4, 1.0)), OTHER)
    if len(hands) and rng.random() < 0.4:
        _lay_hand(canvas, face, centre + corners[0] * 0.9, rng, hands, at_palm=False)
