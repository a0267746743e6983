"""Shape branch: the template's vertices look at the photo (MeshLAM, sec. dual branches).

Frame: avatar frame, metres. Dims: B batch, V vertices, M image tokens, C channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from meshlam_core.model.attention import CrossAttention
from meshlam_core.model.borders import ABOUT
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
        # [ours] a vertex that knows where it lies in the photo finds its surroundings among the image tokens
        self.place = nn.Linear(ABOUT, preset.width) if preset.borders == "masks" else None

    def forward(
        self,
        template: Tensor,  # [V, 3] m, the undeformed head V_0
        image: Tensor,  # [B, M, C] tokens of F_I
        attention: CrossAttention,  # shared with the texture branch
        about: Tensor | None = None,  # [B, V, ABOUT] of the start, where the preset looks at borders
    ) -> Tensor:  # [B, V, C] F_V
        tokens = self.embed(encode_vertices(template, self.frequencies))[None].expand(len(image), -1, -1)
        if self.place is not None and about is not None:
            tokens = tokens + self.place(about)
        features: Tensor = attention(tokens, image)[-1]
        return features
