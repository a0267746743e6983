"""Triangles joined to quads, as sculpting and subdivision want them; vertices stay what they are."""

from __future__ import annotations

from math import radians
from typing import Any

import bmesh

from .found import BuiltAvatar

_FLAT, _SQUARE = radians(60), radians(60)  # between the two triangles, and from the right angle of each corner


def only_triangles(mesh: Any) -> bool:
    return len(mesh.loops) == 3 * len(mesh.polygons)


def make_quads(built: BuiltAvatar) -> tuple[int, int]:
    """(quads, triangles) of the head and its pieces, after pairs that lie together in the texture were joined.

    Numbers of vertices, shape keys, groups, texture coordinates and marked seams stay.
    """
    sizes = []
    for item in (built.head, *built.pieces):
        join_triangles(item.data)
        sizes += [polygon.loop_total for polygon in item.data.polygons]
    return sizes.count(4), sizes.count(3)


def join_triangles(mesh: Any) -> None:
    edited = bmesh.new()
    try:
        edited.from_mesh(mesh)
        bmesh.ops.join_triangles(
            edited,
            faces=edited.faces,
            cmp_seam=True,
            cmp_sharp=True,
            cmp_uvs=True,
            cmp_materials=True,
            angle_face_threshold=_FLAT,
            angle_shape_threshold=_SQUARE,
        )
        edited.to_mesh(mesh)
    finally:
        edited.free()
    mesh.update()
