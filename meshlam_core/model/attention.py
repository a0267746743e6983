"""The cross-attention layers that vertex tokens and texture tokens share (MeshLAM, sec. network; pre-norm as in ViT).

Dims: B batch, N query tokens, M image tokens, C channels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class CrossAttentionLayer(nn.Module):
    """x + Attention(x, F_I), then x + MLP(x)."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query = nn.LayerNorm(width)
        self.norm_image = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))

    def forward(
        self,
        tokens: Tensor,  # [B, N, C]
        image: Tensor,  # [B, M, C]
    ) -> Tensor:  # [B, N, C]
        query = self._split(self.query(self.norm_query(tokens)))
        key, value = (self._split(half) for half in self.key_value(self.norm_image(image)).chunk(2, -1))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        result: Tensor = tokens + self.mlp(self.norm_mlp(tokens))
        return result

    def _split(self, tokens: Tensor) -> Tensor:  # [B, N, C] -> [B, heads, N, C / heads]
        batch, count, width = tokens.shape
        return tokens.view(batch, count, self.heads, width // self.heads).transpose(1, 2)


class CrossAttention(nn.Module):
    """A stack of layers; hands out every layer's tokens because the texture decoder reads several depths."""

    def __init__(self, width: int, heads: int, layers: int, mlp_ratio: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossAttentionLayer(width, heads, mlp_ratio) for _ in range(layers))

    def forward(
        self,
        tokens: Tensor,  # [B, N, C]
        image: Tensor,  # [B, M, C]
    ) -> list[Tensor]:  # layers x [B, N, C]
        depths = []
        for layer in self.layers:
            tokens = layer(tokens, image)
            depths.append(tokens)
        return depths
