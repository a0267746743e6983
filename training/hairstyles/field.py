"""Where hair can move the head, and along which rays: the frame in which a hairstyle is one number a vertex.

Frame: avatar frame (see frames.py), metres, on the template. Dims: V head vertices, Q vertices that hair moves,
E vertices of both ears, R the others next to them, P vertices of a surface, F its triangles.

The rays start on the skull, ears laid flat, and lead away from its centre; below the centre they turn down and fan out
to the front and to the back, so that long hair finds its way before or behind the shoulders. They nowhere come
together, which is why no growth folds the surface.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import spsolve

from meshlam_core.head.builder.crop import border_loops
from meshlam_core.head.hair import HairModel
from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

SKIN = ("face", "scalp", "neck", "ears", "eyelids", "lips")  # what the rays' mesh is made of
RIM = (0.032, 0.065)  # m, how far beyond scalp and ears the skin of the face can rise: temples, forehead
BROW = 0.03  # m above the eyelids from which skin is forehead
JAW_END = (62.0, 85.0)  # the same for the skin of the face below the ears
BEHIND_JAW = 0.05  # m that it may be away from ear and scalp
NECK_BORDER = 0.022  # m above the neck's lower border where growth begins to fade
NECK_FRONT = (55.0, 85.0)  # degrees from straight ahead: no growth before the first, all after the second
STRETCH = (1.55, 1.0, 1.55)  # of the rays at the neck base, before they become unit: sidewards, down, to front and back
REACH = (0.17, 0.38)  # m, longest growth above the centre and at the neck's base
LEAST_WEIGHT = 0.02  # what could move less is left out
EAR_SURROUNDINGS = 0.03  # m of skin that tell how the patch is curved
PLATE_SMOOTHING = 1e-3
EAR_ROOT = 0.010  # m around the ears that is laid flat with them
FACING = (0.25, 0.45)  # cosine between ray and skin: none of the growth below the first, all above the second
UNIFORM_ROUNDS = 12  # in which the flat ear's triangles become alike


def part_mask(head: HeadModel, *names: str) -> Mask:  # [V]
    """Vertices of some parts."""
    return np.isin(head.part, [head.parts.index(name) for name in names])


def skin_faces(head: HeadModel) -> I64:  # [F, 3]
    """Triangles of the outer skin."""
    return np.asarray(head.faces[part_mask(head, *SKIN)[head.faces].all(axis=1)], np.int64)


def edges_of(faces: I64) -> I64:  # [D, 2] every edge once
    """Edges of a mesh."""
    both = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(both, axis=0)


def skull_centre(head: HeadModel) -> F64:  # [3]
    """Centre of the sphere that fits the scalp above the ears best."""
    top = head.template[part_mask(head, "ears")][:, 1].max()
    points = head.template[part_mask(head, "scalp")].astype(np.float64)
    points = points[points[:, 1] > top]
    system = np.concatenate([2 * points, np.ones((len(points), 1))], axis=1)
    centre = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0][:3]
    return np.array([0.0, centre[1], centre[2]])


def distance_over_skin(head: HeadModel, sources: Mask) -> F64:  # [V] m, infinite where there is no way
    """Length of the shortest way along edges of the skin."""
    edges = edges_of(skin_faces(head))
    length = np.linalg.norm(head.template[edges[:, 0]] - head.template[edges[:, 1]], axis=1)
    count = len(head.template)
    graph = sp.coo_matrix((length, (edges[:, 0], edges[:, 1])), (count, count)).tocsr()
    return np.asarray(dijkstra(graph, directed=False, indices=np.flatnonzero(sources), min_only=True))


def smooth_step(x: F64) -> F64:
    """0 below 0, 1 above 1, smooth between."""
    x = x.clip(0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def neck_border(head: HeadModel) -> Mask:  # [V]
    """The lower border of the skin: the longest open loop that only neck vertices make."""
    neck = part_mask(head, "neck")
    loops = [loop for loop in border_loops(skin_faces(head)) if neck[loop].all()]
    result = np.zeros(len(neck), np.bool_)
    result[max(loops, key=len)] = True
    return result


def ear_patch(head: HeadModel) -> Mask:  # [V]
    """The ears and the skin around their roots, which rises towards them."""
    return distance_over_skin(head, part_mask(head, "ears")) < EAR_ROOT


def ear_flattener(head: HeadModel) -> tuple[I64, I64, F64]:
    """How the ears are laid over their own roots: patch vertices [E], others around it [R], weights [E, R].

    Every patch vertex is a mean of its neighbours; with positive weights such a patch has no folds (Tutte). Longer
    edges pull harder, round by round, until the triangles are alike.
    """
    patch = ear_patch(head)
    edges = edges_of(skin_faces(head))
    edges = edges[patch[edges].any(axis=1)]
    inner, around = np.flatnonzero(patch), np.setdiff1d(edges, np.flatnonzero(patch))
    vertices = head.template.astype(np.float64)
    pull = np.ones(len(edges))
    for _ in range(UNIFORM_ROUNDS):
        laplacian = _laplacian(edges, pull, len(vertices))
        weights = -spsolve(laplacian[inner][:, inner].tocsc(), laplacian[inner][:, around].tocsc()).toarray()
        vertices[inner] = weights @ vertices[around]
        length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
        pull = pull * (length / np.median(length)).clip(0.2, 5) ** 0.7
    return inner, around, weights


def _laplacian(edges: I64, weight: F64, count: int) -> sp.csr_matrix:
    matrix = sp.coo_matrix((weight, (edges[:, 0], edges[:, 1])), (count, count)).tocsr()
    matrix = matrix + matrix.T
    return (sp.diags(np.asarray(matrix.sum(axis=1)).ravel()) - matrix).tocsr()


def flat_ears(
    head: HeadModel,
    inner: I64,  # [E]
    around: I64,  # [R]
    weights: F64,  # [E, R]
) -> F64:  # [V, 3]
    """The template with its ears laid flat, and bent outwards or inwards as the skull around them is."""
    centre = skull_centre(head)
    vertices = head.template.astype(np.float64)
    vertices[inner] = weights @ vertices[around]
    way = distance_over_skin(head, ear_patch(head))
    for side in (-1, 1):
        patch = inner[vertices[inner, 0] * side > 0]
        ring = np.flatnonzero((way > 0) & (way < EAR_SURROUNDINGS) & (vertices[:, 0] * side > 0))
        offset = vertices - centre
        radius = np.linalg.norm(offset, axis=1)
        unit = offset / radius[:, None]
        plate = RBFInterpolator(unit[ring], radius[ring], kernel="thin_plate_spline", smoothing=PLATE_SMOOTHING)
        vertices[patch] = centre + unit[patch] * plate(unit[patch])[:, None]
    return vertices


def participation(head: HeadModel, centre: F64) -> F64:  # [V] 0..1
    """How far a vertex may follow hair: scalp and ears wholly, forehead and temples near them, what lies behind the
    jaw, the neck's back and sides."""
    template = head.template.astype(np.float64)
    hairy, face, neck = part_mask(head, "scalp", "ears"), part_mask(head, "face"), part_mask(head, "neck")
    ears = template[part_mask(head, "ears")]
    low = smooth_step((ears[:, 1].mean() - template[:, 1]) / np.ptp(ears[:, 1]) * 2)  # 1 at the lobes and below
    eyelids = template[part_mask(head, "eyelids")][:, 1].max()
    forehead = smooth_step((template[:, 1] - eyelids) / BROW)

    way = distance_over_skin(head, hairy)
    rim = (1 - smooth_step(way / (RIM[0] + (RIM[1] - RIM[0]) * forehead))) * (1 - low)
    offset = template - centre
    ahead = np.degrees(np.arctan2(np.abs(offset[:, 0]), offset[:, 2]))
    behind_jaw = smooth_step((ahead - JAW_END[0]) / (JAW_END[1] - JAW_END[0])) * low * (way < BEHIND_JAW)
    behind = smooth_step((ahead - NECK_FRONT[0]) / (NECK_FRONT[1] - NECK_FRONT[0]))
    border = neck_border(head)
    behind *= smooth_step(distance_over_skin(head, border) / NECK_BORDER)
    weight = np.where(hairy, 1.0, np.where(face, np.maximum(rim, behind_jaw), np.where(neck, behind, 0)))
    weight[border] = 0
    return weight


