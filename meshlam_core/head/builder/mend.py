"""Small repairs of the source data, each found by looking at renderings.

Frame: MakeHuman's, decimetres. Dims: V head vertices.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from meshlam_core.head.builder.source import F64, I64

LIP_SHIFT = 0.0068  # dm at most that each lip moves towards the other; the gap is at most 0.007
LIP_REACH = 0.018  # dm over which the shift fades away from the line of contact
BITE_WIDTH = 0.1  # dm from the middle: the incisors
OVERBITE = 0.028  # dm by which the upper incisors cover the lower ones
OVERJET = 0.016  # dm by which the lower teeth move back, so that they stand behind those
SHOWN = 0.020  # dm by which the upper teeth move down: of parted lips the upper one covers them to their edges
BEHIND_LIP = 0.95  # of the way that an opening jaw takes the lower lip, which the lower incisors go
FLAT = 0.06  # dm that the tongue sinks with it, where it fills the mouth
TONGUE_ROOT = (0.0, 0.35)  # share of the tongue's length, from its back, over which it begins to follow
MIDDLE = 0.15  # dm from the middle within which the jaw tells the lips apart
OVERLAP = 0.72  # share of the distance to the other lip: above a half, so that the lips press a little


def closed_lips(
    template: F64,  # [V, 3]
    faces: I64,  # [F, 3]
    lips: I64,  # vertices of the lips and of the mouth behind them
    jaw_open: F64,  # [V, 3] displacement that tells the lower lip from the upper
) -> F64:  # [V, 3]
    """The rest mouth closed: the source leaves a slit through which the teeth show."""
    points = template[lips]
    edges = edges_within(lips, faces)
    lower = belongs_to_lower_lip(points, edges, np.linalg.norm(jaw_open[lips], axis=1))
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    to_other = np.where(lower[:, None] != lower[None], apart, np.inf).min(axis=1)
    # next to the corners an edge joins both lips: there they may meet but not cross
    joined = np.unique(edges[lower[edges[:, 0]] != lower[edges[:, 1]]])
    share = np.full(len(lips), OVERLAP)
    share[joined] = 0.45
    shift = np.minimum(LIP_SHIFT, share * to_other) * np.exp(-((to_other / LIP_REACH) ** 2))
    result = template.copy()
    result[lips, 1] += np.where(lower, shift, -shift)
    return result


def closed_bite(
    template: F64,  # [V, 3]
    upper: I64,  # vertices of the upper teeth
    lower: I64,  # vertices of the lower teeth
) -> F64:  # [V, 3]
    """The lower teeth raised until they stand a little behind the upper ones: the source shows the tongue between."""
    front_upper = upper[np.abs(template[upper, 0]) < BITE_WIDTH]
    front_lower = lower[np.abs(template[lower, 0]) < BITE_WIDTH]
    gap = template[front_upper, 1].min() - template[front_lower, 1].max()
    result = template.copy()
    result[upper, 1] -= SHOWN
    result[lower, 1] += gap - SHOWN + OVERBITE
    result[lower, 2] -= OVERJET
    return result


def opened_behind_lip(
    jaw_open: F64,  # [V, 3] displacement
    template: F64,  # [V, 3]
    lips: I64,
    lower: I64,  # vertices of the lower teeth
    tongue: I64,
) -> F64:  # [V, 3]
    """The jaw's inside taken along with the lower lip: the source leaves a wall of teeth and the tongue above it."""
    front = lower[np.abs(template[lower, 0]) < BITE_WIDTH]
    middle = lips[np.abs(template[lips, 0]) < MIDDLE]
    further = BEHIND_LIP * jaw_open[middle, 1].min() / jaw_open[front, 1].min()
    result = jaw_open.copy()
    result[lower] *= further
    depth = template[tongue, 2]
    along = (depth - depth.min()) / np.ptp(depth)
    share = ((along - TONGUE_ROOT[0]) / (TONGUE_ROOT[1] - TONGUE_ROOT[0])).clip(0, 1)
    height = template[tongue, 1]
    raised = ((height - height.min()) / np.ptp(height)).clip(0, 1)
    result[tongue] *= (1 + share * (further - 1))[:, None]
    result[tongue, 1] -= FLAT * share * raised
    return result


def edges_within(
    chosen: I64,  # [L] vertices
    faces: I64,  # [F, 3]
) -> I64:  # [E, 2] numbers in `chosen`
    """The edges between some vertices."""
    number = np.full(faces.max() + 1, -1)
    number[chosen] = np.arange(len(chosen))
    edges = number[np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])]
    return np.asarray(edges[(edges >= 0).all(axis=1)])


def belongs_to_lower_lip(
    points: F64,  # [L, 3]
    edges: I64,  # [E, 2]
    moved: F64,  # [L] by opening the jaw
) -> NDArray[np.bool_]:  # [L]
    """By the jaw's pull near the middle; towards the corners, where both lips move alike, by the way along the mesh."""
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    graph = sp.coo_matrix((length, edges.T), (len(points), len(points)))
    middle = np.abs(points[:, 0]) < MIDDLE
    with_jaw = moved > 0.5 * moved.max()
    reach = [
        dijkstra(graph, directed=False, indices=np.flatnonzero(middle & side), min_only=True)
        for side in (with_jaw, ~with_jaw)
    ]
    return np.asarray(reach[0] < reach[1])
