"""Paint as a layer: what an artist painted lies over the albedo as an image of its own, with its alpha as the mask."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

ALBEDO = "Albedo"  # label of the texture node that carries the skin's colour
PAINT = "Paint"  # label of the texture node with the layer, and of the node that mixes it in
_SEEN = 1.5 / 255  # a texel that differs by more was painted


def albedo_nodes(head: Any) -> list[tuple[Any, Any]]:
    """(node tree, texture node) of the albedo in each of the head's materials that still has it."""
    found = []
    for slot in head.material_slots:
        tree = slot.material.node_tree if slot.material is not None else None
        node = next((item for item in tree.nodes if item.label == ALBEDO), None) if tree is not None else None
        if node is not None and node.type == "TEX_IMAGE" and node.image is not None:
            found.append((tree, node))
    return found


def painted_pixels(image: Any, original: bytes) -> Any:
    """[H, W, 4] the texels of an image that differ from the PNG it came from, alpha 1 there and 0 elsewhere.

    None where nothing was painted, and where the image has another size by now.
    """
    first = bpy.data.images.new("MeshLAM original", 1, 1)
    try:
        first.pack(data=original, data_len=len(original))
        first.source = "FILE"
        if tuple(first.size) != tuple(image.size):
            return None
        pixels, before = pixels_of(image), pixels_of(first)
    finally:
        bpy.data.images.remove(first)
    touched = np.abs(pixels[..., :3] - before[..., :3]).max(axis=-1) > _SEEN
    pixels[..., 3] = touched
    pixels[~touched] = 0.0
    return pixels if touched.any() else None


def layer_of(nodes: list[tuple[Any, Any]]) -> Any:
    """The image of the layer that lies there already, or None."""
    for tree, node in nodes:
        mix = _mix_of(node)
        layer = _layer_node(tree) if mix is not None else None
        if layer is not None and layer.image is not None:
            return layer.image
    return None


def paint_layer(name: str, painted: Any, under: Any) -> Any:
    """A packed image of painted texels, laid over those of an earlier layer."""
    if under is not None and tuple(under.size) == (painted.shape[1], painted.shape[0]):
        painted = np.where(painted[..., 3:] > 0, painted, pixels_of(under))
    image = bpy.data.images.new(name, painted.shape[1], painted.shape[0], alpha=True)
    image.pixels.foreach_set(np.ascontiguousarray(painted, np.float32).ravel())
    image.pack()
    return image


def lay_over(tree: Any, node: Any, image: Any) -> None:
    """Mix a paint layer over the albedo node, where it goes into the shader."""
    mix = _mix_of(node)
    layer = _layer_node(tree) if mix is not None else None
    if layer is not None:
        layer.image = image
        return
    targets = [link.to_socket for link in node.outputs["Color"].links]
    layer = tree.nodes.new("ShaderNodeTexImage")
    layer.image, layer.label, layer.location = image, PAINT, (node.location.x, node.location.y + 280)
    for link in node.inputs["Vector"].links:
        tree.links.new(link.from_socket, layer.inputs["Vector"])
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type, mix.label, mix.location = "RGBA", PAINT, (node.location.x + 300, node.location.y + 140)
    tree.links.new(layer.outputs["Alpha"], mix.inputs[0])
    tree.links.new(node.outputs["Color"], _colour(mix.inputs, "A"))
    tree.links.new(layer.outputs["Color"], _colour(mix.inputs, "B"))
    for socket in targets:
        tree.links.new(_colour(mix.outputs, "Result"), socket)


def take_off(tree: Any, node: Any) -> None:
    """Remove the layer's nodes; the albedo goes into the shader by itself again."""
    mix = _mix_of(node)
    if mix is None:
        return
    targets = [link.to_socket for link in _colour(mix.outputs, "Result").links]
    layer = _layer_node(tree)
    tree.nodes.remove(mix)
    if layer is not None:
        tree.nodes.remove(layer)
    for socket in targets:
        tree.links.new(node.outputs["Color"], socket)


def flattened(tree: Any, node: Any) -> Any:
    """[H, W, 4] the albedo with the paint on it where `node` is what a paint layer lies on, else None.

    The mix is taken out of `tree`: exporters know one image for a colour.
    """
    mix = _mix_of(node)
    layer = _layer_node(tree) if mix is not None else None
    if layer is None or layer.image is None or mix.mute:
        return None
    under, over = pixels_of(node.image), pixels_of(layer.image)
    take_off(tree, node)
    if under.shape != over.shape:
        rows = np.arange(under.shape[0]) * over.shape[0] // under.shape[0]
        columns = np.arange(under.shape[1]) * over.shape[1] // under.shape[1]
        over = over[rows][:, columns]
    alpha = over[..., 3:]
    under[..., :3] += (over[..., :3] - under[..., :3]) * alpha
    return under


def pixels_of(image: Any) -> Any:
    """[H, W, 4] float32 as the image stores them, rows from the bottom."""
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(height, width, 4)


def _mix_of(node: Any) -> Any:
    links = node.outputs["Color"].links
    return next((link.to_node for link in links if link.to_node.label == PAINT and link.to_node.type == "MIX"), None)


def _layer_node(tree: Any) -> Any:
    return next((item for item in tree.nodes if item.label == PAINT and item.type == "TEX_IMAGE"), None)


def _colour(sockets: Any, name: str) -> Any:
    """The Mix node has a socket of each name for numbers, vectors and colours."""
    return next(socket for socket in sockets if socket.name == name and socket.type == "RGBA")
