"""Modifiers applied to meshes with shape keys: Blender itself applies them only where there are none.

The mesh is worked out once for the basis and once for each key in full, and put together again. What a modifier does
between a key's ends is taken as straight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np

from .files import ExportError


def shown_modifiers(mesh: Any) -> list[Any]:
    """What changes a mesh in the view, beside its bones."""
    return [item for item in mesh.modifiers if item.type != "ARMATURE" and item.show_viewport]


def baked(mesh: Any) -> Any:
    """A mesh data-block of what an object's modifiers make of it."""
    graph = bpy.context.evaluated_depsgraph_get()
    seen = mesh.evaluated_get(graph)
    return bpy.data.meshes.new_from_object(seen, preserve_all_data_layers=True, depsgraph=graph)


def apply_modifiers(mesh: Any, own: Callable[[Any], None]) -> None:
    """Put what the shown modifiers make of a mesh in its place, under its name; its keys stay, all at 0.

    The bones' modifier must be off. `own` takes the new data-block. ExportError where a modifier makes more or fewer
    vertices of one expression than of another.
    """
    before = mesh.data
    blocks = before.shape_keys.key_blocks[1:] if before.shape_keys is not None else []
    names = [key.name for key in before.shape_keys.key_blocks] if blocks else []
    ends = [(key.slider_min, key.slider_max) for key in blocks]
    for key in blocks:
        key.value, key.slider_max = 0.0, max(key.slider_max, 1.0)
    data = baked(mesh)
    own(data)
    shapes = []
    for key in blocks:
        key.value = 1.0
        shapes.append(_points_shown(mesh))
        key.value = 0.0
        if shapes[-1].shape != (len(data.vertices), 3):
            changing = ", ".join(item.name for item in shown_modifiers(mesh))
            raise ExportError(
                f"{changing} of {mesh.name} makes another number of vertices of {key.name} than of the neutral face, "
                "so that the expressions would be lost: take it off, hide it, or leave modifiers out."
            )
    name, before.name = before.name, f"{before.name[:30]} (raw)"
    data.name, mesh.data = name, data
    for name in names[:1]:
        mesh.shape_key_add(name=name, from_mix=False)
    for name, shape, (low, high) in zip(names[1:], shapes, ends, strict=True):
        key = mesh.shape_key_add(name=name, from_mix=False)
        key.data.foreach_set("co", shape.ravel())
        key.slider_min, key.slider_max, key.value = low, high, 0.0


def _points_shown(mesh: Any) -> Any:  # [V, 3]
    seen = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    shown = seen.to_mesh()
    points = np.empty((len(shown.vertices), 3), np.float32)
    shown.vertices.foreach_get("co", points.ravel())
    seen.to_mesh_clear()
    return points
