"""Leave the user's scene as found: mode, selection, active object, cursor; and nothing half-built after a failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

_COLLECTIONS = (
    *("objects", "collections", "meshes", "armatures", "cameras", "lights"),
    *("materials", "node_groups", "images", "actions"),
)


def objects_in_view() -> list[Any]:
    """The objects of the current view layer, as they are now.

    After a script made or removed objects, Blender's own list still names what is gone, and asking one of them whether
    it is visible or selected rebuilds that list while it is being read, which may crash.
    """
    layer = bpy.context.view_layer
    layer.update()
    return list(layer.objects)


@contextmanager
def scene_as_found() -> Iterator[None]:
    """Enter object mode; on leaving, restore mode, selection, active object and cursor, all by name.

    Objects are looked up again by name because references die when Blender undoes or re-allocates.
    """
    context, objects = bpy.context, objects_in_view()
    active = context.view_layer.objects.active
    active_name, mode = (active.name, active.mode) if active is not None else ("", "OBJECT")
    editing = [item.name for item in objects if item.mode == mode != "OBJECT"]
    selected = [item.name for item in objects if item.select_get()]
    cursor = context.scene.cursor.matrix.copy()
    if mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    try:
        yield
    finally:
        if bpy.context.object is not None and bpy.context.object.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        _select(selected, active_name)
        if mode != "OBJECT" and active_name in bpy.context.view_layer.objects:
            _enter(mode, editing, selected, active_name)
        bpy.context.scene.cursor.matrix = cursor


def here(item: Any) -> bool:
    """Whether an object is in the current view layer; others can be neither selected nor edited."""
    found = bpy.context.view_layer.objects.get(item.name)
    return bool(found == item)


def set_hidden(item: Any, hidden: bool) -> None:
    """Hide or show an object, where it is in the current view layer."""
    if here(item):
        item.hide_set(hidden)


@contextmanager
def editing(item: Any) -> Iterator[None]:
    """Edit mode of an object that is `here`, also where it is hidden; afterwards object mode, hidden as before."""
    hidden, off = item.hide_get(), item.hide_viewport
    item.hide_viewport = False
    item.hide_set(False)
    bpy.context.view_layer.objects.active = item
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        yield
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
        item.hide_set(hidden)
        item.hide_viewport = off


def select_only(names: list[str], active: str) -> None:
    """Select these objects of the view layer and no others."""
    _select(names, active)


def _select(names: list[str], active_name: str) -> None:
    layer = bpy.context.view_layer
    wanted = set(names)
    for item in objects_in_view():
        if item.select_get() != (item.name in wanted):
            item.select_set(item.name in wanted)
    layer.objects.active = layer.objects.get(active_name)


def _enter(mode: str, editing: list[str], selected: list[str], active_name: str) -> None:
    """Back into a mode that several objects may share: those that were in it are selected, then the rest again."""
    _select(sorted({*editing, active_name}), active_name)
    bpy.ops.object.mode_set(mode=mode)
    for item in objects_in_view():
        item.select_set(item.name in selected)


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """Remove every ID made inside the block if it raises."""
    before = {name: {item.as_pointer() for item in getattr(bpy.data, name)} for name in _COLLECTIONS}
    try:
        yield
    except BaseException:
        if bpy.context.object is not None and bpy.context.object.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        made: list[Any] = [
            item for name in _COLLECTIONS for item in getattr(bpy.data, name) if item.as_pointer() not in before[name]
        ]
        bpy.data.batch_remove(made)
        raise
