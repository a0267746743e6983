"""Loose strands over the hull of the hair: narrow ribbons that follow the hair and taper to a tip which stands off.

A hull is one closed surface and ends in a hard line, like a helmet. Strands break that line, and their tips hang over
its lower end. They are painted with the texture below them, so they look like the hair that they lie on.

Which way hair lies is read from the texture itself, the photo's strands and the painted ones alike: along the strands
its brightness changes least (structure tensor). Which of the two ways along that line is out, and where nothing is to
be read, is said by hair that is combed away from the crown and falls.

Frame: avatar frame (see frames.py), metres. Dims: V vertices of the head, F triangles, N strands, K points along one,
S = N (2 K - 1) vertices of strands.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from meshlam_core.avatar.record import Avatar, Strands
from meshlam_core.head.surface import vertex_normals
from meshlam_core.model.topology.edges import NEXT, manifold_links
from meshlam_core.opencv import cv2
from meshlam_core.raster.warp_runtime import over_list
from meshlam_core.texture.hair_look import HairLook
from meshlam_core.texture.noise import around_crown
from meshlam_core.tracker.ramps import smooth_step

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
Bools = NDArray[np.bool_]

SEED = 20260422
MOST = 2800  # strands
APART = 0.0055  # m between roots, or more where hair is too much for MOST
TRIES = 6  # random spots for each root that is kept
HAIRY = 0.5  # share of hair from which a vertex bears strands
FEWEST = 40  # strands of a head that has any
POINTS = 4  # along a strand
GROWN = 0.045  # m of growth from which hair is as long as hair gets here
LONG = (0.008, 0.055)  # m, a strand's length on short and on long hair
LIFT = (0.0008, 0.0035)  # m that a tip stands off, on average
WIDE = (0.0009, 0.0018)  # m, a strand's greatest width
VARIES = 0.35  # of all three, evenly to both sides
BEND = 3.0  # power of the way along a strand with which it rises: the tip stands off, the rest lies close
ROOT = 0.0006  # m that a root lies below the surface
PROFILE = (0.55, 1.0, 0.75, 0.0)  # of the width, from root to tip
OVER = (0.002, 0.014)  # m by which strands hang over the end of short and of long hair
DOWN = (0.0, -2.5, 0.0)  # beside a unit of its own direction, where hair hangs free
LONG_ENOUGH = 0.022  # m of growth from which hair hangs, and its lower end has more strands
AT_ENDS, FULLER = 0.002, 1.6  # m between the roots of those; times WIDE for them
UNDER = -0.5  # upward part of normals below which a surface is the underside of hanging hair: strands leave it there
ROLL = 0.15  # rad by which ribbons are turned about their length, at most
SIDE = 512  # texels, of the texture that the strands' direction is read from
NOISE = 8.0  # of 255, added to brightness so that the noise of dark hair counts little
AROUND = 3.0  # texels of that, over which it is averaged
READ = 3.0  # weight of what is read, of coherence 1, beside that of the rule
SLEEK, LOOSE = 0.4, 1.3  # times LIFT: strands of hair that keeps together, and of tousled hair
SPREADS = 3  # times that directions are averaged over neighbours
EDGE = 0.5  # cosine of the turn from one point to the next beyond which hair leaves the surface
LEAVES = 0.7  # cosine between the flow and the way to an edge that hair leaves its surface by
MOST_CROSSED = 12  # edges from one point of a strand to the next
SHORTEST = 0.0004  # m, from one point of a strand to the next: what hardly gets anywhere is left out
LEAST = 2e-4  # of the texture's side, from one point of a strand to the next
TORN = 4.0  # times the usual way in the texture for a way on the head: a seam lies between
WANDER = 0.12  # rad, standard deviation of a strand's own direction


def with_strands(
    avatar: Avatar,
    places: F32,  # [V', 3] m, of the neutral head with its hair, before its mesh was refined
    hairy: F32 | None,  # [V'] 0..1 how far each of those vertices shows hair
    look: HairLook | None,
) -> Avatar:
    """The avatar with strands, or as it was where there is hardly any hair."""
    if hairy is None or look is None:
        return avatar
    _, nearest = cKDTree(places).query(avatar.vertices)
    return replace(avatar, strands=grow_strands(avatar, hairy[nearest], look))


def grow_strands(
    avatar: Avatar,
    hairy: F32,  # [V] 0..1 how far each vertex shows hair; hats and scarves are none
    look: HairLook,
) -> Strands | None:
    """Strands on the hair of an avatar, always the same ones; None where it has no hull or hardly any hair."""
    if avatar.hair is None or "hair" not in avatar.parts:
        return None
    bears = ((avatar.part == avatar.parts.index("hair")) & (hairy > HAIRY))[avatar.faces].all(axis=1)
    if not bears.any():
        return None
    rng = np.random.default_rng(SEED)
    ground = Ground.of(avatar)
    face, bary = _roots(ground, np.flatnonzero(bears), rng, APART)
    if len(face) < FEWEST:
        return None
    growth = np.linalg.norm(avatar.hair, axis=1)
    long = growth[avatar.faces].mean(axis=1) > LONG_ENOUGH
    bears &= ~(long & (ground.upright[:, 1] < UNDER))
    flow = comb(avatar, ground, bears)

    def trace(face: I64, bary: F64) -> _Traces:
        long: F64 = np.asarray(smooth_step(_dot(bary, growth[avatar.faces[face]]), 0.0, GROWN), np.float64)
        length = _varied(LONG, long, rng)
        return _Traces(long, *_walk(ground, bears, flow, face, bary, length, rng.normal(0, WANDER, len(face))))

    found = trace(face, bary)
    # where long hair ends there is nothing behind its strands: they are more
    ends = _hem(ground, long & bears, bears, flow)
    if len(ends):
        found = found.and_also(trace(*_roots(ground, ends, rng, AT_ENDS)))
    lift = _varied(LIFT, found.long, rng) * (SLEEK + (LOOSE - SLEEK) * look.looseness)
    tip = found.beyond[:, -1:]
    over = np.minimum(tip[:, 0], _varied(OVER, found.long, rng, all_of_it=True))
    free = found.beyond * (over[:, None] / np.maximum(tip, 1e-9))  # [N, K]
    out = _unit(ground.at(ground.normals, found.faces, found.barys))  # [N, K, 3]
    share = np.linspace(0, 1, POINTS)
    spots = ground.at(ground.vertices, found.faces, found.barys)
    spots += (lift[:, None] * share**BEND - ROOT * (1 - share))[..., None] * out
    spots += free[..., None] * _unit(ground.at(flow, found.faces, found.barys) + DOWN)
    steps = np.diff(spots, axis=1)
    lies = np.linalg.norm(np.cross(steps, out[:, 1:]), axis=2).min(axis=1) > SHORTEST  # along the surface all the way
    spots, out, found = spots[lies], out[lies], found.only(lies)
    roll = ROLL * rng.uniform(-1, 1, len(spots))
    wide = _varied(WIDE, found.long, rng) * np.where(found.beyond[:, -1] > 0, 1 + (FULLER - 1) * found.long, 1)
    return _ribbons(avatar, ground, spots, out, found, wide, roll)


@dataclass(frozen=True)
class _Traces:
    """Streamlines on the hair."""

    long: F64  # [N] 0 to 1: short to long hair at the root
    faces: I64  # [N, K] triangles of the points
    barys: F64  # [N, K, 3] where on them
    beyond: F64  # [N, K] m by which the way led beyond the hair

    def only(self, chosen: Bools) -> _Traces:  # [N]
        """Some of them."""
        return _Traces(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def and_also(self, more: _Traces) -> _Traces:
        """Both."""
        names = [field.name for field in fields(self)]
        return _Traces(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in names))


def _varied(bounds: tuple[float, float], long: F64, rng: np.random.Generator, all_of_it: bool = False) -> F64:  # [N]
    """Sizes of strands on short to long hair, spread evenly about the usual one."""
    low, high = bounds
    varies = 1.0 if all_of_it else VARIES
    return np.asarray((low + (high - low) * long) * rng.uniform(1 - varies, 1 + varies, len(long)))


@dataclass(frozen=True)
class Ground:
    """The mesh that strands lie on."""

    vertices: F64  # [V, 3] m
    faces: I32  # [F, 3]
    normals: F64  # [V, 3] unit
    upright: F64  # [F, 3] unit normals
    area: F64  # [F] m^2
    edges: F64  # [F, 2, 3] m, from the first corner to the others
    metric: F64  # [F, 3, 2] 1/m, their pseudo-inverse: makes a gradient of the differences along them
    beside: I64  # [F, 3] the triangle beyond the edge opposite each corner; -1 where there is none

    @classmethod
    def of(cls, avatar: Avatar) -> Ground:
        """The neutral head."""
        vertices, faces = avatar.vertices.astype(np.float64), avatar.faces
        first, second = (vertices[faces[:, k]] - vertices[faces[:, 0]] for k in (1, 2))
        normal = np.cross(first, second)
        length = np.sqrt(_dot(normal, normal))
        a, b, c = _dot(first, first), _dot(first, second), _dot(second, second)
        scale = 1 / np.maximum(a * c - b * b, 1e-24)
        duals = [(c * scale)[:, None] * first - (b * scale)[:, None] * second]
        duals.append((a * scale)[:, None] * second - (b * scale)[:, None] * first)
        return cls(
            vertices=vertices,
            faces=faces,
            normals=vertex_normals(vertices, faces),
            upright=normal / np.maximum(length, 1e-20)[:, None],
            area=length / 2,
            edges=np.stack([first, second], axis=1),
            metric=np.stack(duals, axis=2),
            beside=neighbours(faces),
        )

    def at(
        self,
        values: F64,  # [V, 3]
        face: I64,  # [...]
        bary: F64,  # [..., 3]
    ) -> F64:  # [..., 3]
        """What vertices have, between them."""
        return np.asarray(np.einsum("...k,...kd->...d", bary, values[self.faces[face]]))


def comb(
    avatar: Avatar,
    ground: Ground,
    hair: Bools,  # [F] triangles with hair
) -> F64:  # [V, 3] unit, tangential where there is hair
    """Which way hair lies."""
    faces, metric, area = ground.faces[hair], ground.metric[hair], ground.area[hair, None]
    rule = _away(avatar)
    steps = rule[faces[:, 1:]] - rule[faces[:, :1]]
    fall = _unit((metric @ steps[..., None])[..., 0])
    across, coherence = _change(avatar, ground, hair)
    along = np.cross(ground.upright[hair], across)
    # lines have no sense: their outer products add up
    lines = READ * coherence[:, None, None] ** 2 * _outer(along) + _outer(fall)
    at_corners = sparse.csr_matrix(
        (np.ones(faces.size), (faces.ravel(), np.repeat(np.arange(len(faces)), 3))), (len(ground.vertices), len(faces))
    )
    total = at_corners @ (area * lines.reshape(-1, 9))
    for _ in range(SPREADS):
        total += at_corners @ total[faces].mean(axis=1) / 6
    sense = at_corners @ (area * fall)
    normals = ground.normals
    first = _unit(np.cross(normals, np.where(abs(normals[:, :1]) < 0.7, [1.0, 0, 0], [0, 1.0, 0])))
    main, _ = _principal(total.reshape(-1, 3, 3), first, np.cross(normals, first))
    return np.asarray(main * np.where(_dot(main, sense) < 0, -1, 1)[:, None])


def _away(avatar: Avatar) -> F64:  # [V] rises the way hair falls
    assert avatar.hair is not None
    scalp = np.isin(avatar.part, [avatar.parts.index(name) for name in ("scalp", "hair") if name in avatar.parts])
    bald = (avatar.vertices - avatar.hair)[scalp]
    low, high = bald.min(axis=0), bald.max(axis=0)
    middle = np.array([0.0, high[1] - (high[0] - low[0]) / 2, (high[2] + low[2]) / 2], np.float32)
    _, away = around_crown(torch.from_numpy(avatar.vertices.copy()), torch.from_numpy(middle))
    return np.asarray(away.numpy(), np.float64)


def _change(
    avatar: Avatar,
    ground: Ground,
    hair: Bools,  # [F]
) -> tuple[F64, F64]:  # [F', 3] unit, [F'] 0..1
    """The direction on each triangle in which the texture changes most, and the coherence of its structure tensor."""
    texture = avatar.albedo if avatar.albedo_photo is None else avatar.albedo_photo
    side = min(SIDE, len(texture))
    grey = cv2.cvtColor(cv2.resize(texture, (side, side), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    light = np.log(grey.astype(np.float32) + NOISE)
    right, down = (cv2.Scharr(light, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    products = [cv2.GaussianBlur(product, (0, 0), AROUND) for product in (right * right, right * down, down * down)]
    corners = avatar.uvs[avatar.uv_faces[hair]].astype(np.float64) * [side, -side] + [0, side]  # [F', 3, 2] px
    column, row = corners.mean(axis=1).astype(np.intp).clip(0, side - 1).T
    xx, xy, yy = (product[row, column].astype(np.float64) for product in products)
    # a gradient in pixels becomes one in metres
    to_space = ground.metric[hair] @ (corners[:, 1:] - corners[:, :1])  # [F', 3, 2]
    tensor = np.stack([xx, xy, xy, yy], axis=-1).reshape(-1, 2, 2)
    first = _unit(ground.edges[hair, 0])
    return _principal(to_space @ tensor @ to_space.transpose(0, 2, 1), first, np.cross(ground.upright[hair], first))


def _principal(
    tensors: F64,  # [N, 3, 3] symmetric
    first: F64,  # [N, 3] unit
    second: F64,  # [N, 3] unit, perpendicular to it
) -> tuple[F64, F64]:  # [N, 3] unit, [N] 0..1
    """The main direction of tensors within the plane of two vectors, and by how much of the sum it leads."""
    once, twice = (np.einsum("nij,nj->ni", tensors, axis) for axis in (first, second))
    xx, xy, yy = _dot(first, once), _dot(first, twice), _dot(second, twice)
    angle = np.arctan2(2 * xy, xx - yy) / 2
    lead = np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1e-12)
    return np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second, lead


def _roots(
    ground: Ground,
    chosen: I64,  # triangles
    rng: np.random.Generator,
    near: float,  # m, least way between two roots
) -> tuple[I64, F64]:  # [N], [N, 3] where on them
    """Evenly spread spots on some triangles: of many random ones, one in each cube of a grid."""
    area = ground.area[chosen]
    apart = max(near, float(np.sqrt(area.sum() / MOST)))
    count = int(TRIES * area.sum() / apart**2)
    if not count:
        return chosen[:0], np.zeros((0, 3))
    face = chosen[rng.choice(len(chosen), count, p=area / area.sum())]
    uv = rng.uniform(size=(count, 2))
    uv = np.where(uv.sum(axis=1, keepdims=True) > 1, 1 - uv, uv)
    bary = np.column_stack([1 - uv.sum(axis=1), uv])
    cell = np.floor(ground.at(ground.vertices, face, bary) / apart).astype(np.int64)
    cell -= cell.min(axis=0)
    size = cell.max(axis=0) + 1
    _, first = np.unique((cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2], return_index=True)
    first = np.sort(first)[:MOST]
    return face[first], bary[first]


def _hem(
    ground: Ground,
    chosen: Bools,  # [F]
    allowed: Bools,  # [F]
    flow: F64,  # [V, 3]
) -> I64:  # triangles
    """Where hair leaves its surface: chosen triangles with an edge across the flow beyond which there is no more."""
    beside = ground.beside[chosen]
    sharp = np.einsum("fkc,fc->fk", ground.upright[beside], ground.upright[chosen]) < EDGE
    ends = (beside < 0) | ~allowed[beside] | sharp
    corners = ground.vertices[ground.faces[chosen]]
    across = _unit(corners.sum(axis=1, keepdims=True) - 3 * corners)  # from each corner to the edge opposite
    leaves = _dot(across, _unit(flow[ground.faces[chosen]].mean(axis=1))[:, None]) > LEAVES
    return np.asarray(np.flatnonzero(chosen)[(ends & leaves).any(axis=1)])


def _walk(
    ground: Ground,
    allowed: Bools,  # [F]
    flow: F64,  # [V, 3]
    face: I64,  # [N] where they start
    bary: F64,  # [N, 3]
    length: F64,  # [N] m
    turn: F64,  # [N] rad, from the flow
) -> tuple[I64, F64, F64]:  # [N, K] triangles, [N, K, 3] where on them, [N, K] m by which the way led beyond them
    """Streamlines over the mesh, at equal steps. They end where the allowed triangles do, and at sharp edges."""
    faces, upright = ground.faces, ground.upright
    beside = np.where((ground.beside < 0) | ~allowed[ground.beside], -1, ground.beside)
    ahead = flow[faces].mean(axis=1)
    ahead = _unit(ahead - _dot(ahead, upright)[:, None] * upright)  # [F, 3]
    # what a metre along it, and one to its left, change in the barycentric coordinates
    rates = np.stack([ahead, np.cross(upright, ahead)], axis=1) @ ground.metric  # [F, 2, 2]
    rates = np.concatenate([-rates.sum(axis=2, keepdims=True), rates], axis=2)
    triangles = torch.from_numpy(np.repeat(face[:, None], POINTS, axis=1).astype(np.int32))
    where = torch.from_numpy(np.repeat(bary[:, None], POINTS, axis=1).astype(np.float32))
    beyond = torch.zeros(len(face), POINTS)
    floats = (torch.from_numpy(x.astype(np.float32)) for x in (upright, rates, length / (POINTS - 1), turn))
    mesh = [torch.from_numpy(x.astype(np.int32)) for x in (faces, beside)]
    device = torch.device("cpu")
    over_list("walk_streamlines", len(face), [*mesh, *floats], [triangles, where, beyond], device)
    return triangles.numpy().astype(np.int64), where.numpy().astype(np.float64), beyond.numpy().astype(np.float64)


def neighbours(
    faces: I32,  # [F, 3]
) -> I64:  # [F, 3]
    """The triangle beyond the edge opposite each corner; -1 where there is none."""
    first, second = manifold_links(faces.astype(np.int64), int(faces.max()) + 1)
    found = np.full(faces.size, -1, np.int64)
    for one, other in ((first, second), (second, first)):
        found[3 * (one // 3) + NEXT[NEXT[one % 3]]] = other // 3
    return found.reshape(-1, 3)


def _ribbons(
    avatar: Avatar,
    ground: Ground,
    spots: F64,  # [N, K, 3] m, along the middle of each
    outwards: F64,  # [N, K, 3] unit
    found: _Traces,
    wide: F64,  # [N] m, the greatest width
    roll: F64,  # [N] rad, about the length
) -> Strands:
    """Two vertices at each point but one at the tip."""
    count, anchors, barys = len(spots), found.faces, found.barys
    across = _unit(np.cross(np.gradient(spots, axis=1), outwards))
    half = (wide[:, None] * np.array(PROFILE))[..., None] / 2
    uvs = _texture_of(avatar, ground, anchors, barys, half * across)
    tilt = roll[:, None, None]
    side = half * (across * np.cos(tilt) + outwards * np.sin(tilt))

    def rails(left: F64, right: F64) -> F32:  # [N, K, C] -> [S, C]
        pairs = np.stack([left, right], axis=2)[:, :-1].reshape(count, -1, left.shape[-1])
        return np.concatenate([pairs, left[:, -1:]], axis=1).reshape(-1, left.shape[-1]).astype(np.float32)

    twice = np.repeat(np.arange(POINTS), 2)[:-1]  # the point of each vertex
    pair = 2 * np.arange(POINTS - 2)[:, None]
    quads = np.concatenate([pair + np.array(corners) for corners in ([0, 1, 2], [1, 3, 2])])
    one = np.concatenate([quads, [[2 * POINTS - 4, 2 * POINTS - 3, 2 * POINTS - 2]]])
    faces = np.arange(count)[:, None, None] * (2 * POINTS - 1) + one
    return Strands(
        vertices=rails(spots - side, spots + side),
        faces=faces.reshape(-1, 3).astype(np.int32),
        uvs=rails(*uvs),
        anchor=anchors[:, twice].reshape(-1).astype(np.int32),
        bary=barys[:, twice].reshape(-1, 3).astype(np.float32),
    )


def _texture_of(
    avatar: Avatar, ground: Ground, anchors: I64, barys: F64, half: F64
) -> tuple[F64, F64]:  # [N, K, 2] each
    """Texture coordinates beside the points, to both sides; one beyond a seam takes those of the point before it."""
    corners = avatar.uvs[avatar.uv_faces[anchors]].astype(np.float64)  # [N, K, 3, 2]
    uvs = np.einsum("nkc,nkcd->nkd", barys, corners)
    steps = corners[:, :, 1:] - corners[:, :, :1]
    beside = (half[:, :, None] @ ground.metric[anchors] @ steps)[:, :, 0]
    places = ground.at(ground.vertices, anchors, barys)
    over, on = (np.linalg.norm(np.diff(x, axis=1), axis=2) for x in (uvs, places))
    torn = over > TORN * np.median(over / np.maximum(on, 1e-4)) * np.maximum(on, 1e-4)
    for point in range(1, POINTS):
        back = torn[:, point - 1]
        uvs[back, point], beside[back, point] = uvs[back, point - 1], beside[back, point - 1]
        if point < POINTS - 1:
            torn[:, point] |= back
        # what hangs free stays at one spot of the texture: a triangle without area there has no tangents
        step, across = uvs[:, point] - uvs[:, point - 1], beside[:, point - 1]
        still = np.linalg.norm(step, axis=1) < LEAST
        step[still] = LEAST * _unit(_turned(across[still]) + np.array([0.0, 1e-9]))
        uvs[still, point] = uvs[still, point - 1] + step[still]
        flat = abs(_dot(_turned(across), step)) < LEAST**2 / 8
        beside[flat, point - 1] = LEAST / 4 * _unit(_turned(step[flat]))
    return uvs - beside, uvs + beside


def _turned(vectors: F64) -> F64:  # [N, 2] by a right angle
    return np.stack([-vectors[:, 1], vectors[:, 0]], axis=1)


def _dot(a: F64, b: F64) -> F64:  # [..., C] -> [...]
    return np.asarray(np.einsum("...i,...i->...", a, b))


def _outer(vectors: F64) -> F64:  # [N, 3] -> [N, 3, 3]
    return vectors[:, :, None] * vectors[:, None, :]


def _unit(vectors: F64) -> F64:  # [..., 3]
    return np.asarray(vectors / np.maximum(np.sqrt(_dot(vectors, vectors)), 1e-12)[..., None])
