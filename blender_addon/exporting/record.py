"""Where an exported head comes from, written into the file: photo hash, licences, and a note on consent.

Knows no Blender. In GLB it is `asset.extras.meshlam`; USD and FBX carry the same as properties of the head.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from .files import ExportError

CONSENT = "This head shows a real person. Use it only with that person's consent."
_KEYS = ("photo_sha256", "head", "head_licence", "weights", "weights_sha256", "weights_licence", "preset")
_JSON_CHUNK = b"JSON"


NON_COMMERCIAL = "Non-commercial only: whoever exported this head has agreed to it."


def origin(provenance: dict[str, Any], consent: str, non_commercial: bool = False) -> dict[str, str]:
    """What is told about where the head comes from and what it may be used for, flat: names and texts."""
    told = {key: str(provenance[key]) for key in _KEYS if isinstance(provenance.get(key), str | int | float)}
    if non_commercial:
        told["use"] = NON_COMMERCIAL
    return told | {"consent": consent.strip() or CONSENT, "generator": "MeshLAM"}


def write_into_glb(path: Path, told: dict[str, str]) -> None:
    """Add `told` to a GLB's asset.extras."""
    data = path.read_bytes()
    if data[:4] != b"glTF" or len(data) < 20 or data[16:20] != _JSON_CHUNK:
        raise ExportError("Blender's exporter wrote a GLB that does not begin as one.")
    (length,) = struct.unpack("<I", data[12:16])
    content = json.loads(data[20 : 20 + length])
    content["asset"].setdefault("extras", {})["meshlam"] = told
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    total = 20 + len(text) + len(rest)
    path.write_bytes(data[:8] + struct.pack("<II", total, len(text)) + _JSON_CHUNK + text + rest)
