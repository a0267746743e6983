"""Steps from 0 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ramp(value: float, low: float, high: float) -> float:
    """0 below low, 1 above high, straight in between."""
    return min(max((value - low) / (high - low), 0.0), 1.0)


def smooth_step(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.floating]:
    """0 below low, 1 above high, smooth in between."""
    t = ((values - low) / (high - low)).clip(0, 1)
    return np.asarray(t * t * (3 - 2 * t))
