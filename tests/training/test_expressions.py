import numpy as np
import pytest

from meshlam_core.arkit import ARKIT_INDEX, ARKIT_MIRROR, ARKIT_NAMES
from meshlam_core.points import COUNT, MIRROR
from training.expressions.motion import Motion
from training.expressions.people import random_expression


def test_what_each_key_moves_is_found_whoever_shows_it_and_on_both_sides():
    rng = np.random.default_rng(0)
    own = rng.normal(0, 0.002, (52, COUNT, 2)).astype(np.float32)
    own = (own + own[ARKIT_MIRROR][:, MIRROR] * [-1, 1]) / 2  # faces are symmetric
    motion = Motion()
    for _ in range(6):
        truth = rng.random((80, 52)).astype(np.float32)
        face = rng.normal(0, 0.004, (COUNT, 2))  # what is this person's alone
        turns = rng.normal(0, 0.2, (80, 3)).astype(np.float32)
        moved = np.tensordot(truth, own, 1) + face + turns[:, 1, None, None] * [0.003, 0.0]
        motion.add(moved.astype(np.float32), turns, truth)
    found, explained = motion.solve()
    assert explained > 0.99
    assert np.abs(found - own).max() < 0.1 * np.abs(own).max()


def test_drawn_expressions_are_possible_ones():
    rng = np.random.default_rng(1)
    drawn = [random_expression(rng) for _ in range(400)]
    assert all(list(one) == list(ARKIT_NAMES) for one in drawn)
    values = np.array([list(one.values()) for one in drawn])
    assert values.min() >= 0
    assert values.max() <= 1
    assert (values.max(axis=0) > 0.3).all()  # every key is drawn
    closed, jaw = (values[:, ARKIT_INDEX[name]] for name in ("mouthClose", "jawOpen"))
    assert (jaw >= closed).all()
    out, inwards = (values[:, ARKIT_INDEX[f"eyeLook{name}"]] for name in ("OutLeft", "InRight"))
    assert out == pytest.approx(inwards)  # both eyes look at the same thing
