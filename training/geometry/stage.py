"""The geometry stage: the network's loop on a subset of vertices, and what it is judged by.

Errors are lengths in millimetres, near zero quadratic. Visible vertices count more than hidden ones, faces more than
hair, whose errors are longer. Dims: B samples, n vertices, E edges, f triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from meshlam_core.errors import UsageError
from meshlam_core.model.borders import about_start
from meshlam_core.model.correction import keep_topology
from meshlam_core.model.encoding import encoded_width
from meshlam_core.model.loop import Components, Step, refine
from meshlam_core.model.network import MeshLAM, see_borders, see_no_borders
from meshlam_core.model.part_clip import move
from meshlam_core.model.render import animate
from meshlam_core.model.state import Observation, Photo, Rig, State
from meshlam_core.raster.normals import vertex_normals
from training.data.pool import Pool
from training.geometry.batch import GeometryBatch, make_batch
from training.geometry.subset import Surface

MILLIMETRE = 1e-3
SOFT = 0.5  # mm, below which an error counts as its square


@dataclass(frozen=True)
class GeometrySettings:
    """What a step looks at, and the weights of what it finds there."""

    batch: int = 8
    single: int = 96  # vertices by themselves
    patches: int = 3
    patch_size: int = 32  # vertices
    hidden: float = 0.5  # weight of a vertex that the photo does not show
    face: float = 1.5  # weight of vertices that hair does not move
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
        total = [
            self.settings.decay ** (len(steps) - t) * self._step(step.state.vertices, batch)
            for t, step in enumerate(steps, start=1)
        ]
        return torch.stack(total).sum()

    def _step(self, vertices: Tensor, batch: GeometryBatch) -> Tensor:
        chosen, subset = self.settings, batch.subset
        weight = torch.where(subset.rig.limits > 0.03, 1.0, chosen.face) * (
            chosen.hidden + (1 - chosen.hidden) * batch.seen
        )
        error = _length((vertices - batch.truth) / MILLIMETRE)
        loss = (weight * error).sum() / weight.sum()
        if len(subset.edges):
            first, second = subset.edges.unbind(1)
            wrong = vertices - batch.truth
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
    """The network's own loop without pictures: errors and textures stay empty."""
    preset, photo, rig = network.preset, batch.photo, batch.subset.rig
    if preset.geometry_update != "gru" or preset.deformation != "part_aware":
        raise UsageError(
            "Stage G: expected the geometry GRU and the part-aware clip.", "Use the preset small or paper."
        )
    image = network.image_tokens(batch.features, photo.borders)
    about = None
    if preset.borders == "masks":
        with torch.no_grad():
            posed = animate(photo.vertices, rig, photo)
            about = about_start(posed, batch.normals, batch.seen, photo.vertices - rig.template, photo.cameras)
    features = network.shape_branch(rig.template, image, network.attention, about)
    blank = photo.texture
    state = State(photo.vertices, blank, blank, features.to(photo.vertices.dtype), blank)
    parts = Components(
        reproject=_Blind(preset.error_width),
        look_at_borders=see_borders if preset.borders == "masks" else see_no_borders,
        update_geometry=network.geometry_update,
        update_texture=_no_texture,
        deform=move,
        correct=keep_topology,
    )
    return refine(Step(rig, state), photo, parts, preset.iterations)


def _length(vectors: Tensor) -> Tensor:  # [..., 3] -> [...]
    return (vectors.square().sum(-1) + SOFT**2).sqrt() - SOFT


class _Blind:
    """An observation without any comparison of pictures."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, state: State, photo: Photo, rig: Rig) -> Observation:
        del photo, rig
        count, vertices, _ = state.vertices.shape
        blank = state.texture
        error = state.vertices.new_zeros(count, vertices, self.width)
        return Observation(blank, blank, blank, blank, error, error[..., :1])


def _no_texture(state: State, observed: Observation, rig: Rig) -> tuple[Tensor, Tensor, Tensor | None]:
    del observed, rig
    return state.texture, state.trust, state.texture_hidden
