"""Refining and thinning keep a mesh whole, alike on both sides, and linear in the source."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from meshlam_core.head.builder.crop import Crop, border_loops
from meshlam_core.head.builder.density import refined, thinned

SIDE = 8


@pytest.fixture
def dome() -> tuple[Crop, np.ndarray]:
    """A square patch of a sphere, mirrored across x = 0, and its source vertices."""
    line = np.linspace(-1, 1, SIDE + 1)
    x, y = np.meshgrid(line, line)
    points = np.stack([x, y, np.sqrt(4 - x**2 - y**2)], axis=-1).reshape(-1, 3)
    index = np.arange(len(points)).reshape(SIDE + 1, SIDE + 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    left = (np.arange(SIDE) < SIDE // 2)[None, :].repeat(SIDE, 0)
    one = np.where(left[..., None], np.stack([a, b, c], -1), np.stack([a, b, d], -1)).reshape(-1, 3)
    two = np.where(left[..., None], np.stack([a, c, d], -1), np.stack([b, c, d], -1)).reshape(-1, 3)
    count = len(points)
    crop = Crop(
        sp.identity(count, format="csr"),
        np.concatenate([one, two]),
        np.full(count, "skin"),
        np.arange(count),
        index[:, ::-1].ravel(),
    )
    return crop, points


def is_whole_and_mirrored(crop: Crop, points: np.ndarray) -> bool:
    faces = crop.faces
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    manifold = np.unique(edges, axis=0, return_counts=True)[1].max() == 2 and len(border_loops(faces)) == 1
    images = {tuple(sorted(face)) for face in crop.mirror[faces].tolist()}
    alike = images == {tuple(sorted(face)) for face in faces.tolist()}
    places = crop.mix @ points
    corners = places[faces]
    upwards = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0
    return bool(manifold and alike and upwards.all() and np.abs(places[crop.mirror] * [-1, 1, 1] - places).max() < 1e-9)


def test_refined_triangles_leave_neither_holes_nor_vertices_on_edges(dome: tuple[Crop, np.ndarray]) -> None:
    crop, points = dome
    middle = np.linalg.norm(points[crop.faces].mean(axis=1)[:, :2], axis=1) < 0.6
    fine = refined(crop, middle)
    assert len(fine.faces) > len(crop.faces) + 3 * middle.sum()
    assert is_whole_and_mirrored(fine, points)


def test_refined_vertices_stay_on_the_smooth_surface(dome: tuple[Crop, np.ndarray]) -> None:
    crop, points = dome
    fine = refined(crop, np.ones(len(crop.faces), bool))
    inside = np.abs(fine.mix @ points)[:, :2].max(axis=1) < 0.7
    radius = np.linalg.norm(fine.mix @ points, axis=1)[inside]
    spacing = 2 / SIDE
    # a chord of two spacings lies this deep below its arc: subdivision may shrink by that, and not more
    assert np.abs(radius - 2).max() < spacing**2 / (2 * 2)
    assert np.allclose(np.asarray(fine.mix.sum(axis=1)), 1)


def test_thinning_keeps_the_border_and_the_number_asked_for(dome: tuple[Crop, np.ndarray]) -> None:
    crop, points = dome
    inner = np.abs(points[:, :2]).max(axis=1) < 0.9
    thin = thinned(crop, points, inner, keep=20)
    assert len(thin.source) - (~inner).sum() in (19, 20)  # the last pair goes together
    assert set(np.flatnonzero(~inner)) <= set(thin.source)
    assert is_whole_and_mirrored(thin, points)
