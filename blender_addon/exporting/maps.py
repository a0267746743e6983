"""Occlusion, roughness and metal as each format carries them; the head has the three in one picture.

- glTF takes the picture as it is, occlusion by a node group of the exporter's own, without which it writes none.
- USD takes the channels of the picture; occlusion, which Blender's exporter does not know, is connected by a hook.
- FBX knows no channels: roughness and metal become grey pictures, and the whole one lies beside the file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from ..reimport import CHANNELS, GLTF_GROUP, METAL, OCCLUSION, ROUGHNESS, fed_by, shader_of, usd_module
from ..scene.layers import ORM, pixels_of
from .pictures import grey_picture

if TYPE_CHECKING:
    from .stage import Workshop

FOLDER = "textures"  # beside the file, as Blender's USD exporter has it
_NODE = "Occlusion_Roughness_Metallic"  # by this name USD has the node, and the hook finds it


def carry_maps(workshop: Workshop, material: Any) -> None:
    """Lay a staged material's maps out as the format takes them."""
    tree, suffix = material.node_tree, workshop.suffix
    if tree is None:
        return
    packed = next((node for node in tree.nodes if node.label == ORM and node.type == "TEX_IMAGE"), None)
    if suffix == ".fbx":
        for name in (ROUGHNESS, METAL):
            _part(workshop, tree, shader_of(material), name)
        if packed is not None and packed.image is not None:
            workshop.beside.add(Path(bpy.path.abspath(packed.image.filepath)))
    elif packed is not None and (suffix == ".glb" or usd_module()):
        packed.name = _NODE
        _occlude(workshop, tree, packed)


def lay_beside(pictures: frozenset[Path], folder: Path) -> dict[str, str]:
    """Copy pictures into the folder of textures; where they lie from the file, by name of the property that says so."""
    for picture in pictures:
        (folder / FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(picture, folder / FOLDER / picture.name)
    return {"orm_texture": ", ".join(sorted(f"{FOLDER}/{picture.name}" for picture in pictures))} if pictures else {}


@contextmanager
def usd_hook() -> Iterator[None]:
    """Meanwhile USD exports connect occlusion and the blend shapes' weights, where this Blender can."""
    if not usd_module():
        yield
        return

    class Connect(bpy.types.USDHook):  # type: ignore[misc]
        bl_idname = "meshlam_connect"
        bl_label = "Occlusion and Weights"

        @staticmethod
        def on_export(context: Any) -> bool:
            stage = context.get_stage()
            _connect_occlusion(stage)
            _connect_weights(stage)
            _share_weights(stage)
            return True

    bpy.utils.register_class(Connect)
    try:
        yield
    finally:
        bpy.utils.unregister_class(Connect)


def _connect_weights(stage: Any) -> None:
    """Let the skeleton follow the blend shapes' weights, which Blender leaves loose beside a head at rest."""
    from pxr import UsdSkel

    for prim in stage.Traverse():
        parent = prim.GetParent()
        if prim.IsA(UsdSkel.Animation) and parent.IsA(UsdSkel.Skeleton):
            source = UsdSkel.BindingAPI.Apply(parent).CreateAnimationSourceRel()
            if not source.GetTargets():
                source.SetTargets([prim.GetPath()])


def _share_weights(stage: Any) -> None:
    """Let meshes with a key of one name follow one weight; Blender numbers the further ones: bald, bald2."""
    from pxr import UsdSkel

    prims = list(stage.Traverse())
    moving = {str(name) for prim in prims for name in prim.GetAttribute("blendShapes").Get() or ()}
    numbered = set()
    for prim in prims:
        binding = UsdSkel.BindingAPI(prim)
        names = [str(name) for name in binding.GetBlendShapesAttr().Get() or ()]
        own = [target.name for target in binding.GetBlendShapeTargetsRel().GetTargets()]
        for index, (name, wanted) in enumerate(zip(names, own, strict=False)):
            if wanted in moving and name.removeprefix(wanted).isdigit():
                numbered.add(name)
                names[index] = wanted
        if names:
            binding.GetBlendShapesAttr().Set(names)
    for prim in prims if numbered else ():
        if prim.IsA(UsdSkel.Animation):
            _drop_weights(UsdSkel.Animation(prim), numbered)


def _drop_weights(animation: Any, numbered: set[str]) -> None:
    names, weights = animation.GetBlendShapesAttr(), animation.GetBlendShapeWeightsAttr()
    kept = [index for index, name in enumerate(names.Get() or ()) if str(name) not in numbered]
    names.Set([names.Get()[index] for index in kept])
    for time in weights.GetTimeSamples() or [None]:
        values = weights.Get() if time is None else weights.Get(time)
        if values is not None:
            left = [values[index] for index in kept]
            weights.Set(left) if time is None else weights.Set(left, time)


def _connect_occlusion(stage: Any) -> None:
    from pxr import Sdf, UsdShade

    for prim in stage.Traverse():
        if prim.GetName() != _NODE:
            continue
        red = UsdShade.Shader(prim).CreateOutput("r", Sdf.ValueTypeNames.Float)
        for other in prim.GetParent().GetChildren():
            shader = UsdShade.Shader(other)
            if shader and shader.GetIdAttr().Get() == "UsdPreviewSurface":
                shader.CreateInput("occlusion", Sdf.ValueTypeNames.Float).ConnectToSource(red)


def _occlude(workshop: Workshop, tree: Any, packed: Any) -> None:
    """Feed the picture's red to the node group that stands for occlusion."""
    if workshop.occlusion is None:
        workshop.occlusion = bpy.data.node_groups.new(GLTF_GROUP, "ShaderNodeTree")
        workshop.occlusion.interface.new_socket(OCCLUSION, in_out="INPUT", socket_type="NodeSocketFloat")
        workshop.own(workshop.occlusion)
    split, group = tree.nodes.new("ShaderNodeSeparateColor"), tree.nodes.new("ShaderNodeGroup")
    group.node_tree = workshop.occlusion
    tree.links.new(packed.outputs["Color"], split.inputs["Color"])
    tree.links.new(split.outputs["Red"], group.inputs[OCCLUSION])


def _part(workshop: Workshop, tree: Any, shader: Any, name: str) -> None:
    """Feed a socket of the shader by a grey picture instead of a channel, or by a number where it is one throughout."""
    if shader is None:
        return
    socket = shader.inputs[name]
    source = fed_by(socket)
    if source is None or source[1] not in CHANNELS:
        return
    image, channel = source
    values = pixels_of(image)[..., CHANNELS.index(channel)]
    if np.ptp(values) == 0:
        tree.links.remove(socket.links[0])
        socket.default_value = float(values[0, 0])
        return
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = grey_picture(workshop, image, name, values)
    for entry in next(item for item in tree.nodes if item.type == "TEX_IMAGE" and item.image == image).inputs:
        for link in entry.links:
            tree.links.new(link.from_socket, node.inputs[entry.name])
    tree.links.new(node.outputs["Color"], socket)
