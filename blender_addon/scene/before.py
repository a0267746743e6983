"""What a head was before it was renewed, kept with its rig, and the way back."""

from __future__ import annotations

import json
from typing import Any

import bpy

from . import layers
from .action import PHOTO_POSE, build_actions, hide_photo_pose
from .copies import remove_item
from .folds import folds_of, show_folds
from .found import PROVENANCE, RESULT, SOURCE, BuiltAvatar, link_beside
from .glasses import glasses_of, hang_glasses
from .guard import editing, here, scene_as_found
from .lashes import lash_nodes
from .light import LIGHT
from .strands import STRANDS, put_away, strands_of

_MESH, _IMAGE, _CAMERA = "meshlam_before_mesh", "meshlam_before_albedo", "meshlam_before_camera"
_LIT, _FOLDS, _LASHES = "meshlam_before_lit", "meshlam_before_folds", "meshlam_before_lashes"
_GLASSES = "meshlam_before_glasses"
_STRANDS, _STRAND_MESH = "meshlam_before_strands", "meshlam_before_strand_mesh"
_REST = "meshlam_before"  # JSON: bones, custom properties
_PROPERTIES = (PHOTO_POSE, PROVENANCE, SOURCE, RESULT, LIGHT, "meshlam_kept")


def can_go_back(built: BuiltAvatar) -> bool:
    """Whether an earlier head is kept, and is this file's own: of a linked or overridden one only some data are."""
    mine = all(item.library is None and item.override_library is None for item in (built.rig, built.head))
    return mine and built.rig.get(_MESH) is not None and _REST in built.rig and here(built.rig)


def kept_source(item: Any) -> str:
    """The avatar file of what an object was before, empty where it was nothing."""
    return str(json.loads(item[_REST])["properties"].get(SOURCE, "")) if _REST in item else ""


def keep_before(built: BuiltAvatar) -> None:
    """Keep the head as it is with its rig and go on with copies; what was kept earlier goes."""
    rig, head = built.rig, built.head
    old = head.data
    name = old.name
    head.data = old.copy()
    old.name = f"{name} (before)"
    head.data.name = name
    rig[_MESH] = old
    nodes = layers.albedo_nodes(head)
    if nodes:
        rig[_IMAGE] = nodes[0][1].image
    lit = layers.lit_images(head)
    if lit:
        rig[_LIT] = lit[0].image
    strands = lash_nodes(head)
    if strands:
        rig[_LASHES] = strands[0].image
    rig.pop(_FOLDS, None)
    if (group := folds_of(head)) is not None:
        rig[_FOLDS] = group
    if built.camera is not None:
        data = built.camera.data
        built.camera.data = data.copy()
        data.name, built.camera.data.name = f"{data.name} (before)", data.name
        rig[_CAMERA] = data
    worn = glasses_of(rig)
    rig.pop(_GLASSES, None)
    if worn is not None:
        rig[_GLASSES] = worn.data
    _keep_strands(rig)
    place = list(built.camera.location) if built.camera is not None else None
    bones = {bone.name: [list(bone.head_local), list(bone.tail_local)] for bone in rig.data.bones}
    properties = {key: rig[key] for key in _PROPERTIES if key in rig}
    resolution = [list(built.camera["meshlam_resolution"]), built.camera["meshlam_pixel_aspect_y"]] if place else None
    rig[_REST] = json.dumps({"bones": bones, "camera": place, "grid": resolution, "properties": properties})


