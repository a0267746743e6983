"""Levels of detail: fewer triangles, with keys, weights and UVs carried over, and how far the surface moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from mathutils.geometry import barycentric_transform

from ..scene.shape_keys import points_of
from .modifiers import baked
from .weights import give_weights, weight_matrix

_FULL = " (full)"


@dataclass(frozen=True)
class Loss:
    """How far a thinned surface is from the one it came from, mm."""

    worst: float
    rms: float


class Thinner:
    """Makes levels of the same meshes, each from the full ones."""

    def __init__(self, meshes: tuple[Any, ...], own: Callable[[Any], None]) -> None:
        self._own = own
        self._full = [(mesh, mesh.data, _Surface(mesh), weight_matrix(mesh)) for mesh in meshes]

    def thin_out(self, share: float) -> Loss:
        """Keep about this share of each full mesh's triangles, in place."""
        distances = np.concatenate([self._thin_out(*full, share) for full in self._full])
        return Loss(float(distances.max() * 1000), float(np.sqrt((distances**2).mean()) * 1000))

    def _thin_out(self, mesh: Any, data: Any, before: _Surface, weights: Any, share: float) -> Any:
        """Blender's Decimate on the neutral mesh; what it cannot carry is read off the full one."""
        if mesh.data != data:
            mesh.data.name = f"{mesh.data.name[:30]} (thinned)"  # the level before gives its name up
        mesh.data = data
        thinned = _decimated(mesh, share)
        self._own(thinned)
        points = _positions(thinned.vertices)
        nearest, corners, shares = before.nearest(points)
        name, data.name = data.name.removesuffix(_FULL), f"{data.name.removesuffix(_FULL)[:30]}{_FULL}"
        mesh.data, thinned.name = thinned, name
        for name in before.keys:
            key = mesh.shape_key_add(name=name, from_mix=False)
            moved = np.einsum("vc,vcx->vx", shares, before.moved[name][corners])
            key.data.foreach_set("co", (points + moved).astype(np.float32).ravel())
            key.slider_min, key.slider_max = before.ranges[name]
            key.value = 0.0
        if weights is not None:
            give_weights(mesh, np.einsum("vc,vcg->vg", shares, weights[corners]))
        faces = [tuple(face.vertices) for face in mesh.data.polygons]
        back = BVHTree.FromPolygons([Vector(point) for point in points], faces)
        there = np.array([back.find_nearest(Vector(point))[3] or 0.0 for point in before.points])
        return np.concatenate([nearest, there])


class _Surface:
    """Neutral positions, movements of the keys, and the nearest point on it."""

    def __init__(self, mesh: Any) -> None:
        self.points = _positions(mesh.data.vertices)
        blocks = mesh.data.shape_keys.key_blocks if mesh.data.shape_keys is not None else []
        self.keys = [key.name for key in blocks]
        basis = _positions(blocks[0].data) if blocks else self.points
        self.moved = {key.name: _positions(key.data) - basis for key in blocks}
        self.ranges = {key.name: (key.slider_min, key.slider_max) for key in blocks}
        mesh.data.calc_loop_triangles()
        self.triangles = np.array([tuple(triangle.vertices) for triangle in mesh.data.loop_triangles])
        self.tree = BVHTree.FromPolygons([Vector(point) for point in self.points], self.triangles.tolist())

    def nearest(self, points: Any) -> tuple[Any, Any, Any]:
        """Distance [V], corners [V, 3] and their shares [V, 3] of the nearest point for each of `points` [V, 3]."""
        distances, corners, shares = [], [], []
        unit = (Vector((1, 0, 0)), Vector((0, 1, 0)), Vector((0, 0, 1)))
        for point in points:
            spot, _, triangle, distance = self.tree.find_nearest(Vector(point))
            a, b, c = (Vector(self.points[corner]) for corner in self.triangles[triangle])
            share = np.clip(np.array(barycentric_transform(spot, a, b, c, *unit)), 0, 1)
            if not np.isfinite(share).all() or share.sum() <= 0:
                share = np.array([1.0, 0.0, 0.0])
            distances.append(distance)
            corners.append(self.triangles[triangle])
            shares.append(share / share.sum())
        return np.array(distances), np.array(corners), np.array(shares)


def _decimated(mesh: Any, ratio: float) -> Any:
    """A mesh data-block without keys, from a copy that Blender decimated."""
    copy = mesh.copy()
    copy.data = mesh.data.copy()
    data = copy.data
    try:
        copy.shape_key_clear()
        copy.modifiers.clear()
        bpy.context.scene.collection.objects.link(copy)
        modifier = copy.modifiers.new("Decimate", "DECIMATE")
        modifier.ratio, modifier.use_collapse_triangulate = ratio, True
        return baked(copy)
    finally:
        bpy.data.objects.remove(copy)
        bpy.data.meshes.remove(data)


def _positions(points: Any) -> Any:
    return points_of(points).astype(float)
