"""The training losses (MeshLAM, sec. training), on target views and on the mesh itself.

L_t = λ_i L_img + λ_m L_mask + λ_n L_normal + λ_p L_part + λ_l L_lap; the total is Σ γ^(N-t) L_t over the steps.
Colours sRGB 0..1, lengths in metres, image positions in pixels.
Dims: B heads, V vertices, F triangles, M views, H image side, c channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from meshlam_core.model.loop import Step
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.parsing_head import CLASSES
from meshlam_core.model.render import View, animate, look, shade
from meshlam_core.model.state import Rig, resize
from meshlam_core.nets.mobilenet import MobileNet
from meshlam_core.raster import quick
from meshlam_core.raster.normals import vertex_normals
from training.lpips import Lpips
from training.nearest import nearest_pixels
from training.views import UNKNOWN, Sample, TargetViews, face_classes, view_classes, view_normals

PARSED = tuple(CLASSES.index(name) for name in ("skin", "hair", "neck"))
REGION_STRIDE = 2  # regions are compared on every second pixel
MILLIMETRE = 1e-3


@dataclass(frozen=True)
class LossWeights:
    """The paper's weights; `vertex` and `texture` [ours] are for synthetic heads, where the truth is known."""

    image: float = 1.0
    perceptual: float = 0.0  # the paper adds it to L_img; our stand-in network needs its weights
    mask: float = 1.0
    normal: float = 1.0
    part: float = 0.5
    laplacian: float = 2.0
    vertex: float = 0.0
    texture: float = 0.0
    decay: float = 0.8  # γ


@dataclass(frozen=True)
class LossTerms:
    """Unweighted, of one step."""

    image: Tensor
    perceptual: Tensor
    mask: Tensor
    normal: Tensor
    part: Tensor
    laplacian: Tensor
    vertex: Tensor
    texture: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        """L_t."""
        terms = [getattr(weights, name) * value for name, value in vars(self).items()]
        return torch.stack(terms).sum()


Perceptual = Callable[[Tensor, Tensor], Tensor]


class OneView(nn.Module):
    """LPIPS of the first view of each head alone: VGG on all of them costs several times what the rest of a step does.

    Samples come with their views in random order, so that the expectation is that over all views.
    """

    def __init__(self, lpips: Lpips, views: int) -> None:
        super().__init__()
        self.lpips, self.views = lpips.requires_grad_(False), views

    def forward(
        self,
        image: Tensor,  # [M, 3, H, H]
        target: Tensor,  # [M, 3, H, H]
    ) -> Tensor:  # []
        distance: Tensor = self.lpips(image[:: self.views], target[:: self.views])
        return distance.mean()


class FeatureDistance(nn.Module):
    """Perceptual distance on a frozen MobileNetV2, in VGG's place (Johnson et al. 2016), whose weights we may use."""

    def __init__(self, backbone: MobileNet) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)

    def forward(
        self,
        image: Tensor,  # [M, 3, H, H]
        target: Tensor,  # [M, 3, H, H]
    ) -> Tensor:  # []
        levels = zip(self.backbone(image)[:3], self.backbone(target)[:3], strict=True)
        return torch.stack([(_unit(a) - _unit(b)).square().sum(1).mean() for a, b in levels]).mean()


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True) + 1e-6).sqrt()


class PaperStage:
    """The paper's losses on pictures, as a stage of the trainer."""

    def __init__(
        self,
        batches: Callable[[int], Sample],
        rig: Rig,
        weights: LossWeights,
        perceptual: Perceptual | None = None,
    ) -> None:
        self.batch, self.rig, self.weights, self.perceptual = batches, rig, weights, perceptual

    def loss(self, network: MeshLAM, batch: Sample) -> Tensor:
        """Σ γ^(N-t) L_t of the network's steps."""
        return total_loss(network(batch.photo, self.rig), batch, self.weights, self.perceptual)


def total_loss(
    steps: list[Step],
    sample: Sample,
    weights: LossWeights,
    perceptual: Perceptual | None = None,
) -> Tensor:  # []
    """Σ γ^(N-t) L_t."""
    count = len(steps)
    losses = [
        weights.decay ** (count - t) * step_loss(step, sample, weights, perceptual).total(weights)
        for t, step in enumerate(steps, start=1)
    ]
    return torch.stack(losses).sum()


