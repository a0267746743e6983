"""Folds that the photo's expression painted come back with its keys: factors on the colour that the skin shows.

    colour * exp(sum over folds of (texel - 128) * step * share)        share = the mean of its keys / at, 0 to MOST

(AVATAR_FORMAT.md, Wrinkles; colours are linear). It is one node group between a material's colour and its shader. The
values of the keys are read from whichever object wears the material, so there is no driver that could point to another
head: copies, heads that share a material, appended heads and characters joined from a head each show their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

from ..avatar_reader import AvatarFile, Fold
from .layers import ALBEDO
from .material import pack_image
from .mesh import UV_LAYER
from .parts import SKIN, SURFACES

FOLDS = "Folds"  # label of the group's node
MOST = 1.5  # of what the photo shows of a fold, at most: the reconstructor's viewer draws no more either
_COLOUR = "Color"


def build_folds(avatar: AvatarFile, name: str) -> Any:
    """The node group, None for an avatar without folds."""
    if not avatar.folds:
        return None
    group = bpy.data.node_groups.new(f"{name} {FOLDS}", "ShaderNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket(_COLOUR, in_out=direction, socket_type="NodeSocketColor")
    total: Any = (0.0, 0.0, 0.0)
    for fold in avatar.folds:
        image = pack_image(fold.picture, f"{name} Fold {fold.name}", "Non-Color")
        total = _calculated(group, "VectorMath", "ADD", _shown(group, fold, image), total)
    _multiply(group, total)
    _arrange(group)
    return group


def fold_node(material: Any) -> Any:
    """The group's node in a material, or None."""
    tree = material.node_tree if material is not None else None
    nodes = tree.nodes if tree is not None else ()
    return next((node for node in nodes if node.label == FOLDS and node.type == "GROUP"), None)


def folds_of(head: Any) -> Any:
    """The group that a head's skin shows, or None."""
    found = (fold_node(slot.material) for slot in head.material_slots)
    return next((node.node_tree for node in found if node is not None), None)


def show_folds(head: Any, group: Any) -> None:
    """Let the head's skin show these folds instead of those that it shows; None for no folds at all."""
    number = SURFACES.index(SKIN)
    nodes = [node for slot in head.material_slots if (node := fold_node(slot.material)) is not None]
    for node in nodes:
        if group is not None:
            node.node_tree = group
        else:
            take_off_folds(node.id_data)
    if group is not None and not nodes and number < len(head.material_slots):
        _put_in(head.material_slots[number].material, group)


def take_off_folds(tree: Any) -> None:
    """The skin at rest: what lay under the folds goes into the shader by itself."""
    node = next((node for node in tree.nodes if node.label == FOLDS and node.type == "GROUP"), None)
    if node is None:
        return
    sources = [link.from_socket for link in node.inputs[0].links]
    targets = [link.to_socket for link in node.outputs[0].links]
    tree.nodes.remove(node)
    for socket in targets if sources else ():
        tree.links.new(sources[0], socket)


def texture_nodes(tree: Any) -> Iterator[Any]:
    """The image nodes of a material, those of its folds included."""
    for node in tree.nodes if tree is not None else ():
        if node.type == "TEX_IMAGE":
            yield node
        elif node.label == FOLDS and node.type == "GROUP":
            yield from texture_nodes(node.node_tree)


def _put_in(material: Any, group: Any) -> None:
    tree = material.node_tree if material is not None else None
    if tree is None:
        return
    nodes = {node.label or node.type: node for node in tree.nodes}
    shader = nodes.get("BSDF_PRINCIPLED")
    if ALBEDO not in nodes or shader is None or not shader.inputs["Base Color"].is_linked:
        return  # the artist's own material
    colour = shader.inputs["Base Color"]
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree, node.label = group, FOLDS
    node.location = (shader.location.x - 180, shader.location.y + 160)
    tree.links.new(colour.links[0].from_socket, node.inputs[0])
    tree.links.new(node.outputs[0], colour)


def _shown(group: Any, fold: Fold, image: Any) -> Any:
    """The socket with a fold's logarithm as far as the keys show it, a vector."""
    uv, texture = group.nodes.new("ShaderNodeUVMap"), group.nodes.new("ShaderNodeTexImage")
    uv.uv_map, texture.image, texture.label = UV_LAYER, image, fold.name
    group.links.new(uv.outputs["UV"], texture.inputs["Vector"])
    scale, offset = (255 * fold.step,) * 3, (-128 * fold.step,) * 3
    logarithm = _calculated(group, "VectorMath", "MULTIPLY_ADD", texture.outputs["Color"], scale, offset)
    total: Any = 0.0
    for key in fold.keys:
        value = group.nodes.new("ShaderNodeAttribute")
        value.attribute_type, value.label = "OBJECT", key
        value.attribute_name = f'data.shape_keys.key_blocks["{bpy.utils.escape_identifier(key)}"].value'
        total = _calculated(group, "Math", "ADD", value.outputs["Fac"], total)
    share = _calculated(group, "Math", "MULTIPLY", total, 1 / (len(fold.keys) * fold.at))
    share = _calculated(group, "Math", "MAXIMUM", _calculated(group, "Math", "MINIMUM", share, MOST), 0.0)
    return _calculated(group, "VectorMath", "MULTIPLY", logarithm, share)


def _multiply(group: Any, logarithm: Any) -> None:
    """Between the group's ends: the colour times e to the logarithm, no brighter than white."""
    start, end = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    split, join = group.nodes.new("ShaderNodeSeparateXYZ"), group.nodes.new("ShaderNodeCombineXYZ")
    mix = group.nodes.new("ShaderNodeMix")
    mix.data_type, mix.blend_type, mix.clamp_result = "RGBA", "MULTIPLY", True
    mix.inputs[0].default_value = 1.0
    group.links.new(logarithm, split.inputs[0])
    for part, whole in zip(split.outputs, join.inputs, strict=True):
        group.links.new(_calculated(group, "Math", "EXPONENT", part), whole)
    under, factor = [socket for socket in mix.inputs if socket.type == "RGBA"]
    group.links.new(start.outputs[0], under)
    group.links.new(join.outputs[0], factor)
    group.links.new(next(socket for socket in mix.outputs if socket.type == "RGBA"), end.inputs[0])


def _calculated(group: Any, kind: str, operation: str, *values: Any) -> Any:
    """The result of a node that calculates with sockets and constants."""
    node = group.nodes.new(f"ShaderNode{kind}")
    node.operation = operation
    for value, given in zip(values, node.inputs, strict=False):
        if isinstance(value, bpy.types.NodeSocket):
            group.links.new(value, given)
        else:
            given.default_value = value
    return node.outputs[0]


def _arrange(group: Any) -> None:
    """Every node to the right of what it reads."""
    column: dict[str, int] = {}
    for _ in group.nodes:
        for link in group.links:
            column[link.to_node.name] = max(column.get(link.to_node.name, 0), column.get(link.from_node.name, 0) + 1)
    height: dict[int, float] = {}
    for node in group.nodes:
        x = column.get(node.name, 0)
        node.location = (220 * x, height.get(x, 0.0))
        height[x] = height.get(x, 0.0) - 280
