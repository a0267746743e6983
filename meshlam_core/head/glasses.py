"""The frame of a pair of glasses as a few numbers, and its mesh on a head: two rims, a bridge, two temples.

Frame and unit: avatar frame, metres. Dims: V vertices of the head, N points of an outline, M of a path, G vertices of
the mesh, T its triangles.

The rims lie in a sheet before the eyes, u to the subject's left and v up, leaning and wrapped around the face as
opticians fit them (pantoscopic tilt and face form, some degrees each: ISO 13666). The mesh only comes near the skin:
the sheet stands as far out as the rims need, the bridge arches over the nose, the temples run along the head to where
the ears begin, and down behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import cKDTree

from meshlam_core.avatar.record import Glasses
from meshlam_core.head.model import HeadModel
from meshlam_core.points import LEFT_EYE, LEFT_SIDE, RIGHT_EYE

F64 = NDArray[np.float64]

TILT = np.radians(6.0)  # of the sheet: its upper edge is farther out
WRAP = 0.9  # 1/m, how the sheet bends back to the sides: 0.9 u^2
SELLION = 168  # the landmark at the root of the nose
CLEAR = 0.001  # m between frame and skin
POINTS = 48  # of a rim's outline
SIDES = 8  # of a tube's section
DEEPEST = 0.0032  # m from a rim's front to its back, at most
HINGE = 0.45  # of the rims' half height: where the temples begin
BRIDGE = 0.35  # and the bridge
GRIP = 0.002  # m from an ear's root to where other skin begins
BEHIND = np.array(
    [[-0.001, -0.008, -0.010], [-0.003, -0.021, -0.018], [-0.005, -0.033, -0.021]]
)  # m, of a temple's end
SKIN = ("face", "eyelids", "scalp", "neck")


@dataclass(frozen=True)
class FrameShape:
    """What distinguishes one frame from another. Lengths in metres, measured in the sheet."""

    across: float  # of the frame's middle from the head's own
    up: float  # of the rims' centres from the eyes' height
    gap: float  # half the distance between the rims
    width: float  # half a rim's
    height: float  # half a rim's
    power: float  # 2: an ellipse; the higher, the squarer
    taper: float  # how much wider a rim is above than below
    thickness: float = 0.002  # of the rims, seen from the front

    @property
    def numbers(self) -> F64:  # [7] all but the thickness
        return np.array([self.across, self.up, self.gap, self.width, self.height, self.power, self.taper])


@dataclass(frozen=True)
class Sheet:
    """The bent sheet before the eyes that the rims lie in."""

    eyes: float  # m, their height
    depth: float  # m, z of its middle at that height

    @classmethod
    def before(cls, landmarks: F64) -> Sheet:  # [L, 3] of the neutral head
        """Close to the root of the nose."""
        eyes = landmarks[np.concatenate([RIGHT_EYE, LEFT_EYE]), 1].mean()
        return cls(float(eyes), float(landmarks[SELLION, 2]) + 0.003)

    def points(self, uv: F64) -> F64:  # [..., 2] -> [..., 3]
        """Places on it."""
        u, v = uv[..., 0], uv[..., 1]
        return np.stack([u, self.eyes + v * np.cos(TILT), self.depth + v * np.sin(TILT) - WRAP * u * u], axis=-1)

    def clear_of(self, skin: Skin, shape: FrameShape) -> Sheet:
        """As far out as a frame needs so as not to touch the face."""
        half = shape.thickness / 2
        edges = [
            replace(shape, gap=shape.gap - more, width=shape.width + more, height=shape.height + more)
            for more in (-half, 0.0, half)
        ]
        rims = np.concatenate([self.points(outline) for edge in edges for outline in rims_of(edge)])
        lacking = float((skin.front(rims) - rims[:, 2]).max()) + _depth(shape) / 2 + CLEAR
        return replace(self, depth=self.depth + lacking)


def rounded_outline(power: NDArray[np.floating], count: int) -> F64:  # [K] -> [K, count, 2] in -1..1
    """Superellipses |x|^p + |y|^p = 1, from circles to nearly squares, counter-clockwise from (1, 0)."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    exponent = 2 / np.asarray(power, np.float64)[:, None]
    x, y = (np.sign(f(angle)) * np.abs(f(angle)) ** exponent for f in (np.cos, np.sin))
    return np.stack([x, y], axis=-1)


