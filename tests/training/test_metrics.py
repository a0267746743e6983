from __future__ import annotations

import math

import numpy as np
import pytest

from training.metrics import face_outline_mask, overlap, psnr, share_covered


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
