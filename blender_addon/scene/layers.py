"""Paint as a layer: what an artist painted lies over the albedo as an image of its own, with its alpha as the mask."""

from __future__ import annotations

from typing import Any

import numpy as np

PAINT = "Paint"  # label of the texture node with the layer, and of the node that mixes it in


def flattened(tree: Any, node: Any) -> Any:
    """[H, W, 4] the albedo with the paint on it where `node` is what a paint layer lies on, else None.

    The mix is taken out of `tree`: exporters know one image for a colour.
    """
    mix = next((link.to_node for link in node.outputs["Color"].links if link.to_node.label == PAINT), None)
    if mix is None or mix.type != "MIX":
        return None
    layer = next((item for item in tree.nodes if item.label == PAINT and item.type == "TEX_IMAGE"), None)
    if layer is None or layer.image is None or mix.mute:
        return None
    targets = [link.to_socket for link in mix.outputs["Result"].links] or [
        link.to_socket for output in mix.outputs for link in output.links
    ]
    under, over = _pixels(node.image), _pixels(layer.image)
    tree.nodes.remove(layer)
    tree.nodes.remove(mix)
    for socket in targets:
        tree.links.new(node.outputs["Color"], socket)
    if under.shape != over.shape:
        rows = np.arange(under.shape[0]) * over.shape[0] // under.shape[0]
        columns = np.arange(under.shape[1]) * over.shape[1] // under.shape[1]
        over = over[rows][:, columns]
    alpha = over[..., 3:]
    result = under.copy()
    result[..., :3] = under[..., :3] * (1 - alpha) + over[..., :3] * alpha
    return result


def _pixels(image: Any) -> Any:
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(height, width, 4)
