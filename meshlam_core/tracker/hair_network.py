"""A small U-Net that tells hair from everything else in a face-aligned window. training/hair_parser.py makes it.

Frame: image frame of the window of parsing.py, resampled to `side` px. Dims: N side, C channels.

The weights were learned on public-domain portraits with the answers of Google's hair segmenter (Apache-2.0) as
labels. Batch normalisation is folded into the convolutions when they are stored, so the network is plain
convolutions and ReLUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

F32 = NDArray[np.float32]

HAIR_NETWORK = Path(__file__).resolve().parent.parent / "data" / "hair_network.npz"
SIDE = 128  # px
# name, stride, in order; see forward
LAYERS = ("a0", "b0", "b1", "c0", "c1", "d0", "d1", "d2", "uc", "ub", "ua", "o", "f")
STRIDE_2 = frozenset({"a0", "b0", "c0", "d0"})


@dataclass(frozen=True)
class HairNetwork:
    """Folded weights, ready to run."""

    weights: dict[str, Tensor]  # name -> [C_out, C_in, 3, 3]
    biases: dict[str, Tensor]  # name -> [C_out]
    side: int = SIDE

    def predict(
        self,
        rgb: Tensor,  # [1, 3, N, N] sRGB 0..1
        person: Tensor,  # [1, 1, N, N] 0..1
        face: Tensor,  # [1, 1, N, N] 1 inside the face oval
    ) -> F32:  # [N, N] probability of hair
        """Run the network on one window."""
        with torch.inference_mode():
            logits = self._logits(network_inputs(rgb, person, face))
        return np.asarray(torch.sigmoid(logits)[0, 0].numpy(), np.float32)

    def _logits(self, x: Tensor) -> Tensor:
        a = self._layer("a0", x)
        b = self._layer("b1", self._layer("b0", a))
        c = self._layer("c1", self._layer("c0", b))
        d = self._layer("d2", self._layer("d1", self._layer("d0", c)))
        y = self._layer("uc", torch.cat([_double(d), c], 1))
        y = self._layer("ub", torch.cat([_double(y), b], 1))
        y = self._layer("ua", torch.cat([_double(y), a], 1))
        y = self._layer("o", torch.cat([_double(y), x], 1))
        return functional.conv2d(y, self.weights["f"], self.biases["f"], padding=1)

    def _layer(self, name: str, x: Tensor) -> Tensor:
        stride = 2 if name in STRIDE_2 else 1
        return functional.relu(functional.conv2d(x, self.weights[name], self.biases[name], stride=stride, padding=1))


def network_inputs(
    rgb: Tensor,  # [B, 3, N, N] sRGB 0..1
    person: Tensor,  # [B, 1, N, N]
    face: Tensor,  # [B, 1, N, N]
) -> Tensor:  # [B, 7, N, N]
    """Colours, masks, and where in the window a pixel lies: |x| and y, as heads are symmetric."""
    batch, _, side, _ = rgb.shape
    ramp = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(ramp, ramp, indexing="ij")
    where = torch.stack([x.abs(), y]).expand(batch, 2, side, side)
    return torch.cat([(rgb - 0.45) * 4, person * 2 - 1, face * 2 - 1, where], 1)


@cache
def load_hair_network(path: Path = HAIR_NETWORK) -> HairNetwork:
    """The packaged network."""
    with np.load(path, allow_pickle=False) as stored:
        weights = {name: torch.from_numpy(stored[f"{name}.weight"].astype(np.float32)) for name in LAYERS}
        biases = {name: torch.from_numpy(stored[f"{name}.bias"].astype(np.float32)) for name in LAYERS}
    return HairNetwork(weights, biases)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
