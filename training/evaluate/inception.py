"""Features of the Inception network, for the Frechet distance of two sets of pictures (FID).

The network is nobody's to ship and not needed: FID is told only where its file is. It is the TorchScript of the
original network of 2015 as StyleGAN2's authors published it (inception-2015-12-05.pt): called with
[B, 3, H, W] uint8 and `return_features=True` it answers [B, 2048].
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

VARIABLE = "MESHLAM_INCEPTION"

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


class Inception:
    """A network that turns pictures into features."""

    def __init__(self, network: Any) -> None:
        self._network = network

    @classmethod
    def open(cls) -> Inception | None:
        """The network whose file the environment names, if any."""
        named = os.environ.get(VARIABLE)
        if not named or not Path(named).is_file():
            return None
        load: Any = torch.jit.load
        return cls(load(named, map_location="cpu").eval())

    def __call__(self, picture: U8) -> F64:  # [H, W, 3] -> [C]
        """What the network sees in a picture."""
        batch = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            return np.asarray(self._network(batch, return_features=True)[0].double().numpy())
