"""Which head an object belongs to, also after duplicating, linking, separating and joining.

What deforms a mesh is the truth: its armature modifier names the rig. The ID pointers in the custom properties survive
renaming, undo and saving, and Blender turns them to the copies where rig and mesh are duplicated together; where only
one of the two is duplicated they point to what is shared, and `limits` says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import bpy

HEAD, RIG, CAMERA, EYE_TARGET = "meshlam_head", "meshlam_rig", "meshlam_camera", "meshlam_eye_target"
CLIP_CAMERA = "meshlam_clip_camera"
DRIVEN_BY = "meshlam_driven_by"  # on an action: the clip it was made of, JSON
JOINED = "meshlam_joined"  # on a joined character's rig: what the seam was measured at, and which bones turn it, JSON
PROVENANCE, KIND, SOURCE, RESULT = "meshlam_provenance", "meshlam_kind", "meshlam_source", "meshlam_result"


@dataclass(frozen=True)
class BuiltAvatar:
    """The objects of one avatar in the scene."""

    collection: Any
    rig: Any
    head: Any
    camera: Any  # None where it was deleted, or not duplicated with the rig
    eye_target: Any  # None where the avatar has no eye joints
    pieces: tuple[Any, ...] = ()  # what Separate took from the head
    clip_camera: Any = None  # of the clip that drives it


def find_avatar(item: Any) -> BuiltAvatar | None:
    """The avatar that an object belongs to, or None."""
    if item is None:
        return None
    if item.type == "EMPTY" and item.instance_collection is not None:
        rigs = [part for part in item.instance_collection.all_objects if part.type == "ARMATURE" and HEAD in part]
        return find_avatar(rigs[0]) if rigs else None
    rig = _rig_of(item)
    head = _head_of(rig, item) if rig is not None else None
    if head is None:
        return None
    collection = next(iter(collections_of(head)), None)
    own = [_own(rig, key) for key in (CAMERA, EYE_TARGET, CLIP_CAMERA)]
    return BuiltAvatar(collection, rig, head, own[0], own[1], tuple(_pieces(rig, head)), own[2])


def active_avatar(context: Any) -> BuiltAvatar | None:
    """The avatar of the active object, else of a selected one; where none is selected, the scene's only one."""
    layer = context.view_layer
    found = find_avatar(layer.objects.active)
    if found is not None:
        return found
    for item in layer.objects.selected:
        found = find_avatar(item)
        if found is not None:
            return found
    rigs = [item for item in context.scene.objects if item.type == "ARMATURE" and HEAD in item]
    return find_avatar(rigs[0]) if len(rigs) == 1 else None


def turned_by(rig: Any) -> dict[str, str]:
    """On a joined character the bone that took the place of each of the head's; empty for a head of its own."""
    turning = json.loads(rig.get(JOINED, "{}")).get("turned_by", {})
    whole = {"neck", "jaw"} <= set(turning) and all(turning[name] in rig.data.bones for name in ("neck", "jaw"))
    return dict(turning) if whole else {}


def bones_of_head(rig: Any) -> list[Any]:
    """The pose bones that move the head and its parts: all of a rig of its own, few of a joined character's."""
    names = turned_by(rig)
    chosen = [rig.pose.bones.get(name) for name in names.values()] if names else rig.pose.bones
    return [bone for bone in chosen if bone is not None]


def armature_modifier(mesh: Any) -> Any:
    """The modifier by which a rig bends a mesh, or None."""
    return next((item for item in mesh.modifiers if item.type == "ARMATURE" and item.object is not None), None)


def limits(built: BuiltAvatar) -> tuple[str, ...]:
    """What this head cannot do because it is linked or shared, one sentence each; empty for a head of its own."""
    sentences = []
    if not all(_changeable(item) for item in (built.rig, built.head, built.head.data)):
        sentences.append(
            "This head is linked from another file: it can be exported, and posed after "
            "Object > Relations > Make Local or Library Override > Make."
        )
        return tuple(sentences)
    others = [item.name for item in _meshes_of(built.rig) if _is_copy(item, built.rig) and item != built.head]
    own = built.rig.get(HEAD)
    if own is not None and own != built.head:
        others = [own.name]
    if others:
        sentences.append(f"It shares its bones with {others[0]}: posing moves both.")
    keys = built.head.data
    if keys.users > 1:
        twins = [item.name for item in bpy.data.objects if item.data == keys and item != built.head]
        if twins:
            sentences.append(f"It shares its mesh with {twins[0]}: expressions move both.")
    return tuple(sentences)


