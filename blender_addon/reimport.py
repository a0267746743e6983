"""Opens an exported file in a Blender of its own and prints what is in it as one line of JSON.

Run as a script, by export.verify: it imports nothing of the add-on, so that it works from any Blender or bpy module.
    blender --background --factory-startup --python reimport.py -- FILE [MOVEMENT]
    python reimport.py -- FILE [MOVEMENT]
MOVEMENT is JSON: [frames a second, [frames counted from the first]], for files with an animation.
The export measures what it is about to write with the same `facts`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

MARK = "MESHLAM-REIMPORT "
ROUGHNESS, METAL, OCCLUSION = "Roughness", "Metallic", "Occlusion"
CHANNELS = ("Red", "Green", "Blue")
GLTF_GROUP = "glTF Material Output"  # the node group by which Blender's glTF exporter and importer know occlusion


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


def facts(meshes: Iterable[Any], animated: int = 0, occluded: Container[str] = ()) -> dict[str, Any]:
    """Names, counts, places, movements, weights and pictures of these mesh objects together.

    `occluded` are the materials whose occlusion Blender does not import though the file has it; see `usd_occlusion`.
    """
    read: dict[Any, Any] = {}
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
        found["materials"] |= _materials(item, occluded, read)
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


def _materials(item: Any, occluded: Container[str], read: dict[Any, Any]) -> dict[str, Any]:
    """For each material that a face wears: what feeds its colour, normals, occlusion, roughness and metal.

    That is a picture's size and a hash of what is read of it, a number, or None; `read` remembers pictures.
    """
    worn = {polygon.material_index for polygon in item.data.polygons}
    slots = [slot.material for index, slot in enumerate(item.material_slots) if index in worn]
    return {plain(material.name): _maps(material, occluded, read) for material in slots if material is not None}


def _maps(material: Any, occluded: Container[str], read: dict[Any, Any]) -> dict[str, Any]:
    shader, rough = shader_of(material), None
    found: dict[str, Any] = dict.fromkeys(("colour", "normal", "occlusion"))
    for name, socket in (("colour", "Base Color"), ("normal", "Normal"), ("roughness", ROUGHNESS), ("metallic", METAL)):
        source = fed_by(shader.inputs[socket]) if shader is not None else None
        if source is not None:
            found[name] = _picture(*source, name == "colour", read)
            rough = source[0] if name == "roughness" else rough
        elif shader is not None and name in ("roughness", "metallic"):
            found[name] = {"number": round(shader.inputs[socket].default_value, 3)}
    nodes = material.node_tree.nodes if material.node_tree is not None else []
    groups = [node for node in nodes if node.type == "GROUP" and node.node_tree is not None]
    group = next((node for node in groups if node.node_tree.name.startswith(GLTF_GROUP)), None)
    source = fed_by(group.inputs[OCCLUSION]) if group is not None and OCCLUSION in group.inputs else None
    if source is None and plain(material.name) in occluded and rough is not None:
        source = (rough, "Red")
    return found | {"occlusion": _picture(*source, False, read) if source is not None else None}


def _picture(image: Any, channel: str, coloured: bool, read: dict[Any, Any]) -> dict[str, Any] | None:
    """Size and hash of an image's pixels as 8-bit RGB, or of one channel.

    None where there are no pixels, and where a picture of numbers is taken for one of colours.
    """
    if (image, channel) not in read:
        read[image, channel] = None
        if len(image.pixels) and coloured != image.colorspace_settings.is_data:
            pixels = np.empty(len(image.pixels), np.float32)
            image.pixels.foreach_get(pixels)
            values = np.rint(pixels.reshape(-1, 4)[:, :3] * 255).astype(np.uint8)
            if channel in CHANNELS:
                values = values[:, CHANNELS.index(channel)]
            elif not coloured and (values == values[:, :1]).all():
                values = values[:, 0]  # grey: whichever channel
            read[image, channel] = {
                "size": list(image.size),
                "pixels": hashlib.sha256(values.tobytes()).hexdigest(),
            }
    found: dict[str, Any] | None = read[image, channel]
    return found


def shader_of(material: Any) -> Any:
    """A material's Principled BSDF, or None."""
    nodes = material.node_tree.nodes if material is not None and material.node_tree is not None else []
    return next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)


def colour_image(material: Any) -> Any:
    """The image that feeds the base colour, or None."""
    shader = shader_of(material)
    source = fed_by(shader.inputs["Base Color"]) if shader is not None else None
    return source[0] if source is not None else None


def fed_by(socket: Any, channel: str = "") -> tuple[Any, str] | None:
    """The image that a socket is fed by, and the channel of it where it is one."""
    for link in socket.links:
        node = link.from_node
        if node.type == "TEX_IMAGE":
            return (node.image, channel) if node.image is not None else None
        part = link.from_socket.name if node.type == "SEPARATE_COLOR" else channel
        for entry in node.inputs:
            found = fed_by(entry, part)
            if found is not None:
                return found
    return None


def usd_occlusion(path: Path) -> list[str]:
    """The materials of a USD file with occlusion from the red of their roughness' texture."""
    if not path.suffix.startswith(".usd") or not usd_module():
        return []
    from pxr import Usd, UsdShade

    found = []
    stage = Usd.Stage.Open(str(path))
    for prim in stage.Traverse():
        shader = UsdShade.Shader(prim)
        entries = [shader.GetInput(name) for name in ("occlusion", "roughness")] if shader else []
        sources = [entry.GetConnectedSource() for entry in entries if entry]
        if len(sources) == 2 and all(sources) and sources[0][1] == "r":
            textures = {source[0].GetPrim().GetPath() for source in sources}
            found += [prim.GetParent().GetName()] * (len(textures) == 1)
    return found


def usd_module() -> bool:
    """Whether this Blender brings Python's module for USD; another than its own would end the program."""
    if not bpy.app.binary_path and hasattr(bpy.utils, "expose_bundled_modules"):
        bpy.utils.expose_bundled_modules()
    found, own = importlib.util.find_spec("pxr"), bpy.utils.resource_path("LOCAL")
    return found is not None and found.origin is not None and bool(own) and Path(found.origin).is_relative_to(own)


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
    found = facts(meshes, len(bpy.data.actions), usd_occlusion(Path(path)))
    print(MARK + json.dumps(found | {"movement": movement(meshes, offsets)}), flush=True)


if __name__ == "__main__":
    main()
