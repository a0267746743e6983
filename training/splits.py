"""Which photos nobody may train on: 80 of the 800 portraits, chosen by the hash of their names."""

from __future__ import annotations

import hashlib
from pathlib import Path

SHARE = 10  # one photo in so many
CHOSEN = 5  # the remainder that picks exactly 80 of the 800 portraits


def held_out(name: str) -> bool:
    """Whether a portrait (file name, with or without folder and suffix) is for evaluation only."""
    digest = hashlib.sha256(Path(name).stem.encode()).hexdigest()
    return int(digest, 16) % SHARE == CHOSEN
