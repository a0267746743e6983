"""Shape branch: the template's vertices look at the photo (MeshLAM, sec. dual branches).

Frame: avatar frame, metres. Dims: B batch, V vertices, M image tokens, C channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from meshlam_core.model.attention import CrossAttention
from meshlam_core.model.config import Preset
from meshlam_core.model.encoding import encode_vertices, encoded_width


class ShapeBranch(nn.Module):
    """F_V = attention(MLP(ϑ(V_0)), F_I)."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.frequencies = preset.frequencies
        self.embed = nn.Sequential(
            nn.Linear(encoded_width(3, preset.frequencies), preset.width),
            nn.GELU(),
            nn.Linear(preset.width, preset.width),
        )

    def forward(
        self,
        template: Tensor,  # [V, 3] m, the undeformed head V_0
        image: Tensor,  # [B, M, C] tokens of F_I
        attention: CrossAttention,  # shared with the texture branch
    ) -> Tensor:  # [B, V, C] F_V
        tokens = self.embed(encode_vertices(template, self.frequencies))
        features: Tensor = attention(tokens[None].expand(len(image), -1, -1), image)[-1]
        return features
