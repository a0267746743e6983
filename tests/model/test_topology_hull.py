"""The hull's rounding."""

from __future__ import annotations

import numpy as np

from meshlam_core.model.topology.flip import normals
from meshlam_core.model.topology.hull import upright
from tests.model.topology_meshes import grid


def test_rounding_turns_no_triangle_over_and_stays_where_it_does_not() -> None:
    index, mesh = grid(6, 6, wrap_rows=False, wrap_columns=False)
    flat = np.stack([index[:, 1], index[:, 0], 0 * index[:, 0]], axis=1).astype(float)
    bent = np.zeros_like(flat, dtype=np.float32)
    bent[:, 2] = 0.1 * np.sin(index[:, 0])
    crease = int(np.flatnonzero((index == 4).all(axis=1))[0])
    bent[crease] = (-1.6, 0, 0)  # over its neighbours
    kept = upright(flat, bent, mesh.faces)
    level = normals(flat[mesh.faces])
    assert ((normals((flat + bent)[mesh.faces]) * level).sum(axis=1) < 0).any()
    assert ((normals((flat + kept)[mesh.faces]) * level).sum(axis=1) > 0).all()
    far = (index < 3).all(axis=1)
    assert (kept[far] == bent[far]).all()
    assert bent[far].any()
