"""What a repair returns. Dims: V vertices, F triangles, U texture vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.model.topology.edges import I64


@dataclass(frozen=True)
class Repairs:
    """How many of each fault were found, and what could not be helped."""

    flipped: int = 0  # faces turned to agree with their neighbours
    dropped: int = 0  # faces removed: repeated corners, copies, leftovers
    collapsed: int = 0  # flat faces removed with their short edge
    reconnected: int = 0  # flat faces whose long edge was flipped
    cut_loose: int = 0  # vertices doubled at edges with more than two faces
    left: int = 0  # flat faces that stay because removing them would change the surface's shape (its genus)

    @property
    def total(self) -> int:
        return self.flipped + self.dropped + self.collapsed + self.reconnected + self.cut_loose


@dataclass(frozen=True)
class Repaired:
    """A sound mesh. Its vertices are all copies of old ones, in their order; doubled ones follow."""

    faces: I64  # [F', 3]
    uvs: NDArray[np.floating]  # [U', 2]
    uv_faces: I64  # [F', 3]
    source_vertex: I64  # [V'] the old vertex that each one copies
    source_face: I64  # [F'] the old face each one was, -1 for a new one
    representative: I64  # [V] the old vertex that stands for a merged one; itself for the others
    repairs: Repairs
