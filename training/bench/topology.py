"""Cost of the topology correction: `python -m training.bench.topology` prints markdown tables.

One core: the correction is numpy on one thread, and torch is held to one. A head of 5 000 vertices grows to 8 000 in
each step; larger meshes are the same head subdivided, so that the share of split edges stays comparable.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.head.io import load_head
from meshlam_core.model.topology import correct, epsilon_for

GROWTH = 1.6  # vertices after / before: 5 000 -> 8 000
SIZES = (5_000, 20_000, 80_000)


@dataclass(frozen=True)
class Row:
    """Milliseconds of processor time: the smallest and the median of several runs."""

    before: int
    after: int
    correct: tuple[float, float]
    positions: tuple[float, float]
    blendshapes: tuple[float, float]
    chosen: float


def timed(call: Callable[[], object], runs: int) -> tuple[float, float]:  # ms, smallest and median
    """Run a call several times after a warm-up. Processor time, so that a busy machine matters less."""
    call()
    times = []
    for _ in range(runs):
        start = time.process_time()
        call()
        times.append((time.process_time() - start) * 1e3)
    return min(times), statistics.median(times)


def measure(vertex_count: int, runs: int) -> Row:
    """The open head at about this many vertices, one correction that makes 1.6 times as many."""
    head = load_head()
    vertices: NDArray[np.float32] = head.template
    faces, uvs, uv_faces, blendshapes = head.faces, head.uvs, head.uv_faces, head.blendshapes
    if vertex_count > 1.2 * len(vertices):
        grown = correct(vertices, faces, uvs, uv_faces, epsilon_for(vertices, faces, vertex_count))
        vertices, blendshapes = grown.carry(vertices), grown.carry(blendshapes)
        faces, uvs, uv_faces = grown.faces, grown.uvs, grown.uv_faces
    start = time.process_time()
    epsilon = epsilon_for(vertices, faces, round(GROWTH * len(vertices)))
    chosen = (time.process_time() - start) * 1e3
    result = correct(vertices, faces, uvs, uv_faces, epsilon)
    positions = torch.from_numpy(vertices.copy())
    return Row(
        before=len(vertices),
        after=result.vertex_count,
        correct=timed(lambda: correct(vertices, faces, uvs, uv_faces, epsilon), runs),
        positions=timed(lambda: result.carry(positions), runs),
        blendshapes=timed(lambda: result.carry(blendshapes), runs),
        chosen=chosen,
    )


def main() -> None:
    torch.set_num_threads(1)
    rows = [measure(size, runs=max(5, 200_000 // size)) for size in SIZES]
    print("| vertices | after | correct, ms | per 1 000 vertices | positions, ms | 52 blendshapes, ms | epsilon, ms |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        low, median = row.correct
        print(
            f"| {row.before} | {row.after} | {low:.1f} (median {median:.1f}) | {low / row.before * 1e3:.2f} "
            f"| {row.positions[0]:.1f} | {row.blendshapes[0]:.1f} | {row.chosen:.0f} |"
        )


if __name__ == "__main__":
    main()
