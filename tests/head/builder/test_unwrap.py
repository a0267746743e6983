"""Flattening: nothing flips, what can be flat becomes flat, scales are respected."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.head.builder.crop import border_loops
from meshlam_core.head.builder.unwrap import Flattener, border_circle, fill_holes, reference_inverse, tutte

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def sheet(rows: int, columns: int) -> tuple[F64, I64]:
    """A grid in the unit square, in the plane z = 0."""
    y, x = np.mgrid[0:rows, 0:columns]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
    points = np.stack([x.ravel() / (columns - 1), y.ravel() / (rows - 1), np.zeros(x.size)], axis=1)
    return points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def start(points: F64, faces: I64) -> F64:
    loop = np.array(border_loops(faces)[0])
    return tutte(faces, len(points), loop, border_circle(points, loop, 0))


def areas(uv: F64, faces: I64) -> F64:
    e1, e2 = uv[faces[:, 1]] - uv[faces[:, 0]], uv[faces[:, 2]] - uv[faces[:, 0]]
    return np.asarray((e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]) / 2)


def test_tuttes_embedding_of_a_crumpled_sheet_has_no_flips() -> None:
    points, faces = sheet(9, 11)
    points += np.random.default_rng(0).normal(0, 0.1, points.shape)
    assert areas(start(points, faces), faces).min() > 0


def test_a_rolled_sheet_flattens_without_any_distortion() -> None:
    flat, faces = sheet(8, 12)
    rolled = np.stack([np.sin(2 * flat[:, 0]), flat[:, 1], np.cos(2 * flat[:, 0])], axis=1)
    inverse, area = reference_inverse(rolled[faces], np.ones(len(faces)))
    flattener = Flattener(faces, inverse, area, len(rolled))
    uv = flattener.solve(start(rolled, faces), steps=100, tolerance=1e-12)
    assert flattener.energy(uv) == pytest.approx(4, abs=1e-6)  # |J|^2 + |J^-1|^2 of a rotation
    for a, b in faces[:, :2]:
        assert np.linalg.norm(uv[a] - uv[b]) == pytest.approx(np.linalg.norm(rolled[a] - rolled[b]), abs=1e-4)


def test_a_region_wanted_larger_becomes_larger() -> None:
    points, faces = sheet(10, 10)
    left = points[faces].mean(axis=1)[:, 0] < 0.5
    inverse, area = reference_inverse(points[faces], np.where(left, 2.0, 1.0))
    uv = Flattener(faces, inverse, area, len(points)).solve(start(points, faces))
    size = areas(uv, faces)
    assert size.min() > 0
    assert size[left].sum() > 2.5 * size[~left].sum()


def test_every_step_lowers_the_energy_and_none_flips() -> None:
    points, faces = sheet(7, 7)
    points[:, 2] = 0.6 * np.exp(-((points[:, :2] - 0.5) ** 2).sum(axis=1) * 20)
    inverse, area = reference_inverse(points[faces], np.ones(len(faces)))
    flattener = Flattener(faces, inverse, area, len(points))
    uv = start(points, faces)
    before = flattener.energy(uv)
    for _ in range(5):
        uv, _ = flattener.step(uv)
        now = flattener.energy(uv)
        assert now <= before
        assert areas(uv, faces).min() > 0
        before = now


def test_holes_are_closed_by_fans_of_the_same_orientation() -> None:
    points, faces = sheet(6, 6)
    open_faces = faces[(faces != 14).all(axis=1)]
    fans, holes = fill_holes(open_faces, len(points), keep_open=0)
    assert len(holes) == 1
    whole = np.concatenate([open_faces, fans])
    assert len(border_loops(whole)) == 1
    filled = np.concatenate([points, points[holes[0]].mean(axis=0, keepdims=True)])
    assert areas(filled[:, :2], whole).min() > 0