def editable(built: BuiltAvatar) -> bool:
    """Whether the head may be posed: not where it is linked."""
    keys = built.head.data.shape_keys
    return all(_changeable(item) for item in (built.rig, built.head, keys) if item is not None)


def _changeable(item: Any) -> bool:
    """Not linked, and not an override that Blender keeps only for the sake of others."""
    override = item.override_library
    return bool(item.is_editable and not (override is not None and override.is_system_override))


def _rig_of(item: Any) -> Any:
    """The rig of an object: itself, what bends it, what it names, or what it hangs on."""
    if item.type == "ARMATURE" and HEAD in item:
        return item
    if item.type == "MESH":
        modifier = armature_modifier(item)
        if modifier is not None and HEAD in modifier.object and _in_use(modifier.object):
            return modifier.object
    named = item.get(RIG)
    if named is not None and _in_use(named):
        return named
    parent, steps = item.parent, 0
    while parent is not None and steps < 16:
        if parent.type == "ARMATURE" and HEAD in parent:
            return parent
        parent, steps = parent.parent, steps + 1
    return None


def _head_of(rig: Any, item: Any) -> Any:
    if item.type == "MESH" and RIG in item and _is_copy(item, rig):
        return item
    head = rig.get(HEAD)
    if head is not None and _in_use(head) and _belongs(head, rig):
        return head
    meshes = [mesh for mesh in _meshes_of(rig) if RIG in mesh]
    return max(meshes, key=lambda mesh: len(mesh.data.vertices), default=None)


def _belongs(mesh: Any, rig: Any) -> bool:
    modifier = armature_modifier(mesh)
    return bool(modifier.object == rig if modifier is not None else mesh.get(RIG) == rig)


def _is_copy(mesh: Any, rig: Any) -> bool:
    """Whether a mesh on this rig is a whole head and not a piece of one."""
    head = rig.get(HEAD)
    return bool(
        _belongs(mesh, rig) and (head is None or mesh == head or len(mesh.data.vertices) == len(head.data.vertices))
    )


def _meshes_of(rig: Any) -> list[Any]:
    """The meshes beside a rig that it bends; only its own collections are looked through, as panels draw often."""
    beside = {item for collection in collections_of(rig) for item in collection.objects if item.type == "MESH"}
    meshes = [item for item in beside if RIG in item and _belongs(item, rig)]
    return sorted(meshes, key=lambda item: str(item.name))


def _pieces(rig: Any, head: Any) -> list[Any]:
    return [mesh for mesh in _meshes_of(rig) if mesh != head and not _is_copy(mesh, rig)]


def _own(rig: Any, key: str) -> Any:
    """The rig's camera or eye target; None where it is gone or belongs to the rig that this one was copied from."""
    item = rig.get(key)
    if item is None or not _in_use(item) or (item.get(RIG) != rig and item.parent != rig):
        return None
    return item


def _in_use(item: Any) -> bool:
    """Not a deleted object that only a pointer keeps alive."""
    return item.library is not None or bool(collections_of(item))


def collections_of(item: Any) -> list[Any]:
    """The collections that hold an object. Blender's own `users_collection` is slow where a scene holds thousands."""
    found = [held for held in bpy.data.collections if held.objects.get(item.name) == item]
    return found or [scene.collection for scene in bpy.data.scenes if scene.collection.objects.get(item.name) == item]


def link_beside(item: Any, beside: Any) -> None:
    """Link a new object into the collections of another; into the scene's own where those are another file's."""
    own = [held for held in collections_of(beside) if held.is_editable and held.override_library is None]
    for held in own or [bpy.context.scene.collection]:
        held.objects.link(item)
