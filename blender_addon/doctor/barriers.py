"""What the face must not pass through: teeth, eyes, the other lip, the other lid. Knows no Blender.

Each is a height over a chart: teeth and lips in cylinder coordinates about the dental arch, eyes and lids in sphere
coordinates about the eyeball. So a test is one look into a grid, and all pairs of keys are tested in a moment.

Frame: the neutral head, metres, avatar axes. Dims: V vertices, F triangles, B states, S samples, P obstacle points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
Mask = NDArray[np.bool_]
Place = tuple[F32, F32, F32]  # each [...]: two coordinates along the obstacle and the height over it, m
Chart = Callable[[F32], Place]  # of points [..., 3]

_CELL = 0.0011  # m, of the grids
_ALONG = 0.001  # m, between the points that stand for an obstacle's triangles
_REACH = 0.012  # m, how far from the lips skin is looked at
_LID_REACH = 0.01  # m, from the eyeball
_UPPER_LID, _LOWER_LID = -0.003, -0.001  # m, how far up a blink moves them
_OF_LOWER_LIP = 0.25  # of the jaw's weight; the corners of the mouth belong to both
_MOUTH = ("lips", "face", "mouth_interior")
_FREE = -1.0  # m: nothing is there


@dataclass(frozen=True)
class Mesh:
    """The head as the doctor needs it."""

    vertices: F32  # [V, 3]
    faces: I32  # [F, 3]
    part: NDArray[np.str_]  # [V] the name of each vertex's part
    jaw: F32  # [V] how much of each vertex goes with the lower jaw, 0 to 1
    moves: Mapping[str, F32]  # [V, 3] m, what each key does


@dataclass(frozen=True)
class Points:
    """Points on triangles, each a mix of three vertices."""

    corners: I32  # [N, 3]
    mix: F32  # [N, 3] rows sum to 1

    def of(self, vertices: F32) -> F32:  # [..., V, 3] -> [..., N, 3]
        first, *others = (vertices[..., self.corners[:, corner], :] * self.mix[:, corner, None] for corner in range(3))
        for other in others:
            first += other
        return np.asarray(first)


@dataclass(frozen=True)
class Barrier:
    """Samples whose height must stay above the obstacle's."""

    name: str
    chart: Chart
    out: Callable[[F32], F32]  # [N, 3] -> [N, 3] unit vectors in which the height grows
    obstacle: Points
    samples: Points
    share: F32  # [V] how much of the way out each vertex goes; negative for what lies on the other side
    closed: str = ""  # the key with which the two touch: as deep as then is no fault

    def depths(
        self,
        vertices: F32,  # [B, V, 3]
        grid_of: NDArray[np.intp],  # [B] the state whose obstacle is the same
    ) -> F32:  # [B, S] m, how deep each sample is in; negative outside
        states = np.unique(grid_of)
        grids = _Grids.of(*self.chart(self.obstacle.of(vertices[states])))
        along, beside, height = self.chart(self.samples.of(vertices))
        return np.asarray(grids.look_up(np.searchsorted(states, grid_of), along, beside) - height)


@dataclass(frozen=True)
class _Grids:
    """The greatest height of an obstacle's points in each cell of its chart, for several states."""

    low: tuple[float, ...]
    height: F32  # [G, U, V] m, _FREE where nothing is

    @staticmethod
    def of(along: F32, beside: F32, height: F32) -> _Grids:  # each [G, P]
        # cells lie alike for all states, or the same state would be judged differently beside others
        low = tuple(float(np.floor(at.min() / _CELL)) * _CELL for at in (along, beside))
        rows, columns = ((at - start) / _CELL for at, start in zip((along, beside), low, strict=True))
        rows, columns = rows.astype(np.int32), columns.astype(np.int32)
        shape = int(rows.max()) + 1, int(columns.max()) + 1
        cells = rows * shape[1] + columns + np.arange(len(rows), dtype=np.int32)[:, None] * (shape[0] * shape[1])
        greatest = np.full(len(rows) * shape[0] * shape[1], _FREE, np.float32)
        # of what is written to the same cell the last stays, and that is the greatest
        order = np.argsort(height, axis=None)
        greatest[cells.ravel()[order]] = height.ravel()[order]
        return _Grids(low, greatest.reshape(len(rows), *shape))

    def look_up(self, grid: NDArray[np.intp], along: F32, beside: F32) -> F32:  # [B], twice [B, S] -> [B, S]
        rows = np.floor((along - self.low[0]) / _CELL).astype(np.int32)
        columns = np.floor((beside - self.low[1]) / _CELL).astype(np.int32)
        _, height, width = self.height.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        found = np.full(along.shape, _FREE, np.float32)
        which = np.broadcast_to(grid[:, None], inside.shape)[inside]
        found[inside] = self.height[which, rows[inside], columns[inside]]
        return found


