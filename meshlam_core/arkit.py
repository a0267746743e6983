"""The 52 expression names of Apple's ARKit, the order in which the tracker keeps coefficients.

Left and right are the subject's. Everything else is mapped by name, never by position.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ARKIT_NAMES: tuple[str, ...] = (
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)
ARKIT_INDEX: dict[str, int] = {name: index for index, name in enumerate(ARKIT_NAMES)}


def _counterpart(name: str) -> str:
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    return name.removesuffix("Right") + "Left" if name.endswith("Right") else name


# [52] the coefficient that takes this one's place in the mirrored picture
ARKIT_MIRROR: NDArray[np.intp] = np.array([ARKIT_INDEX[_counterpart(name)] for name in ARKIT_NAMES])


def reorder(
    values: NDArray[np.float32],  # [..., len(names)]
    names: Sequence[str],
    wanted: Sequence[str],
) -> NDArray[np.float32]:  # [..., len(wanted)], 0 where a name is missing
    """Coefficients given by one list of names in the order of another."""
    position = {name: index for index, name in enumerate(names)}
    out = np.zeros((*values.shape[:-1], len(wanted)), dtype=np.float32)
    for index, name in enumerate(wanted):
        if name in position:
            out[..., index] = values[..., position[name]]
    return out