def outlines(numbers: F64, count: int = POINTS) -> F64:  # [K, 7] of FrameShape -> [K, count, 2]
    """Rims about their centres, u outwards from the nose."""
    form = rounded_outline(numbers[:, 5], count)
    wider = 1 + numbers[:, 6, None] * form[..., 1]
    return np.stack([numbers[:, 3, None] * form[..., 0] * wider, numbers[:, 4, None] * form[..., 1]], axis=-1)


def rims_of(shape: FrameShape) -> tuple[F64, F64]:  # [N, 2] each, in the sheet
    """The middle lines of the rims of the subject's left and right."""
    form = _even(outlines(shape.numbers[None])[0])
    centre = shape.gap + shape.width
    left, right = (form * [side, 1] + [shape.across + side * centre, shape.up] for side in (1, -1))
    return left, right


class Skin:
    """Where the skin of a head is, seen from the front and from its sides. Hair and ears do not count."""

    def __init__(self, vertices: NDArray[np.floating], head: HeadModel) -> None:
        places: F64 = np.asarray(vertices, np.float64)
        self.landmarks = np.asarray(head.landmarks(places.astype(np.float32)), np.float64)
        chosen = np.isin(head.part, [head.parts.index(name) for name in SKIN if name in head.parts])
        skin = places[chosen] if chosen.any() else places
        ahead = skin[skin[:, 2] > np.median(skin[:, 2])]
        self._front = LinearNDInterpolator(ahead[:, :2], ahead[:, 2], fill_value=-1.0)
        self._sides = {}
        for side in (1, -1):
            own = skin[side * skin[:, 0] > 0.4 * abs(skin[:, 0]).max()]
            self._sides[side] = LinearNDInterpolator(own[:, 1:], side * own[:, 0], fill_value=0.0)
        self._ears = self._roots(head, places, skin)

    def front(self, points: F64) -> F64:  # [P, 3] -> [P] m
        """z of the skin before which the points lie; far behind where there is none."""
        return np.asarray(self._front(points[:, :2]))

    def beside(self, points: F64, side: int) -> F64:  # [P, 3] -> [P] m
        """How far out the skin is at their height and depth; 1: the subject's left."""
        return np.asarray(self._sides[side](points[:, 1:]))

    def ear(self, side: int) -> F64:  # [3]
        """Where a temple rests: the top of an ear's root."""
        return self._ears[side]

    def _roots(self, head: HeadModel, vertices: F64, skin: F64) -> dict[int, F64]:
        found = {}
        ears = vertices[head.part == head.parts.index("ears")] if "ears" in head.parts else vertices[:0]
        for side in (1, -1):
            own = ears[side * ears[:, 0] > 0]
            root = own[cKDTree(skin).query(own)[0] < GRIP] if len(own) else own
            if len(root):
                found[side] = root[root[:, 1].argmax()]
            else:  # a head without ears: about where they are
                found[side] = self.landmarks[LEFT_SIDE] * [side, 1, 1] + [0, 0.01, -0.02]
        return found


def build_glasses(shape: FrameShape, sheet: Sheet, skin: Skin, colour: NDArray[np.floating], joint: str) -> Glasses:
    """The mesh of a frame on a head, in one piece of rims, bridge and temples.

    `colour` is [3] sRGB, 0..1; `joint` names what it moves with. `sheet` is clear of the skin.
    """
    thick, deep = shape.thickness / 2, _depth(shape) / 2
    tubes = []
    for side, outline in zip((1, -1), rims_of(shape), strict=True):
        rim = sheet.points(outline)
        tubes.append(_tube(rim, np.array([0, 0, 1.0]), thick, deep, closed=True))
        tubes.append(
            _tube(temple_line(shape, sheet, skin, side), np.array([0, 1.0, 0]), max(0.7 * thick, 0.0007), 0.0013)
        )
    tubes.append(_tube(bridge_line(shape, sheet, skin), np.array([0, 0, 1.0]), max(0.8 * thick, 0.0006), deep))
    offsets = np.cumsum([0, *(len(points) for points, _ in tubes)])
    return Glasses(
        vertices=np.concatenate([points for points, _ in tubes]).astype(np.float32),
        faces=np.concatenate([faces + o for (_, faces), o in zip(tubes, offsets, strict=False)]).astype(np.int32),
        colour=np.asarray(colour, np.float32),
        joint=joint,
    )


