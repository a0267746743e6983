"""Spherical harmonics up to order 2: light from all around in nine numbers.

Frame: any right-handed one; directions are unit vectors. Dims: D directions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

COUNT = 9
# what each coefficient of the radiance becomes in the irradiance (Ramamoorthi and Hanrahan 2001)
LOBE = np.array([np.pi] + [2 * np.pi / 3] * 3 + [np.pi / 4] * 5)


def basis(directions: F64) -> F64:  # [D, 3] -> [D, 9]
    """Real spherical harmonics: one constant, y z x, then the second order."""
    x, y, z = directions.T
    one = np.ones_like(x)
    return np.stack(
        [
            0.282095 * one,
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        axis=1,
    )


def even_directions(count: int) -> F64:  # [count, 3]
    """Unit vectors, even on the sphere (Fibonacci's spiral)."""
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    y = 1 - 2 * (np.arange(count) + 0.5) / count
    radius = np.sqrt(1 - y * y)
    return np.stack([radius * np.cos(turn), y, radius * np.sin(turn)], axis=1)
