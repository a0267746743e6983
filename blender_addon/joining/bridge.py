"""Rings of skin between the head's neck and a body's: positions, faces, and how much each belongs to the body.

Knows no Blender. Frame and unit: those of the points that come in. Dims: H vertices of the head's loop, B of the
body's, R rings between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .loops import F64, Loop, angles, length, plane, sampled

_TALLEST = 12  # rings
_SMOOTH = 6  # rounds, along a loop


@dataclass(frozen=True)
class Bridge:
    """What lies between; vertices are numbered head's loop, rings from the head down, body's loop."""

    rings: F64  # [R, H, 3]
    share: F64  # [R] of the body, from the head's loop (0) to the body's (1)
    faces: list[tuple[int, ...]]
    of_body: NDArray[np.int64]  # [H] place in the body's loop that lies nearest to each of the head's


def bridge(
    head: F64,  # [H, 3] the head's loop, in order
    head_down: F64,  # [H, 3] where the head's surface goes at its loop, unit vectors
    body: F64,  # [B, 3] the body's loop, in order
    body_down: F64,  # [B, 3] where the body's surface begins, unit vectors
) -> Bridge:
    """Rings on smooth curves from one surface into the other, and faces between them."""
    middle, normal = plane(head)  # the head's loop turns about it, so its angles grow; the body's loop runs against it
    head_at, body_at = angles(head, middle, normal), angles(body, middle, normal)
    below, onward = sampled(body, body_at, head_at), sampled(body_down, body_at, head_at)
    gap = np.linalg.norm(below - head, axis=1)
    edge = length(head) / len(head)
    count = int(np.clip(round(float(np.median(gap)) / edge) - 1, 0, _TALLEST))
    share = np.arange(1, count + 1) / (count + 1)
    rings = np.array([_hermite(head, head_down, below, onward, gap, float(t)) for t in share])
    rings = rings.reshape(count, len(head), 3)
    size = len(head)
    faces: list[tuple[int, ...]] = []
    for ring in range(count):
        upper, lower = ring * size, (ring + 1) * size
        for i in range(size):
            j = (i + 1) % size
            faces.append((upper + j, upper + i, lower + i, lower + j))
    last = rings[-1] if count else head
    faces += _zip(last, count * size, body, (count + 1) * size, angles(last, middle, normal), body_at)
    turn = np.abs(_wrapped(head_at[:, None] - body_at[None]))
    return Bridge(rings, share, faces, turn.argmin(1))


def _hermite(start: F64, leave: F64, end: F64, arrive: F64, gap: F64, t: float) -> F64:
    """A cubic that leaves and arrives along the surfaces."""
    reach = gap[:, None]
    return np.asarray(
        (2 * t**3 - 3 * t**2 + 1) * start
        + (t**3 - 2 * t**2 + t) * reach * leave
        + (3 * t**2 - 2 * t**3) * end
        + (t**3 - t**2) * reach * arrive
    )


def _zip(
    upper: F64, upper_start: int, lower: F64, lower_start: int, upper_at: F64, lower_at: F64
) -> list[tuple[int, ...]]:
    """Triangles between two loops of any lengths, always taking the side that lags behind."""
    first = _turning(upper_at)
    second = _turning(lower_at)
    faces: list[tuple[int, ...]] = []
    i = j = 0
    start_i, start_j = first[0], _nearest(lower_at, upper_at[first[0]], second)
    second = second[start_j:] + second[:start_j]
    high, low = len(first), len(second)
    upper_turn = _unrolled(upper_at[first], upper_at[start_i])
    lower_turn = _unrolled(lower_at[second], upper_at[start_i])
    while i < high or j < low:
        a, c = upper_start + first[i % high], lower_start + second[j % low]
        take_upper = j >= low or (i < high and upper_turn[i + 1] <= lower_turn[j + 1])
        if take_upper:
            faces.append((upper_start + first[(i + 1) % high], a, c))
            i += 1
        else:
            faces.append((a, c, lower_start + second[(j + 1) % low]))
            j += 1
    return faces


def _turning(at: F64) -> list[int]:
    """The loop's own order, turned so that angles grow."""
    rising = float(np.sign(_wrapped(np.diff(at))).sum()) >= 0
    order = list(range(len(at)))
    return order if rising else order[::-1]


def _nearest(at: F64, angle: float, order: list[int]) -> int:
    return int(np.argmin(np.abs(_wrapped(at[order] - angle))))


def _unrolled(at: F64, start: float) -> F64:  # [L + 1] rad, growing, the first one again at the end
    turns = np.unwrap(at)
    turns = turns + start + _wrapped(turns[0] - start) - turns[0]
    return np.append(turns, turns[0] + 2 * np.pi)


def _wrapped(angle: F64) -> F64:
    return np.asarray((np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi)


def down_at(loop: Loop, points: F64, edges: NDArray[np.int64]) -> F64:  # [L, 3]
    """At each vertex of a loop the direction away from its mesh, across the loop and smooth along it."""
    on = np.zeros(len(points), bool)
    on[loop] = True
    down = np.zeros((len(points), 3))
    for first, second in ((0, 1), (1, 0)):
        inner = on[edges[:, first]] & ~on[edges[:, second]]
        np.add.at(down, edges[inner, first], _unit(points[edges[inner, first]] - points[edges[inner, second]]))
    ring = points[loop]
    along = _unit(np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0))
    across = _unit(down[loop])
    for _ in range(_SMOOTH):
        across = across + np.roll(across, 1, axis=0) + np.roll(across, -1, axis=0)
        across = _unit(across - (across * along).sum(1, keepdims=True) * along)
    return across


def _unit(vectors: F64) -> F64:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
