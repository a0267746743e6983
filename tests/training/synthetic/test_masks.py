from __future__ import annotations

import numpy as np
import pytest

from training.synthetic.masks import continued, disturbed, exact_masks
from training.synthetic.world import BACKGROUND, CLOTHES, HAIR, SKIN

SIDE = 96


def label() -> np.ndarray:
    """A face with hair over it and a body below, on background."""
    out = np.full((SIDE, SIDE), BACKGROUND, np.uint8)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    head = (rows - 40) ** 2 + (columns - 48) ** 2 < 26**2
    out[70:] = CLOTHES
    out[head] = np.where(rows[head] < 32, HAIR, SKIN)
    return out


def test_exact_masks_are_the_labels_averaged() -> None:
    hair, person = exact_masks(label(), SIDE // 2)
    assert hair.shape == person.shape == (SIDE // 2, SIDE // 2)
    assert hair.sum() == pytest.approx((label() == HAIR).sum() / 4)
    assert bool((hair <= person).all())


def test_beyond_the_photo_labels_go_on_as_at_its_edge() -> None:
    cut = label()
    cut[:, 60:] = BACKGROUND
    found = continued(cut, (60, SIDE))
    assert bool((found[:, 60:] == found[:, 59:60]).all())
    np.testing.assert_array_equal(found[:, :60], cut[:, :60])


def test_disturbed_masks_stay_masks_near_the_truth_and_are_wrong_in_many_ways() -> None:
    hair, person = exact_masks(label(), SIDE)
    rng = np.random.default_rng(0)
    overlaps = []
    for _ in range(60):
        wrong_hair, wrong_person = disturbed(hair, person, rng)
        for mask in (wrong_hair, wrong_person):
            assert mask.shape == (SIDE, SIDE)
            assert mask.min() >= 0
            assert mask.max() <= 1
        assert bool((wrong_person >= wrong_hair - 1e-6).all())
        found, wanted = wrong_hair > 0.5, hair > 0.5
        overlaps.append((found & wanted).sum() / (found | wanted).sum())
    assert np.median(overlaps) > 0.8
    assert min(overlaps) < 0.75
    assert max(overlaps) == 1  # some are right


def test_the_same_random_numbers_give_the_same_mistakes() -> None:
    masks = exact_masks(label(), SIDE)
    first, again = (disturbed(*masks, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(np.stack(first), np.stack(again))
