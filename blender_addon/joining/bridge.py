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
_AROUND = 72  # directions
_STEEP = 0.5  # of a unit: a surface that falls less at the neck's edge is hair's
_LEAST = 0.2  # of the mean step from vertex to vertex


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
    head_at, body_at = _forward(angles(head, middle, normal)), angles(body, middle, normal)
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


def meeting(
    head: F64,  # [H, 3] the head's loop, in order
    head_down: F64,  # [H, 3] where the head's surface goes at its loop, unit vectors
    body: F64,  # [B, 3] the body's loop, in order
    body_down: F64,  # [B, 3] where the body's surface begins, unit vectors
    points: F64,  # [V, 3] the head's
) -> tuple[F64, F64]:  # [V, 3], [V, 3]
    """(how far the head's neck is to move sideways to stand on the body's, how much more it is to lean on its way up).

    The body's surface is continued over the gap, where its lean is halved. Both are told by the direction from the axis
    of the neck.
    """
    middle, normal = plane(head)
    head_at, body_at = angles(head, middle, normal), angles(body, middle, normal)
    below = sampled(body, body_at, head_at)
    up = float(np.sign(((head - below) @ normal).mean())) * normal
    own, theirs = _lean(head_down, up), sampled(_lean(body_down, up), body_at, head_at)
    apart = below - head
    height = -(apart @ up)[:, None]
    aside = apart + height * (up + 0.75 * theirs)  # the mean of the whole lean and its half
    turns = np.linspace(-np.pi, np.pi, _AROUND, endpoint=False)
    even = sampled(np.concatenate([aside, theirs / 2 - own], axis=1), head_at, turns)
    told = sampled(around(even), turns, angles(points, middle, normal))
    return told[:, :3], told[:, 3:]


def around(values: F64) -> F64:  # [L, C]
    """Smooth along a loop."""
    for _ in range(_SMOOTH):
        values = (np.roll(values, 1, axis=0) + 2 * values + np.roll(values, -1, axis=0)) / 4
    return values


def _lean(down: F64, up: F64) -> F64:  # [L, 3], [3] -> [L, 3]
    """How far a surface goes sideways for each unit that it rises."""
    fall = np.maximum(-(down @ up), _STEEP)[:, None]
    return np.asarray(-(down + (-(down @ up))[:, None] * up) / fall)


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


def _forward(at: F64) -> F64:  # [L] rad
    """Angles around a loop that never run back, where the loop itself does: hair frays it."""
    step = np.maximum(_wrapped(np.roll(at, -1) - at), _LEAST * 2 * np.pi / len(at))
    turned = np.concatenate([[0.0], np.cumsum(step)[:-1]]) * 2 * np.pi / step.sum()
    return _wrapped(turned + np.angle(np.exp(1j * (at - turned)).mean()))


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
