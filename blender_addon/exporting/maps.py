"""The packed map of occlusion, roughness and metal in a form that each exporter writes.

glTF takes the image as it is, with occlusion by a group of the exporter's own name. FBX and USD read one image for each
input, so roughness becomes an image of its own; they have no input for occlusion, and skin is no metal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from ..scene.layers import pixels_of
from .pictures import image_file

if TYPE_CHECKING:
    from .stage import Workshop

GLTF = (".glb", ".gltf")
_SETTINGS = "glTF Material Output"  # by which Blender's glTF exporter knows the group
_OCCLUSION = "Occlusion"


def ready_packed_map(workshop: Workshop, tree: Any, suffix: str) -> None:
    """Change a staged material whose images are files already; one without a packed map stays as it is."""
    split = next((node for node in tree.nodes if node.type == "SEPARATE_COLOR"), None)
    if split is None or not split.inputs["Color"].is_linked:
        return
    source = split.inputs["Color"].links[0].from_node
    if source.type != "TEX_IMAGE" or source.image is None:
        return
    if suffix in GLTF:
        settings = tree.nodes.new("ShaderNodeGroup")
        settings.node_tree = _settings(workshop)
        tree.links.new(split.outputs["Red"], settings.inputs[_OCCLUSION])
        return
    rough = [link.to_socket for link in split.outputs["Green"].links]
    others = [link.to_socket for link in split.outputs["Blue"].links]
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = _roughness(workshop, source.image)
    for link in source.inputs["Vector"].links:
        tree.links.new(link.from_socket, node.inputs["Vector"])
    tree.nodes.remove(split)
    tree.nodes.remove(source)
    for socket in rough:
        tree.links.new(node.outputs["Color"], socket)
    for socket in others:
        socket.default_value = 0.0


def _settings(workshop: Workshop) -> Any:
    """The exporter's group, made where the file has none."""
    known = bpy.data.node_groups.get(_SETTINGS)
    if known is not None and _OCCLUSION in {item.name for item in known.interface.items_tree}:
        return known
    group = bpy.data.node_groups.new(_SETTINGS, "ShaderNodeTree")
    workshop.own(group)
    workshop.name(group, _SETTINGS, known)
    group.interface.new_socket(_OCCLUSION, in_out="INPUT", socket_type="NodeSocketFloat")
    return group


def _roughness(workshop: Workshop, packed: Any) -> Any:
    """The green channel of an image as a file beside it."""
    key = (f"{packed.name} roughness", False)
    if key not in workshop.images:
        pixels = pixels_of(packed)
        pixels[..., 0] = pixels[..., 2] = pixels[..., 1]
        workshop.images[key] = image_file(workshop, pixels, f"{packed.name}_roughness", "Non-Color")
    return workshop.images[key]
