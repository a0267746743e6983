"""The geometry stage: the network's loop on a subset of vertices, and what it is judged by.

Errors are lengths in millimetres, near zero quadratic. Of an error counts what the vertex can do something about
(model/deform.py); faces, which the fit has laid onto the landmarks, count less than hair.
Dims: B samples, n vertices, E edges, f triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from meshlam_core.model.config import Preset
from meshlam_core.model.encoding import encoded_width
from meshlam_core.model.geometry import refine_geometry
from meshlam_core.model.loop import Step
from meshlam_core.model.network import MeshLAM, about_and_ways
from meshlam_core.model.part_clip import GROWS
from meshlam_core.model.render import animate
from meshlam_core.model.state import Rig
from meshlam_core.raster.normals import vertex_normals
from training.data.pool import Pool
from training.geometry.batch import GeometryBatch, make_batch
from training.geometry.subset import Surface
from training.losses import decayed

MILLIMETRE = 1e-3
SOFT = 0.5  # mm, below which an error counts as its square


@dataclass(frozen=True)
class GeometrySettings:
    """What a step looks at, and the weights of what it finds there."""

    batch: int = 8
    single: int = 96  # vertices by themselves
    patches: int = 3
    patch_size: int = 32  # vertices
    face: float = 0.5  # weight of vertices that hair does not move
    edge: float = 2.0
    normal: float = 1.5  # mm for two normals that are at right angles
    decay: float = 0.8  # γ


class GeometryStage:
    """Batches and losses of stage G."""

    def __init__(self, pool: Pool, rig: Rig, settings: GeometrySettings, seed: int = 0) -> None:
        self.pool, self.rig, self.settings, self.seed = pool, rig, settings, seed
        self.surface = Surface(rig)

    def batch(self, step: int) -> GeometryBatch:
        """The batch of a step."""
        rng = np.random.default_rng((self.seed, step))
        records = self.pool.draw(rng, self.settings.batch)
        chosen = self.settings
        subset = self.surface.draw(rng, chosen.single, chosen.patches, chosen.patch_size)
        return make_batch(records, subset, len(self.rig.parents))

    def loss(self, network: MeshLAM, batch: GeometryBatch) -> Tensor:  # []
        """Σ γ^(N-t) L_t."""
        steps = refine_start(network, batch)
        losses = [self._step(step.state.vertices, step.state.ways, batch) for step in steps]
        return decayed(losses, self.settings.decay)

    def _step(self, vertices: Tensor, ways: Tensor | None, batch: GeometryBatch) -> Tensor:
        chosen, subset = self.settings, batch.subset
        weight = torch.where(subset.rig.limits > GROWS, 1.0, chosen.face).expand(len(batch), -1)
        wrong = within_reach(vertices - batch.truth, ways)
        loss = (weight * _length(wrong / MILLIMETRE)).sum() / weight.sum()
        if len(subset.edges):
            first, second = subset.edges.unbind(1)
            between = wrong.index_select(1, first) - wrong.index_select(1, second)
            loss = loss + chosen.edge * _length(between / MILLIMETRE).mean()
            ours, theirs = (vertex_normals(v, subset.rig.faces) for v in (vertices, batch.truth))
            known = theirs.square().sum(-1) > 0.5
            loss = loss + chosen.normal * ((1 - (ours * theirs).sum(-1)) * known).sum() / known.sum().clamp_min(1)
        return loss


def without_errors(network: MeshLAM) -> MeshLAM:
    """Let compared pictures have no influence on the geometry, which is learnt before there is a texture to compare.

    Their weights begin at zero, and stay there as long as the errors are; later stages may learn to use them.
    """
    first = encoded_width(3, network.preset.frequencies)
    layer = network.geometry_update.embed[0]  # type: ignore[index]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight[:, first : first + network.preset.error_width + 1] = 0
    return network


def refine_start(network: MeshLAM, batch: GeometryBatch) -> list[Step]:
    """The network's own loop on the batch's vertices."""
    photo, rig = batch.photo, batch.subset.rig
    about, ways = start_in_photo(network.preset, batch)
    return refine_geometry(network, batch.features, photo, rig, about, ways)


@torch.no_grad()
def start_in_photo(preset: Preset, batch: GeometryBatch) -> tuple[Tensor | None, Tensor | None]:
    """network.start_in_photo of the batch's vertices."""
    posed = animate(batch.photo.vertices, batch.subset.rig, batch.photo)
    return about_and_ways(posed, batch.normals, batch.seen, batch.photo, batch.subset.rig, preset)


def within_reach(wrong: Tensor, ways: Tensor | None) -> Tensor:  # [B, n, 3]
    """The part of an error that a vertex can do something about."""
    return wrong if ways is None else (ways @ wrong[..., None])[..., 0]


def _length(vectors: Tensor) -> Tensor:  # [..., 3] -> [...]
    return (vectors.square().sum(-1) + SOFT**2).sqrt() - SOFT
