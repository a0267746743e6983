"""Which point of the open head a point of another head model is, and the other way round.

The open head is registered to the model's template once (registration.py); both surfaces then lie on each other, and
everything that is known on the open head (parts, texture layout, landmarks, hair, skin, expressions) can be carried.

Frame: avatar frame of the model, metres. Dims: O vertices of the open head, V vertices of the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


@dataclass(frozen=True)
class Correspondence:
    """Points of two surfaces that are the same place of a head."""

    laid: F32  # [O, 3] m, the open head's vertices on the model's template
    on_open: I32  # [V, 3] three vertices of the open head
    on_open_bary: F32  # [V, 3] and how much each counts
    on_model: I32  # [O, 3] three vertices of the model
    on_model_bary: F32  # [O, 3]
    shares_layout: bool  # whether the model has the open head's texture layout

    def to_model(
        self,
        values: NDArray[np.floating],  # [..., O, d]
    ) -> F32:  # [..., V, d]
        """Values of the open head's vertices at the model's."""
        return blended(values, self.on_open, self.on_open_bary)

    def to_open(
        self,
        values: NDArray[np.floating],  # [..., V, d]
    ) -> F32:  # [..., O, d]
        """Values of the model's vertices at the open head's."""
        return blended(values, self.on_model, self.on_model_bary)

    def scale(
        self,
        template: F32,  # [O, 3] m, the open head's
    ) -> float:
        """How much larger the model is than the open head."""
        return float(np.ptp(self.laid[:, 1]) / np.ptp(template[:, 1]))

    def strongest(self) -> I32:  # [V]
        """The open head's vertex nearest to each of the model's."""
        return np.asarray(np.take_along_axis(self.on_open, self.on_open_bary.argmax(1)[:, None], 1)[:, 0], np.int32)


def blended(values: NDArray[np.floating], corners: I32, weights: F32) -> F32:
    """[..., P, d] values at three vertices each, blended."""
    result = values[..., corners[:, 0], :] * weights[:, :1]
    for corner in (1, 2):
        result = result + values[..., corners[:, corner], :] * weights[:, corner : corner + 1]
    return np.asarray(result, np.float32)
