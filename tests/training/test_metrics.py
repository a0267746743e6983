from __future__ import annotations

import math

import numpy as np
import pytest

from meshlam_core.points import CLASSIC_68
from training.metrics import (
    cosine,
    face_outline_mask,
    frechet_distance,
    landmark_distance,
    overlap,
    psnr,
    share_covered,
    ssim,
)


def test_psnr_counts_only_masked_pixels() -> None:
    reference = np.full((4, 4, 3), 100, np.uint8)
    image = reference.copy()
    image[:2] = 110  # off by 10 above
    image[2:] = 0  # far off below
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    assert psnr(image, reference, mask) == pytest.approx(20 * math.log10(255 / 10))


def test_two_half_overlapping_squares_share_a_third() -> None:
    first, second = np.zeros((2, 10, 10), bool)
    first[:, 0:4] = True
    second[:, 2:6] = True
    assert overlap(first, second) == pytest.approx(2 / 6)
    assert overlap(first & False, second & False) == 1.0


def test_a_quarter_of_the_wanted_is_covered() -> None:
    wanted, covered = np.zeros((2, 8, 8), bool)
    wanted[:4, :4] = True
    covered[2:, 2:] = True
    assert share_covered(wanted, covered) == pytest.approx(4 / 16)
    assert math.isnan(share_covered(wanted & False, covered))


def test_the_face_outline_is_the_inside_of_the_oval() -> None:
    landmarks = np.full((478, 2), 50.0)
    from training.metrics import FACE_OVAL

    angle = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    landmarks[list(FACE_OVAL)] = 50 + 30 * np.stack([np.sin(angle), -np.cos(angle)], 1)
    mask = face_outline_mask(landmarks, (100, 120))
    assert mask.shape == (120, 100)
    assert mask.sum() == pytest.approx(np.pi * 30**2, rel=0.03)
    assert mask[50, 50]
    assert not mask[50, 85]


def test_ssim_of_equal_pictures_is_1_and_only_the_mask_counts() -> None:
    reference = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    image = reference.copy()
    image[:, 30:] = 0
    left = np.zeros((40, 40), bool)
    left[:, :20] = True  # ten columns from what differs: beyond the window
    assert ssim(reference, reference, left | True) == pytest.approx(1)
    assert ssim(image, reference, left) == pytest.approx(1)
    assert ssim(image, reference, ~left) < 0.6


def test_ssim_of_a_brighter_flat_picture_is_the_luminance_term() -> None:
    low, high = np.full((2, 32, 32, 3), 100, np.uint8)
    high = high + np.uint8(50)
    c = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c) / (100**2 + 150**2 + c)
    assert ssim(low, high, np.ones((32, 32), bool)) == pytest.approx(expected, rel=1e-6)


def test_the_cosine_of_descriptors() -> None:
    assert cosine(np.array([1.0, 0]), np.array([2.0, 0])) == pytest.approx(1)
    assert cosine(np.array([1.0, 0]), np.array([1.0, 1])) == pytest.approx(0.5**0.5)
    assert cosine(np.array([1.0, 0]), np.zeros(2)) == 0


def test_only_the_68_classic_landmarks_count() -> None:
    first = np.zeros((478, 3))
    second = first.copy()
    second[CLASSIC_68] = (3, 4, 100)  # depth does not count
    assert landmark_distance(first, second) == pytest.approx(5)
    second[:] = (9, 9, 9)
    second[CLASSIC_68] = 0
    assert landmark_distance(first, second) == 0


def test_the_frechet_distance_of_two_clouds_of_known_mean_and_spread() -> None:
    random = np.random.default_rng(0)
    cloud = random.normal(size=(4000, 3))
    wide = cloud * [1, 2, 3] + [4, 0, 0]
    # between normal distributions with diagonal covariances: means apart, and the deviations' differences
    assert frechet_distance(cloud, wide) == pytest.approx(16 + 1 + 4, rel=0.05)
    assert frechet_distance(cloud, cloud) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_is_that_of_the_covariances_matrix_root() -> None:
    from scipy.linalg import sqrtm

    random = np.random.default_rng(1)
    first, second = random.normal(size=(50, 6)), random.normal(size=(60, 6)) @ random.normal(size=(6, 6))
    a, b = np.cov(first.T), np.cov(second.T)
    expected = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(first, second) == pytest.approx(float(expected))
