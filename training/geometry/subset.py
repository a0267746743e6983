"""Some of a head's vertices. Attention and GRU treat each vertex by itself, so that a loss on a few at random has the
same expectation as one on all (METHOD.md 6.1); patches among them give edges and normals.

Dims: V vertices, n of the subset, F triangles, f within the subset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.model.part_clip import GROWS
from meshlam_core.model.state import Rig

I64 = NDArray[np.int64]

HAIR_SHARE = 0.9  # of the vertices that lie where hair can move them


@dataclass(frozen=True)
class Subset:
    """Vertices and what of the mesh lies among them."""

    vertices: Tensor  # [n] int64
    rig: Rig  # of these vertices alone; its triangles are the patches'
    edges: Tensor  # [E, 2] int64 rows of the subset


class Surface:
    """A rig prepared for drawing subsets."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        limits = rig.limits.numpy()
        self.movable = np.flatnonzero(limits > 0)
        hair = (limits > GROWS)[self.movable]
        share = np.where(hair, HAIR_SHARE / max(hair.sum(), 1), (1 - HAIR_SHARE) / max((~hair).sum(), 1))
        self.chance = share / share.sum()
        faces = rig.faces.numpy()
        self.faces = faces[(limits > 0)[faces].all(axis=1)]
        order = np.argsort(self.faces.ravel(), kind="stable")
        self._by_vertex = order // 3
        self._first = np.searchsorted(self.faces.ravel()[order], np.arange(len(limits) + 1))

    def draw(self, rng: np.random.Generator, single: int, patches: int, size: int) -> Subset:
        """Single vertices, and patches of about `size` vertices each."""
        chosen = [rng.choice(self.movable, min(single, len(self.movable)), replace=False, p=self.chance)]
        chosen += [self._patch(int(seed), size) for seed in rng.choice(self.movable, patches, p=self.chance)]
        return self.of(np.unique(np.concatenate(chosen)))

    def of(self, vertices: I64) -> Subset:
        """The subset of these vertices."""
        row = np.full(len(self.rig.limits), -1)
        row[vertices] = np.arange(len(vertices))
        near = np.unique(np.concatenate([self._around(int(v)) for v in vertices])) if len(vertices) else vertices
        faces = row[self.faces[near]] if len(near) else np.zeros((0, 3), np.int64)
        faces = faces[(faces >= 0).all(axis=1)]
        edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        at = torch.from_numpy(vertices)
        rig = self.rig
        small = replace(
            rig,
            faces=torch.from_numpy(faces),
            part=rig.part[at],
            limits=rig.limits[at],
            template=rig.template[at],
            weights=rig.weights[at],
            blendshapes=rig.blendshapes[:, at],
            pose_correctives=None if rig.pose_correctives is None else rig.pose_correctives[:, at],
            hair=None if rig.hair is None else rig.hair[at],
            hair_rays=None if rig.hair_rays is None else rig.hair_rays[at],
            maps={},
        )
        return Subset(at, small, torch.from_numpy(np.unique(edges, axis=0)))

    def everything(self) -> Subset:
        """All vertices that can move."""
        return self.of(self.movable)

    def _around(self, vertex: int) -> I64:
        return self._by_vertex[self._first[vertex] : self._first[vertex + 1]]

    def _patch(self, seed: int, size: int) -> I64:
        found, rim = {seed}, [seed]
        while rim and len(found) < size:
            reached = {int(v) for vertex in rim for v in self.faces[self._around(vertex)].ravel()} - found
            found |= reached
            rim = sorted(reached)
        return np.array(sorted(found))
