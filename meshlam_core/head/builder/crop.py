"""Crop the head out of the body with a straight border, and triangulate.

Frame: MakeHuman's, decimetres (see source.py). Dims: S source vertices, C cropped vertices, F triangles.

Every cropped vertex is a fixed mix of a few source vertices, so targets and weights crop with the same matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from meshlam_core.head.builder.lashes import make_lashes
from meshlam_core.head.builder.source import F64, I64, SourceMesh

# A plane through the base of the neck, rising towards the nape; chosen on renderings of the template.
PLANE_POINT = np.array([0.0, 5.86, 0.45])
PLANE_NORMAL = np.array([0.0, np.cos(np.radians(17.0)), np.sin(np.radians(17.0))])

PIECES = (  # name, OBJ groups
    ("skin", ("body",)),
    ("teeth_upper", ("helper-upper-teeth",)),
    ("teeth_lower", ("helper-lower-teeth",)),
    ("tongue", ("helper-tongue",)),
)


@dataclass(frozen=True)
class Crop:
    """The head without eyeballs, in terms of the source mesh."""

    mix: sp.csr_matrix  # [C, S] rows sum to 1
    faces: I64  # [F, 3] into the C cropped vertices
    piece: NDArray[np.str_]  # [C] name from PIECES, or lashes
    source: I64  # [C] the source vertex each one came from; for lashes the one it is mostly made of
    mirror: I64  # [C]


def crop_head(
    mesh: SourceMesh,
    vertices: F64,  # [S, 3] dm, the template in the source topology
) -> Crop:
    """Cut at the neck plane and keep the skin, teeth, tongue and lashes."""
    mix = sp.identity(len(vertices), format="lil")
    group = np.array(mesh.group)
    kept_faces: list[I64] = []
    kept: list[I64] = []
    names: list[NDArray[np.str_]] = []
    for name, groups in PIECES:
        faces = triangulate(mesh.quads[np.isin(group, groups)], vertices, mesh.mirror)
        if name == "skin":
            faces, slides = cut_to_plane(faces, vertices)
            for vertex, (other, t) in slides.items():
                mix[vertex, vertex] = 1 - t
                mix[vertex, other] = t
        indices = np.unique(faces)
        kept_faces.append(faces)
        kept.append(indices)
        names.append(np.full(len(indices), name))
    source = np.concatenate(kept)
    new_index = np.full(len(vertices), -1)
    new_index[source] = np.arange(len(source))
    lashes = make_lashes(mesh, vertices)
    size = len(source)
    return Crop(
        mix=sp.vstack([mix.tocsr()[source], lashes.mix], format="csr"),
        faces=np.concatenate([new_index[np.concatenate(kept_faces)], lashes.faces + size]),
        piece=np.concatenate([*names, np.full(lashes.mix.shape[0], "lashes")]),
        source=np.concatenate([source, np.asarray(lashes.mix.argmax(axis=1)).ravel()]),
        mirror=np.concatenate([new_index[mesh.mirror[source]], lashes.mirror + size]),
    )


def triangulate(
    quads: I64,  # [Q, 4]
    vertices: F64,  # [S, 3]
    mirror: I64,  # [S]
) -> I64:  # [F, 3]
    """Split quads along the shorter diagonal; a quad and its mirror image get mirrored diagonals."""
    corners = vertices[quads]
    first = np.linalg.norm(corners[:, 0] - corners[:, 2], axis=1)
    second = np.linalg.norm(corners[:, 1] - corners[:, 3], axis=1)
    along_02 = first <= second + 1e-9
    by_corners = {frozenset(q): i for i, q in enumerate(quads.tolist())}
    for i, quad in enumerate(quads.tolist()):
        twin = by_corners.get(frozenset(mirror[quad].tolist()))
        if twin is None or twin <= i:
            continue
        diagonal = {quad[0], quad[2]} if along_02[i] else {quad[1], quad[3]}
        mirrored = {int(mirror[v]) for v in diagonal}
        along_02[twin] = mirrored == {int(quads[twin][0]), int(quads[twin][2])}
    a, b, c, d = quads.T
    one = np.where(along_02[:, None], np.stack([a, b, c], 1), np.stack([a, b, d], 1))
    two = np.where(along_02[:, None], np.stack([a, c, d], 1), np.stack([b, c, d], 1))
    return np.concatenate([one, two[c != d]])


def cut_to_plane(
    faces: I64,  # [F, 3]
    vertices: F64,  # [S, 3]
) -> tuple[I64, dict[int, tuple[int, float]]]:
    """Keep what lies above the plane, sliding the vertices next to it along their edges onto it.

    Of every edge that crosses the plane the nearer end slides, so that no triangle needs splitting: the border
    is exactly planar and has no slivers. Returns the triangles and {vertex: (towards, fraction)}.
    """
    height = (vertices - PLANE_POINT) @ PLANE_NORMAL
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    crossing = edges[height[edges[:, 0]] * height[edges[:, 1]] < 0]
    slides: dict[int, tuple[int, float]] = {}
    steepness: dict[int, float] = {}
    for a, b in crossing.tolist():
        near, far = (a, b) if abs(height[a]) <= abs(height[b]) else (b, a)
        steep = abs(height[a] - height[b]) / np.linalg.norm(vertices[a] - vertices[b])
        if steep > steepness.get(near, 0.0) + 1e-9:
            steepness[near] = steep
            slides[near] = (far, float(height[near] / (height[near] - height[far])))
    side = np.sign(height)
    side[list(slides)] = 0
    corner_sides = side[faces]
    faces = faces[(corner_sides >= 0).all(axis=1) & (corner_sides > 0).any(axis=1)]
    used = np.unique(faces)
    faces = _component_of(faces, int(used[np.argmax(vertices[used, 1])]), len(vertices))
    return faces, slides


def _component_of(faces: I64, vertex: int, count: int) -> I64:
    """The triangles connected with a vertex."""
    links = sp.coo_matrix(
        (np.ones(len(faces) * 2), (faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel())), (count, count)
    )
    _, label = connected_components(links, directed=False)
    return np.asarray(faces[label[faces[:, 0]] == label[vertex]])


def border_loops(
    faces: NDArray[np.integer],  # [F, 3]
) -> list[list[int]]:
    """Closed loops of border edges, each in the triangles' winding direction."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    present = set(map(tuple, directed.tolist()))
    following = {a: b for a, b in sorted(present) if (b, a) not in present}
    loops: list[list[int]] = []
    while following:
        start = min(following)
        loop = [start]
        here = following.pop(start)
        while here != start:
            loop.append(here)
            here = following.pop(here)
        loops.append(loop)
    return loops
