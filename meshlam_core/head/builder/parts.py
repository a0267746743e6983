"""Name the region of every head vertex.

Frame: MakeHuman's, decimetres. Dims: C cropped vertices, S source vertices.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from meshlam_core.head.builder.crop import Crop
from meshlam_core.head.builder.source import F64, Source, SourceMesh

PARTS = (
    "face", "scalp", "neck", "ears", "eyelids", "lips", "mouth_interior", "eye_sockets",
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

    def masked(name: str, level: float) -> NDArray[np.bool_]:
        return np.asarray(vertex_mask(mesh, source.mask(name), "body", len(mesh.vertices))[crop.source] > level)

    rim = masked("eyelids", 0.5)
    part[masked("ears", 0.5)] = number["ears"]
    part[rim | moved_by_blinking(source, crop)] = number["eyelids"]
    part[behind_the_rim(crop, rim)] = number["eye_sockets"]
    part[masked("lips", 0.5)] = number["lips"]
    part[masked("inside-mouth", 0.3)] = number["mouth_interior"]
    for region in ("teeth_upper", "teeth_lower", "tongue", "lashes"):
        part[crop.piece == region] = number[region]
    return part.astype(np.uint8)


def moved_by_blinking(source: Source, crop: Crop) -> NDArray[np.bool_]:  # [C]
    """Skin of the lids: what a blink moves by more than a quarter of its largest displacement."""
    moved = np.zeros(len(crop.source))
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        shift = np.linalg.norm(crop.mix @ source.face_unit(name, crop.mix.shape[1]), axis=1)
        moved = np.maximum(moved, shift / shift.max())
    return np.asarray((moved > 0.25) & (crop.piece == "skin"))


def behind_the_rim(crop: Crop, rim: NDArray[np.bool_]) -> NDArray[np.bool_]:  # [C]
    """Skin cut off from the rest by the rims of the lids: the pouches around the back of the eyeballs."""
    open_skin = (crop.piece == "skin") & ~rim
    edges = np.concatenate([crop.faces[:, [0, 1]], crop.faces[:, [1, 2]]])
    edges = edges[open_skin[edges].all(axis=1)]
    count = len(crop.source)
    _, label = connected_components(sp.coo_matrix((np.ones(len(edges)), edges.T), (count, count)), directed=False)
    outside = np.bincount(label[open_skin]).argmax()
    return np.asarray(open_skin & (label != outside))


def _above(line: F64, z: F64, y: F64) -> NDArray[np.bool_]:
    """Above a side-view line whose z falls from point to point."""
    return np.asarray(y > np.interp(z, line[::-1, 0], line[::-1, 1]))


def vertex_mask(
    mesh: SourceMesh,
    mask: F64,  # [H, W] 0..1
    group: str,
    count: int,
) -> F64:  # [S] mean of the mask over the corners of each vertex
    """Read a mask at the vertices, alike on both sides."""
    chosen = np.array(mesh.group) == group
    corner_vertex = mesh.quads[chosen].ravel()
    u, v = mesh.uvs[mesh.uv_quads[chosen].ravel()].T
    height, width = mask.shape
    value = mask[
        ((1 - v) * height).astype(int).clip(0, height - 1),
        (u * width).astype(int).clip(0, width - 1),
    ]
    total = np.bincount(corner_vertex, weights=value, minlength=count)
    mean = total / np.bincount(corner_vertex, minlength=count).clip(1)
    return np.asarray((mean + mean[mesh.mirror]) / 2)
