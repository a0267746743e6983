from __future__ import annotations

import math

import torch
from torch import Tensor

from meshlam_core.model.attention import CrossAttention, CrossAttentionLayer
from tests.tolerance import features_on_the_way, round_off


def slow_layer(layer: CrossAttentionLayer, tokens: Tensor, image: Tensor) -> Tensor:
    """Attention head by head and token by token."""
    query = layer.query(layer.norm_query(tokens))
    key, value = layer.key_value(layer.norm_image(image)).chunk(2, -1)
    size = query.shape[-1] // layer.heads
    mixed = torch.zeros_like(query)
    for h in range(layer.heads):
        part = slice(h * size, (h + 1) * size)
        for n in range(tokens.shape[1]):
            scores = (key[0, :, part] @ query[0, n, part]) / math.sqrt(size)
            mixed[0, n, part] = scores.softmax(0) @ value[0, :, part]
    tokens = tokens + layer.out(mixed)
    return tokens + layer.mlp(layer.norm_mlp(tokens))


def test_a_layer_equals_the_formula_written_out() -> None:
    torch.manual_seed(0)
    layer = CrossAttentionLayer(12, 3, 2).double()
    tokens, image = torch.randn(1, 5, 12).double(), torch.randn(1, 7, 12).double()
    allowed = round_off(*features_on_the_way(layer, tokens, image), layers=20)
    torch.testing.assert_close(layer(tokens, image), slow_layer(layer, tokens, image), **allowed)


def test_tokens_do_not_see_each_other_and_image_order_does_not_matter() -> None:
    torch.manual_seed(0)
    stack = CrossAttention(12, 3, 2, 2).double()
    tokens, image = torch.randn(2, 5, 12).double(), torch.randn(2, 7, 12).double()
    both = stack(tokens, image)
    assert len(both) == 2
    alone = stack(tokens[:, 3:4], image.flip(1))
    torch.testing.assert_close(both[-1][:, 3:4], alone[-1], **round_off(*both, layers=50))