def barriers(mesh: Mesh) -> list[Barrier]:
    """Every barrier that this head has the parts for."""
    found: list[Barrier] = []
    if {"teeth_upper", "teeth_lower", "lips"} <= set(mesh.part):
        found += _of_mouth(mesh)
    for side in ("left", "right"):
        if {f"eyeball_{side}", "eyelids"} <= set(mesh.part):
            found += _of_eye(mesh, side)
    return found


def near_barriers(mesh: Mesh) -> tuple[Mesh, NDArray[np.intp]]:
    """The part of a head that has to do with barriers, and which of its vertices that are."""
    chosen = np.isin(mesh.part, ("teeth_upper", "teeth_lower", "eyeball_left", "eyeball_right", "eyelids"))
    if (mesh.part == "lips").any():
        chosen |= np.isin(mesh.part, _MOUTH) & _near(mesh.vertices, mesh.vertices[mesh.part == "lips"], _REACH)
    kept = np.flatnonzero(chosen)
    number = np.cumsum(chosen, dtype=np.int32) - 1
    small = Mesh(
        mesh.vertices[kept],
        number[_triangles(mesh, chosen)],
        mesh.part[kept],
        mesh.jaw[kept],
        {name: move[kept] for name, move in mesh.moves.items()},
    )
    return small, kept


def _of_mouth(mesh: Mesh) -> list[Barrier]:
    teeth = np.isin(mesh.part, ("teeth_upper", "teeth_lower"))
    low, high = mesh.vertices[teeth].min(0), mesh.vertices[teeth].max(0)
    middle = np.array([(low[0] + high[0]) / 2, 0.0, low[2] + 0.3 * (high[2] - low[2])], np.float32)
    scale = np.float32(high[2] - middle[2])

    def around(points: F32) -> Place:  # along the arch, up, away from it
        x, y, z = (points[..., axis] - middle[axis] for axis in range(3))
        return np.arctan2(x, z) * scale, y, np.sqrt(x * x + z * z)

    def away(points: F32) -> F32:
        return _unit((points - middle) * np.array([1, 0, 1], np.float32))

    lips = mesh.part == "lips"
    near = np.isin(mesh.part, _MOUTH) & _near(mesh.vertices, mesh.vertices[lips], _REACH)
    near &= (mesh.part != "mouth_interior") | _outside_arch(around(mesh.vertices[teeth]), around(mesh.vertices))
    samples = _spread(mesh, near)
    of_lower = mesh.jaw > _OF_LOWER_LIP
    through = [
        Barrier(f"lips through the {row} teeth", around, away, _dense(mesh, mesh.part == f"teeth_{row}"), samples,
                near.astype(np.float32))
        for row in ("upper", "lower")
    ]  # fmt: skip
    each_other = Barrier(
        "the lips through each other", _layered(around), _up, _dense(mesh, lips & of_lower),
        _spread(mesh, lips & ~of_lower), np.where(of_lower, -0.5, 0.5).astype(np.float32) * near,
    )  # fmt: skip
    return [*through, each_other]


