"""Whether a distributed model's numbers can be a head at all: files in other units and damaged ones are named here,
before a registration of nonsense fails somewhere else.

Frame: the model's own, metres. Dims: V vertices, F triangles.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import UnreadableInput

HEIGHT = (0.1, 1.5)  # m, of a head with its neck, up to a bust
EYES_APART = (0.03, 0.12)  # m
MOST_MOVED = 1.0  # m, by one direction at one standard deviation
LEAST_USED = 0.5  # share of the vertices that triangles must use
MICROMETRE = 6  # decimals of what is told of a distance: below it is round-off
SUM_OFF = 1e-3  # by which weights of one vertex may miss one


def check_mesh(
    label: str,  # the file, in messages
    template: NDArray[np.floating],  # [V, 3] m
    faces: NDArray[np.integer],  # [F, 3]
    eyes: NDArray[np.floating],  # [2, 3] m, their middles
    directions: Mapping[str, NDArray[np.floating]],  # [..., 3] m by name
) -> None:
    """UnreadableInput in one sentence."""
    height, apart = float(np.ptp(template[:, 1])), float(np.linalg.norm(eyes[0] - eyes[1]).round(MICROMETRE))
    for what, value, limits in (("high", height, HEIGHT), ("between the eyes", apart, EYES_APART)):
        if not limits[0] <= value <= limits[1]:
            raise UnreadableInput(
                f"{label} is no head in metres: expected {limits[0]:g} to {limits[1]:g} m {what}, got {value:.3g}."
            )
    used = len(np.unique(faces))
    if used < LEAST_USED * len(template):
        raise UnreadableInput(f"{label}: expected triangles of its {len(template)} vertices, got {used} that are used.")
    for name, values in directions.items():
        most = float(np.abs(values).max(initial=0))
        if most > MOST_MOVED:
            raise UnreadableInput(f"{label}: expected {name} that move it by {MOST_MOVED:g} m at most, got {most:.3g}.")


def check_weights(label: str, name: str, weights: NDArray[np.floating]) -> None:  # [V, J]
    """UnreadableInput where skinning weights are no shares of one."""
    if weights.min() < -SUM_OFF or np.abs(weights.sum(axis=1) - 1).max() > SUM_OFF:
        sums = weights.sum(axis=1)
        raise UnreadableInput(
            f"{label}: expected {name} of 0 or more that sum to 1 at each vertex, "
            f"got {weights.min():.3g} at least and sums of {sums.min():.3g} to {sums.max():.3g}."
        )
