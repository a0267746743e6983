"""Fingerprints of head models: what was made for one mesh and texture layout is refused on another."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from meshlam_core.head.model import HeadModel

if TYPE_CHECKING:
    from hashlib import _Hash


def layout_digest(head: HeadModel) -> _Hash:
    """SHA-256 over the triangles, the parts and the texture layout; more may be added to it."""
    digest = hashlib.sha256()
    for array, kind in ((head.faces, np.int32), (head.uv_faces, np.int32), (head.part, np.uint8)):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    # a thousandth of a texel: builds on other machines may differ in the last bits
    digest.update(np.round(head.uvs.astype(np.float64) * 1e6).astype(np.int64).tobytes())
    return digest
