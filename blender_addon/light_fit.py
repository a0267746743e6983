"""A photo's light as what Blender can build: a sun, and a world that brightens towards some side. Knows no Blender.

The avatar file's nine harmonics say how bright a white surface is that looks into a direction (its irradiance over pi).
Not every such function comes from light that is nowhere negative; this one does, and is the nearest of its kind.

Frame: the avatar's; directions are unit vectors. Dims: D directions, C = 3 colour channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_DIRECTIONS = 256
_STEPS = 400  # of coordinate descent; nine unknowns a channel
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class BuiltLight:
    """Linear colours; a white surface that looks into n is as bright as the sum of both."""

    towards_sun: F64  # [3]
    sun: F64  # [C] brightness of a white surface that faces the sun
    middle: F64  # [C] radiance of the world, on average
    slope: F64  # [3, C] how much it grows along each axis, per unit
    error: float  # rms of the brightness over all directions, of its mean

    def brightness(self, normals: F64) -> F64:  # [D, 3] -> [D, C] of white surfaces
        facing = np.maximum(normals @ self.towards_sun, 0.0)
        return np.asarray(facing[:, None] * self.sun + self.middle + 2 / 3 * normals @ self.slope)


def harmonics(directions: F64) -> F64:  # [D, 3] -> [D, 9]
    """Real spherical harmonics up to order 2, in the avatar file's order."""
    x, y, z = directions.T
    first = [0.282095 * np.ones_like(x), 0.488603 * y, 0.488603 * z, 0.488603 * x]
    second = [1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z]
    return np.stack([*first, *second, 0.546274 * (x * x - y * y)], axis=1)


def build_light(
    light: F64,  # [9, C] of the avatar file
) -> BuiltLight:
    """The sun and the world that come nearest to this light."""
    normals = _even_directions(_DIRECTIONS)
    wanted = np.maximum(harmonics(normals) @ light, 0.0)
    towards = light[[3, 1, 2]] @ _LUMINANCE
    length = float(np.linalg.norm(towards))
    towards = towards / length if length > 1e-9 else np.array([0.0, 1.0, 0.0])
    sides = np.concatenate([np.eye(3), -np.eye(3), towards[None]])
    # a world of (1 + w.a) / 2 is nowhere negative and makes a surface that looks into n as bright as 1/2 + n.a / 3
    columns = [np.ones(len(normals)), *(0.5 + normals @ side / 3 for side in sides), np.maximum(normals @ towards, 0)]
    amounts = _not_negative(np.stack(columns, axis=1), wanted)  # [9, C]: even, to each side, the sun
    middle = amounts[0] + amounts[1:-1].sum(0) / 2
    slope = sides.T @ amounts[1:-1] / 2
    built = BuiltLight(towards, amounts[-1], middle, slope, 0.0)
    off = built.brightness(normals) - wanted
    return BuiltLight(towards, amounts[-1], middle, slope, float(np.sqrt((off**2).mean()) / wanted.mean()))


def _not_negative(left: F64, right: F64) -> F64:  # [D, U], [D, C] -> [U, C]
    """Least squares without negative unknowns, by coordinate descent."""
    square, product = left.T @ left, left.T @ right
    found = np.zeros_like(product)
    for _ in range(_STEPS):
        for row in range(len(square)):
            rest = product[row] - square[row] @ found + square[row, row] * found[row]
            found[row] = np.maximum(rest / square[row, row], 0.0)
    return found


def _even_directions(count: int) -> F64:  # [count, 3]
    """Fibonacci's spiral."""
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    y = 1 - 2 * (np.arange(count) + 0.5) / count
    radius = np.sqrt(1 - y * y)
    return np.stack([radius * np.cos(turn), y, radius * np.sin(turn)], axis=1)
