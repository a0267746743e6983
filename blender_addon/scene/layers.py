"""Paint as a layer: what an artist painted lies over the albedo as an image of its own, with its alpha as the mask."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

ALBEDO = "Albedo"  # label of the texture node that carries the skin's colour
PAINT = "Paint"  # label of the texture node with the layer, and of the node that mixes it in
ORM = "Occlusion, Roughness, Metallic"  # label of the texture node with these three in its channels
LIT = "Albedo with the Photo's Light"  # the same for the texture that still has that light
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


def add_lit(tree: Any, node: Any, image: Any) -> None:
    """Mix the texture with the photo's light over the albedo node; none of it to begin with."""
    _, mix = _mix_in(tree, node.outputs["Color"], node, image, LIT, 280)
    mix.inputs[0].default_value = 0.0


def light_in_texture(head: Any) -> float | None:
    """How much of the photo's light the head's texture has, 0 to 1; None where it cannot be taken off."""
    found = [mix for _, node in albedo_nodes(head) if (mix := _mix_after(node.outputs["Color"], LIT)) is not None]
    return float(found[0].inputs[0].default_value) if found else None


def set_light_in_texture(head: Any, share: float) -> None:
    """Choose how much of the photo's light the texture has."""
    for _, node in albedo_nodes(head):
        mix = _mix_after(node.outputs["Color"], LIT)
        if mix is not None:
            mix.inputs[0].default_value = share


def lit_images(head: Any) -> list[Any]:
    """The texture nodes with the photo's light."""
    trees = [tree for tree, _ in albedo_nodes(head)]
    return [node for tree in trees for node in tree.nodes if node.label == LIT and node.type == "TEX_IMAGE"]


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
    layer, mix = _mix_in(tree, _end(node), node, image, PAINT, 560)
    tree.links.new(layer.outputs["Alpha"], mix.inputs[0])


def _mix_in(tree: Any, under: Any, node: Any, image: Any, label: str, up: float) -> tuple[Any, Any]:
    """(texture node, mix node): an image laid over the socket `under`, in all of its places."""
    targets = [link.to_socket for link in under.links]
    layer = tree.nodes.new("ShaderNodeTexImage")
    layer.image, layer.label, layer.location = image, label, (node.location.x, node.location.y + up)
    for link in node.inputs["Vector"].links:
        tree.links.new(link.from_socket, layer.inputs["Vector"])
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type, mix.label, mix.location = "RGBA", label, (node.location.x + 300, node.location.y + up / 2)
    mix.inputs[0].default_value = 1.0
    tree.links.new(under, _colour(mix.inputs, "A"))
    tree.links.new(layer.outputs["Color"], _colour(mix.inputs, "B"))
    for socket in targets:
        tree.links.new(_colour(mix.outputs, "Result"), socket)
    return layer, mix


def take_off(tree: Any, node: Any) -> None:
    """Remove the layer's nodes; the albedo goes into the shader by itself again."""
    mix = _mix_of(node)
    if mix is None:
        return
    _take_out(tree, _end(node), mix, _layer_node(tree))


def _take_out(tree: Any, under: Any, mix: Any, layer: Any) -> None:
    """Remove a mix and its texture; what lay under it takes its places."""
    targets = [link.to_socket for link in _colour(mix.outputs, "Result").links]
    tree.nodes.remove(mix)
    if layer is not None:
        tree.nodes.remove(layer)
    for socket in targets:
        tree.links.new(under, socket)


def flattened(tree: Any, node: Any) -> Any:
    """[H, W, 4] the albedo with light and paint on it where `node` is what these lie on, else None.

    The mixes are taken out of `tree`: exporters know one image for a colour.
    """
    lit, mix = _mix_after(node.outputs["Color"], LIT), _mix_of(node)
    layer = _layer_node(tree) if mix is not None else None
    over = pixels_of(layer.image) if layer is not None and layer.image is not None and not mix.mute else None
    if lit is None and over is None:
        return None
    under = pixels_of(node.image)
    if lit is not None:
        texture = _texture_of(tree, LIT)
        share = 0.0 if lit.mute else float(lit.inputs[0].default_value)
        if texture is not None and texture.image is not None and share > 0:
            under = _over(under, pixels_of(texture.image), share)
        take_off(tree, node)
        _take_out(tree, node.outputs["Color"], lit, texture)
    else:
        take_off(tree, node)
    return under if over is None else _over(under, over, over[..., 3:])


def _over(under: Any, over: Any, alpha: Any) -> Any:
    """One picture over another of any size."""
    if under.shape != over.shape:
        rows = np.arange(under.shape[0]) * over.shape[0] // under.shape[0]
        columns = np.arange(under.shape[1]) * over.shape[1] // under.shape[1]
        over = over[rows][:, columns]
        alpha = alpha if isinstance(alpha, float) else alpha[rows][:, columns]
    under[..., :3] += (over[..., :3] - under[..., :3]) * alpha
    return under


def pixels_of(image: Any) -> Any:
    """[H, W, 4] float32 as the image stores them, rows from the bottom."""
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(height, width, 4)


def _mix_of(node: Any) -> Any:
    return _mix_after(_end(node), PAINT)


def _mix_after(socket: Any, label: str) -> Any:
    nodes = (link.to_node for link in socket.links)
    return next((node for node in nodes if node.label == label and node.type == "MIX"), None)


def _end(node: Any) -> Any:
    """The socket of an albedo node's colour: after the photo's light where that is mixed in."""
    lit = _mix_after(node.outputs["Color"], LIT)
    return _colour(lit.outputs, "Result") if lit is not None else node.outputs["Color"]


def _layer_node(tree: Any) -> Any:
    return _texture_of(tree, PAINT)


def _texture_of(tree: Any, label: str) -> Any:
    return next((item for item in tree.nodes if item.label == label and item.type == "TEX_IMAGE"), None)


def _colour(sockets: Any, name: str) -> Any:
    """The Mix node has a socket of each name for numbers, vectors and colours."""
    return next(socket for socket in sockets if socket.name == name and socket.type == "RGBA")
