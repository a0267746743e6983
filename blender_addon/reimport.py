"""Opens an exported file in a Blender of its own and prints what is in it as one line of JSON.

Run as a script, by export.verify: it imports nothing of the add-on, so that it works from any Blender or bpy module.
    blender --background --factory-startup --python reimport.py -- FILE
    python reimport.py -- FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bpy

MARK = "MESHLAM-REIMPORT "


def import_file(path: Path) -> None:
    """Import a .glb, .fbx or .usd* file into the current scene."""
    suffix = path.suffix.lower()
    if suffix in (".glb", ".gltf"):
        bpy.ops.import_scene.gltf(filepath=str(path))
    elif suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(path))
    elif suffix in (".usd", ".usda", ".usdc", ".usdz"):
        bpy.ops.wm.usd_import(filepath=str(path))
    else:
        raise ValueError(f"expected .glb, .fbx or .usd*, got {path.name}")


def facts() -> dict[str, Any]:
    """Names, counts and weights of the one mesh with shape keys and of the armature in the scene."""
    heads = [item for item in bpy.data.objects if item.type == "MESH" and item.data.shape_keys]
    if len(heads) != 1:
        return {"error": f"expected one mesh with shape keys, found {len(heads)}"}
    head = heads[0]
    armature = next((item.object for item in head.modifiers if item.type == "ARMATURE" and item.object), None)
    bones = [bone.name for bone in armature.data.bones] if armature is not None else []
    groups = {group.index: group.name for group in head.vertex_groups if group.name in bones}
    rows = [
        [item.weight for item in vertex.groups if item.group in groups and item.weight > 0]
        for vertex in head.data.vertices
    ]
    matrix = head.matrix_world
    keys = head.data.shape_keys.key_blocks
    basis = [matrix @ point.co for point in keys[0].data]
    moved = {
        key.name: max((matrix @ point.co - basis[index]).length for index, point in enumerate(key.data))
        for key in keys[1:]
    }
    return {
        "keys": sorted(moved),
        "moved": moved,
        "values": [key.value for key in keys[1:]],
        "bones": sorted(bones),
        "vertices": len(head.data.vertices),
        "triangles": sum(len(polygon.vertices) - 2 for polygon in head.data.polygons),
        "materials": sorted(slot.material.name for slot in head.material_slots if slot.material),
        "images": len([image for image in bpy.data.images if image.size[0] > 0 and image.type == "IMAGE"]),
        "most_weights": max((len(row) for row in rows), default=0),
        "weight_error": max((abs(sum(row) - 1) for row in rows), default=0.0) if bones else 0.0,
        "low": [min(point[axis] for point in basis) for axis in range(3)],
        "high": [max(point[axis] for point in basis) for axis in range(3)],
    }


def main() -> None:
    path = Path(sys.argv[sys.argv.index("--") + 1])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    import_file(path)
    print(MARK + json.dumps(facts()), flush=True)


if __name__ == "__main__":
    main()
