"""Smoothing of a finished track, without lag.

Each frame is replaced by the value of a parabola fitted to the frames around it on both sides (Savitzky and Golay,
Anal. Chem. 36, 1964), so neither position, speed nor acceleration is delayed or flattened. Where the parabola misses a
frame by many times the channel's noise, something fast happened (a blink, a lip), and the frame stays as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

HALF_WINDOW = 0.12  # s
KEEP = 3.0  # noise levels beyond which a frame keeps its own value


def channel_noise(
    values: F64,  # [T, C]
) -> F64:  # [C] standard deviation of the frame-to-frame noise
    """Noise of each channel from its fourth differences, which motion hardly has (robust, by the median)."""
    if len(values) < 8:
        return np.zeros(values.shape[1])
    fourth = np.diff(values, n=4, axis=0)
    # a fourth difference of white noise has 1 + 16 + 36 + 16 + 1 times its variance; 1.4826 makes a median a deviation
    noise: F64 = 1.4826 * np.median(np.abs(fourth), axis=0) / np.sqrt(70)
    return noise


def smooth(
    times: F64,  # [T] s, increasing and about evenly spaced
    values: F64,  # [T, C]
    most_noise: F64 | float = np.inf,  # [C] what the jitter can be at most: more than that is motion
    half_window: float = HALF_WINDOW,
) -> F64:  # [T, C]
    """Every channel with its jitter averaged away and its fast moves kept."""
    if len(times) < 4:
        return values.copy()
    step = max(float(np.median(np.diff(times))), 1e-3)
    half = min(max(2, round(half_window / step)), (len(times) - 1) // 2)
    if half < 2:
        return values.copy()
    steady = _parabola(values, half)
    off = values - steady
    noise = np.maximum(KEEP * np.minimum(channel_noise(values), most_noise), 1e-12)
    kept: F64 = steady + off * -np.expm1(-0.5 * (off / noise) ** 4)
    return kept


def _parabola(values: F64, half: int) -> F64:
    """Value at each frame of the parabola through its window; at the ends the window stays inside the track."""
    count = len(values)
    out = np.empty_like(values)
    offsets = np.arange(-half, half + 1, dtype=np.float64)
    # row k: the weights that give the parabola's value at offset k of the window
    weights = np.vander(offsets, 3) @ np.linalg.pinv(np.vander(offsets, 3))
    for offset in offsets.astype(int):
        weight = weights[half, offset + half]
        part = weight * values[half + offset : count - half + offset]
        out[half : count - half] = part if offset == -half else out[half : count - half] + part
    out[:half] = weights[:half] @ values[: 2 * half + 1]
    out[count - half :] = weights[half + 1 :] @ values[count - 2 * half - 1 :]
    return out
