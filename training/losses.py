"""The training losses (MeshLAM, sec. training), on target views and on the mesh itself.

L_t = λ_i L_img + λ_m L_mask + λ_n L_normal + λ_p L_part + λ_l L_lap; the total is Σ γ^(N-t) L_t over the steps.
Colours sRGB 0..1, lengths in metres, image positions in pixels.
Dims: B heads, V vertices, F triangles, M views, H image side, c channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from meshlam_core.model.backbone.mobilenet import MobileNet
from meshlam_core.model.loop import Step
from meshlam_core.model.parsing_head import CLASSES
from meshlam_core.model.render import View, animate, look, shade
from meshlam_core.model.state import Rig, resize
from meshlam_core.raster.interpolate import interpolate
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
    truth = sample.vertices
    return LossTerms(
        image=image_loss(drawn, targets.image, compared) if weights.image else zero,
        perceptual=perceptual(drawn * compared, targets.image * compared)
        if perceptual and weights.perceptual
        else zero,
        mask=region_loss(view, rig, view.fragments.mask, targets.mask[:, 0] > 0.5) if weights.mask else zero,
        normal=normal_loss(view_normals(view, rig), targets.normals) if weights.normal else zero,
        part=part_loss(view, rig, targets) if weights.part else zero,
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


def part_loss(view: View, rig: Rig, targets: TargetViews) -> Tensor:  # []
    """Each parsed class of the head as a silhouette of its own."""
    shown = view_classes(view, face_classes(rig))
    valid = targets.classes != UNKNOWN
    losses = [region_loss(view, rig, (shown == k) & valid, (targets.classes == k) & (shown != UNKNOWN)) for k in PARSED]
    return torch.stack(losses).mean()


def region_loss(
    view: View,
    rig: Rig,
    drawn: Tensor,  # [M, H, H] bool
    target: Tensor,  # [M, H, H] bool
) -> Tensor:  # []
    """Squared distance that the surface must move for two regions to agree, over the pixels where they differ.

    [ours] The L2 difference of two hard silhouettes has no gradient; where they differ, the distance to the other
    region's nearest pixel has one, however far apart the two are. Surface that sticks out is pulled to the nearest
    target pixel, and target pixels without surface pull the nearest surface. Distances are in 1/64 of the image.
    """
    side = drawn.shape[-1]
    step = slice(None, None, REGION_STRIDE)
    points = interpolate(view.projected[..., :2], rig.faces, view.fragments, view.fragments.bary)[:, step, step]
    inside = view.fragments.mask[:, step, step].cpu().numpy()
    total = points.new_zeros(())
    ours, theirs = drawn[:, step, step].cpu().numpy(), target[:, step, step].cpu().numpy()
    for i in range(len(points)):
        a, b = ours[i] & inside[i], theirs[i]
        if not a.any() or not b.any():
            continue
        total = total + _pull(points[i], *_nearest(a & ~b, b), moves_first=True)
        total = total + _pull(points[i], *_nearest(b & ~a, a), moves_first=False)
    return total * (REGION_STRIDE / side) ** 2 * (64 / side) ** 2 / len(points)


def _nearest(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],  # [h, w]
    region: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],  # [h, w]
) -> tuple[Tensor, Tensor]:  # [P, 2] and [P, 2] (row, column): the pixels, and the nearest of the region to each
    if not pixels.any():
        return torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, 2, dtype=torch.long)
    nearest = distance_transform_edt(~region, return_distances=False, return_indices=True)
    at = np.argwhere(pixels)
    return torch.from_numpy(at), torch.from_numpy(nearest[:, at[:, 0], at[:, 1]].T.astype(np.int64))


def _pull(points: Tensor, pixels: Tensor, nearest: Tensor, moves_first: bool) -> Tensor:
    """Squared distances between surface points and the pixels that they should reach."""
    surface, goal = (pixels, nearest) if moves_first else (nearest, pixels)
    surface = surface.to(points.device)
    wanted = goal.to(points.device).flip(-1) * REGION_STRIDE + 0.5  # px, (x, y)
    return (points[surface[:, 0], surface[:, 1]] - wanted).square().sum()


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
    count = torch.zeros(offset.shape[1], dtype=offset.dtype, device=offset.device).index_add(
        0, start, torch.ones_like(start, dtype=offset.dtype)
    )
    sums = torch.zeros_like(offset).index_add(1, start, offset.index_select(1, end))
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
