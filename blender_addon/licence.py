"""What the export says about licences. Knows no Blender."""

from __future__ import annotations

import re
from typing import Any

_RESTRICTED = re.compile(r"non[-\s_]?commercial|\bnc\b|research[-\s]only|academic", re.IGNORECASE)
_SOURCES = (("head", "head_licence", "The head model"), ("weights", "weights_licence", "The network's weights"))


def licence_notice(provenance: dict[str, Any]) -> str:
    """One sentence for each thing in the avatar that forbids commercial use; empty when nothing does."""
    sentences = []
    for name_key, licence_key, what in _SOURCES:
        licence = provenance.get(licence_key)
        if isinstance(licence, str) and _RESTRICTED.search(licence):
            name = provenance.get(name_key) or "unnamed"
            sentences.append(f"{what} ({name}) is licensed {licence}: no commercial use of this avatar.")
    return " ".join(sentences)


def copyright_line(provenance: dict[str, Any]) -> str:
    """Short licence statement for the copyright field of exported files."""
    parts = [
        f"{provenance[name]}: {provenance[licence]}"
        for name, licence, _ in _SOURCES
        if isinstance(provenance.get(name), str) and isinstance(provenance.get(licence), str)
    ]
    return "; ".join(parts)
