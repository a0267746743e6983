"""Skin through skin, by triangles: which pairs of keys push which skin through which, before and after the key doctor.

    python tests/blender/skin_crossings.py HEAD.meshlam...

Every pair of keys (and each key alone) at 1, with the doctor's correctives as their drivers have them. Triangles of the
skin that cross, share no vertex and do not cross at rest count where both are more than 0.3 mm behind the skin about
the other (a ring of triangles); said is how far the shallower of the two is. Needs the bpy module, for its tree of
triangles, and takes a minute a head. The region of a triangle of the face is that of the keys that move it most: nose,
cheeks, brows, or the skin about the mouth and the eyes.
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import combinations_with_replacement
from pathlib import Path

import bpy  # noqa: F401  # mathutils comes with it
import numpy as np
from mathutils.bvhtree import BVHTree

sys.path.insert(0, str(Path(__file__).parents[2]))

from blender_addon.avatar_reader import read_avatar
from blender_addon.doctor.__main__ import mesh_of
from blender_addon.doctor.contacts import closest
from blender_addon.doctor.correctives import TOLERANCE, Corrective, cure, shown
from blender_addon.doctor.shapes import Mesh

SKIN = ("face", "lips", "eyelids")
MOVED = 1e-4  # m: triangles that no key moves further are left out
REGIONS = {"nose": "nose", "cheek": "cheeks", "brow": "brows", "eye": "skin about the eyes"}
ELSE = "skin about the mouth"
_GRID = [(i / 4, j / 4, (4 - i - j) / 4) for i in range(5) for j in range(5 - i)]
SPOTS = np.array(_GRID, np.float32)  # [S, 3] points all over a triangle, as mixes of its corners


class Skin:
    """The triangles of a head's skin, with the regions that they belong to."""

    def __init__(self, mesh: Mesh) -> None:
        reach = {name: np.linalg.norm(move, axis=1) for name, move in mesh.moves.items()}
        moved = np.max(list(reach.values()), axis=0) > MOVED
        faces = mesh.faces[np.isin(mesh.part, SKIN)[mesh.faces].all(1)]
        self.faces = faces[moved[faces].any(1)]
        names = list(reach)
        first = np.array([reach[name][self.faces].mean(1) for name in names]).argmax(0)
        by_key = [next((REGIONS[word] for word in REGIONS if name.startswith(word)), ELSE) for name in names]
        parts = mesh.part[self.faces]
        whole = (parts == "face").all(1)
        kind = np.where((parts == "lips").any(1), "lips", "lids")
        self.regions = np.where(whole, np.array(by_key)[first], kind)
        shares = [np.flatnonzero(np.isin(self.faces, face).any(1)) for face in self.faces]
        most = max(map(len, shares))
        self.about = np.array([np.resize(rows, most) for rows in shares])  # [F, N] the triangles at a triangle
        self.at_rest = {tuple(two) for two in self.crossing(mesh.vertices).tolist()}

    def crossing(self, points) -> np.ndarray:  # [V, 3] -> [N, 2] triangles
        tree = BVHTree.FromPolygons(points.tolist(), self.faces.tolist())
        found = np.array(tree.overlap(tree), np.intp).reshape(-1, 2)
        found = found[found[:, 0] < found[:, 1]]
        beside = (self.faces[found[:, 0], :, None] == self.faces[found[:, 1], None]).any((1, 2))
        return found[~beside]

    def depths(self, points, found) -> dict[tuple[str, str], float]:
        """m, the deepest new crossing between each two regions."""
        told: dict[tuple[str, str], float] = {}
        depth = np.minimum(self._through(points, *found.T), self._through(points, *found.T[::-1]))
        found, depth = found[depth > TOLERANCE], depth[depth > TOLERANCE]
        behind = np.minimum(self._behind(points, *found.T), self._behind(points, *found.T[::-1]))
        depth = np.minimum(depth, behind)
        for (one, other), deep in zip(found.tolist(), depth.tolist(), strict=True):
            if (one, other) not in self.at_rest:
                names = sorted((str(self.regions[one]), str(self.regions[other])))
                told[names[0], names[1]] = max(told.get((names[0], names[1]), 0.0), deep)
        return told

    def _through(self, points, one, other) -> np.ndarray:  # [N] m, of a triangle through the other's plane
        corners, plane = points[self.faces[one]], points[self.faces[other]]
        normal = np.cross(plane[:, 1] - plane[:, 0], plane[:, 2] - plane[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        height = ((corners - plane[:, :1]) * normal[:, None]).sum(2)
        return np.minimum(height.max(1), -height.min(1)).clip(0)

    def _behind(self, points, one, other) -> np.ndarray:  # [N] m, of a triangle behind the skin about the other
        spots = np.einsum("sc,nci->nsi", SPOTS, points[self.faces[one]])  # [N, S, 3]
        skin = points[self.faces[self.about[other]]]  # [N, M, 3, 3]
        mix = closest(spots[:, :, None], np.repeat(skin[:, None], len(SPOTS), axis=1))
        way = spots[:, :, None] - np.einsum("nsmc,nmci->nsmi", mix, skin)
        plane = points[self.faces[other]]
        normal = np.cross(plane[:, 1] - plane[:, 0], plane[:, 2] - plane[:, 0])
        inside = ((spots - plane[:, :1]) * normal[:, None]).sum(2) < 0
        return (np.linalg.norm(way, axis=3).min(2) * inside).max(1, initial=0)


def count(mesh: Mesh, skin: Skin, correctives: list[Corrective]) -> tuple[Counter, dict]:
    """Pairs of keys by the regions that cross, and the deepest with the pair that does it."""
    pairs: Counter = Counter()
    deepest: dict[tuple[str, str], tuple[float, tuple[str, str]]] = {}
    for pair in combinations_with_replacement(mesh.moves, 2):
        points = shown(mesh, correctives, dict.fromkeys(pair, 1.0))
        for regions, deep in skin.depths(points, skin.crossing(points)).items():
            if deep > TOLERANCE:
                pairs[regions] += 1
                deepest[regions] = max(deepest.get(regions, (0.0, pair)), (deep, pair))
    return pairs, deepest


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        mesh = mesh_of(read_avatar(path))
        skin = Skin(mesh)
        before, after = (count(mesh, skin, made) for made in ([], cure(mesh).correctives))
        print(f"{path.stem}: {dict(Counter(skin.regions.tolist()))} triangles")
        for regions in before[0] | after[0]:
            told = []
            for pairs, deepest in (before, after):
                deep, pair = deepest.get(regions, (0.0, ()))
                told.append(f"{pairs[regions]:4} pairs, {1000 * deep:.1f} mm {' + '.join(pair)}")
            print(f"  {' through '.join(regions):44} {told[0]:64} ->  {told[1]}")


if __name__ == "__main__":
    main()
