"""Networks that say what is hair and what is a person: yardsticks, not part of the product's own answer.

Pictures are [H, W, 3] sRGB; masks are [H, W] probabilities. Both networks see the picture stretched to their square.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

HAIR_SIDE = 512  # px
PERSON_SIDE = 256  # px


class HairTeacher:
    """Google's hair segmenter (Apache-2.0), which is not shipped."""

    def __init__(self, model: Path) -> None:
        self._net = _interpreter(model)

    @classmethod
    def open(cls, model: Path) -> HairTeacher | None:
        """The teacher, if its file is there."""
        return cls(model) if model.is_file() else None

    def __call__(self, picture: U8) -> F32:  # [H, W]
        """The hair of a picture. It is asked twice: its fourth input channel is the previous answer."""
        inputs = np.zeros((1, HAIR_SIDE, HAIR_SIDE, 4), np.float32)
        inputs[0, ..., :3] = _stretched(picture, HAIR_SIDE)
        for _ in range(2):
            logits = _ask(self._net, inputs)
            inputs[0, ..., 3] = 1 / (1 + np.exp((logits[..., 0] - logits[..., 1]).clip(-30, 30)))
        return _on_picture(inputs[0, ..., 3], picture)


class PersonTeacher:
    """Google's selfie segmenter (Apache-2.0), as it answers before the product mends its masks."""

    def __init__(self, model: Path) -> None:
        self._net = _interpreter(model)

    def __call__(self, picture: U8) -> F32:  # [H, W]
        """The people of a picture."""
        mask = _ask(self._net, _stretched(picture, PERSON_SIDE)[None])[..., 0]
        # the network's sigmoid gives NaN where its float32 logits overflow, far inside the background
        return _on_picture(np.nan_to_num(mask).clip(0, 1), picture)


def _interpreter(model: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_path=str(model), num_threads=2)
    net.allocate_tensors()
    return net


def _ask(net: Any, inputs: F32) -> F32:  # [S, S, C]
    net.set_tensor(net.get_input_details()[0]["index"], inputs)
    net.invoke()
    answer: F32 = net.get_tensor(net.get_output_details()[0]["index"])[0]
    return answer


def _stretched(picture: U8, side: int) -> F32:  # [side, side, 3] 0..1
    small = Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32) / np.float32(255)


def _on_picture(mask: F32, picture: U8) -> F32:
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))