def _depth(shape: FrameShape) -> float:
    """From front to back: wire is round, thick rims are flat."""
    return min(max(shape.thickness, 0.0012), DEEPEST)


def bridge_line(shape: FrameShape, sheet: Sheet, skin: Skin) -> F64:  # [M, 3]
    """From rim to rim, over the nose."""
    t = np.linspace(-1, 1, 17)
    high = shape.up + BRIDGE * shape.height
    inner = shape.width * (1 - (1 - BRIDGE**shape.power) ** (1 / shape.power))  # of the rim at that height
    path = sheet.points(np.stack([shape.across + t * (shape.gap + inner), high + 0.0015 * (1 - t * t)], axis=-1))
    half = np.array([0, shape.thickness / 2, 0])
    nose = np.max([skin.front(path + beside) for beside in (-half, 0 * half, half)], axis=0)
    lacking = nose + _depth(shape) / 2 + CLEAR - path[:, 2]
    path[:, 2] += (1 - t * t) * max(float((lacking[1:-1] / (1 - t * t)[1:-1]).max()), 0.001)
    return path


def temple_line(shape: FrameShape, sheet: Sheet, skin: Skin, side: int) -> F64:  # [M, 3]
    """From the outer edge of a rim to the ear and down behind it, outside of the skin."""
    high = HINGE * shape.height
    edge = shape.width * (1 - HINGE**shape.power) ** (1 / shape.power) * (1 + shape.taper * HINGE)
    hinge = sheet.points(np.array([shape.across + side * (shape.gap + shape.width + edge), shape.up + high]))
    ear = skin.ear(side) + np.array([0, 0.0015, 0])
    corner = hinge + np.array([side * 0.004, 0, -0.004])
    along = np.linspace(0, 1, 14)[:, None]
    path = np.concatenate([hinge[None], corner + along * (ear - corner), ear + BEHIND * [side, 1, 1]])
    out = skin.beside(path, side) + 0.0013 + CLEAR
    lacking = np.maximum(out - side * path[:, 0], 0)
    lacking[0] = 0.0  # the hinge stands before the face
    path[:, 0] += side * lacking
    return _refined(path, 4)


def _even(outline: F64) -> F64:  # [N, 2] closed
    """The same line with points at even distances."""
    ring = np.concatenate([outline, outline[:1]])
    walked = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1))])
    at = np.linspace(0, walked[-1], len(outline), endpoint=False)
    return np.stack([np.interp(at, walked, ring[:, k]) for k in range(2)], axis=1)


def _refined(path: F64, times: int) -> F64:  # [M, 3]
    """A Catmull-Rom curve through the points."""
    ends = np.concatenate([2 * path[:1] - path[1:2], path, 2 * path[-1:] - path[-2:-1]])
    t = (np.arange(times) / times)[:, None, None]
    a, b, c, d = (ends[k : len(path) - 1 + k] for k in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 3), path[-1:]])


def _tube(
    path: F64,  # [M, 3]
    deep: F64,  # [3] about the direction of the section's second axis
    thick: float,  # m, half the section's first axis
    depth: float,  # m, half its second
    closed: bool = False,
) -> tuple[F64, NDArray[np.int32]]:  # [G, 3] and [T, 3] counter-clockwise from outside
    """A tube of an elliptic section; open ones are capped."""
    around = (np.roll(path, -1, 0) - np.roll(path, 1, 0)) if closed else np.gradient(path, axis=0)
    ahead = around / np.linalg.norm(around, axis=1, keepdims=True)
    first = np.cross(deep, ahead)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(ahead, first)
    angle = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)[:, None]
    rings = path[:, None] + thick * np.cos(angle) * first[:, None] + depth * np.sin(angle) * second[:, None]
    count = len(path)
    row, column = np.meshgrid(np.arange(count if closed else count - 1), np.arange(SIDES), indexing="ij")
    after, beside = (row + 1) % count, (column + 1) % SIDES
    corners = [r * SIDES + c for r, c in ((row, column), (row, beside), (after, beside), (after, column))]
    quads = np.stack(corners, axis=-1).reshape(-1, 4)
    faces = [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
    if not closed:
        fan = np.stack([np.zeros(SIDES - 2, int), np.arange(1, SIDES - 1), np.arange(2, SIDES)], axis=1)
        faces += [fan[:, ::-1], fan + (count - 1) * SIDES]
    return rings.reshape(-1, 3), np.concatenate(faces).astype(np.int32)
