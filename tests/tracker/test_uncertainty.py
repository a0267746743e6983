"""What the fit tells of its own errors."""

from __future__ import annotations

import numpy as np
import pytest

from meshlam_core.head.model import HeadModel
from meshlam_core.tracker.uncertainty import Modes, similar_motions, skin_uncertainty, uncertain_modes
from tests.tracker.conftest import look_at

SIZE = (800, 1000)


@pytest.fixture(scope="module")
def seen_from(fitter):
    """The uncertainty of the same face from ahead and turned."""
    return {
        yaw: fitter.fit(look_at(fitter, [0.5, -0.5, 0.3], {}, (0.0, yaw, 0.0))[1], SIZE).uncertainty
        for yaw in (0.0, 0.6)
    }


def test_it_is_the_spread_of_heads_drawn_from_the_posterior(fitter):
    """The slow twin: draw parameters, move vertices, take the root of their mean squared distance."""
    rng = np.random.default_rng(0)
    n, k, vertices = 3, 2, 40
    modes = Modes(*(rng.normal(0, 0.003, (count, 3 * vertices)).astype(np.float32) for count in (n, k)),
                  np.full(vertices, 1e-6, np.float32))  # fmt: skip
    root = rng.normal(size=(n + k + 7, 40))
    hessian = root @ root.T
    drawn = rng.multivariate_normal(np.zeros(n + k + 7), np.linalg.inv(hessian), 40000)
    bent = rng.normal(0, 0.001, (vertices, 3))
    moved = [drawn[:, :n] @ modes.identity, drawn[:, n : n + k] @ modes.expression]
    squares = sum((one.reshape(-1, vertices, 3) ** 2).sum(2).mean(0) for one in moved)
    wanted = np.sqrt(squares + 1e-6 + (bent**2).sum(1) / 2)
    found = skin_uncertainty(hessian, modes, bent)
    np.testing.assert_allclose(found / found.mean(), wanted / wanted.mean(), rtol=0.03)


def test_what_landmarks_hold_is_known_better_than_what_none_is_on(fitter, seen_from):
    part = np.array(fitter.model.parts)[fitter.model.part]
    told = {name: np.median(seen_from[0.0][part == name]) for name in ("face", "ears", "neck")}
    assert 0.0005 < told["face"] < 0.004
    assert told["face"] < 0.5 * told["ears"]
    assert told["face"] < 0.5 * told["neck"]


def test_landmarks_that_are_off_by_more_make_it_larger(fitter):
    _, detection = look_at(fitter, [0.5, -0.5, 0.3], {})
    clear = fitter.fit(detection, SIZE)
    face = fitter.parametric(detection).face
    elsewhere = clear.vertices.astype(np.float64) + np.array([0.003, 0, 0])
    skin = fitter.model.part == fitter.model.parts.index("face")
    doubtful = fitter.uncertainty(detection, face, elsewhere)
    assert np.median(doubtful[skin] - clear.uncertainty[skin]) > 0.0003


def test_size_and_place_of_a_head_are_not_in_it(head: HeadModel):
    modes = uncertain_modes(head, 80)
    template = head.template.astype(np.float64)
    landmarks = head.landmarks(head.template).astype(np.float64)
    rows = [np.linalg.norm(template - point, axis=1).argmin() for point in landmarks]
    moved = modes.identity.reshape(len(modes.identity), -1, 3)[:, rows].astype(np.float64)
    whole = head.identity_basis[: len(moved)][:, rows]
    motions = similar_motions(template[rows], template[rows].mean(axis=0))
    size = lambda fields: np.abs(np.einsum("vcp,nvc->np", motions, fields)).sum()
    assert size(moved) < 0.1 * size(whole)
    # the first mode is a small head and a large one: what is left of it on the landmarks is their shape
    assert np.linalg.norm(moved[0]) < 0.9 * np.linalg.norm(whole[0])
