import numpy as np

from meshlam_core.tracker.smoothing import channel_noise, smooth

TIMES = np.arange(100) / 25


def test_jitter_is_reduced():
    rng = np.random.default_rng(0)
    noisy = 0.3 + rng.normal(0, 0.01, (100, 1))
    assert smooth(TIMES, noisy).std() < 0.7 * noisy.std()


def test_a_moving_channel_is_not_delayed():
    rng = np.random.default_rng(1)
    clean = np.sin(2 * np.pi * 0.7 * TIMES)[:, None]
    smoothed = smooth(TIMES, clean + rng.normal(0, 0.02, (100, 1)))[:, 0]
    lags = range(-4, 5)
    errors = [np.abs(np.roll(smoothed, lag)[10:-10] - clean[10:-10, 0]).mean() for lag in lags]
    assert lags[int(np.argmin(errors))] == 0


def test_a_blink_of_four_frames_keeps_nine_tenths_of_its_height():
    rng = np.random.default_rng(2)
    values = 0.1 + rng.normal(0, 0.01, (100, 1))
    values[50:54, 0] += (0.5, 0.85, 0.8, 0.4)
    assert smooth(TIMES, values).max() > 0.9 * values.max()


def test_steady_and_accelerating_moves_are_left_alone_up_to_their_ends():
    move = np.stack([np.linspace(0, 1, 100), np.linspace(-1, 1, 100) ** 2], axis=1)
    np.testing.assert_allclose(smooth(TIMES, move), move, atol=1e-9)


def test_the_noise_of_a_channel_is_measured_through_its_motion():
    rng = np.random.default_rng(3)
    values = np.stack([np.sin(TIMES), np.zeros(100)], axis=1) + rng.normal(0, 1, (100, 2)) * [0.02, 0.005]
    np.testing.assert_allclose(channel_noise(values), [0.02, 0.005], rtol=0.35)


def test_one_frame_and_constant_channels_come_back_unchanged():
    np.testing.assert_array_equal(smooth(np.zeros(1), np.ones((1, 3))), np.ones((1, 3)))
    np.testing.assert_allclose(smooth(TIMES, np.full((100, 2), 0.25)), 0.25)


def test_a_restless_head_is_not_taken_for_noise():
    rng = np.random.default_rng(4)
    nodding = rng.normal(0, 1, (100, 1))  # faster than the frames can follow
    assert np.abs(smooth(TIMES, nodding) - nodding).mean() > 0.1
    np.testing.assert_allclose(smooth(TIMES, nodding, 0.02), nodding, atol=0.05)
