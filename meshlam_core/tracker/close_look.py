"""A close look at the lower face: a tongue that is out, which landmarks do not tell.

No landmark lies on a tongue. So a small network looks at the picture itself, from the eyes down to the chin and from
cheek to cheek.
training/expressions/close_look.py makes it from drawn people and real portraits.
Image frame: frames.py. Dims: B batch, N side.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.arkit import ARKIT_INDEX
from meshlam_core.files.npz import checked_array, read_arrays, readable
from meshlam_core.points import CHIN, FOREHEAD, LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from meshlam_core.tracker.parsing_network import fused
from meshlam_core.tracker.sampling import Region, sample_region

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

CLOSE_LOOK = Path(__file__).resolve().parent.parent / "data" / "close_look.npz"
KEY = "tongueOut"
PLACE = ARKIT_INDEX[KEY]
SIDE = 80  # px
MOUTH_ROWS, MOUTH_COLUMNS = slice(21, 61), slice(20, 60)  # where a mouth lies, open or closed
WIDE = 1.15  # of the face's width: both cheeks whole, and room for an open jaw
ABOVE = 0.02  # of the side, that lies above the eyes' corners
UPPER_LIP, LOWER_LIP = 13, 14  # landmarks in the middle of the lips' inner edges
SHUT = 0.01  # of the face height, between them
NOTHING, ALL = 0.4, 0.8  # answers up to which no tongue is seen, and from which it is wholly out


class CloseLook(nn.Module):
    """The logit of the key, from the lower face at half the size and from the mouth as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.face, self.mouth = (
            nn.Sequential(
                *_block(3, 12, 2), *_block(12, 24, 2), *_block(24, 32, 1), *_block(32, 48, 2), *_block(48, 48, 2)
            )
            for _ in range(2)
        )
        self.told = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(96 * 9, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(
        self,
        crops: Tensor,  # [B, 3, N, N] normalised
    ) -> Tensor:  # [B]
        mouth = self.mouth(crops[:, :, MOUTH_ROWS, MOUTH_COLUMNS])
        return self.told(torch.cat([self.face(functional.avg_pool2d(crops, 2)), mouth], 1))[:, 0]  # type: ignore[no-any-return]


def close_region(
    landmarks: F32,  # [L, >=2] px
) -> Region:
    """The upright square from the eyes down, as wide as the face."""
    eyes = landmarks[LEFT_EYE_OUTER, :2] - landmarks[RIGHT_EYE_OUTER, :2]
    roll = float(np.arctan2(eyes[1], eyes[0]))
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    turned = landmarks[:, :2] @ turn
    low, high = turned[:, 0].min(), turned[:, 0].max()
    side = WIDE * float(high - low)
    level = float(turned[[LEFT_EYE_OUTER, RIGHT_EYE_OUTER], 1].mean())
    centre = turn @ np.array([(low + high) / 2, level + (0.5 - ABOVE) * side])
    return Region((float(centre[0]), float(centre[1])), side, roll)


def normalised(
    crops: Tensor,  # [B, 3, N, N] sRGB 0..1
) -> Tensor:  # [B, 3, N, N]
    """Free of the light's colour and strength, as the middle of the face shows them."""
    edge = crops.shape[-1] // 4
    middle = crops[..., edge:-edge]
    mean = middle.mean((2, 3), keepdim=True)
    deviation = (middle - mean).square().mean((1, 2, 3), keepdim=True).sqrt()
    return ((crops - mean) / (deviation + 0.02)).clamp(-4, 4)


@cache
def load_close_look(path: Path = CLOSE_LOOK) -> CloseLook:
    """The packaged network."""
    label = f"The network {path.name}"
    with readable(label, "Install MeshLAM again."):
        arrays = read_arrays(path)
    network = fused(CloseLook())
    state = {}
    for name, value in network.state_dict().items():
        sizes = {str(size): size for size in value.shape}
        state[name] = torch.tensor(
            checked_array(arrays, name, " ".join(map(str, value.shape)), np.float32, sizes, label)
        )
    network.load_state_dict(state)
    return network.requires_grad_(False)


def look_closely(
    picture: U8,  # [H, W, 3]
    landmarks: F32,  # [L, >=2] px
) -> float:  # 0..1
    """How far the tongue is out: exactly 0 where nothing of it is seen, and between lips that are shut."""
    upper, lower, forehead, chin = (landmarks[number, :2] for number in (UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN))
    if np.linalg.norm(lower - upper) < SHUT * np.linalg.norm(chin - forehead):
        return 0.0
    crop = sample_region(picture, close_region(landmarks), SIDE).astype(np.float32) / 255
    with torch.inference_mode():
        logit = load_close_look()(normalised(torch.from_numpy(crop).permute(2, 0, 1)[None]))
    answer = float(torch.sigmoid(logit))
    return float(np.clip((answer - NOTHING) / (ALL - NOTHING), 0, 1))


def _block(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
