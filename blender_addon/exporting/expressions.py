"""VRM 1.0's preset expressions as morphs, mixed from the 52 (the names are those of VRMC_vrm-1.0's `expressions`)."""

from __future__ import annotations

from typing import Any

import numpy as np


def _both(name: str, value: float) -> dict[str, float]:
    return {f"{name}Left": value, f"{name}Right": value}


VRM: dict[str, dict[str, float]] = {
    "happy": _both("mouthSmile", 0.8) | _both("cheekSquint", 0.5) | _both("eyeSquint", 0.2),
    "angry": _both("browDown", 0.9) | _both("noseSneer", 0.5) | _both("mouthPress", 0.4) | _both("eyeSquint", 0.3),
    "sad": {"browInnerUp": 0.8} | _both("mouthFrown", 0.7) | {"mouthShrugLower": 0.3},
    "relaxed": _both("mouthSmile", 0.3) | _both("eyeBlink", 0.3),
    "surprised": {"browInnerUp": 0.7, "jawOpen": 0.4} | _both("browOuterUp", 0.8) | _both("eyeWide", 0.7),
    "aa": {"jawOpen": 0.6},
    "ih": {"jawOpen": 0.2} | _both("mouthStretch", 0.4),
    "ou": {"jawOpen": 0.15, "mouthPucker": 0.8},
    "ee": {"jawOpen": 0.15} | _both("mouthSmile", 0.3) | _both("mouthStretch", 0.5),
    "oh": {"jawOpen": 0.4, "mouthFunnel": 0.7},
    "blink": _both("eyeBlink", 1.0),
    "blinkLeft": {"eyeBlinkLeft": 1.0},
    "blinkRight": {"eyeBlinkRight": 1.0},
    "lookUp": _both("eyeLookUp", 1.0),
    "lookDown": _both("eyeLookDown", 1.0),
    "lookLeft": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    "lookRight": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
}


def add_expressions(mesh: Any) -> None:
    """One key for each of VRM's expressions whose parts the mesh has."""
    keys = mesh.data.shape_keys.key_blocks
    basis = _points(keys[0])
    for name, mix in VRM.items():
        parts = {key: value for key, value in mix.items() if key in keys}
        if not parts or name in keys:
            continue
        points = basis + sum(value * (_points(keys[key]) - basis) for key, value in parts.items())
        made = mesh.shape_key_add(name=name, from_mix=False)
        made.data.foreach_set("co", points.astype(np.float32).ravel())
        made.slider_min, made.slider_max, made.value = 0.0, 1.0, 0.0


def _points(key: Any) -> Any:
    points = np.empty(len(key.data) * 3, np.float32)
    key.data.foreach_get("co", points)
    return points.reshape(-1, 3)
