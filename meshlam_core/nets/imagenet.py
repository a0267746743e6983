"""The colours that networks trained on ImageNet expect."""

from __future__ import annotations

from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(
    image: Tensor,  # [B, 3, H, W] sRGB 0..1
) -> Tensor:  # [B, 3, H, W]
    """ImageNet normalisation."""
    return (image - image.new_tensor(MEAN)[:, None, None]) / image.new_tensor(STD)[:, None, None]
