"""Flat Gaussians laid over a mesh like scales: placed, shaped and coloured by pieces of its surface.

Frame and unit: those of the vertices; metres. Dims: V vertices, F triangles, N Gaussians, S samples of each, P = N * S,
D coordinates.

Samples are spread over the surface, more of them where the texture is finer, and cut into N pieces of S samples each (a
k-d tree over places and normals). A piece becomes the Gaussian of its mean, its covariance and its mean colour: the
pieces tile the surface, so the Gaussians leave no gaps through which the inside would show. Colours are coded sRGB like
the texture's: who trains Gaussians blends them so, and viewers do, too (glTF's KHR_gaussian_splatting calls it
srgb_rec709_display).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.head.surface import triangle_areas
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.raster.render import MeshRenderer

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

SAMPLES = 16
DETAIL = 0.5  # what decides how many Gaussians a place gets: 0 its area, 1 its texels
COARSEST = 0.1  # texels for a surface, of those of the mean: what has hardly a texture is covered nevertheless
BEND = 1.0  # what a turn of the normal by one radian counts in the cutting, in sides of a piece
REACH = 1.0  # sides of a piece; what lies farther from its middle belongs to another sheet and is left out
WIDTH = 2.2  # standard deviations of a Gaussian, per those of its piece: neighbours overlap
NARROWEST = 0.2  # standard deviation, in sides of a piece
FLATNESS = 0.02  # standard deviation along the normal, in sides of a piece
SQUARE = 12.0  # area of a square per variance of its points
FULL = 2 / 3  # of the area that its spread tells, which a piece need have to be opaque; lashes and rims have less
OPACITY = 0.99  # at most; viewers clip at it
FAINTEST = 0.02
MORTON_BITS = 10  # of each coordinate, in the order of triangles
PLASTIC = 1.32471795724474602596  # root of x^3 = x + 1, of Roberts' R2 sequence


@dataclass(frozen=True)
class Gaussians:
    """A set of coloured Gaussians, each bound to the point of a mesh at which its centre is."""

    centres: F32  # [N, 3] m
    normals: F32  # [N, 3] unit, outwards
    colours: F32  # [N, 3] sRGB, 0..1
    opacity: F32  # [N] at the centre, 0..1
    scales: F32  # [N, 3] m, standard deviations along the own axes, the last one the normal
    rotations: F32  # [N, 4] unit quaternion w, x, y, z: from the own axes
    triangles: NDArray[np.int32]  # [N]
    barycentrics: F32  # [N, 3]


@dataclass(frozen=True)
class _Pieces:
    """The surface, piece by piece."""

    points: F64  # [N, S, 3] m
    normals: F64  # [N, S, 3] unit
    colours: F64  # [N, S, 3]
    triangles: I64  # [N, S]
    side: F64  # [N] m, of a square of a piece's area


def cover(
    mesh: MeshRenderer,
    vertices: Tensor,  # [V, 3] m
    count: int,
    folded: Tensor | None = None,  # [G] how far each fold of the texture shows
    outlined: Tensor | None = None,  # [V] how far the photo's outline does, which belongs to views like the photo's
) -> Gaussians:
    """`count` Gaussians that look like the mesh. The same mesh gives the same Gaussians."""
    corners = vertices.cpu().numpy().astype(np.float64)[mesh.faces.cpu().numpy()]  # [F, 3, 3]
    pieces = _cut_surface(mesh, vertices, corners, count, folded, outlined)
    weights, nearest = _one_sheet(pieces)
    middle = np.einsum("ns,nsd->nd", weights, pieces.points)
    triangles = np.take_along_axis(pieces.triangles, nearest[:, None], 1)[:, 0]
    bary = bound(middle, corners[triangles])
    normals = _unit(np.einsum("ns,nsd->nd", weights, pieces.normals))
    axes, deviations = _extent(pieces.points - middle[:, None], normals, weights)
    area = pieces.side**2 * (weights > 0).mean(1)
    inked = area / np.maximum(SQUARE * deviations.prod(1), 1e-20)
    side = pieces.side[:, None]
    scales = np.concatenate([np.maximum(WIDTH * deviations, NARROWEST * side), FLATNESS * side], 1)
    return Gaussians(
        centres=np.einsum("nk,nkd->nd", bary, corners[triangles]).astype(np.float32),
        normals=normals.astype(np.float32),
        colours=np.einsum("ns,nsd->nd", weights, pieces.colours).astype(np.float32),
        opacity=np.clip(inked / FULL, FAINTEST, OPACITY).astype(np.float32),
        scales=scales.astype(np.float32),
        rotations=quaternions(axes).astype(np.float32),
        triangles=triangles.astype(np.int32),
        barycentrics=bary.astype(np.float32),
    )


def moved(
    gaussians: Gaussians,
    rotation: NDArray[np.floating],  # [3, 3]
    translation: NDArray[np.floating] | None = None,  # [3] m
) -> Gaussians:
    """The same Gaussians turned and then shifted."""
    turn = rotation.astype(np.float64)
    centres = gaussians.centres.astype(np.float64) @ turn.T + (0 if translation is None else translation)
    return replace(
        gaussians,
        centres=centres.astype(np.float32),
        normals=(gaussians.normals @ turn.T).astype(np.float32),
        rotations=quaternions(turn @ rotation_of(gaussians.rotations)).astype(np.float32),
    )


def _cut_surface(
    mesh: MeshRenderer,
    vertices: Tensor,
    corners: F64,
    count: int,
    folded: Tensor | None,
    outlined: Tensor | None,
) -> _Pieces:
    area = triangle_areas(corners)
    texels = mesh.texels().cpu().numpy().astype(np.float64)
    texels = np.maximum(texels, COARSEST * area * (texels.sum() / area.sum()))
    weight = area ** (1 - DETAIL) * texels**DETAIL
    triangles = share_out(weight, corners.mean(1), count * SAMPLES)
    bary = spread(triangles)
    spots = (weight.sum() / len(triangles) * area / np.maximum(weight, 1e-20))[triangles]  # m^2 of each sample
    points = np.einsum("nk,nkd->nd", bary, corners[triangles])
    at_vertices = vertex_normals(vertices[None], mesh.faces)[0].cpu().numpy().astype(np.float64)
    normals = _unit(np.einsum("nk,nkd->nd", bary, at_vertices[mesh.faces.cpu().numpy()][triangles]))
    face, bary_there, spots_there = (torch.from_numpy(array).to(vertices.device) for array in (triangles, bary, spots))
    where = (face, bary_there.to(vertices), spots_there.to(vertices))
    colours = mesh.surface_colours(vertices, *where, folded, outlined)
    sides = np.sqrt(SAMPLES * spots)
    order = cut(np.concatenate([points, BEND * sides[:, None] * normals], 1), count)

    shape = (count, SAMPLES)
    return _Pieces(
        points=points[order].reshape(*shape, 3),
        normals=normals[order].reshape(*shape, 3),
        colours=colours.cpu().numpy().astype(np.float64)[order].reshape(*shape, 3),
        triangles=triangles[order].reshape(shape),
        side=np.sqrt(spots[order].reshape(shape).sum(1)),
    )


def _one_sheet(pieces: _Pieces) -> tuple[F64, I64]:  # [N, S] sum to 1, [N]
    """Weights that leave out what a piece has got of another sheet of the surface, and the sample in its middle.

    Cutting by count cannot stop where one sheet ends and another begins: a few pieces have a part of both.
    """
    told = np.concatenate([pieces.points, BEND * pieces.side[:, None, None] * pieces.normals], 2)
    middle = np.sort(told, axis=1)[:, told.shape[1] // 2]  # a median that is on one of two sides
    nearest = ((told - middle[:, None]) ** 2).sum(2).argmin(1)
    away = ((told - told[np.arange(len(told)), nearest][:, None]) ** 2).sum(2)
    kept = away <= (REACH * pieces.side[:, None]) ** 2
    return kept / kept.sum(1, keepdims=True), nearest


def bound(
    points: F64,  # [N, 3]
    corners: F64,  # [N, 3, 3] a triangle for each
) -> F64:  # [N, 3] not negative, sum to 1
    """Barycentric coordinates of points dropped onto their triangles' planes, kept inside the triangles."""
    u, v, w = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    uu, uv, vv, wu, wv = ((a * b).sum(1) for a, b in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    determinant = np.maximum(uu * vv - uv * uv, 1e-30)
    s, t = (vv * wu - uv * wv) / determinant, (uu * wv - uv * wu) / determinant
    inside = np.clip(np.stack([1 - s - t, s, t], 1), 0, 1)
    result: F64 = inside / inside.sum(1, keepdims=True)
    return result


def cut(
    points: F64,  # [P, D]
    count: int,
) -> I64:  # [P] the points in the order of their pieces
    """Cut points into `count` pieces of equal size, always across the coordinate that varies most."""
    samples = len(points) // count
    order = np.arange(len(points))
    sizes = np.array([count])  # pieces in each part
    while sizes.max() > 1:
        lengths = sizes * samples
        start = np.cumsum(lengths) - lengths
        moved = points[order]
        means, squares = (np.add.reduceat(array, start) / lengths[:, None] for array in (moved, moved**2))
        axis = np.repeat((squares - means**2).argmax(1), lengths)
        value = moved[np.arange(len(moved)), axis]
        low, high = np.minimum.reduceat(value, start), np.maximum.reduceat(value, start)
        # one sort for all parts: the part before the point, the place within the part behind it
        within = (value - np.repeat(low, lengths)) / np.repeat(np.maximum(high - low, 1e-12) * 1.001, lengths)
        order = order[np.argsort(np.repeat(np.arange(len(sizes)), lengths) + within, kind="stable")]
        halves = np.stack([sizes // 2, sizes - sizes // 2], 1).ravel()
        sizes = halves[halves > 0]
    return order


def _extent(
    offsets: F64,  # [N, S, 3] from the middle
    normals: F64,  # [N, 3] unit
    weights: F64,  # [N, S]
) -> tuple[F64, F64]:  # [N, 3, 3] axes as columns, the last one the normal; [N, 2] standard deviations
    """The two directions in which a piece extends across its normal, and how far."""
    first = _unit(np.cross(normals, np.where(np.abs(normals[:, :1]) > 0.7, [0.0, 1.0, 0.0], [1.0, 0.0, 0.0])))
    second = np.cross(normals, first)
    u, v = (np.einsum("nsd,nd->ns", offsets, axis) for axis in (first, second))
    uu, uv, vv = ((weights * term).sum(1) for term in (u * u, u * v, v * v))
    angle = 0.5 * np.arctan2(2 * uv, uu - vv)[:, None]  # of the covariance's longer axis
    longer = np.cos(angle) * first + np.sin(angle) * second
    middle, half = (uu + vv) / 2, np.hypot((uu - vv) / 2, uv)
    deviations = np.sqrt(np.maximum(np.stack([middle + half, middle - half], 1), 0))
    return np.stack([longer, np.cross(normals, longer), normals], 2), deviations


def share_out(
    weight: F64,  # [F]
    middles: F64,  # [F, 3]
    count: int,
) -> I64:  # [count] a triangle for each sample, ascending
    """Systematic sampling along a space-filling curve: what rounding takes from a triangle its neighbour gets."""
    low, high = middles.min(0), middles.max(0)
    cells = ((middles - low) / max(float((high - low).max()), 1e-12) * (2**MORTON_BITS - 1)).astype(np.int64)
    code = np.zeros(len(cells), np.int64)
    for bit in range(MORTON_BITS):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    order = np.argsort(code, kind="stable")
    along = np.cumsum(weight[order])
    places = (np.arange(count) + 0.5) * (along[-1] / count)
    return np.sort(order[np.searchsorted(along, places)])


def spread(
    triangles: I64,  # [P] ascending
) -> F64:  # [P, 3]
    """Barycentric coordinates that spread the samples of each triangle evenly.

    Roberts' R2 sequence (2018, "The Unreasonable Effectiveness of Quasirandom Sequences"), the square folded along its
    diagonal.
    """
    _, start, counts = np.unique(triangles, return_index=True, return_counts=True)
    rank = np.arange(1, len(triangles) + 1) - np.repeat(start, counts)
    flat = (0.5 + rank[:, None] / np.array([PLASTIC, PLASTIC**2])) % 1
    flat = np.where(flat.sum(1, keepdims=True) > 1, 1 - flat, flat)
    return np.concatenate([1 - flat.sum(1, keepdims=True), flat], 1)


def quaternions(
    rotations: F64,  # [N, 3, 3]
) -> F64:  # [N, 4] unit; w, x, y, z
    """Rotation matrices as quaternions: the row of q q^T that has the largest diagonal term (Shepperd 1978)."""
    (a, b, c), (d, e, f), (g, h, i) = rotations.transpose(1, 2, 0)
    products = np.stack(  # [N, 4, 4] 4 q q^T
        [
            np.stack([1 + a + e + i, h - f, c - g, d - b], 1),
            np.stack([h - f, 1 + a - e - i, b + d, c + g], 1),
            np.stack([c - g, b + d, 1 - a + e - i, f + h], 1),
            np.stack([d - b, c + g, f + h, 1 - a - e + i], 1),
        ],
        1,
    )
    largest = np.einsum("nkk->nk", products).argmax(1)
    return _unit(products[np.arange(len(products)), largest])


def rotation_of(
    quaternions: NDArray[np.floating],  # [N, 4] unit; w, x, y, z
) -> F64:  # [N, 3, 3]
    """The rotation matrices of quaternions."""
    w, x, y, z = quaternions.astype(np.float64).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, 1) for row in rows], 1)


def _unit(vectors: F64) -> F64:
    result: F64 = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return result
