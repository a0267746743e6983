"""What the trained network is measured by: heads that are never learnt from, seen as the photo shows them, from behind,
and from all around.

Errors, the smaller the better: colour is the root mean square difference in levels of 255 where both heads are seen,
LPIPS that of pictures whose unshared pixels are black, outline one minus the intersection over union of the silhouettes
in parts of a hundred, and shape the mean distance from the true vertices in mm.
Dims: B heads, N views, M = B * N, V vertices, S texels along a side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.model.loop import Step
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.render import animate, look, shade
from meshlam_core.model.state import Rig, resize
from training.lpips import Lpips
from training.peers import Peer
from training.views import Sample

KINDS = ("photo", "back", "around")  # views in the order of views.make_views; all from the third on are of one kind


class HeldOutPictures:
    """Drawn heads whose views are in order."""

    unit = ""

    def __init__(self, samples: Sequence[Sample], rig: Rig, lpips: Lpips) -> None:
        self.samples, self.rig, self.lpips = samples, rig, lpips

    def start(self) -> dict[str, float]:
        """Mean errors of V_0 with the start's texture."""
        drawn = [render(s, self.rig, s.photo.vertices, s.photo.texture) for s in self.samples]
        return self._mean([self._errors(s, s.photo.vertices, d) for s, d in zip(self.samples, drawn, strict=True)])

    @torch.no_grad()
    def measure(self, network: MeshLAM) -> dict[str, float]:
        """Mean errors of the network's result."""
        found = []
        for sample in self.samples:
            step = network(sample.photo, self.rig)[-1]
            found.append(self._errors(sample, step.state.vertices, self._drawn(network, step, sample)))
        return self._mean(found)

    @torch.no_grad()
    def _drawn(self, network: MeshLAM, step: Step, sample: Sample) -> tuple[Tensor, Tensor]:
        if isinstance(network, Peer):
            drawn, alpha = network.draw(step, sample.photo, sample.targets)
            return drawn, (alpha > 0.5).to(drawn.dtype)
        return render(sample, self.rig, step.state.vertices, step.state.texture)

    @torch.no_grad()
    def _errors(self, sample: Sample, vertices: Tensor, seen: tuple[Tensor, Tensor]) -> dict[str, float]:
        drawn, mask = seen
        targets = sample.targets
        both = mask * targets.mask
        area = both.sum((1, 2, 3)).clamp_min(1)
        colour = 255 * ((drawn - targets.image).square().mul(both).sum((1, 2, 3)) / (3 * area)).sqrt()
        lpips = self.lpips(drawn * both, targets.image * both)
        outline = 100 * (1 - area / (mask + targets.mask).clamp(max=1).sum((1, 2, 3)))
        found = {}
        for name, values in (("colour", colour), ("LPIPS", lpips), ("outline", outline)):
            by_view = values.view(-1, targets.views)
            for i, kind in enumerate(KINDS):
                found[f"{name} {kind}"] = float(by_view[:, i : i + 1 if i < 2 else None].mean())
        if sample.vertices is not None:
            found["shape"] = 1000 * float((vertices - sample.vertices).norm(dim=-1).mean())
        return found

    @torch.no_grad()
    def sheet(self, network: MeshLAM) -> NDArray[np.uint8]:  # [3 H B, (3 + N) H, 3] sRGB
        """A row a head, its photo, then targets, and below them the start and the result."""
        rows = []
        for sample in self.samples:
            photo, targets = sample.photo, sample.targets
            start = render(sample, self.rig, photo.vertices, photo.texture)[0]
            result = self._drawn(network, network(photo, self.rig)[-1], sample)[0]
            shown = [targets.image * targets.mask, start, result]
            tall = torch.cat([torch.cat(list(view.unbind()), 2) for view in shown], 1)  # [3, 3 H, N H]
            rows.append(torch.cat([resize(photo.image, tall.shape[1])[0], tall], 2))
        return np.asarray((torch.cat(rows, 1).permute(1, 2, 0) * 255).round().byte().numpy())

    def _mean(self, found: list[dict[str, float]]) -> dict[str, float]:
        return {name: sum(errors[name] for errors in found) / len(found) for name in found[0]}


def render(
    sample: Sample,
    rig: Rig,
    vertices: Tensor,  # [B, V, 3]
    texture: Tensor,  # [B, 3, S, S]
) -> tuple[Tensor, Tensor]:  # [M, 3, H, H] black beside the head, [M, 1, H, H] 0 or 1
    """Heads as the targets' cameras see them."""
    targets = sample.targets
    view = look(animate(vertices.repeat_interleave(targets.views, 0), rig, targets), rig, targets.cameras)
    drawn = shade(view, rig, texture.repeat_interleave(targets.views, 0)).clamp(0, 1)
    return drawn, view.mask.to(drawn.dtype)
