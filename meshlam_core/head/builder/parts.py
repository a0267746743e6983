"""Name the region of every head vertex.

Frame: MakeHuman's, decimetres. Dims: C cropped vertices, S source vertices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.builder.crop import Crop
from meshlam_core.head.builder.source import F64, Source, SourceMesh

PARTS = (
    "face", "scalp", "neck", "ears", "eyelids", "lips", "nostrils", "mouth_interior",
    "teeth_upper", "teeth_lower", "tongue", "lashes", "eyeball_left", "eyeball_right",
)  # fmt: skip

# Hair line of the right and left side, seen from the side: (z, y) from the forehead over the temple, round the ear
# and along the nape; chosen on renderings of the template.
HAIR_LINE = np.array(
    [[1.6, 8.02], [1.12, 8.02], [0.98, 7.80], [0.86, 7.48], [0.72, 7.30], [0.60, 7.02], [0.30, 6.75], [-0.9, 6.52]]
)
# Border between head and neck below the jaw, seen from the side
NECK_LINE = np.array([[1.6, 6.02], [1.15, 6.28], [0.80, 6.50], [0.55, 6.75], [0.30, 6.75], [-0.9, 6.52]])


def crop_parts(
    source: Source,
    mesh: SourceMesh,
    crop: Crop,
    vertices: F64,  # [C, 3] dm
) -> NDArray[np.uint8]:  # [C] index into PARTS
    """Regions from MPFB's masks where it has them, from lines drawn on the side view elsewhere."""
    number = {name: i for i, name in enumerate(PARTS)}
    z, y = vertices[:, 2], vertices[:, 1]
    part = np.full(len(vertices), number["face"])
    part[y < np.interp(z, NECK_LINE[::-1, 0], NECK_LINE[::-1, 1])] = number["neck"]
    part[_above(HAIR_LINE, z, y)] = number["scalp"]
    for region, mask, level in (
        ("ears", "ears", 0.5),
        ("eyelids", "eyelids", 0.5),
        ("lips", "lips", 0.5),
        ("mouth_interior", "inside-mouth", 0.3),
    ):
        part[vertex_mask(mesh, source.mask(mask), "body", len(mesh.vertices))[crop.source] > level] = number[region]
    for region in ("teeth_upper", "teeth_lower", "tongue", "lashes"):
        part[crop.piece == region] = number[region]
    return part.astype(np.uint8)


def _above(line: F64, z: F64, y: F64) -> NDArray[np.bool_]:
    """Above a side-view line whose z falls from point to point."""
    return np.asarray(y > np.interp(z, line[::-1, 0], line[::-1, 1]))


def vertex_mask(
    mesh: SourceMesh,
    mask: F64,  # [H, W] 0..1
    group: str,
    count: int,
) -> F64:  # [S] mean of the mask over the corners of each vertex
    """Read a mask at the vertices."""
    chosen = np.array(mesh.group) == group
    corner_vertex = mesh.quads[chosen].ravel()
    u, v = mesh.uvs[mesh.uv_quads[chosen].ravel()].T
    height, width = mask.shape
    value = mask[
        ((1 - v) * height).astype(int).clip(0, height - 1),
        (u * width).astype(int).clip(0, width - 1),
    ]
    total = np.bincount(corner_vertex, weights=value, minlength=count)
    return np.asarray(total / np.bincount(corner_vertex, minlength=count).clip(1))
