"""Vertices where they are needed: a denser scalp and nape for the hair's hull, fewer where nobody looks.

Frame: MakeHuman's, decimetres. Dims: S source vertices, C cropped vertices, F triangles.

Refining is one round of Loop's subdivision (Loop, "Smooth subdivision surfaces based on triangles", 1987) on chosen
triangles; their neighbours are cut so that no vertex lies on an edge. Thinning collapses edges onto one of their ends.
Both keep left and right alike, and both only mix source vertices, so targets and weights still follow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from meshlam_core.head.builder.crop import Crop, border_loops
from meshlam_core.head.builder.source import F64, I64

FAIRING = (0.5, -0.53)  # Taubin's pair: smooths without shrinking ("A signal processing approach", 1995)
FAIRING_ROUNDS = 6

Edge = tuple[int, int]


def refined(
    crop: Crop,
    chosen: NDArray[np.bool_],  # [F] triangles to split in four
) -> Crop:
    """Split the chosen triangles, smooth what lies inside them."""
    count = len(crop.source)
    opposite = opposite_corners(crop.faces)
    inside = dict.fromkeys(opposite, 0)
    for face in crop.faces[chosen].tolist():
        for edge in edges_of(face):
            inside[edge] += 1
    split = [edge for edge in sorted(opposite) if inside[edge]]
    number = {edge: count + i for i, edge in enumerate(split)}

    weights = sp.lil_matrix((count + len(split), count))
    weights[np.arange(count), np.arange(count)] = 1.0
    for edge, row in number.items():
        both = inside[edge] == 2
        weights[row, edge[0]] = weights[row, edge[1]] = 3 / 8 if both else 1 / 2
        if both:
            for corner in opposite[edge]:
                weights[row, corner] += 1 / 8
    enclosed = surrounded(crop.faces, chosen)
    for vertex, around in enclosed.items():
        size = len(around)
        share = (5 / 8 - (3 / 8 + np.cos(2 * np.pi / size) / 4) ** 2) / size
        weights[vertex, vertex] = 1 - size * share
        weights[vertex, list(around)] = share

    faces = split_faces(crop.faces, number, crop.mirror)
    grown = np.concatenate([np.arange(count), np.array([edge[0] for edge in split], dtype=np.int64)])
    mirror = crop.mirror.tolist()
    image = [number[ordered(mirror[a], mirror[b])] for a, b in split]
    smooth = np.zeros(len(grown), bool)
    smooth[list(enclosed)] = True
    smooth[[number[edge] for edge in split if inside[edge] == 2]] = True
    mix = faired(faces, smooth) @ weights.tocsr() @ crop.mix
    return Crop(
        mix=sp.csr_matrix(mix),
        faces=faces,
        piece=crop.piece[grown],
        source=crop.source[grown],
        mirror=np.concatenate([crop.mirror, np.array(image, dtype=np.int64)]),
    )


def faired(faces: I64, smooth: NDArray[np.bool_]) -> sp.csr_matrix:  # [C, C] rows sum to 1
    """Taubin smoothing of some vertices: what one round of subdivision leaves uneven around odd valences."""
    count = len(smooth)
    mean = neighbour_mean(faces, count)
    still = sp.identity(count, format="csr")
    some = sp.diags(smooth.astype(float))
    result = still
    for _ in range(FAIRING_ROUNDS):
        for step in FAIRING:
            result = (still + step * some @ (mean - still)) @ result
    return sp.csr_matrix(result)


def neighbour_mean(faces: I64, count: int) -> sp.csr_matrix:  # [C, C] rows sum to 1
    """Mean over the vertices that share an edge."""
    links = sp.coo_matrix((np.ones(faces.size), (faces.ravel(), faces[:, [1, 2, 0]].ravel())), (count, count))
    adjacency = ((links + links.T) > 0).astype(float).tocsr()
    return sp.csr_matrix(sp.diags(1 / np.maximum(np.asarray(adjacency.sum(axis=1)).ravel(), 1)) @ adjacency)


def surrounded(faces: I64, chosen: NDArray[np.bool_]) -> dict[int, set[int]]:
    """Vertices all of whose triangles are chosen, off the border, with their neighbours."""
    outside = set(faces[~chosen].ravel().tolist())
    outside.update(vertex for loop in border_loops(faces) for vertex in loop)
    around: dict[int, set[int]] = {}
    for face in faces[chosen].tolist():
        for vertex in face:
            if vertex not in outside:
                around.setdefault(vertex, set()).update(other for other in face if other != vertex)
    return around


def split_faces(faces: I64, number: dict[Edge, int], mirror: I64) -> I64:
    """Triangles cut at the new vertices of their edges; a quadrangle that is left is cut at the corner with the
    smaller number of its mirrored pair, so that its mirror image is cut alike."""
    result: list[list[int]] = []
    rank = np.minimum(np.arange(len(mirror)), mirror)
    for face in faces.tolist():
        middle = [number.get(edge, -1) for edge in edges_of(face)]
        cut = [i for i in range(3) if middle[i] >= 0]
        if not cut:
            result.append(face)
            continue
        if len(cut) == 3:
            a, b, c = face
            ab, bc, ca = middle
            result += [[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]
            continue
        # turn the triangle so that its first edge is cut, and if two are, the second too
        first = cut[0] if len(cut) == 1 or cut[1] == cut[0] + 1 else cut[1]
        a, b, c = (face[(first + i) % 3] for i in range(3))
        ab, bc = middle[first], middle[(first + 1) % 3]
        if bc < 0:
            result += [[a, ab, c], [ab, b, c]]
        elif rank[a] < rank[c]:
            result += [[ab, b, bc], [a, ab, bc], [a, bc, c]]
        else:
            result += [[ab, b, bc], [a, ab, c], [ab, bc, c]]
    return np.array(result, dtype=np.int64)


def thinned(
    crop: Crop,
    vertices: F64,  # [C, 3] dm
    expendable: NDArray[np.bool_],  # [C] may go
    keep: int,  # how many of them shall stay
) -> Crop:
    """Collapse the shortest edges of a region, each together with its mirror image, until few enough are left."""
    faces = {i: tuple(face) for i, face in enumerate(crop.faces.tolist())}
    touching: dict[int, set[int]] = {}
    for i, face in faces.items():
        for vertex in face:
            touching.setdefault(vertex, set()).add(i)
    mirror, alive = crop.mirror.tolist(), set(np.flatnonzero(expendable).tolist())

    def neighbours(vertex: int) -> set[int]:
        return {other for i in touching[vertex] for other in faces[i]} - {vertex}

    def fits(gone: int, onto: int) -> bool:
        """Whether the collapse keeps a manifold whose triangles keep their side."""
        shared = touching[gone] & touching[onto]
        if len(neighbours(gone) & neighbours(onto)) != 2 or len(shared) != 2:
            return False
        for i in touching[gone] - shared:
            before = vertices[list(faces[i])]
            after = vertices[[onto if v == gone else v for v in faces[i]]]
            old, new = (np.cross(t[1] - t[0], t[2] - t[0]) for t in (before, after))
            if old @ new < 0.3 * np.linalg.norm(old) * np.linalg.norm(new):
                return False
        return True

    def collapse(gone: int, onto: int) -> None:
        for i in list(touching[gone]):
            face = faces[i]
            if onto in face:
                for vertex in face:
                    touching[vertex].discard(i)
                del faces[i]
            else:
                faces[i] = tuple(onto if v == gone else v for v in face)
                touching[onto].add(i)
        del touching[gone]
        alive.discard(gone)

    while len(alive) > keep:
        pairs = [(v, other) for v in alive for other in neighbours(v) if allowed(v, other, mirror)]
        length = np.linalg.norm(vertices[[a for a, _ in pairs]] - vertices[[b for _, b in pairs]], axis=1)
        order = np.argsort(length.round(9) + 1e-12 * np.array([min(a, mirror[a]) for a, _ in pairs]), kind="stable")
        done = 0
        touched: set[int] = set()
        for gone, onto in (pairs[i] for i in order):
            image, image_onto = mirror[gone], mirror[onto]
            if gone not in alive or (neighbours(gone) | {gone, onto}) & touched or not fits(gone, onto):
                continue
            near = neighbours(gone) | {gone}
            paired = image != gone
            if paired and (image in near or image_onto in near - {onto} or not fits(image, image_onto)):
                continue
            touched |= near | {mirror[v] for v in near}
            collapse(gone, onto)
            if paired:
                collapse(image, image_onto)
            done += 1
            if len(alive) <= keep or done > max(1, len(order) // 20):
                break
        if not done:
            break
    return kept_only(crop, np.array([faces[i] for i in sorted(faces)], dtype=np.int64))


def allowed(gone: int, onto: int, mirror: list[int]) -> bool:
    """A vertex on the middle plane goes only along it, and no other one onto it from both sides at once."""
    return mirror[gone] != gone or mirror[onto] == onto


def kept_only(crop: Crop, faces: I64) -> Crop:
    """The crop without vertices that no triangle uses."""
    used = np.unique(faces)
    number = np.full(len(crop.source), -1)
    number[used] = np.arange(len(used))
    return replace(
        crop,
        mix=crop.mix[used],
        faces=number[faces],
        piece=crop.piece[used],
        source=crop.source[used],
        mirror=number[crop.mirror[used]],
    )


def opposite_corners(faces: I64) -> dict[Edge, list[int]]:
    """The third corners of the triangles at each edge."""
    result: dict[Edge, list[int]] = {}
    for a, b, c in faces.tolist():
        for p, q, r in ((a, b, c), (b, c, a), (c, a, b)):
            result.setdefault(ordered(p, q), []).append(r)
    return result


def edges_of(face: list[int]) -> list[Edge]:
    """ab, bc, ca."""
    a, b, c = face
    return [ordered(a, b), ordered(b, c), ordered(c, a)]


def ordered(a: int, b: int) -> Edge:
    return (a, b) if a < b else (b, a)
