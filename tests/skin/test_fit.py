from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.skin.fit import LightPrior, Points, fit_light, shading
from meshlam_core.skin.harmonics import COUNT, LOBE, basis, even_directions

F64 = NDArray[np.float64]

MEAN = np.log([0.5, 0.33, 0.25])  # a skin
TONE = np.array([-0.5, -0.65, -0.8])  # one step towards dark skin


def prior() -> LightPrior:
    """Light from ahead and above at strength 1, loosely known."""
    mean = np.zeros((COUNT, 3))
    mean[:3] = np.array([2.6, 0.5, 0.5])[:, None]
    return LightPrior(mean.ravel(), np.kron(np.diag([0.3] + [0.5] * 3 + [0.05] * 5), np.eye(3)) + 1e-4)


def face(light: F64, person: F64, noise: float = 0.01) -> Points:
    """Half a sphere of skin whose cheeks are a little redder for one mode."""
    normals = even_directions(900)
    normals = normals[normals[:, 2] > 0.1]
    transfer = basis(normals).astype(np.float32)
    red = np.exp(-(((np.abs(normals[:, 0]) - 0.6) / 0.2) ** 2))[:, None] * [0.1, -0.1, -0.1]
    modes = np.stack([np.broadcast_to(TONE, red.shape), red]).astype(np.float32)
    mean = np.broadcast_to(MEAN, red.shape).astype(np.float32)
    albedo = mean + np.tensordot(person, modes, 1)
    colour = albedo + np.log(transfer @ light)
    colour += noise * np.random.default_rng(1).standard_normal(colour.shape)
    return Points(colour.astype(np.float32), np.ones(len(mean), np.float32), transfer, mean, modes)


def from_left(strength: float) -> F64:
    """The usual light and a lamp at the left, together as strong on the middle of the face as the usual."""
    lamp = basis(np.array([[0.9, 0.1, 0.42]]))[0] * LOBE / np.pi
    usual = prior().mean.reshape(COUNT, 3)
    light = 0.6 * usual + strength * np.outer(lamp, [1.0, 0.9, 0.8])
    ahead = basis(np.array([[0.0, 0.0, 1.0]]))
    return np.asarray(light * (ahead @ usual).mean() / (ahead @ light).mean())


def albedo_of(points: Points, light: F64) -> F64:
    return np.asarray(points.colour - np.log(shading(points.transfer, light)))


def test_a_lamp_at_the_side_is_taken_off_both_cheeks() -> None:
    points = face(from_left(0.8), np.zeros(2))
    fit = fit_light(points, prior())
    left = points.transfer[:, 3] > 0.2
    right = points.transfer[:, 3] < -0.2
    lit = points.colour[left].mean(axis=0) - points.colour[right].mean(axis=0)
    bare = albedo_of(points, fit.light)
    assert (lit > 0.25).all()
    assert (np.abs(bare[left].mean(axis=0) - bare[right].mean(axis=0)) < 0.04).all()


@pytest.mark.parametrize("steps", [0.0, 2.0])
def test_dark_skin_stays_dark_and_pale_skin_pale(steps: float) -> None:
    points = face(from_left(0.3), np.array([steps, 0.0]))
    fit = fit_light(points, prior())
    wanted = MEAN + steps * TONE
    assert np.abs(albedo_of(points, fit.light).mean(axis=0) - wanted).max() < 0.35
    assert 0.02 < fit.tone_doubt < 0.6


def test_a_shadow_over_a_sixth_of_the_face_is_not_believed() -> None:
    points = face(from_left(0.3), np.zeros(2))
    shadowed = points.transfer[:, 1] > np.quantile(points.transfer[:, 1], 5 / 6)
    colour = points.colour.copy()
    colour[shadowed] -= 0.9
    fit = fit_light(replace(points, colour=colour), prior())
    clean = fit_light(points, prior())
    rest = ~shadowed
    moved = albedo_of(points, fit.light) - albedo_of(points, clean.light)
    assert fit.robust[shadowed].mean() < 0.6 * fit.robust[rest].mean()
    assert np.quantile(np.abs(moved[rest] - np.median(moved[rest], axis=0)), 0.9) < 0.2


def test_no_light_is_negative_from_anywhere() -> None:
    fit = fit_light(face(from_left(1.5), np.zeros(2)), prior())
    around = basis(even_directions(200)) @ fit.light
    assert around.min() > -0.05 * around.max()


def test_the_white_of_the_eyes_tells_a_dim_photo_from_a_dark_skin() -> None:
    dim = 0.45
    points = face(dim * from_left(0.2), np.zeros(2))
    transfer = basis(np.array([[0.0, 0.0, 1.0]]))[0]
    white = np.log(dim * transfer @ from_left(0.2)) + np.log([0.51, 0.46, 0.38])
    blind = fit_light(points, prior())
    seeing = fit_light(replace(points, white=white, white_transfer=transfer), prior())
    off = [abs(float((albedo_of(points, fit.light).mean(axis=0) - MEAN).mean())) for fit in (blind, seeing)]
    assert off[1] < 0.7 * off[0]
    assert seeing.tone_doubt < blind.tone_doubt
