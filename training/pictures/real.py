"""Stage R: half drawn heads with all that is known of them, half real photographs with what their masks say. [ours]

Of a real head count the outline of head and hair, and the colours that the photo shows. What it does not show has two
priors: it looks like the other side where that is seen, and where neither is, as the network that was trained on drawn
heads alone has it.

Frames and units: frames.py. Dims: B heads, N views, M = B * N, V vertices, F triangles, S texels along a side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from meshlam_core.head.model import HeadModel
from meshlam_core.model.loop import Step
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.parsing_head import CLASSES
from meshlam_core.model.part_clip import GROWS
from meshlam_core.model.render import View, animate, look, shade, vertices_seen
from meshlam_core.model.state import Photo, Rig, State
from meshlam_core.raster.normals import vertex_normals
from training.losses import (
    MILLIMETRE,
    PARSED,
    LossWeights,
    Perceptual,
    Terms,
    decayed,
    image_loss,
    laplacian_loss,
    region_loss,
    thinned,
    total_loss,
)
from training.views import UNKNOWN, Sample, TargetViews

FLIP = (-1.0, 1.0, 1.0)  # avatar frame
SYMMETRIC = 1e-3  # of the texture's side, by which mirrored texels may miss each other
SOFT = 0.5  # mm, below which a distance counts as its square


@dataclass(frozen=True)
class Mixed:
    """A drawn and a real sample; makes the batch of a step."""

    drawn: Callable[[int], Sample]
    real: Callable[[int], Sample]  # Portraits, or People from shards

    def __call__(self, step: int) -> tuple[Sample, Sample]:
        """Both."""
        return self.drawn(step), self.real(step)


@dataclass(frozen=True)
class RealWeights:
    """Those of the paper but for the outlines, which in photos miss by a pixel or two where drawn heads miss by the
    tracker's error, and would drown; priors in mm and in sRGB."""

    image: float = 1.0
    perceptual: float = 1.0
    mask: float = 10.0
    hair: float = 5.0
    laplacian: float = 0.05  # as in stage T
    shape: float = 0.05  # of a millimetre that hidden vertices are off
    colour: float = 5.0  # of the squared difference of hidden texels
    decay: float = 0.8  # γ


@dataclass(frozen=True)
class RealTerms(Terms):
    """Those of real ones."""

    image: Tensor
    perceptual: Tensor
    mask: Tensor
    hair: Tensor
    laplacian: Tensor
    shape: Tensor
    colour: Tensor


class Hidden:
    """What the photos don't show, and what it should be like."""

    def __init__(self, head: HeadModel, rig: Rig, photo: Photo, believed: State) -> None:
        self.rig, self.believed = rig, believed
        self.mirror = torch.from_numpy(head.mirror.copy()).long()
        with torch.no_grad():
            view = look(animate(photo.vertices, rig, photo), rig, photo.cameras)
            hidden = 1 - vertices_seen(view, vertex_normals(view.vertices, rig.faces))  # [B, V]
            grows = (rig.limits > GROWS).to(hidden.dtype)
            self.one_side = hidden * (1 - hidden[:, self.mirror]) * grows
            self.both_sides = hidden * hidden[:, self.mirror] * grows
            spread = rig.uv_map(believed.texture.shape[-1]).spread
            weights = torch.stack([self.one_side * _symmetric(rig, self.mirror), self.both_sides], -1)
            self.texels = spread(weights, rig.faces).permute(3, 0, 1, 2)[:, :, None]  # [2, B, 1, S, S]

    def shape(self, vertices: Tensor) -> Tensor:  # []
        """Mean distance from the other side's mirror image, or from what was believed, mm."""
        other = (vertices[:, self.mirror] * vertices.new_tensor(FLIP)).detach()
        off = self.one_side * _length(vertices - other)
        off = off + self.both_sides * _length(vertices - self.believed.vertices)
        return off.sum() / (self.one_side + self.both_sides).sum().clamp_min(1)

    def colour(self, texture: Tensor) -> Tensor:  # []
        """The same of the texture, squared."""
        one, both = self.texels
        off = one * (texture - texture.flip(-1).detach()).square()
        off = off + both * (texture - self.believed.texture).square()
        mean: Tensor = off.sum() / (3 * (one + both).sum()).clamp_min(1)
        return mean


