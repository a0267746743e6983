import numpy as np

from meshlam_core.arkit import ARKIT_MIRROR, ARKIT_NAMES, reorder
from meshlam_core.points import (
    BLENDSHAPE_INPUTS,
    CLASSIC_68,
    COUNT,
    LEFT_EYE,
    LIPS_INNER,
    LIPS_OUTER,
    LOWER_INNER_LIP,
    MIRROR,
    OVAL,
    RIGHT_EYE,
)


def test_mirroring_twice_gives_the_same_landmark():
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(COUNT))


def test_symmetric_point_sets_mirror_onto_themselves_and_the_eyes_onto_each_other():
    for points in (OVAL, LIPS_OUTER, LIPS_INNER, LOWER_INNER_LIP, BLENDSHAPE_INPUTS):
        assert set(MIRROR[points]) == set(points)
    assert set(MIRROR[RIGHT_EYE]) == set(LEFT_EYE)


def test_the_classic_68_points_are_symmetric_in_their_own_numbering():
    jaw, right_brow, left_brow = CLASSIC_68[:17], CLASSIC_68[17:22], CLASSIC_68[22:27]
    np.testing.assert_array_equal(MIRROR[jaw], jaw[::-1])
    np.testing.assert_array_equal(MIRROR[right_brow], left_brow[::-1])
    assert len(set(CLASSIC_68)) == 68


def test_there_are_52_names_and_left_mirrors_right():
    assert len(set(ARKIT_NAMES)) == 52
    assert ARKIT_NAMES[ARKIT_MIRROR[ARKIT_NAMES.index("mouthSmileLeft")]] == "mouthSmileRight"
    assert ARKIT_NAMES[ARKIT_MIRROR[ARKIT_NAMES.index("jawOpen")]] == "jawOpen"
    np.testing.assert_array_equal(ARKIT_MIRROR[ARKIT_MIRROR], np.arange(52))


def test_coefficients_are_reordered_by_name_and_missing_ones_are_zero():
    values = np.array([[1.0, 2.0, 3.0]], np.float32)
    np.testing.assert_array_equal(reorder(values, ("a", "b", "c"), ("c", "x", "a")), [[3.0, 0.0, 1.0]])
