"""VRM 1.0's preset expressions as morphs, mixed from the 52 (the names are those of VRMC_vrm-1.0's `expressions`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..animation.named import EMOTIONS, Mix, both
from ..scene.shape_keys import points_of

VRM: dict[str, Mix] = EMOTIONS | {
    "aa": {"jawOpen": 0.6},
    "ih": {"jawOpen": 0.2} | both("mouthStretch", 0.4),
    "ou": {"jawOpen": 0.15, "mouthPucker": 0.8},
    "ee": {"jawOpen": 0.15} | both("mouthSmile", 0.3) | both("mouthStretch", 0.5),
    "oh": {"jawOpen": 0.4, "mouthFunnel": 0.7},
    "blink": both("eyeBlink", 1.0),
    "blinkLeft": {"eyeBlinkLeft": 1.0},
    "blinkRight": {"eyeBlinkRight": 1.0},
    "lookUp": both("eyeLookUp", 1.0),
    "lookDown": both("eyeLookDown", 1.0),
    "lookLeft": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    "lookRight": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
}


def add_expressions(mesh: Any) -> None:
    """One key for each of VRM's expressions whose parts the mesh has."""
    keys = mesh.data.shape_keys.key_blocks
    basis = points_of(keys[0].data)
    for name, mix in VRM.items():
        parts = {key: value for key, value in mix.items() if key in keys}
        if not parts or name in keys:
            continue
        points = basis + sum(value * (points_of(keys[key].data) - basis) for key, value in parts.items())
        made = mesh.shape_key_add(name=name, from_mix=False)
        made.data.foreach_set("co", points.astype(np.float32).ravel())
        made.slider_min, made.slider_max, made.value = 0.0, 1.0, 0.0
