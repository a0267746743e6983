"""Two sheets of skin that may touch but not go through each other: one lip and the other.

What is behind a sheet is told by the sheet's nearest point and its normal there, so that it holds for whatever way two
sheets lie, and what is in can be moved out by just as much as it is in: more would leave the mouth ajar.

Frame: the neutral head, metres, avatar axes. Dims: V vertices, B states, S samples, T vertices of the obstacle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .shapes import F32, I32, Chart, Mask, Place, Points, nearness, triangles

_FREE = -1.0  # m: nothing is there
_NEAR = 0.006  # m: what is deeper in than this is not told from what is on the sheet's other side
_SEAM = 0.99  # of a nearest point that lies on the sheet's edge, beyond which nothing is known
_FACING = 0.2  # cosine: two sheets that touch face each other
_BEFORE = 0.0002  # m
_AROUND = 0.008  # m, how far the skin around goes along; across the sheets' line
_ALONG = 2.5  # less along it


@dataclass(frozen=True)
class Contact:
    """Samples of one sheet that must not be behind another."""

    name: str
    chart: Chart
    out: Callable[[F32], F32]  # [N, 3] -> [N, 3] unit vectors, the samples' way out
    obstacle: Mask  # [V] the other sheet
    samples: Points
    share: F32  # [V] how much of the way out each vertex goes; negative for what lies on the other side
    faces: I32  # [F, 3] of the whole mesh
    rest: F32  # [V, 3]
    meant: tuple[tuple[str, ...], ...] = ()  # keys that lay one sheet into the other, hidden
    _numbers: I32 = field(init=False)  # [T] the obstacle's vertices
    _corners: I32 = field(init=False)  # [T, N] the triangles about each, by row of _faces; repeated where fewer
    _faces: I32 = field(init=False)  # [G, 3] the obstacle's triangles, by vertex
    _own: I32 = field(init=False)  # [G, 3] the triangles about the samples, by vertex
    _edge: Mask = field(init=False)  # [V] on the obstacle's edge

    def __post_init__(self) -> None:
        faces = triangles(self.faces, self.obstacle)
        numbers = np.unique(faces).astype(np.int32)
        about = [np.flatnonzero((faces == number).any(1)) for number in numbers]
        most = max(map(len, about), default=1)
        corners = np.array([np.resize(rows, most) for rows in about], np.int32).reshape(len(numbers), most)
        sampled = np.zeros(len(self.obstacle), bool)
        sampled[self.samples.corners] = True
        own = self.faces[sampled[self.faces].any(1)]
        for name, value in (("_own", own), ("_numbers", numbers), ("_corners", corners), ("_faces", faces),
                            ("_edge", _edge(faces, len(self.obstacle)))):  # fmt: skip
            object.__setattr__(self, name, value)

    @property
    def vertices(self) -> NDArray[np.intp]:
        """All that has to do with it."""
        return np.unique(np.concatenate([self.samples.corners.ravel(), self._faces.ravel()]))

    @property
    def still(self) -> NDArray[np.intp]:
        """Nothing of it is looked at but once."""
        return np.empty(0, np.intp)

    def depths(self, vertices: F32, _same: NDArray[np.intp] | None = None) -> F32:  # [B, V, 3] -> [B, S] m
        """How far each sample is behind the obstacle; negative in front."""
        normals, facing = _normals(vertices, self._faces), self.samples.of(_normals(vertices, self._own))
        middle = self.rest[self._numbers].mean(0)
        samples, sheet = self.samples.of(vertices) - middle, vertices[:, self._numbers] - middle
        # |p - t|^2 but for |p|^2
        nearest = (_dot(sheet, sheet)[:, None] - 2 * (samples @ sheet.transpose(0, 2, 1))).argmin(2)
        rows = np.arange(len(vertices))[:, None]
        way = samples - sheet[rows, nearest]
        behind = _dot(way, normals[rows, self._numbers[nearest]])
        # what is well in front of the nearest vertex is in front of its triangles, too
        state, sample = np.nonzero((_dot(way, way) < _NEAR**2) & (behind < _BEFORE))
        depth = np.full(samples.shape[:2], _FREE, np.float32)
        depth[state, sample] = self._on_triangles(
            vertices, normals, state, samples[state, sample] + middle, facing[state, sample], nearest[state, sample]
        )
        return depth

    def push(self, state: F32, depth: F32, aim: float) -> F32:
        """[V, 3] the way out, shared by both sheets, for the samples that are deeper in than `aim` and, ever less,
        for the skin around. `state` [V, 3], `depth` [S], m."""
        inside, movable = depth > aim, np.flatnonzero(self.share)
        # where they are now
        there, sources = (_drawn(self.chart(points)) for points in (state[movable], self.samples.of(state)[inside]))
        way = (nearness(there, sources, _AROUND) * (depth[inside] - aim / 2)).max(1)
        push = np.zeros_like(state)
        push[movable] = (way * self.share[movable])[:, None] * self.out(state[movable])
        return push

    def _on_triangles(
        self, vertices: F32, normals: F32, state: NDArray[np.intp], points: F32, facing: F32, nearest: NDArray[np.intp]
    ) -> F32:  # points [N, 3] of states [N] -> [N] m
        faces = self._faces[self._corners[nearest]]  # [N, M, 3]
        corners = vertices[state[:, None, None], faces]
        mix = closest(points[:, None], corners)
        spot = np.einsum("nmc,nmci->nmi", mix, corners)
        best = _dot(points[:, None] - spot, points[:, None] - spot).argmin(1)
        rows = np.arange(len(points))
        mix, faces, spot = mix[rows, best], faces[rows, best], spot[rows, best]
        normal = np.einsum("nc,nci->ni", mix, normals[state[:, None], faces])
        away = points - spot
        depth = np.sqrt(_dot(away, away)) * -np.sign(_dot(away, normal))
        unknown = (mix * self._edge[faces]).sum(1) > _SEAM
        return np.where(unknown | (_dot(facing, normal) > _FACING), _FREE, depth)


def _drawn(place: Place) -> F32:
    """[N, 3] with distances along the obstacle longer than they are."""
    return np.stack([place[0] * np.float32(_ALONG), place[1], place[2]], -1)


def _normals(vertices: F32, faces: I32) -> F32:  # [B, V, 3] unit vectors, zero where no triangle is
    a, b, c = (vertices[:, faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    found = np.zeros_like(vertices)
    for corner in range(3):
        order = np.argsort(faces[:, corner], kind="stable")
        at, first = np.unique(faces[order, corner], return_index=True)
        found[:, at] += np.add.reduceat(across[:, order], first, axis=1)
    return np.asarray(found / np.maximum(np.sqrt(_dot(found, found)), 1e-12)[..., None])


def closest(points: F32, corners: F32) -> F32:
    """[..., 3] the mix of a triangle's corners [..., 3, 3] that is nearest to a point [..., 3]."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    one, two, way = b - a, c - a, points - a

    aa, ab, bb, pa, pb = _dot(one, one), _dot(one, two), _dot(two, two), _dot(way, one), _dot(way, two)
    area = np.maximum(aa * bb - ab * ab, 1e-20)
    v, w = (bb * pa - ab * pb) / area, (aa * pb - ab * pa) / area
    mixes = [np.stack([1 - v - w, v, w], -1)]
    for corner in range(3):  # on the side from this corner to the next
        start, end = corners[..., corner, :], corners[..., (corner + 1) % 3, :]
        side = end - start
        along = np.clip(_dot(points - start, side) / np.maximum(_dot(side, side), 1e-20), 0, 1)
        mix = np.zeros((*along.shape, 3), np.float32)
        mix[..., corner], mix[..., (corner + 1) % 3] = 1 - along, along
        mixes.append(mix)
    ways = [points - np.einsum("...c,...ci->...i", mix, corners) for mix in mixes]
    off = np.stack([_dot(off, off) for off in ways], -1)
    off[..., 0] = np.where((mixes[0] >= 0).all(-1), off[..., 0], np.inf)
    best = off.argmin(-1)
    return np.asarray(np.take_along_axis(np.stack(mixes, -2), best[..., None, None], -2)[..., 0, :])


def _dot(a: F32, b: F32) -> F32:  # [..., 3] -> [...]
    return np.asarray(np.einsum("...i,...i->...", a, b))


def _edge(faces: I32, count: int) -> Mask:  # [V] on an edge that only one triangle has
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    sides, often = np.unique(sides, axis=0, return_counts=True)
    found = np.zeros(count, bool)
    found[sides[often == 1]] = True
    return found