def rays(points: F64, centre: F64, base: float) -> F64:  # [P, 3] unit
    """Directions at points of the bald head, ears flat; `base` is the height at which the rays are steepest."""
    offset = points - centre
    depth = smooth_step((centre[1] - points[:, 1]) / (centre[1] - base))
    offset = offset * (1 + (np.array(STRETCH) - 1) * depth[:, None])
    return np.asarray(offset / np.linalg.norm(offset, axis=1, keepdims=True))


def facing(vertices: F64, faces: I64, directions: F64) -> F64:  # [V] cosine between ray and outward normal
    """How squarely the rays leave the skin."""
    normals = np.zeros_like(vertices)
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    np.add.at(normals, faces, normal[:, None])
    length = np.linalg.norm(normals, axis=1).clip(1e-12)
    return np.asarray((normals * directions).sum(axis=1) / length)


def build_field(head: HeadModel) -> HairModel:
    """A head's vertices that hair moves, with their rays; a hair model that knows no style yet."""
    centre = skull_centre(head)
    weight = participation(head, centre)
    inner, around, weights = ear_flattener(head)
    flat = flat_ears(head, inner, around, weights)
    base = float(head.template[neck_border(head)][:, 1].mean())
    # the same on both sides, to the last digit
    flat = (flat + np.array([-1.0, 1, 1]) * flat[head.mirror]) / 2
    direction = rays(flat, centre, base)
    square = facing(flat, skin_faces(head), direction)
    below = part_mask(head, "neck", "face") & (head.template[:, 1] < centre[1])
    weight[below] *= smooth_step((square[below] - FACING[0]) / (FACING[1] - FACING[0]))
    weight = (weight + weight[head.mirror]) / 2

    indices = np.flatnonzero(weight > LEAST_WEIGHT)
    row = np.full(len(weight), -1)
    row[indices] = np.arange(len(indices))
    depth = smooth_step((centre[1] - flat[:, 1]) / (centre[1] - base))
    reach = weight * (REACH[0] + (REACH[1] - REACH[0]) * depth)
    side = np.sign(head.template[:, 0]).astype(np.int8)
    none = np.zeros((0, len(indices)), np.float32)
    return HairModel(
        indices=indices.astype(np.int32),
        directions=direction[indices].astype(np.float32),
        ear=np.where(part_mask(head, "ears"), side, 0)[indices].astype(np.int8),
        reach=reach[indices].astype(np.float32),
        fade=weight[indices].astype(np.float32),
        mirror=row[head.mirror[indices]].astype(np.int32),
        mean=np.zeros(len(indices), np.float32),
        modes=none,
        variance_kept=none[:, 0],
        patch=inner.astype(np.int32),
        patch_side=side[inner],
        around=around.astype(np.int32),
        around_weights=weights.astype(np.float32),
        bend=(flat[inner] - weights @ head.template[around].astype(np.float64)).astype(np.float32),
    )
