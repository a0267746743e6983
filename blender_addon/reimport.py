"""Opens an exported file in a Blender of its own and prints what is in it as one line of JSON.

Run as a script, by export.verify: it imports nothing of the add-on, so that it works from any Blender or bpy module.
    blender --background --factory-startup --python reimport.py -- FILE [MOVEMENT]
    python reimport.py -- FILE [MOVEMENT]
MOVEMENT is JSON: [frames a second, [frames counted from the first]], for files with an animation.
The export measures what it is about to write with the same `facts`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

MARK = "MESHLAM-REIMPORT "
MAPS = ("Normal", "Roughness", "Occlusion")


def import_file(path: Path) -> None:
    """Import a file into the current scene."""
    suffix = path.suffix.lower()
    if suffix in (".glb", ".gltf"):
        bpy.ops.import_scene.gltf(filepath=str(path))
    elif suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(path))
    elif suffix in (".usd", ".usda", ".usdc", ".usdz"):
        bpy.ops.wm.usd_import(filepath=str(path))
    elif suffix == ".obj":
        bpy.ops.wm.obj_import(filepath=str(path), forward_axis="NEGATIVE_Z", up_axis="Y")
    elif suffix == ".stl":
        bpy.ops.wm.stl_import(filepath=str(path))
    else:
        raise ValueError(f"expected .glb, .fbx, .usd*, .obj or .stl, got {path.name}")


def facts(meshes: Iterable[Any], animated: int = 0) -> dict[str, Any]:
    """Names, counts, places, movements, weights and pictures of these mesh objects together."""
    found: dict[str, Any] = {"moved": {}, "values": [], "vertices": 0, "triangles": 0, "materials": {}}
    points, most, error, bones = [], 0, 0.0, set()
    for item in meshes:
        rig = next((entry.object for entry in item.modifiers if entry.type == "ARMATURE" and entry.object), None)
        bones |= {bone.name for bone in rig.data.bones} if rig is not None else set()
        basis, moved = _keys(item)
        points.append(basis)
        found["moved"] = {key: max(far, found["moved"].get(key, 0.0)) for key, far in moved.items()} | {
            key: far for key, far in found["moved"].items() if key not in moved
        }
        found["values"] += [key.value for key in item.data.shape_keys.key_blocks[1:]] if item.data.shape_keys else []
        found["vertices"] += len(item.data.vertices)
        found["triangles"] += sum(len(polygon.vertices) - 2 for polygon in item.data.polygons)
        found["materials"] |= _materials(item)
        if rig is not None:
            counts, off = _weights(item, rig)
            most, error = max(most, counts), max(error, off)
    everything = np.concatenate(points) if points else np.zeros((1, 3))
    return found | {
        "keys": sorted(found["moved"]),
        "bones": sorted(bones),
        "most_weights": most,
        "weight_error": error,
        "low": everything.min(axis=0).tolist(),
        "high": everything.max(axis=0).tolist(),
        "actions": animated,
    }


def corners(meshes: Iterable[Any]) -> list[float]:
    """The lowest and the highest corner around these objects as they are seen in this frame, m."""
    graph = bpy.context.evaluated_depsgraph_get()
    seen = [item.evaluated_get(graph) for item in meshes]
    points = np.concatenate([_world(item.data.vertices, np.array(item.matrix_world)) for item in seen])
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def movement(meshes: list[Any], offsets: Iterable[int]) -> list[list[float]]:
    """The same in frames counted from the first one of the animation."""
    first = min((action.frame_range[0] for action in bpy.data.actions), default=0.0)
    found = []
    for offset in offsets:
        bpy.context.scene.frame_set(round(first) + offset)
        found.append(corners(meshes))
    return found


def plain(name: str) -> str:
    """A name as formats with narrow alphabets write it."""
    return re.sub(r"\W", "_", name)


def _keys(item: Any) -> tuple[Any, dict[str, float]]:
    """World positions [V, 3] of the neutral mesh, and how far each key moves the vertex that moves most, m."""
    matrix = np.array(item.matrix_world)
    keys = item.data.shape_keys.key_blocks if item.data.shape_keys else []
    basis = _world(keys[0].data if keys else item.data.vertices, matrix)
    moved = {key.name: float(np.linalg.norm(_world(key.data, matrix) - basis, axis=1).max()) for key in keys[1:]}
    return basis, moved


def _world(points: Any, matrix: Any) -> Any:
    local = np.empty(len(points) * 3, np.float32)
    points.foreach_get("co", local)
    return local.reshape(-1, 3).astype(float) @ matrix[:3, :3].T + matrix[:3, 3]


def _weights(item: Any, rig: Any) -> tuple[int, float]:
    """The most bones on one vertex, and how far the weights of one are from summing to 1."""
    groups = {group.index for group in item.vertex_groups if group.name in rig.data.bones}
    rows = [
        [entry.weight for entry in vertex.groups if entry.group in groups and entry.weight > 0]
        for vertex in item.data.vertices
    ]
    return max(map(len, rows), default=0), max((abs(sum(row) - 1) for row in rows), default=0.0)


def _materials(item: Any) -> dict[str, Any]:
    """For each material that a face wears: its colour texture with a hash of its pixels and its other maps, or None."""
    worn = {polygon.material_index for polygon in item.data.polygons}
    slots = [slot.material for index, slot in enumerate(item.material_slots) if index in worn]
    return {plain(material.name): _pictures(material) for material in slots if material is not None}


def _pictures(material: Any) -> dict[str, Any] | None:
    colour = picture(colour_image(material))
    return None if colour is None else colour | {"maps": _maps(material)}


def _maps(material: Any) -> dict[str, list[int]]:
    """Sizes of the images behind the inputs that are not colour; occlusion is the glTF add-on's group's."""
    found = {}
    for node in material.node_tree.nodes:
        for socket in node.inputs if node.type in ("BSDF_PRINCIPLED", "GROUP") else ():
            image = _image_behind(socket) if socket.name in MAPS else None
            if image is not None:
                found[socket.name] = list(image.size)
    return found


def picture(image: Any) -> dict[str, Any] | None:
    """Size and hash of an image's pixels as 8-bit RGB; None where there is no image or no pixels."""
    if image is None or not len(image.pixels):
        return None
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    colours = np.rint(pixels.reshape(-1, 4)[:, :3] * 255).astype(np.uint8)
    return {"size": list(image.size), "pixels": hashlib.sha256(colours.tobytes()).hexdigest()}


