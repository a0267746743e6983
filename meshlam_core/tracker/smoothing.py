"""Smoothing of a finished track, without lag.

Each channel is averaged over neighbouring frames on both sides, so nothing is delayed. A neighbour counts less the
farther its value lies from the frame's own, measured in the channel's noise (a bilateral filter, Tomasi and Manduchi,
ICCV 1998): jitter is averaged away, while blinks and fast lips, many times the noise, stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

TIME_SIGMA = 0.06  # s
RANGE_SIGMA = 2.5  # noise levels


def channel_noise(
    values: F64,  # [T, C]
) -> F64:  # [C] standard deviation of the frame-to-frame noise
    """Noise of each channel from its second differences, which smooth motion hardly has (robust, by the median)."""
    if len(values) < 4:
        return np.zeros(values.shape[1])
    second = np.diff(values, n=2, axis=0)
    # the second difference of white noise has 6 times its variance; 1.4826 turns a median into a deviation
    noise: F64 = 1.4826 * np.median(np.abs(second - np.median(second, axis=0)), axis=0) / np.sqrt(6)
    return noise


def smooth(
    times: F64,  # [T] s, increasing
    values: F64,  # [T, C]
    time_sigma: float = TIME_SIGMA,
) -> F64:  # [T, C]
    """Every channel with its jitter averaged away and its fast moves kept."""
    noise = channel_noise(values)
    reach = np.maximum(RANGE_SIGMA * noise, 1e-12)
    total, weights = np.zeros_like(values), np.zeros_like(values)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    for shift in range(-_half_window(step, time_sigma), _half_window(step, time_sigma) + 1):
        here = slice(max(0, -shift), len(times) - max(0, shift))
        there = slice(max(0, shift), len(times) - max(0, -shift))
        if here.stop <= here.start:
            continue
        near = np.exp(-0.5 * ((times[there] - times[here]) / time_sigma) ** 2)[:, None]
        # both sides must be there, or the ends of a steady move would be pulled inwards
        mirrored = _has_mirror(len(times), shift)[here][:, None]
        weight = near * mirrored * np.exp(-0.5 * ((values[there] - values[here]) / reach) ** 2)
        total[here] += weight * values[there]
        weights[here] += weight
    return total / weights


def _half_window(step: float, time_sigma: float) -> int:
    return int(np.ceil(2.5 * time_sigma / max(step, 1e-3)))


def _has_mirror(count: int, shift: int) -> NDArray[np.float64]:
    index = np.arange(count)
    return ((index + shift >= 0) & (index + shift < count) & (index - shift >= 0) & (index - shift < count)).astype(
        float
    )