def _symmetric(rig: Rig, mirror: Tensor) -> Tensor:  # [V] 1 where the texture's two halves are mirror images
    at = rig.uvs.new_full((len(rig.template), 2), torch.nan)
    at[rig.faces.flatten()] = rig.uvs[rig.uv_faces.flatten()]
    flipped = torch.stack([1 - at[:, 0], at[:, 1]], 1)
    return ((flipped - at[mirror]).abs().amax(1) < SYMMETRIC).to(rig.uvs.dtype)


def _length(vectors: Tensor) -> Tensor:  # [..., 3] m -> [...] mm
    return ((vectors / MILLIMETRE).square().sum(-1) + SOFT**2).sqrt() - SOFT


class RealStage:
    """The losses of both halves, as a stage of the trainer."""

    def __init__(
        self,
        batches: Callable[[int], tuple[Sample, Sample]],
        head: HeadModel,
        rig: Rig,
        teacher: MeshLAM,  # what was learnt of drawn heads
        drawn: tuple[LossWeights, Perceptual],
        real: tuple[RealWeights, Perceptual],
    ) -> None:
        self.batch, self.head, self.rig = batches, head, rig
        self.teacher = teacher.eval().requires_grad_(False)
        self.drawn, self.real = drawn, real

    def loss(self, network: MeshLAM, batch: tuple[Sample, Sample]) -> Tensor:
        """The mean of both halves' Σ γ^(N-t) L_t."""
        drawn, real = batch
        known = total_loss(network(drawn.photo, self.rig), drawn, *self.drawn)
        return (known + self.loss_of_real(network, real)) / 2

    def loss_of_real(self, network: MeshLAM, sample: Sample) -> Tensor:  # []
        """Of photographs, or of clips whose frames are the targets."""
        weights, perceptual = self.real
        with torch.no_grad():
            believed = self.teacher(sample.photo, self.rig)[-1].state
        hidden = Hidden(self.head, self.rig, sample.photo, believed)
        steps = network(sample.photo, self.rig)
        return decayed([real_terms(step, sample, hidden, perceptual).total(weights) for step in steps], weights.decay)


def real_terms(step: Step, sample: Sample, hidden: Hidden, perceptual: Perceptual) -> RealTerms:
    """All terms of one step."""
    state, rig, targets = step.state, step.rig, sample.targets
    vertices = state.vertices.repeat_interleave(targets.views, 0)
    view = look(animate(vertices, rig, targets), rig, targets.cameras)
    drawn = shade(view, rig, state.texture.repeat_interleave(targets.views, 0))
    both = view.mask * targets.mask
    mask, hair = outline_losses(view, rig, targets)
    return RealTerms(
        image=image_loss(drawn, targets.image, both),
        perceptual=perceptual(drawn * both, targets.image * both),
        mask=mask,
        hair=hair,
        laplacian=laplacian_loss(state.vertices - sample.photo.vertices, rig),
        shape=hidden.shape(state.vertices),
        colour=hidden.colour(state.texture),
    )


def outline_losses(view: View, rig: Rig, targets: TargetViews) -> tuple[Tensor, Tensor]:  # [], []
    """region_loss of the head where anything is known, and of hair: its pixels must show what hair can move.

    Where hair begins in the face is for the texture to say; bare skin may be shown by the same triangles.
    """
    face, classes = map(thinned, (view.fragments.face, targets.classes))
    grows = (rig.limits > GROWS)[rig.faces].all(1)
    hair = classes == CLASSES.index("hair")
    ours = grows[face.clamp_min(0).long()] & (face >= 0)
    wanted = torch.isin(classes, classes.new_tensor(PARSED))
    drawn = torch.stack([(face >= 0) & (classes != UNKNOWN), ours & hair], 1)
    losses = region_loss(view, rig, drawn, torch.stack([wanted, hair], 1))
    return losses[0], losses[1]
