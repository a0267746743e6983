"""Two formulas that all of texture baking uses."""

from __future__ import annotations

from torch import Tensor


def smooth_step(x: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high`, smooth in between."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def luminance(
    colour: Tensor,  # [..., 3] sRGB
) -> Tensor:  # [...]
    """Brightness of a gamma-coded colour, with the weights of Rec. 709."""
    return colour @ colour.new_tensor([0.2126, 0.7152, 0.0722])
