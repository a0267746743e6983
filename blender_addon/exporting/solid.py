"""A head as one closed solid for a 3D printer: holes filled, parts united by a fine grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bmesh

from ..scene.parts import LASHES, SURFACES
from .modifiers import baked

_GRID = 0.0008  # m: below what printers resolve on a head
_LASHES = SURFACES.index(LASHES)


def make_solid(meshes: tuple[Any, ...], own: Callable[[Any], None]) -> None:
    """Turn each mesh into the closed surface around it, in place; lashes, thinner than any nozzle, go."""
    for mesh in meshes:
        if mesh.data.shape_keys is not None:
            mesh.shape_key_clear()
        mesh.modifiers.clear()
        _close(mesh.data)
        own(_unite(mesh))


def is_closed(data: Any) -> bool:
    """Whether every edge of a mesh lies between exactly two faces."""
    work = bmesh.new()
    work.from_mesh(data)
    closed = all(edge.is_manifold for edge in work.edges)
    work.free()
    return bool(closed)


def _close(data: Any) -> None:
    work = bmesh.new()
    work.from_mesh(data)
    hairs = [face for face in work.faces if face.material_index == _LASHES]
    bmesh.ops.delete(work, geom=hairs, context="FACES")
    bmesh.ops.remove_doubles(work, verts=work.verts, dist=1e-6)
    bmesh.ops.holes_fill(work, edges=[edge for edge in work.edges if edge.is_boundary], sides=0)
    bmesh.ops.recalc_face_normals(work, faces=work.faces)
    work.to_mesh(data)
    work.free()


def _unite(mesh: Any) -> Any:
    modifier = mesh.modifiers.new("Solid", "REMESH")
    modifier.mode, modifier.voxel_size, modifier.adaptivity = "VOXEL", _GRID, 0.0
    before, solid = mesh.data, baked(mesh)
    name, before.name = before.name, f"{before.name[:30]} (open)"
    mesh.modifiers.clear()
    mesh.data, solid.name = solid, name
    return solid
