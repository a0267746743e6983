"""What the face must not pass through: teeth, eyes, the other lip. Knows no Blender.

Teeth and eyes are heights over a chart, in cylinder coordinates about the dental arch and in sphere coordinates about
the eyeball, so that a test is one look into a grid, and all pairs of keys are tested in a moment. For the lips'
contact with each other see contacts.py.

Frame: the neutral head, metres, avatar axes. Dims: V vertices, F triangles, B states, S samples, P obstacle points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .contacts import Contact
from .shapes import F32, Chart, Mask, Mesh, Place, Points, dense, nearness, spread, triangles, within

_CELL = 0.0011  # m, of the grids
_AROUND = 0.008  # m, how far the skin around goes along
_REACH = 0.012  # m, how far from the lips skin is looked at
_LID_REACH = 0.01  # m, from the eyeball
_FREE_LIPS = 0.003  # m, from the corners, where they are one
_SEAM = 0.7  # of that: nearer ones are not tested
_OF_LOWER_LIP = 0.25  # of the jaw's weight; the corners of the mouth belong to both
_MOUTH = ("lips", "face", "mouth_interior")
_EYE = ("eyelids", "face", "eye_sockets")
_FREE = -1.0  # m: nothing is there
_MEANT_LIPS = (("jawOpen", "mouthClose"), ("mouthSmileLeft",), ("mouthSmileRight",))


@dataclass(frozen=True)
class Barrier:
    """Samples whose height must stay above the obstacle's."""

    name: str
    chart: Chart
    out: Callable[[F32], F32]  # [N, 3] -> [N, 3] unit vectors in which the height grows
    obstacle: Points
    samples: Points
    share: F32  # [V] how much of the way out each vertex goes; negative for what lies on the other side
    rest: F32  # [V, 3]

    @property
    def vertices(self) -> NDArray[np.intp]:
        """All that has to do with it."""
        return np.unique(np.concatenate([self.samples.corners.ravel(), self.obstacle.corners.ravel()]))

    @property
    def still(self) -> NDArray[np.intp]:
        """Of these, what `depths` need not look at again in every state where it does not move."""
        return np.unique(self.obstacle.corners)

    def push(self, state: F32, depth: F32, aim: float) -> F32:
        """[V, 3] the way out, for the samples that are deeper in than `aim` and, ever less, for the skin around.
        `state` [V, 3], `depth` [S], m."""
        sources = self.samples.of(self.rest)[depth > aim]
        movable = np.flatnonzero(self.share)
        way = (nearness(self.rest[movable], sources, _AROUND) * (depth[depth > aim] + aim)).max(1)
        push = np.zeros_like(state)
        push[movable] = (way * self.share[movable])[:, None] * self.out(state[movable])
        return push

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


def barriers(mesh: Mesh) -> list[Barrier | Contact]:
    """Every barrier that this head has the parts for."""
    found: list[Barrier | Contact] = []
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
        chosen |= np.isin(mesh.part, _MOUTH) & within(mesh.vertices, mesh.vertices[mesh.part == "lips"], _REACH)
    if (mesh.part == "eyelids").any():
        chosen |= np.isin(mesh.part, _EYE) & within(mesh.vertices, mesh.vertices[mesh.part == "eyelids"], _LID_REACH)
    kept = np.flatnonzero(chosen)
    number = np.cumsum(chosen, dtype=np.int32) - 1
    small = Mesh(
        mesh.vertices[kept],
        number[triangles(mesh.faces, chosen)],
        mesh.part[kept],
        mesh.jaw[kept],
        {name: move[kept] for name, move in mesh.moves.items()},
    )
    return small, kept


def _of_mouth(mesh: Mesh) -> list[Barrier | Contact]:
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
    about = np.isin(mesh.part, _MOUTH) & within(mesh.vertices, mesh.vertices[lips], _REACH)
    near = about & (
        (mesh.part != "mouth_interior") | _outside_arch(around(mesh.vertices[teeth]), around(mesh.vertices))
    )
    samples = spread(mesh, near)
    of_lower = mesh.jaw > _OF_LOWER_LIP
    through = [
        Barrier(f"lips through the {row} teeth", around, away, dense(mesh, mesh.part == f"teeth_{row}"), samples,
                near.astype(np.float32), mesh.vertices)
        for row in ("upper", "lower")
    ]  # fmt: skip
    upper, lower = about & ~of_lower, about & of_lower
    free = _from_seam(mesh, upper, lower, _FREE_LIPS)
    tested = lips & (free > _SEAM)
    share = np.where(of_lower, -0.5, 0.5).astype(np.float32) * about * free
    return [
        *through,
        Contact("the upper lip through the lower", around, _up, lower, spread(mesh, tested & upper, sides=True), share,
                mesh.faces, mesh.vertices, _MEANT_LIPS),
        Contact("the lower lip through the upper", around, _down, upper,
                spread(mesh, tested & lower, sides=True), -share, mesh.faces, mesh.vertices,
                _MEANT_LIPS),
    ]  # fmt: skip


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

    lids = (mesh.part == "eyelids") & within(mesh.vertices, eye, _LID_REACH)
    skin = np.isin(mesh.part, ("eyelids", "face")) & within(mesh.vertices, mesh.vertices[lids], _LID_REACH)
    # lids that close lie one in the other, hidden: moved apart, their line would be jagged
    return [
        Barrier(f"{side} lids and skin through the eye", around, away, dense(mesh, ball), spread(mesh, skin),
                skin.astype(np.float32), mesh.vertices)
    ]  # fmt: skip


def _from_seam(mesh: Mesh, one: Mask, other: Mask, reach: float) -> F32:
    """[V] 0 where two sheets are one, up to 1 where they are free to move apart."""
    joined = mesh.faces[one[mesh.faces].any(1) & other[mesh.faces].any(1)]
    seam = np.unique(joined[(one | other)[joined].all(1)])
    chosen = np.flatnonzero(one | other)
    found = np.zeros(len(one), np.float32)
    apart = np.linalg.norm(mesh.vertices[chosen][:, None] - mesh.vertices[seam][None], axis=2)
    found[chosen] = np.clip(apart.min(1, initial=reach) / reach, 0, 1)
    return found


def _up(points: F32) -> F32:
    return np.asarray(np.broadcast_to(np.array([0, 1, 0], np.float32), points.shape))


def _down(points: F32) -> F32:
    return -_up(points)


def _unit(vectors: F32) -> F32:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def _outside_arch(teeth: Place, points: Place) -> Mask:  # [N] outside of the teeth's arch, whatever the height
    along = np.linspace(teeth[0].min(), teeth[0].max(), 24)
    slot = np.searchsorted(along, teeth[0])
    radius = np.array([teeth[2][slot == index].max(initial=0.0) for index in range(len(along))])
    there = radius > 0
    return np.asarray(points[2] > np.interp(points[0], along[there], radius[there]))
