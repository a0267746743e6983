"""Movements for a head to be driven by."""

from __future__ import annotations

import json
from pathlib import Path


def track_file(path: Path, count: int = 5, rate: float = 25.0) -> Path:
    """Jaw opening, an unknown expression, and a head that turns about y and moves along x."""
    frames = [
        {
            "time": index / rate,
            "coefficients": [index / 10, 0.5],
            "head_rotation": [0.0, index * 0.1, 0.0],
            "translation": [index * 0.01, 0.0, -0.5],
        }
        for index in range(count)
    ]
    camera = {"focal": 640.0, "centre": [300.0, 250.0], "size": [640, 480]}
    data = {"format": "meshlam-track", "version": 1, "names": ["jawOpen", "other"], "camera": camera, "frames": frames}
    path.write_text(json.dumps(data))
    return path
