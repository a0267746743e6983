from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from meshlam_core.model.network import MeshLAM
from meshlam_core.model.render import animate, look, vertices_seen
from meshlam_core.raster.normals import vertex_normals
from tests.model.tiny import TINY_RIG, awake, tiny_photo, tiny_preset
from training.geometry.batch import GeometryBatch
from training.geometry.stage import (
    GeometrySettings,
    GeometryStage,
    refine_start,
    start_in_photo,
    within_reach,
    without_errors,
)
from training.geometry.subset import Subset, Surface

SURFACE = Surface(TINY_RIG)


def network() -> MeshLAM:
    return without_errors(awake(MeshLAM(tiny_preset()).eval()))


def batch_of(made: MeshLAM, subset: Subset) -> GeometryBatch:
    photo = tiny_photo(2)
    near = photo.resized(made.preset.error_size)
    with torch.no_grad():
        features = made.pooled(photo.resized(made.preset.backbone_size).image)
        view = look(animate(photo.vertices, TINY_RIG, near), TINY_RIG, near.cameras)
        normals = vertex_normals(view.vertices, TINY_RIG.faces)
        seen = vertices_seen(view, normals)
    at = subset.vertices
    start = photo.vertices[:, at]
    truth = start + 0.002 * torch.randn(start.shape, generator=torch.Generator().manual_seed(0))
    return GeometryBatch(subset, features, replace(near, vertices=start), normals[:, at], seen[:, at], truth)


def test_a_subset_moves_as_it_does_among_all_vertices_of_the_whole_network() -> None:
    made = network()
    subset = SURFACE.of(SURFACE.movable[::3])
    with torch.no_grad():
        ours = refine_start(made, batch_of(made, subset))[-1].state.vertices
        whole = made(tiny_photo(2), TINY_RIG)[-1].state.vertices[:, subset.vertices]
    assert (whole - tiny_photo(2).vertices[:, subset.vertices]).abs().max() > 1e-4
    torch.testing.assert_close(ours, whole, rtol=1e-4, atol=1e-6)


class OneBatch:
    """A pool that is not asked."""

    def draw(self, rng: np.random.Generator, count: int) -> list[object]:
        raise AssertionError


def test_the_loss_falls_when_the_geometry_is_learnt_and_no_error_weight_wakes_up() -> None:
    made = network()
    batch = batch_of(made, SURFACE.everything())
    stage = GeometryStage(OneBatch(), TINY_RIG, GeometrySettings())  # type: ignore[arg-type]
    optimiser = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = stage.loss(made, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    before = made.geometry_update.embed[0].weight.clone()
    assert torch.equal(without_errors(made).geometry_update.embed[0].weight, before)


def test_an_error_across_the_view_of_a_seen_vertex_is_not_asked_of_the_network() -> None:
    made = network()
    batch = batch_of(made, SURFACE.of(SURFACE.movable[::2]))
    seen = replace(batch, seen=torch.ones_like(batch.seen))
    ways = start_in_photo(made.preset, seen)[1]
    assert ways is not None
    across = torch.linalg.eigh(ways).eigenvectors[..., 0]  # of the eigenvalue 0
    wrong = within_reach(across, ways)
    torch.testing.assert_close(wrong, torch.zeros_like(wrong), atol=1e-5, rtol=0)
    stage = GeometryStage(OneBatch(), TINY_RIG, GeometrySettings(edge=0, normal=0))  # type: ignore[arg-type]
    with torch.no_grad():
        moved = stage.loss(made, replace(seen, truth=seen.truth + 0.05 * across))
        torch.testing.assert_close(moved, stage.loss(made, seen), rtol=1e-3, atol=0)
