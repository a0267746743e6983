"""Provisional texture layout: a cylinder for the skin, squares for the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshlam_core.head.builder.assemble import Assembly
from meshlam_core.head.builder.source import F64, I64


@dataclass(frozen=True)
class Layout:
    """Texture vertices and triangles."""

    uvs: F64  # [U, 2]
    uv_faces: I64  # [F, 3]
    face_share: float


def texture_layout(
    template: F64,  # [V, 3] m
    assembly: Assembly,
) -> Layout:
    """Cylinder around the head axis, seam at the back."""
    skin = assembly.crop.piece == "skin"
    count = len(template)
    angle = np.arctan2(template[:, 0], template[:, 2] - 0.02) / (2 * np.pi) + 0.5
    height = (template[:, 1] - template[:, 1].min()) / np.ptp(template[:, 1])
    uvs = np.stack([0.02 + 0.96 * angle, 0.3 + 0.68 * height], axis=1)
    blocks = [np.flatnonzero(assembly.crop.piece == p) for p in ("teeth_upper", "teeth_lower", "tongue", "lashes")]
    blocks = [np.pad(b, (0, 0)) for b in blocks] + [assembly.eyeball(0), assembly.eyeball(1)]
    for i, block in enumerate(blocks):
        flat = template[block][:, [0, 2]] if i < 3 else template[block][:, :2]
        low = flat.min(axis=0)
        uvs[block] = 0.02 + (flat - low) / np.ptp(flat, axis=0).max() * 0.13 + [i * 0.16, 0]
    faces = assembly.faces
    wraps = (np.ptp(uvs[faces][..., 0], axis=1) > 0.5) & np.pad(skin, (0, count - len(skin)))[faces[:, 0]]
    uv_faces = faces.copy()
    extra: dict[int, int] = {}
    added = []
    for f in np.flatnonzero(wraps):
        for k in range(3):
            v = int(faces[f, k])
            if uvs[v, 0] < 0.5:
                if v not in extra:
                    extra[v] = count + len(added)
                    added.append(uvs[v] + [0.96, 0])
                uv_faces[f, k] = extra[v]
    return Layout(np.concatenate([uvs, np.array(added)]).clip(0, 1), uv_faces, 0.0)
