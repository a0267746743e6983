"""Paint is never lost silently: Blender keeps painted pixels in memory only, until an image is packed or saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import bpy
from bpy.app.handlers import persistent

from .folds import texture_nodes
from .found import HEAD, BuiltAvatar, find_avatar


def images_of(built: BuiltAvatar) -> Iterator[Any]:
    """The images of the head's materials, each once."""
    seen = set()
    for mesh in (built.head, *built.pieces):
        for slot in mesh.material_slots:
            tree = slot.material.node_tree if slot.material is not None else None
            for node in texture_nodes(tree):
                if node.image is not None and node.image.name not in seen:
                    seen.add(node.image.name)
                    yield node.image


def unsaved_paint(built: BuiltAvatar) -> list[Any]:
    """Images of the head with pixels that neither the .blend nor a file holds."""
    return [image for image in images_of(built) if image.is_dirty and image.is_editable]


def pack_paint(built: BuiltAvatar) -> None:
    """Put painted pixels into the .blend; an image that lives in a file of its own is packed, too, the file stays."""
    for image in unsaved_paint(built):
        with suppress(RuntimeError):  # an image without pixels
            image.pack()


@persistent  # type: ignore[untyped-decorator]
def before_save(*_: Any) -> None:
    """A saved .blend holds what was painted on its heads."""
    for rig in [item for item in bpy.data.objects if item.type == "ARMATURE" and HEAD in item]:
        built = find_avatar(rig)
        if built is not None:
            pack_paint(built)


def register() -> None:
    bpy.app.handlers.save_pre.append(before_save)


def unregister() -> None:
    bpy.app.handlers.save_pre.remove(before_save)
