"""The network that tells the parts of a head, what is worn, and what is before it. training/parser makes it.

A U-Net on the first layers of MobileNetV2, which see the window at half its size.
Frame: image frame of the window of parsing.py, resampled to SIDE px.
Dims: B batch, N side, C classes. It is convolutions only, so any multiple of 32 px will do.

The weights began as MobileNetV2's for ImageNet (BSD-3-Clause) and were trained on public-domain portraits with the
answers of Google's hair and selfie segmenters (Apache-2.0) as labels, and on rendered CC0 figures. Batch normalisation
is folded into the convolutions when they are stored.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from meshlam_core.nets.mobilenet import MobileNet

F32 = NDArray[np.float32]
Network = TypeVar("Network", bound=nn.Module)

DATA = Path(__file__).resolve().parent.parent / "data"
PARSING_NETWORK = DATA / "parsing_network.npz"  # knows hair, skin and the rest best
PARTS_NETWORK = DATA / "parts_network.npz"  # learned on from it, knows the finer classes
SIDE = 256  # px
CLASSES = ("background", "hair", "skin", "ears", "neck", "glasses", "clothes", "mask", "hand", "object")
BACKGROUND, HAIR, SKIN, EARS, NECK, GLASSES, CLOTHES, MASK, HAND, OBJECT = range(len(CLASSES))
BARE = slice(SKIN, CLOTHES)  # skin and what is worn close to it: frames and dark lenses hide little of a head's form
REST = slice(CLOTHES, len(CLASSES))  # clothes, hats, masks and scarves, hands and arms, all other things in front
COVERING = [GLASSES, MASK, HAND, OBJECT]
LIKELY = 0.3  # probability from which something is taken to cover the head
INPUTS = 8
HINTS = INPUTS - 3  # all but the colours: the encoder does not see them, what is joined to its answers does
DEPTH = 13  # of MobileNetV2's layers: to stride 16
LEARNED_FROM = 7  # layers below keep ImageNet's weights
TAPS = (1, 3, 6, 13)  # last layers at strides 2, 4, 8 and 16, with 16, 24, 32 and 96 channels


class ParsingNetwork(nn.Module):
    """Logits of the classes for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MobileNet(DEPTH).features
        self.fine = _block(INPUTS, 16, 3, stride=2)
        self.deep = nn.Sequential(_block(96 + HINTS, 64, 1), _block(64, 64, 3))
        self.join16 = _block(64 + 32 + HINTS, 48, 3)
        self.join8 = _block(48 + 24 + HINTS, 32, 3)
        self.join4 = _block(32 + 16 + HINTS, 24, 3)
        self.join2 = _block(24 + 16, 16, 3)
        self.last = nn.Conv2d(16, 4 * len(CLASSES), 3, 1, 1)

    def forward(
        self,
        inputs: Tensor,  # [B, 8, N, N] network_inputs
    ) -> Tensor:  # [B, C, N, N] logits
        x = inputs.contiguous(memory_format=torch.channels_last)
        fine = self.fine(x)
        x = functional.avg_pool2d(x, 2)
        hints, x = x[:, 3:], x[:, :3].contiguous(memory_format=torch.channels_last)
        levels = []
        for i, layer in enumerate(self.encoder):
            with torch.set_grad_enabled(torch.is_grad_enabled() and i >= LEARNED_FROM):
                x = layer(x)
            if i in TAPS:
                hints = functional.avg_pool2d(hints, 2)
                levels.append(torch.cat([x, hints], 1))
        a, b, c, d = levels
        y = self.join16(torch.cat([_double(self.deep(d)), c], 1))
        y = self.join8(torch.cat([_double(y), b], 1))
        y = self.join4(torch.cat([_double(y), a], 1))
        y = self.join2(torch.cat([_double(y), fine], 1))
        return functional.pixel_shuffle(self.last(y), 2)


def network_inputs(
    rgb: Tensor,  # [B, 3, N, N] sRGB 0..1
    person: Tensor,  # [B, 1, N, N] the selfie segmenter's answer
    face: Tensor,  # [B, 1, N, N] 1 inside the face oval
    known: Tensor,  # [B, 1, N, N] 1 where the picture reaches
    where: Tensor,  # [B, 2, N, N] positions
) -> Tensor:  # [B, 8, N, N]
    """Colours, masks, and where in the window a pixel lies: |x| and y, as heads are symmetric. 0 where unknown."""
    colours = (rgb - 0.45) / 0.225  # about ImageNet's mean and deviation, for all three alike
    return torch.cat([torch.cat([colours, person * 2 - 1], 1) * known, face * 2 - 1, known * 2 - 1, where], 1)


def positions(side: int) -> Tensor:  # [1, 2, side, side]
    """|x| and y of the window's pixels, its centre 0, its borders 1."""
    ramp = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(ramp, ramp, indexing="ij")
    return torch.stack([x.abs(), y])[None]


def fused(network: Network) -> Network:
    """The same function without batch normalisation; changes the network given."""
    network.eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                convolution, norm = module[i], module[i + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return network


@cache
def load_parsing_network(path: Path = PARSING_NETWORK) -> ParsingNetwork:
    """The packaged network."""
    network = fused(ParsingNetwork())
    with np.load(path, allow_pickle=False) as stored:
        network.load_state_dict({name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored.files})
    return network.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def predict(
    network: ParsingNetwork,
    inputs: Tensor,  # [1, 8, N, N]
) -> F32:  # [C, N, N] probabilities, sum to 1
    """Run the network on one window."""
    with torch.inference_mode():
        return np.asarray(functional.softmax(network(inputs), 1)[0].contiguous().numpy(), np.float32)


def with_parts(
    coarse: F32,  # [C, N, N] of PARSING_NETWORK
    fine: F32,  # [C, N, N] of PARTS_NETWORK
) -> F32:  # [C, N, N] probabilities, sum to 1
    """What covers the head where the one is likely to see it, ears and neck as it parts the skin; else the other's."""
    covering = fine[COVERING] * (fine[COVERING].sum(axis=0) > LIKELY)
    told = np.zeros_like(coarse)
    told[[BACKGROUND, HAIR]], told[CLOTHES] = coarse[[BACKGROUND, HAIR]], coarse[REST].sum(axis=0)
    bare = [SKIN, EARS, NECK]
    told[bare] = coarse[BARE].sum(axis=0) * fine[bare] / np.maximum(fine[bare].sum(axis=0), 1e-6)
    told[SKIN] += coarse[BARE].sum(axis=0) - told[bare].sum(axis=0)  # where the one sees no skin at all
    told *= 1 - covering.sum(axis=0)
    told[COVERING] = covering
    return told


def _block(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