def step_loss(
    step: Step,
    sample: Sample,
    weights: LossWeights,
    perceptual: Perceptual | None = None,
) -> LossTerms:
    """All terms of one step; those of weight 0 are not computed."""
    state, rig, targets = step.state, step.rig, sample.targets
    zero = state.vertices.new_zeros(())
    vertices = state.vertices.repeat_interleave(targets.views, 0)
    view = look(animate(vertices, rig, targets), rig, targets.cameras)
    drawn = shade(view, rig, state.texture.repeat_interleave(targets.views, 0))
    compared = view.mask * targets.mask
    mask, part = region_losses(view, rig, targets, weights.mask > 0, weights.part > 0)
    truth = sample.vertices
    return LossTerms(
        image=image_loss(drawn, targets.image, compared) if weights.image else zero,
        perceptual=perceptual(drawn * compared, targets.image * compared)
        if perceptual and weights.perceptual
        else zero,
        mask=mask,
        normal=surface_normal_loss(view, rig, targets.normals) if weights.normal else zero,
        part=part,
        laplacian=laplacian_loss(state.vertices - sample.photo.vertices, rig) if weights.laplacian else zero,
        vertex=vertex_loss(state.vertices, truth) if weights.vertex and truth is not None else zero,
        texture=texture_loss(step, sample) if weights.texture and sample.texture is not None else zero,
    )


def image_loss(
    drawn: Tensor,  # [M, 3, H, H]
    target: Tensor,  # [M, 3, H, H]
    mask: Tensor,  # [M, 1, H, H]
) -> Tensor:  # []
    """L2 over the pixels that both show the head."""
    return ((drawn - target).square() * mask).sum() / (3 * mask.sum()).clamp_min(1)


def normal_loss(
    normals: Tensor,  # [M, 3, H, H] unit or zero
    target: Tensor,  # [M, 3, H, H] unit or zero
) -> Tensor:  # []
    """One minus the cosine, where both are known."""
    known = (target.square().sum(1) > 0.5) & (normals.detach().square().sum(1) > 0.5)
    return ((1 - (normals * target).sum(1)) * known).sum() / known.sum().clamp_min(1)


def surface_normal_loss(
    view: View,
    rig: Rig,
    target: Tensor,  # [M, 3, H, H] unit or zero
) -> Tensor:  # []
    """normal_loss of the view's normals, in one walk over the pixels where the kernels can."""
    if not quick.fits(view.vertices, view.bary, target):
        return normal_loss(view_normals(view, rig), target)
    normals = vertex_normals(view.vertices, rig.faces)
    difference, known = quick.direction_difference(normals, rig.faces, view.fragments.face, view.bary, target)
    return difference / known.clamp_min(1)


def region_losses(
    view: View,
    rig: Rig,
    targets: TargetViews,
    mask: bool,
    part: bool,
) -> tuple[Tensor, Tensor]:  # [] and []: the silhouette's, and the mean over the parsed classes of the head
    """The losses of regions, all in one go: which pixels must meet which needs no gradient."""
    drawn, wanted = [], []
    face, truth, classes = map(thinned, (view.fragments.face, targets.mask[:, 0], targets.classes))
    if mask:
        drawn.append(face >= 0)
        wanted.append(truth > 0.5)
    if part:
        ours, valid = view_classes(face, face_classes(rig)), classes != UNKNOWN
        known = ours != UNKNOWN
        drawn += [(ours == k) & valid for k in PARSED]
        wanted += [(classes == k) & known for k in PARSED]
    zero = view.projected.new_zeros(())
    if not drawn:
        return zero, zero
    losses = region_loss(view, rig, torch.stack(drawn, 1), torch.stack(wanted, 1))
    return losses[0] if mask else zero, losses[int(mask) :].mean() if part else zero


def thinned(images: Tensor) -> Tensor:  # [..., H, H] -> [..., h, h]
    """The pixels on which regions are compared."""
    return images[..., ::REGION_STRIDE, ::REGION_STRIDE]


