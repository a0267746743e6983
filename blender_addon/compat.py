"""Everything that differs between Blender 4.2, 4.5, 5.0 and 5.2, in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy

MAX_NAME_BYTES = 255 if bpy.app.version >= (5, 0, 0) else 63
# Blender appends ".001" and our own names append a word such as " Photo Camera"
_ROOM_FOR_SUFFIX = 24


def eevee() -> str:
    """The engine id of EEVEE, which lost its suffix in 5.0."""
    return "BLENDER_EEVEE" if bpy.app.version >= (5, 0, 0) else "BLENDER_EEVEE_NEXT"


def short_name(name: str) -> str:
    """`name` cut to what an ID name can hold with a suffix, never through the middle of a character."""
    clean = name.strip() or "Head"
    return clean.encode()[: MAX_NAME_BYTES - _ROOM_FOR_SUFFIX].decode(errors="ignore")


def node_tree(material: Any) -> Any:
    """The node tree of a new material; since 5.0 it is always there and asking for it warns."""
    if material.node_tree is None:
        material.use_nodes = True
    return material.node_tree


@contextmanager
def png_pictures(settings: Any) -> Iterator[None]:
    """Let renderings be written as PNG; since 5.0 a scene that writes films must be told first that it is pictures."""
    kind, before = getattr(settings, "media_type", None), settings.file_format
    if kind is not None:
        settings.media_type = "IMAGE"
    settings.file_format = "PNG"
    try:
        yield
    finally:
        if kind is not None:
            settings.media_type = kind
        settings.file_format = before


def animation_state(animated: Any) -> tuple[Any, Any, bool] | None:
    """(action, slot, use_nla) of an ID, so that it can be detached and put back. Slots exist since 4.4."""
    data = animated.animation_data
    if data is None:
        return None
    return data.action, getattr(data, "action_slot", None), data.use_nla


def assign_action(animated: Any, action: Any, slot_identifier: str = "") -> None:
    """Assign an action and, where slots exist, the slot of that identifier (or the first one that fits)."""
    data = animated.animation_data or animated.animation_data_create()
    data.action = action
    if action is None or not hasattr(data, "action_slot"):
        return
    for slot in action.slots:
        if slot.identifier == slot_identifier and slot in list(data.action_suitable_slots):
            data.action_slot = slot
            return
    if data.action_slot is None and len(data.action_suitable_slots):
        data.action_slot = data.action_suitable_slots[0]


@dataclass(frozen=True)
class Curves:
    """Where the curves of one animated ID go."""

    action: Any
    slot: str  # identifier, empty where there are no slots
    fcurves: Any


def new_curves(name: str, animated: Sequence[Any]) -> list[Curves]:
    """Room for the curves of several IDs: one layered action with a slot for each, or an action each before 4.4."""
    if bpy.app.version < (4, 4, 0):
        actions = [bpy.data.actions.new(name) for _ in animated]
        return [Curves(action, "", action.fcurves) for action in actions]
    action = bpy.data.actions.new(name)
    strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
    slots = [action.slots.new(id_type=item.id_type, name=item.name) for item in animated]
    return [Curves(action, slot.identifier, strip.channelbag(slot, ensure=True).fcurves) for slot in slots]


def curves_of(animated: Any) -> list[Any]:
    """The curves of the action that moves an ID; none where there is no action."""
    data = animated.animation_data
    action = data.action if data is not None else None
    if action is None:
        return []
    if bpy.app.version < (4, 4, 0):
        return list(action.fcurves)
    bags = [strip.channelbag(data.action_slot) for layer in action.layers for strip in layer.strips]
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]


def room_for_curves(animated: Any) -> Any:
    """The curves of an ID's action, to add to and to remove from; it gets an action where it has none."""
    data = animated.animation_data
    if data is None or data.action is None:
        made = new_curves(animated.name, [animated])[0]
        assign_action(animated, made.action, made.slot)
        return made.fcurves
    if bpy.app.version < (4, 4, 0):
        return data.action.fcurves
    return data.action.layers[0].strips[0].channelbag(data.action_slot, ensure=True).fcurves


def slot_identifier(animated: Any) -> str:
    """The identifier of the assigned action slot, empty where there is none."""
    slot = getattr(animated.animation_data, "action_slot", None) if animated.animation_data else None
    return slot.identifier if slot is not None else ""