def _of_eye(mesh: Mesh, side: str) -> list[Barrier]:
    ball = mesh.part == f"eyeball_{side}"
    eye = mesh.vertices[ball]
    middle = (eye.min(0) + eye.max(0)) / 2
    radius = np.float32(np.linalg.norm(eye - middle, axis=1).mean())

    def around(points: F32) -> Place:  # to the side, up, away from the eye's middle
        x, y, z = (points[..., axis] - middle[axis] for axis in range(3))
        length = np.sqrt(x * x + y * y + z * z)
        return np.arctan2(x, z) * radius, np.arcsin(y / np.maximum(length, 1e-9)) * radius, length

    def away(points: F32) -> F32:
        return _unit(points - middle)

    lids = (mesh.part == "eyelids") & _near(mesh.vertices, eye, _LID_REACH)
    found = [
        Barrier(f"{side} lids through the eye", around, away, _dense(mesh, ball), _spread(mesh, lids),
                lids.astype(np.float32))
    ]  # fmt: skip
    blink = f"eyeBlink{side.capitalize()}"
    if blink in mesh.moves:
        up = mesh.moves[blink][:, 1]
        upper, lower = lids & (up < _UPPER_LID), lids & (up > _LOWER_LID) & (mesh.vertices[:, 1] < middle[1])
        found.append(
            Barrier(f"{side} lids through each other", _layered(around), _up, _dense(mesh, lower),
                    _spread(mesh, upper), np.where(up < _UPPER_LID, 0.5, -0.5).astype(np.float32) * lids, blink)
        )  # fmt: skip
    return found


def _layered(around: Chart) -> Chart:
    """A chart whose height is up, and whose second coordinate is the distance from the middle."""

    def layered(points: F32) -> Place:
        along, up, away = around(points)
        return along, away, up

    return layered


def _up(points: F32) -> F32:
    return np.asarray(np.broadcast_to(np.array([0, 1, 0], np.float32), points.shape))


def _unit(vectors: F32) -> F32:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def _outside_arch(teeth: Place, points: Place) -> Mask:  # [N] outside of the teeth's arch, whatever the height
    along = np.linspace(teeth[0].min(), teeth[0].max(), 24)
    slot = np.searchsorted(along, teeth[0])
    radius = np.array([teeth[2][slot == index].max(initial=0.0) for index in range(len(along))])
    there = radius > 0
    return np.asarray(points[2] > np.interp(points[0], along[there], radius[there]))


def _near(points: F32, others: F32, reach: float) -> Mask:  # [N]
    found = ((points > others.min(0) - reach) & (points < others.max(0) + reach)).all(1)
    found[found] = np.linalg.norm(points[found][:, None] - others[None], axis=2).min(1) < reach
    return np.asarray(found)


def _triangles(mesh: Mesh, chosen: Mask) -> I32:
    return np.asarray(mesh.faces[chosen[mesh.faces].all(1)])


def _dense(mesh: Mesh, chosen: Mask) -> Points:
    """Points all over the triangles of the chosen vertices, close enough to leave no cell between them empty."""
    faces = _triangles(mesh, chosen)
    corners = mesh.vertices[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
    steps = np.ceil(longest / _ALONG).astype(int)
    rows, mixes = [np.empty((0, 3), np.int32)], [np.empty((0, 3), np.float32)]
    for step in np.unique(steps):
        i, j = np.mgrid[0 : step + 1, 0 : step + 1].reshape(2, -1)
        inside = i + j <= step
        mix = np.stack([i[inside], j[inside], step - i[inside] - j[inside]], 1).astype(np.float32) / step
        these = faces[steps == step]
        rows.append(np.repeat(these, len(mix), axis=0))
        mixes.append(np.tile(mix, (len(these), 1)))
    return Points(np.concatenate(rows), np.concatenate(mixes))


def _spread(mesh: Mesh, chosen: Mask) -> Points:
    """The chosen vertices, and the middles of the triangles between them."""
    alone, faces = np.flatnonzero(chosen).astype(np.int32), _triangles(mesh, chosen)
    mix = np.full((len(alone) + len(faces), 3), 1 / 3, np.float32)
    mix[: len(alone)] = (1, 0, 0)
    return Points(np.concatenate([np.repeat(alone[:, None], 3, axis=1), faces]), mix)