def colour_image(material: Any) -> Any:
    """The image that feeds the base colour."""
    nodes = material.node_tree.nodes if material.node_tree is not None else []
    shader = next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)
    return _image_behind(shader.inputs["Base Color"]) if shader is not None else None


def _image_behind(socket: Any) -> Any:
    waiting = [link.from_node for link in socket.links]
    while waiting:
        node = waiting.pop()
        if node.type == "TEX_IMAGE":
            return node.image
        waiting += [link.from_node for socket in node.inputs for link in socket.links]
    return None


def main() -> None:
    path, *more = sys.argv[sys.argv.index("--") + 1 :]
    rate, offsets = json.loads(more[0]) if more else (24.0, [])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    render = bpy.context.scene.render
    render.fps = max(1, round(rate))
    render.fps_base = render.fps / rate
    import_file(Path(path))
    bpy.context.view_layer.update()
    rigs = [item for item in bpy.context.scene.objects if item.type == "ARMATURE"]
    drawn = {bone.custom_shape for rig in rigs for bone in rig.pose.bones}  # importers give bones a shape
    meshes = [item for item in bpy.context.scene.objects if item.type == "MESH" and item not in drawn]
    found = facts(meshes, animated=len(bpy.data.actions))
    print(MARK + json.dumps(found | {"movement": movement(meshes, offsets)}), flush=True)


if __name__ == "__main__":
    main()
