"""Shrink-wrap a hair surface: how far each of the head's rays runs until the hair ends.

Frame: avatar frame (see frames.py), metres, on the template. Dims: Q vertices that hair moves, P points, G triangles,
H hair vertices, V head vertices, [X, Y, Z] voxels.

Hair meshes are strips and cards with gaps, not solids. They are splatted into a grid and closed there (grown by
GAP / 2, then shrunk by as much), so that gaps narrower than GAP are bridged and no outside moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from meshlam_core.head.hair import HairModel
from meshlam_core.head.model import HeadModel
from training.hairstyles.field import edges_of, skin_faces
from training.hairstyles.meshes import TrueHair

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

VOXEL = 0.003  # m
GAP = 0.020  # m between cards that is bridged
FLOOR = -0.36  # m, height below which no ray leads
STEP = 0.002  # m along a ray
JUDGED = 6000  # points of a surface that errors are measured at
SMOOTHING = 0.15  # how much a bend of the hull costs beside leaving the surface
TOO_FAR = 0.0015  # m by which the voxels' size moves the surface outwards
VIEWS = np.array([(x, y, z) for x in (-1, 0, 1) for y in (0, 1) for z in (-1, 0, 1) if (x, y, z) != (0, 0, 0)], float)
VIEWS /= np.linalg.norm(VIEWS, axis=1, keepdims=True)
COVERED = (0.25, 0.7)  # share of an ear under hair: seen below the first, hidden above the second


@dataclass(frozen=True)
class Solid:
    """A closed hair volume: positive inside, in metres from its surface."""

    grid: NDArray[np.float32]  # [X, Y, Z]
    corner: F64  # [3] m, centre of the first voxel

    def __call__(
        self,
        points: F64,  # [P, 3] m
    ) -> F64:  # [P]
        place = (points - self.corner) / VOXEL
        return np.asarray(map_coordinates(self.grid, place.T, order=1, mode="constant", cval=-GAP))


def surface_points(
    vertices: F64,  # [H, 3]
    faces: I64,  # [G, 3]
    spacing: float,  # m
) -> tuple[F64, I64]:  # [P, 3], [P] triangle of each
    """Points spread evenly over the triangles, no further apart than `spacing`; the same for the same mesh."""
    corners = vertices[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    points, owners = [], []
    rows = np.ceil(longest / spacing).astype(int).clip(1, 400)
    for n in np.unique(rows):
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        keep = i + j <= n
        u, v = i[keep] / n, j[keep] / n
        chosen = np.flatnonzero(rows == n)
        bary = np.stack([1 - u - v, u, v], axis=1)
        points.append(np.einsum("pk,gkd->gpd", bary, corners[chosen]).reshape(-1, 3))
        owners.append(np.repeat(chosen, len(bary)))
    return np.concatenate(points), np.concatenate(owners)


def closed_solid(hair: TrueHair) -> Solid:
    """The volume between and under the cards, above the FLOOR."""
    points, _ = surface_points(hair.vertices, hair.faces, VOXEL / 2)
    points = points[points[:, 1] > FLOOR]
    corner = points.min(axis=0) - GAP
    size = np.ceil((points.max(axis=0) + GAP - corner) / VOXEL).astype(int) + 1
    occupied = np.zeros(size, np.bool_)
    occupied[tuple(np.rint((points - corner) / VOXEL).astype(int).T)] = True
    grown = distance_transform_edt(~occupied) * VOXEL <= GAP / 2
    inside = distance_transform_edt(grown) * VOXEL
    return Solid((inside - GAP / 2).astype(np.float32), corner)


def cast(
    starts: F64,  # [Q, 3] m, the bald head with flat ears
    directions: NDArray[np.floating],  # [Q, 3] unit
    reach: NDArray[np.floating],  # [Q] m
    solid: Callable[[F64], F64],  # positive inside
    step: float = STEP,
) -> F64:  # [Q] m
    """Where each ray leaves the solid for the last time; 0 where it meets none."""
    count = int(np.ceil(reach.max() / step)) + 1
    along = np.linspace(0, 1, count + 1)[1:]  # of the reach: rays of little reach are sampled finer
    distance = along * reach[:, None]
    value = solid((starts[:, None] + distance[..., None] * directions[:, None]).reshape(-1, 3)).reshape(distance.shape)
    inside = value > 0
    last = count - 1 - inside[:, ::-1].argmax(axis=1)
    row = np.arange(len(starts))
    beyond = (last + 1).clip(max=count - 1)
    here, there = value[row, last], value[row, beyond]
    part = np.where(beyond > last, here / (here - there).clip(1e-9), 0)
    grown = distance[row, last] + part.clip(0, 1) * (distance[row, beyond] - distance[row, last])
    return np.asarray(np.where(inside.any(axis=1), grown, 0))


@lru_cache(maxsize=4)
def _bending(key: int, faces: bytes, indices: bytes) -> sp.csr_matrix:
    """[Q, Q] second differences over the mesh among the vertices that hair moves."""
    rows = np.frombuffer(indices, np.int32)
    place = np.full(key, -1)
    place[rows] = np.arange(len(rows))
    edges = edges_of(np.frombuffer(faces, np.int64).reshape(-1, 3))
    edges = place[edges]
    edges = edges[(edges >= 0).all(axis=1)]
    links = sp.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (len(rows), len(rows))).tocsr()
    links = links + links.T
    degree = np.asarray(links.sum(axis=1)).ravel()
    return (sp.identity(len(rows)) - sp.diags(1 / degree.clip(1)) @ links).tocsr()


def bending(head: HeadModel, hair: HairModel) -> sp.csr_matrix:  # [Q, Q]
    """Each vertex minus the mean of its neighbours."""
    return _bending(len(head.template), skin_faces(head).tobytes(), hair.indices.tobytes())


def smoothed(
    growth: F64,  # [Q] m
    trust: NDArray[np.floating],  # [Q] 0 where the neighbours decide
    head: HeadModel,
    hair: HairModel,
) -> F64:  # [Q] m, within the reach
    """Growths near the given ones that bend little over the mesh."""
    bend = bending(head, hair)
    system = sp.diags(trust + 1e-4) + SMOOTHING * (bend.T @ bend)
    return np.asarray(spsolve(system.tocsc(), trust * growth).clip(0, hair.reach))


def flat_starts(head: HeadModel, hair: HairModel) -> F64:  # [Q, 3] m
    """Where the rays begin: the template with its ears laid flat."""
    return hair.hull(head.template, np.zeros(len(hair.indices)), (1.0, 1.0))[hair.indices].astype(np.float64)


def ears_under(
    solid: Callable[[F64], F64],
    head: HeadModel,
    hair: HairModel,
) -> tuple[float, float]:  # left, right
    """How far hair hides each ear: the share of its vertices that lie under hair, seen from outside."""
    result = []
    for side in (1, -1):
        ear = hair.indices[hair.ear == side]
        points = head.template[ear].astype(np.float64)
        outwards = np.tile([float(side), 0.0, 0.0], (len(points), 1))
        share = float((cast(points, outwards, np.full(len(points), 0.12), solid) > 0).mean())
        result.append(float(np.clip((share - COVERED[0]) / (COVERED[1] - COVERED[0]), 0, 1)))
    return result[0], result[1]


def wrap(
    surface: TrueHair,
    head: HeadModel,
    hair: HairModel,
) -> tuple[F64, tuple[float, float]]:  # [Q] m, hidden ears left and right
    """A hair mesh as a hairstyle."""
    solid = closed_solid(surface)
    ears = ears_under(solid, head, hair)
    raw = cast(flat_starts(head, hair), hair.directions.astype(np.float64), hair.reach.astype(np.float64), solid)
    return smoothed((raw - TOO_FAR).clip(0), hair.growing(ears), head, hair), ears


def seen_from_outside(
    points: F64,  # [P, 3] m
    solid: Solid,
) -> NDArray[np.bool_]:  # [P]
    """Which points of a surface no hair hides from all of the VIEWS."""
    away = np.arange(2.5 * VOXEL, 0.4, 2 * VOXEL)
    seen = np.zeros(len(points), np.bool_)
    for direction in VIEWS:
        hidden = np.flatnonzero(~seen)
        path = points[hidden, None] + away[:, None] * direction
        seen[hidden] = (solid(path.reshape(-1, 3)).reshape(len(hidden), len(away)) <= 0).all(axis=1)
    return seen


def outer_points(surface: TrueHair) -> F64:  # [P, 3] m
    """Points of a hair mesh that are seen from outside."""
    points, _ = surface_points(surface.vertices, surface.faces, 0.003)
    points = points[points[:, 1] > FLOOR]
    chosen = points[:: max(1, len(points) // JUDGED)]
    return chosen[seen_from_outside(chosen, closed_solid(surface))]


def wrap_error(
    surface: TrueHair,
    outer: F64,  # [P, 3] m, its outer_points
    hull: NDArray[np.floating],  # [V, 3] m
    head: HeadModel,
) -> tuple[F64, F64]:  # [P] m, [R] m
    """How far the hull passes the true outer surface by, and how far the hull's hair is off the truth."""
    points, _ = surface_points(surface.vertices, surface.faces, 0.003)
    faces = skin_faces(head)
    hull_points, owner = surface_points(hull.astype(np.float64), faces, 0.002)
    moved = np.linalg.norm(hull - head.template, axis=1)[faces].mean(axis=1) > 0.003
    grown = hull_points[moved[owner]]
    grown = grown[:: max(1, len(grown) // JUDGED)]
    return cKDTree(hull_points).query(outer)[0], cKDTree(points).query(grown)[0]
