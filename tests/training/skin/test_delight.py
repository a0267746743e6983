from __future__ import annotations

import numpy as np

from training.skin.delight import MOST, balance
from training.skin.lights import symmetric


def test_rare_tones_count_more_but_not_without_end() -> None:
    tone = np.concatenate([np.full(500, -1.0), np.full(40, -2.0), [-3.5]])
    weight = balance(tone)
    assert weight[0] == 1
    assert 1 < weight[500] <= weight[-1] == MOST


def test_lights_from_the_left_teach_as_much_of_the_right() -> None:
    rng = np.random.default_rng(3)
    lights = rng.standard_normal((200, 9, 3)) * 0.2 + np.array([3, 1, 1, 1.5, 0, 0, 0, 0, 0])[:, None]
    prior = symmetric(lights.reshape(200, 27))
    mean = prior.mean.reshape(9, 3)
    np.testing.assert_allclose(mean[[3, 4, 7]], 0, atol=1e-12)
    np.testing.assert_allclose(mean[:3], lights.mean(axis=0)[:3])
    sideways = prior.covariance.reshape(9, 3, 9, 3)[3, :, 3].diagonal()
    assert (sideways > 1.5**2).all()