def go_back(built: BuiltAvatar) -> None:
    """The head as it was before it was renewed: mesh, texture, bones, photo."""
    rig, head = built.rig, built.head
    rest = json.loads(rig[_REST])
    with scene_as_found():
        hide_photo_pose(rig, head)
        _swap_mesh(head, rig[_MESH])
        if rig.get(_IMAGE) is not None:
            _swap_image(head, rig[_IMAGE])
        for node in layers.lit_images(head) if rig.get(_LIT) is not None else ():
            node.image = rig[_LIT]
        for node in lash_nodes(head) if rig.get(_LASHES) is not None else ():
            node.image = rig[_LASHES]
        show_folds(head, rig.get(_FOLDS))
        if rig.get(_CAMERA) is not None and built.camera is not None:
            built.camera.data = rig[_CAMERA]
            if built.camera.data.library is None:
                built.camera.data.name = built.camera.name
            built.camera.location = rest["camera"]
            built.camera["meshlam_resolution"], built.camera["meshlam_pixel_aspect_y"] = rest["grid"]
        _place_bones(rig, rest["bones"])
        _take_off(rig)
        _strands_back(rig, head)
        for key in _PROPERTIES:
            if key in rest["properties"]:
                rig[key] = rest["properties"][key]
            elif key in rig:
                del rig[key]
        for key in (_MESH, _IMAGE, _LIT, _FOLDS, _LASHES, _GLASSES, _STRANDS, _STRAND_MESH, _CAMERA, _REST):
            if key in rig:
                del rig[key]
        build_actions(rig, head, head.name)


def _take_off(rig: Any) -> None:
    """The earlier glasses in the place of the newer ones, or none."""
    worn, earlier = glasses_of(rig), rig.get(_GLASSES)
    if worn is not None and earlier is None:
        remove_item(worn)
    elif worn is not None and worn.data != earlier:
        newer, worn.data = worn.data, earlier
        _take_name(earlier, newer)
        if not newer.users:
            bpy.data.meshes.remove(newer)
    hang_glasses(rig)


def _keep_strands(rig: Any) -> None:
    """The strands and their mesh: a head without hair may come, and these be put away."""
    earlier, loose = rig.get(_STRANDS), strands_of(rig)
    for key in (_STRANDS, _STRAND_MESH):
        rig.pop(key, None)
    if earlier is not None and earlier != rig.get(STRANDS) and not earlier.users_collection:
        remove_item(earlier)
    if loose is not None:
        rig[_STRANDS], rig[_STRAND_MESH] = loose, loose.data


def _strands_back(rig: Any, head: Any) -> None:
    """The earlier strands in the place of the newer ones, or none. What the artist deleted meanwhile stays so."""
    loose, earlier, mesh = strands_of(rig), rig.get(_STRANDS), rig.get(_STRAND_MESH)
    if earlier is None and loose is not None:
        put_away(rig)
        remove_item(loose)
    elif earlier is not None and STRANDS not in rig:
        link_beside(earlier, head)
        rig[STRANDS] = earlier
    if earlier is not None and mesh is not None and earlier.data != mesh:
        newer, earlier.data = earlier.data, mesh
        _take_name(mesh, newer)
        if not newer.users:
            bpy.data.meshes.remove(newer)


def _swap_mesh(head: Any, mesh: Any) -> None:
    """The earlier mesh, with the expressions where they are now."""
    newer = head.data
    values = {key.name: key.value for key in newer.shape_keys.key_blocks} if newer.shape_keys is not None else {}
    head.data = mesh
    _take_name(mesh, newer)
    for key in mesh.shape_keys.key_blocks if mesh.shape_keys is not None else ():
        key.value = values.get(key.name, 0.0)
    if not newer.users:
        bpy.data.meshes.remove(newer)


def _swap_image(head: Any, image: Any) -> None:
    nodes = layers.albedo_nodes(head)
    newer = nodes[0][1].image if nodes else None
    for tree, node in nodes:
        layers.take_off(tree, node)
        node.image = image
    if newer is not None and newer != image:
        _take_name(image, newer)
        if not newer.users:
            bpy.data.images.remove(newer)


def _take_name(older: Any, newer: Any) -> None:
    """The earlier data take the newer's name; what is linked from another file has its name from there."""
    if newer.library is None and older.library is None:
        name, newer.name = newer.name, f"{newer.name} (undone)"
        older.name = name


def _place_bones(rig: Any, bones: dict[str, Any]) -> None:
    with editing(rig):
        for name, (head, tail) in bones.items():
            bone = rig.data.edit_bones.get(name)
            if bone is not None:
                bone.head, bone.tail = head, tail
