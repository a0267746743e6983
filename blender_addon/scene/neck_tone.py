"""The tone of a joined neck in the head's materials: two colour attributes over the texture; exports keep one."""

from __future__ import annotations

from typing import Any

from .raw_mesh import base_socket

TONE = "meshlam_neck_tone"  # what the head's texture is multiplied by
SKIN = "meshlam_neck_skin"  # the body's tone at the seam, and in alpha how much of it covers the texture
_TINTED, _COVERED = "Neck Tone", "Neck Skin"  # labels of the nodes that mix the two in


def tint(mesh: Any, heads: int) -> None:
    """Multiply the head's textures by the tones of the neck, in materials of their own."""
    for slot in list(mesh.material_slots)[:heads]:
        socket = base_socket(slot.material)
        if socket is None or not socket.is_linked:
            continue
        slot.material = slot.material.copy()
        socket, tree = base_socket(slot.material), slot.material.node_tree
        source = socket.links[0].from_socket
        tone_node, skin = (tree.nodes.new("ShaderNodeVertexColor") for _ in range(2))
        tone_node.layer_name, skin.layer_name = TONE, SKIN
        tinted = _mixed(tree, "MULTIPLY", source, tone_node.outputs["Color"], None)
        covered = _mixed(tree, "MIX", tinted, skin.outputs["Color"], skin.outputs["Alpha"])
        tinted.node.label, covered.node.label = _TINTED, _COVERED
        tree.links.new(covered, socket)


def reduce(tree: Any, vertex_colours: bool) -> None:
    """Leave what a file can hold: the texture, and where it has vertex colours what these multiply it by."""
    for node in [
        node for node in tree.nodes if node.label == _COVERED or (node.label == _TINTED and not vertex_colours)
    ]:
        source = next(item for item in node.inputs if item.type == "RGBA").links[0].from_socket
        for link in [link for output in node.outputs for link in output.links]:
            tree.links.new(source, link.to_socket)
        for socket in list(node.inputs):
            if socket.is_linked and socket.links[0].from_node.type == "VERTEX_COLOR":
                tree.nodes.remove(socket.links[0].from_node)
        tree.nodes.remove(node)


def _mixed(tree: Any, how: str, first: Any, second: Any, share: Any) -> Any:
    """The output of a node that mixes two colours, wholly where no share is given."""
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type, mix.blend_type = "RGBA", how
    if share is None:
        mix.inputs[0].default_value = 1.0
    else:
        tree.links.new(share, mix.inputs[0])
    for colour, place in zip((first, second), [item for item in mix.inputs if item.type == "RGBA"], strict=True):
        tree.links.new(colour, place)
    return next(item for item in mix.outputs if item.type == "RGBA")
