"""Divide the head into texture islands and cut the closed ones open.

Dims: V head vertices, F triangles, U texture vertices of one island.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from meshlam_core.head.builder.assemble import Assembly
from meshlam_core.head.builder.lashes import STRIPS
from meshlam_core.head.builder.parts import PARTS
from meshlam_core.head.builder.source import F64, I64

SEAM_TOP = 8.3  # dm, MakeHuman's frame: the seam climbs the back of the head to just behind the crown
SEAM_FRONT = 0.3  # dm: the back of the head lies behind this z


@dataclass(frozen=True)
class Island:
    """A connected piece of the head with texture vertices of its own."""

    name: str
    triangles: I64  # indices into the head's faces
    faces: I64  # [f, 3] the same triangles in island vertices
    vertex: I64  # [U] head vertex of each island vertex
    twin: I64  # [U] island vertex mirrored across x = 0; -1 where the mirror image is not in this island
    mirrors_previous: bool = False  # the right one of a left-right pair


def split_islands(assembly: Assembly) -> list[Island]:
    """Skin first; then mouth, eye sockets, teeth, tongue, lashes and eyeballs, each left one before its right one."""
    faces, part = assembly.faces, assembly.part

    def is_part(name: str) -> NDArray[np.bool_]:
        return np.asarray(part[faces] == PARTS.index(name))

    mouth = is_part("mouth_interior").all(axis=1)
    sockets = is_part("eye_sockets").any(axis=1)
    inner = ("teeth_upper", "teeth_lower", "tongue", "lashes", "eyeball_left", "eyeball_right")
    pieces = {name: np.asarray(is_part(name).all(axis=1)) for name in inner}
    skin = ~mouth & ~sockets & ~np.logical_or.reduce(list(pieces.values()))
    islands = [
        _island("skin", assembly, np.flatnonzero(skin), back_seam(assembly, faces[skin])),
        _island("mouth", assembly, np.flatnonzero(mouth)),
        _island("tongue", assembly, np.flatnonzero(pieces["tongue"]), tongue_seam(assembly)),
        _island("teeth_upper", assembly, np.flatnonzero(pieces["teeth_upper"])),
        _island("teeth_lower", assembly, np.flatnonzero(pieces["teeth_lower"])),
    ]
    upper, lower = (strip.hairs for strip in STRIPS)
    hairs = np.split(np.flatnonzero(pieces["lashes"]), np.cumsum([upper, lower, upper]))
    pairs = {
        "eye_socket": components(faces, np.flatnonzero(sockets), assembly.template),
        "lash_upper": [hairs[0], hairs[2]],
        "lash_lower": [hairs[1], hairs[3]],
    }
    for name, (left, right) in pairs.items():
        islands.append(_island(f"{name}_left", assembly, left))
        islands.append(replace(_island(f"{name}_right", assembly, right), mirrors_previous=True))
    return [*islands, *(_eyeball_island(name, assembly, pieces[name]) for name in ("eyeball_left", "eyeball_right"))]


def _eyeball_island(name: str, assembly: Assembly, chosen: NDArray[np.bool_]) -> Island:
    """The whole ball as a disc: the back pole is a different texture vertex in each triangle of the last ring."""
    triangles = np.flatnonzero(chosen)
    faces = assembly.faces[triangles]
    faces = faces - faces.min()
    pole = faces.max()
    at_pole = faces == pole
    faces[at_pole] = pole + np.arange(at_pole.sum())
    vertex = assembly.faces[triangles].min() + np.minimum(np.arange(faces.max() + 1), pole)
    return Island(name, triangles, faces, vertex, np.full(len(vertex), -1))


def _island(name: str, assembly: Assembly, triangles: I64, seam: Sequence[int] = ()) -> Island:
    """Number the island's vertices; those inside the seam get a second one for the triangles on its right (x < 0)."""
    faces = assembly.faces[triangles].copy()
    count = len(assembly.template)
    twice = np.array(seam[:-1] if len(seam) else (), dtype=np.int64)
    duplicate = np.arange(count)
    duplicate[twice] = count + np.arange(len(twice))
    right = assembly.template[faces].mean(axis=1)[:, 0] < 0
    faces[right] = duplicate[faces[right]]
    vertex_of = np.concatenate([np.arange(count), twice])
    used = np.unique(faces)
    number = np.full(len(vertex_of), -1)
    number[used] = np.arange(len(used))
    # across x = 0 a vertex of the seam's left copy meets the right copy
    swapped = np.concatenate([assembly.mirror, twice])
    swapped[twice] = duplicate[twice]
    return Island(name, triangles, number[faces], vertex_of[used], number[swapped[used]])


def components(faces: I64, triangles: I64, vertices: F64) -> list[I64]:
    """Connected groups of triangles, ordered so that each left one comes just before its mirror image."""
    chosen = faces[triangles]
    links = sp.coo_matrix(
        (np.ones(2 * len(chosen)), (chosen[:, [0, 1]].ravel(), chosen[:, [1, 2]].ravel())), (len(vertices),) * 2
    )
    _, label = connected_components(links, directed=False)
    groups = [triangles[label[chosen[:, 0]] == value] for value in np.unique(label[chosen[:, 0]])]

    def place(group: I64) -> tuple[float, bool]:
        middle = vertices[np.unique(faces[group])].mean(axis=0)
        return (-round(float(middle[1]), 6), bool(middle[0] < 0))

    return sorted(groups, key=place)


def back_seam(assembly: Assembly, faces: I64) -> list[int]:
    """Midline vertices from the neck's border up the back of the head; the last one is not cut through."""
    used = np.unique(faces)
    middle = used[assembly.mirror[used] == used]
    y, z = assembly.template[middle, 1], assembly.template[middle, 2]
    behind = (z < SEAM_FRONT) & (y < SEAM_TOP)
    return [int(v) for v in middle[behind][np.argsort(y[behind])]]


def tongue_seam(assembly: Assembly) -> list[int]:
    """Midline vertices of the tongue from its root along the underside to just before the tip."""
    tongue = assembly.vertices_of("tongue")
    middle = tongue[assembly.mirror[tongue] == tongue]
    return walk_midline(assembly, middle)


def walk_midline(assembly: Assembly, middle: I64) -> list[int]:
    """The lower half of the closed midline loop, from its rearmost vertex to its foremost."""
    allowed = set(middle.tolist())
    neighbours: dict[int, set[int]] = {v: set() for v in allowed}
    for a, b, c in assembly.faces.tolist():
        for p, q in ((a, b), (b, c), (c, a)):
            if p in allowed and q in allowed:
                neighbours[p].add(q)
                neighbours[q].add(p)
    z = assembly.template[:, 2]
    y = assembly.template[:, 1]
    start = int(middle[np.argmin(z[middle])])
    tip = int(middle[np.argmax(z[middle])])
    path = [start, min(neighbours[start], key=lambda v: float(y[v]))]
    while path[-1] != tip:
        onward = neighbours[path[-1]] - set(path)
        path.append(min(onward, key=lambda v: float(y[v])))
    return path
