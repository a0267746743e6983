from __future__ import annotations

import pytest
import torch

from meshlam_core.errors import UsageError
from meshlam_core.model.renderer import ModulatedConv, NeuralRenderer, RendererSize

SIZE = RendererSize((4, 6, 8), 5, 7)


def inputs(side: int = 32) -> tuple[torch.Tensor, ...]:
    return (
        torch.rand(2, 3, side, side),
        torch.ones(2, 1, side, side),
        torch.rand(2, 3, side, side),
        torch.rand(2, 7, 3, 3),
    )


def test_before_training_the_picture_is_the_rendering() -> None:
    rendering, mask, normals, features = inputs()
    picture, alpha = NeuralRenderer(SIZE)(rendering, mask, normals, features)
    assert torch.equal(picture, rendering)
    assert torch.equal(alpha, mask)


def test_the_portrait_sets_the_style() -> None:
    torch.manual_seed(0)
    renderer = NeuralRenderer(SIZE)
    torch.nn.init.normal_(renderer.to_image.weight)
    torch.nn.init.normal_(renderer.middle.scale.weight)
    rendering, mask, normals, features = inputs()
    picture, _ = renderer(rendering, mask, normals, features)
    assert (renderer(rendering, mask, normals, features.flip(0) + 1)[0] - picture).abs().max() > 1e-4


def test_the_modulated_convolution_equals_modulated_and_demodulated_weights() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(3, 2, 4).double()
    torch.nn.init.normal_(layer.scale.weight)
    x, style = torch.randn(2, 3, 5, 5).double(), torch.randn(2, 4).double()
    out = layer(x, style)
    for i in range(2):
        weight = layer.weight * layer.scale(style[i])[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = torch.nn.functional.conv2d(x[i : i + 1], weight, layer.bias, padding=1)
        torch.testing.assert_close(out[i : i + 1], expected, rtol=0, atol=1e-12)


def test_sides_that_cannot_be_halved_are_refused() -> None:
    rendering, mask, normals, features = inputs(30)
    with pytest.raises(UsageError, match="multiple of 4 px"):
        NeuralRenderer(SIZE)(rendering, mask, normals, features)