def region_loss(
    view: View,
    rig: Rig,
    drawn: Tensor,  # [M, R, h, h] bool, R kinds of regions on the thinned pixels; nothing beside the head
    target: Tensor,  # [M, R, h, h] bool
) -> Tensor:  # [R]
    """Squared distance that the surface must move for two regions to agree, over the pixels where they differ.

    [ours] The L2 difference of two hard silhouettes has no gradient; where they differ, the distance to the other
    region's nearest pixel has one, however far apart the two are. Surface that sticks out is pulled to the nearest
    target pixel, and target pixels without surface pull the nearest surface. Distances are in 1/64 of the image.
    """
    views, kinds, side, _ = drawn.shape
    # what sticks out looks for the target, and what is missing for the surface that could come
    asking = torch.stack([drawn & ~target, target & ~drawn])
    nearest = nearest_pixels(asking.flatten(0, 2), torch.stack([target, drawn]).flatten(0, 2)).view(asking.shape)
    missing, image, kind, row, column = (nearest >= 0).nonzero().unbind(1)
    here = torch.stack([row, column])
    there = nearest[missing, image, kind, row, column].long()
    there = torch.stack([there // side, there % side])
    surface, goal = (REGION_STRIDE * torch.where(missing == k, here, there) for k in (0, 1))
    points = _surface(view, rig, image, surface[0], surface[1])
    wanted = goal.flip(0).T.to(points.dtype) + 0.5  # px
    squares = (points - wanted).square().sum(-1)
    total = squares.new_zeros(kinds).index_add(0, kind, squares)
    return total / side**2 * (64 / (REGION_STRIDE * side)) ** 2 / views


def _surface(view: View, rig: Rig, image: Tensor, row: Tensor, column: Tensor) -> Tensor:  # 3 x [P] -> [P, 2] px
    """Where the surface that some pixels show lies in the image, with a gradient to its vertices.

    The barycentrics are held fixed: those that follow the vertices always describe the pixel's centre, which stays.
    """
    corners = rig.faces.index_select(0, view.fragments.face[image, row, column].long())  # [P, 3]
    corners = corners + (image * view.projected.shape[1])[:, None]
    flat = view.projected[..., :2].reshape(-1, 2)
    at = flat.index_select(0, corners.reshape(-1)).view(-1, 3, 2)
    bary = view.bary.detach()[image, row, column]
    return (at * bary[..., None]).sum(1)


def laplacian_loss(
    offset: Tensor,  # [B, V, 3] m, what the network added
    rig: Rig,
) -> Tensor:  # []
    """Squared uniform Laplacian of the displacement, in millimetres.

    [ours] Of the displacement, not of the positions: the template's own eyelids and ears are no noise.
    """
    if offset.shape[1] != len(rig.template):
        raise ValueError(f"offset: expected {len(rig.template)} vertices, got {offset.shape[1]}.")
    start, end = rig.faces[:, [0, 1, 2, 1, 2, 0]].T.reshape(-1), rig.faces[:, [1, 2, 0, 0, 1, 2]].T.reshape(-1)
    # inner edges appear in two triangles and border edges in one: the weights stay uniform where it matters
    count = torch.bincount(start, minlength=offset.shape[1]).to(offset.dtype)
    sums = quick.add_rows(offset, end, start, offset.shape[1])
    mean = sums / count.clamp_min(1)[:, None]
    return ((offset - mean) / MILLIMETRE).square().sum(-1).mean()


def vertex_loss(
    vertices: Tensor,  # [B, V, 3] m
    truth: Tensor,  # [B, V, 3] m
) -> Tensor:  # []
    """Mean distance in millimetres, for synthetic heads. [ours]"""
    return ((vertices - truth) / MILLIMETRE).square().sum(-1).add(1e-4).sqrt().mean()


def texture_loss(step: Step, sample: Sample) -> Tensor:  # []
    """L2 over the texels that the mesh uses, for synthetic heads. [ours]"""
    assert sample.texture is not None
    texture = step.state.texture
    used = step.rig.uv_map(texture.shape[-1]).islands
    difference = (texture - resize(sample.texture, texture.shape[-1])).square() * used
    return difference.sum() / (3 * len(texture) * used.sum())
