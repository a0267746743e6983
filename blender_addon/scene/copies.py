"""A shared head gets bones, camera and mesh of its own; a head that is no longer wanted goes with all of its parts."""

from __future__ import annotations

from typing import Any

import bpy

from .armature import EYE_AIM
from .folds import folds_of
from .found import CAMERA, DRIVEN_BY, EYE_TARGET, HEAD, RIG, BuiltAvatar, armature_modifier, find_avatar, link_beside
from .glasses import glasses_of
from .guard import here, set_hidden
from .paint import images_of
from .strands import foreign_strands, give_strands_to, strands_of


def make_own(built: BuiltAvatar) -> BuiltAvatar:
    """Give this head a mesh, a rig, a camera and an eye target that no other head uses."""
    head, rig = built.head, built.rig
    if head.data.users > 1:
        head.data = head.data.copy()
    if rig.get(HEAD) != head:
        shared, rig = rig, _copy_into(rig, head)
        rig.data = shared.data.copy()
        place = head.matrix_world.copy()
        rig[HEAD] = head
        (armature_modifier(head) or head.modifiers.new("Armature", "ARMATURE")).object = rig
        head.parent = rig
        rig.matrix_world = place
        head.matrix_parent_inverse = head.matrix_basis.inverted_safe()
        head[RIG] = rig
    complete(rig)
    loose = strands_of(rig)
    if loose is not None and loose.data.users > 1:
        loose.data = loose.data.copy()
        give_strands_to(loose, rig, head)
    found = find_avatar(head)
    assert found is not None
    return found


def complete(rig: Any) -> None:
    """A rig that was duplicated without its camera, eye target or strands gets copies of these."""
    target = None
    for key in (CAMERA, EYE_TARGET):
        item = rig.get(key)
        if item is None or item.get(RIG) == rig or not item.is_editable:
            continue
        made = _copy_into(item, rig)
        if made.data is not None:
            made.data = item.data.copy()
        made.parent, made[RIG] = rig, rig
        rig[key] = made
        set_hidden(made, here(item) and item.hide_get())
        target = made if key == EYE_TARGET else target
    for bone in rig.pose.bones if target is not None else ():
        if EYE_AIM in bone.constraints:
            bone.constraints[EYE_AIM].target = target
    loose = foreign_strands(rig)
    if loose is not None and loose.is_editable:
        made = _copy_into(loose, rig)
        made.data = loose.data.copy()
        give_strands_to(made, rig, rig[HEAD])
        set_hidden(made, here(loose) and loose.hide_get())


def delete(built: BuiltAvatar) -> None:
    """Remove the head, its rig, camera, eye target, strands and glasses, and the data that nothing else uses."""
    cameras = [camera for camera in (built.camera, built.clip_camera) if camera is not None]
    own = (built.head, *built.pieces, *cameras, built.eye_target, strands_of(built.rig), glasses_of(built.rig))
    objects = [item for item in own if item is not None]
    shared = built.rig.get(HEAD) not in (None, built.head)
    data = [*images_of(built), *_materials(built), *(item.data for item in objects if item.data is not None)]
    if not shared:
        data += [entry.image for camera in cameras for entry in camera.data.background_images if entry.image]
        data += _clip_actions(built)
    if shared:
        objects = [built.head]
    else:
        objects.append(built.rig)
        data += [built.rig.data, *(value for value in built.rig.values() if isinstance(value, bpy.types.Action))]
    for child in [item for item in built.rig.children_recursive if item not in objects] if not shared else ():
        place = child.matrix_world.copy()
        child.parent = None  # what the head wore stays where it is
        child.matrix_world = place
    collection, pointers = built.collection, _pointers(data)
    bpy.data.batch_remove(objects)
    _purge(pointers)
    if collection is not None and not collection.all_objects and collection != bpy.context.scene.collection:
        bpy.data.collections.remove(collection)


def remove_item(item: Any) -> None:
    """The object with its mesh and material, where nothing else uses these."""
    mesh = item.data
    materials = [slot.material for slot in item.material_slots if slot.material is not None]
    bpy.data.objects.remove(item)
    if not mesh.users:
        bpy.data.meshes.remove(mesh)
    for material in materials:
        if not material.users:
            bpy.data.materials.remove(material)


def _clip_actions(built: BuiltAvatar) -> list[Any]:
    """The actions that clips gave the head; the artist's own stay in the file."""
    animated = [item.animation_data for item in (built.rig, built.head.data.shape_keys) if item is not None]
    actions = [data.action for data in animated if data is not None and data.action is not None]
    return [action for action in actions if DRIVEN_BY in action]


def leftovers() -> list[Any]:
    """Objects of heads that are gone: rigs without a head and their strands, cameras and eye targets without a rig."""
    found = []
    for item in bpy.data.objects:
        if not item.is_editable:
            continue
        if item.type == "ARMATURE" and HEAD in item and find_avatar(item) is None:
            loose = strands_of(item)
            found += [item, *([loose] if loose is not None else [])]
        elif RIG in item and item.type in ("CAMERA", "EMPTY"):
            rig = item.get(RIG)
            found += [item] if rig is None or not rig.users_collection or find_avatar(rig) is None else []
    return found


def remove_leftovers() -> int:
    """Remove them and what only they used; returns how many objects there were."""
    items = leftovers()
    data = [item.data for item in items if item.data is not None]
    for item in items:
        if item.type == "CAMERA":
            data += [entry.image for entry in item.data.background_images if entry.image is not None]
        data += [value for value in item.values() if isinstance(value, bpy.types.Action)]
    count, pointers = len(items), _pointers(data)
    bpy.data.batch_remove(items)
    _purge(pointers)
    return count


def _copy_into(item: Any, beside: Any) -> Any:
    made = item.copy()
    link_beside(made, beside)
    return made


def _materials(built: BuiltAvatar) -> list[Any]:
    """The materials, and the groups of folds in them."""
    beside = [item for item in (strands_of(built.rig), glasses_of(built.rig)) if item is not None]
    meshes = (built.head, *built.pieces, *beside)
    found = [slot.material for mesh in meshes for slot in mesh.material_slots if slot.material is not None]
    return found + [group for group in map(folds_of, meshes) if group is not None]


def _pointers(data: list[Any]) -> set[int]:
    """By these data is known again after objects were removed: Blender may remove some of it with them."""
    return {item.as_pointer() for item in data}


def _purge(pointers: set[int]) -> None:
    """Remove of this data what has no user left, users of users last; what is another file's Blender drops itself."""
    stores = (bpy.data.meshes, bpy.data.armatures, bpy.data.cameras, bpy.data.actions, bpy.data.materials)
    for store in (*stores, bpy.data.node_groups, bpy.data.images):
        mine = [item for item in store if item.as_pointer() in pointers]
        bpy.data.batch_remove([item for item in mine if not item.users and item.library is None])
