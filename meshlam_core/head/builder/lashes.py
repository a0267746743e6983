"""Lashes as single tapered hairs in place of MakeHuman's wide strips, which need an alpha texture to look like hair.

Frame: MakeHuman's, decimetres. Dims: S source vertices, N hairs.

A strip is a grid of quads along the lid. A hair is one triangle: two base corners where the strip leaves the lid, the
tip towards its free edge. Every corner is a mix of source vertices, so targets carry over to the hairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from meshlam_core.head.builder.source import F64, I64, SourceMesh


@dataclass(frozen=True)
class Strip:
    """One of MakeHuman's lash strips and the hairs that replace it."""

    group: str
    hairs: int
    length: float  # of the strip's depth
    half_width: float  # dm, at the lid


# per side: upper lid, lower lid
STRIPS = (Strip("helper-l-eyelashes-2", 32, 0.9, 0.0026), Strip("helper-l-eyelashes-1", 20, 0.5, 0.0016))
ROOT = 0.38  # share of the strip's depth where it leaves the lid's skin
SPAN = (0.06, 0.95)  # of the strip's length; its ends flare into the corners of the eye
CLUMPS = (1.0, 0.86, 0.95, 0.8)  # lengths of neighbouring hairs


@dataclass(frozen=True)
class Lashes:
    """Left upper hairs, left lower, then their mirror images; three vertices a hair: two at the lid, the tip."""

    mix: sp.csr_matrix  # [3 N, S]
    faces: I64  # [N, 3]
    mirror: I64  # [3 N]


def make_lashes(mesh: SourceMesh, vertices: F64) -> Lashes:
    """Both eyes' hairs."""
    count = len(vertices)
    rows: list[dict[int, float]] = []
    for strip in STRIPS:
        rows += hairs(strip, strip_rows(mesh.quads[np.array(mesh.group) == strip.group], vertices), vertices)
    left = sp.lil_matrix((len(rows), count))
    for i, row in enumerate(rows):
        for vertex, weight in row.items():
            left[i, vertex] = weight
    left = left.tocsr()
    right = left[:, mesh.mirror]  # mirror is its own inverse
    size = len(rows)
    triangles = np.arange(size).reshape(-1, 3)
    return Lashes(
        mix=sp.vstack([left, right], format="csr"),
        faces=np.concatenate([triangles, triangles[:, [1, 0, 2]] + size]),
        mirror=np.concatenate([np.arange(size) + size, np.arange(size)]),
    )


def strip_rows(quads: I64, vertices: F64) -> list[list[int]]:
    """The strip's rows of vertices from the lid to the free edge, each from the nose outwards."""
    row = lid_edge(quads, vertices)
    unused = [set(quad) for quad in quads.tolist()]
    rows = [row]
    while unused:
        opposite: list[set[int]] = []
        for pair in pairwise(row):
            quad = next(quad for quad in unused if set(pair) <= quad)
            unused.remove(quad)
            opposite.append(quad - set(pair))
        inner = [(a & b).pop() for a, b in pairwise(opposite)]
        row = [(opposite[0] - {inner[0]}).pop(), *inner, (opposite[-1] - {inner[-1]}).pop()]
        rows.append(row)
    return rows


def lid_edge(quads: I64, vertices: F64) -> list[int]:
    """The long edge of the strip that lies at the lid: of the two, the one less far out of the face."""
    used, corner_count = np.unique(quads, return_counts=True)
    corners = set(used[corner_count == 1].tolist())
    edges = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    ordered, times = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    neighbours: dict[int, list[int]] = {}
    for a, b in ordered[times == 1].tolist():
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    sides: list[list[int]] = []
    for corner in sorted(corners):
        for first in neighbours[corner]:
            path = [corner, first]
            while path[-1] not in corners:
                path.append(next(v for v in neighbours[path[-1]] if v != path[-2]))
            if vertices[path[0], 0] < vertices[path[-1], 0]:
                sides.append(path)
    long_sides = sorted(sides, key=len)[-2:]
    return min(long_sides, key=lambda side: float(vertices[side, 2].mean()))


def hairs(strip: Strip, rows: list[list[int]], vertices: F64) -> list[dict[int, float]]:
    """Rows of the mixing matrix: base corner, base corner, tip for every hair."""
    length = np.linalg.norm(np.diff(vertices[rows[0]], axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(length)]) / length.sum()
    half = strip.half_width / float(length.sum())
    result = []
    for i in range(strip.hairs):
        middle = SPAN[0] + (SPAN[1] - SPAN[0]) * (i + 0.5) / strip.hairs
        tip = ROOT + (1 - ROOT) * strip.length * CLUMPS[i % len(CLUMPS)]
        result += [
            _at(rows, along, middle - half, ROOT),
            _at(rows, along, middle + half, ROOT),
            _at(rows, along, middle, tip),
        ]
    return result


def _at(rows: list[list[int]], along: F64, across: float, out: float) -> dict[int, float]:
    """The point of the strip at a share of its length and of its depth, as weights of its vertices."""
    i, s = _cell(along, across)
    j, t = _cell(np.linspace(0, 1, len(rows)), out)
    return {
        rows[j][i]: (1 - s) * (1 - t),
        rows[j][i + 1]: s * (1 - t),
        rows[j + 1][i]: (1 - s) * t,
        rows[j + 1][i + 1]: s * t,
    }


def _cell(knots: F64, where: float) -> tuple[int, float]:
    """Which interval a value falls into, and how far along it."""
    where = float(np.clip(where, knots[0], knots[-1]))
    i = min(int(np.searchsorted(knots, where, side="right")) - 1, len(knots) - 2)
    return i, float((where - knots[i]) / (knots[i + 1] - knots[i]))
