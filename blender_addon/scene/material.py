"""Materials: one Principled BSDF a surface, all fed by the one packed albedo texture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bpy

from .. import compat
from ..avatar_reader import AvatarFile, PngImage
from .mesh import UV_LAYER
from .parts import EYES, LASHES, MOUTH, SKIN, SURFACES, TEETH

_FLESH = (1.0, 0.35, 0.2)  # relative scattering distances of red, green, blue in skin


@dataclass(frozen=True)
class Look:
    """Inputs of the Principled BSDF by name; what is not named keeps Blender's default."""

    inputs: dict[str, Any] = field(default_factory=dict)


# The albedo carries some of the photo's light, so highlights stay modest; the eyes get a clear coat as their cornea.
LOOKS: dict[str, Look] = {
    SKIN: Look(
        {
            "Roughness": 0.55,
            "Specular IOR Level": 0.35,
            "Subsurface Weight": 0.12,
            "Subsurface Radius": _FLESH,
            "Subsurface Scale": 0.004,
        }
    ),
    EYES: Look({"Roughness": 0.25, "IOR": 1.376, "Coat Weight": 1.0, "Coat Roughness": 0.02, "Coat IOR": 1.376}),
    TEETH: Look({"Roughness": 0.22, "Subsurface Weight": 0.1, "Subsurface Scale": 0.002}),
    MOUTH: Look({"Roughness": 0.3, "Subsurface Weight": 0.15, "Subsurface Radius": _FLESH, "Subsurface Scale": 0.003}),
    LASHES: Look({"Roughness": 0.7, "Specular IOR Level": 0.1}),
}


def pack_image(png: PngImage, name: str, colour_space: str = "sRGB") -> Any:
    """A Blender image from PNG bytes, packed into the .blend so that no file can go missing."""
    image = bpy.data.images.new(name, png.width, png.height)
    image.pack(data=png.data, data_len=len(png.data))
    image.source = "FILE"
    image.filepath_raw = f"//{bpy.path.clean_name(name)}.png"
    image.colorspace_settings.name = colour_space
    if not len(image.pixels):  # asking for pixels decodes; damaged data gives none
        raise ValueError(f"Blender could not decode the image {name!r} of the avatar file.")
    return image


def build_materials(avatar: AvatarFile, name: str) -> list[Any]:
    """One material for each of SURFACES, in that order."""
    albedo = pack_image(avatar.albedo, f"{name} Albedo")
    seen = pack_image(avatar.albedo_seen, f"{name} Seen", "Non-Color")
    materials = [_material(f"{name} {surface}", albedo, LOOKS[surface]) for surface in SURFACES]
    # Not linked to the shader: an artist can look at it to tell what the photo showed from what was filled in
    note = compat.node_tree(materials[SURFACES.index(SKIN)]).nodes.new("ShaderNodeTexImage")
    note.image, note.label, note.location = seen, "White: seen in the photo", (-600, -120)
    return materials


def _material(name: str, albedo: Any, look: Look) -> Any:
    material = bpy.data.materials.new(name)
    tree = compat.node_tree(material)
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    texture = tree.nodes.new("ShaderNodeTexImage")
    uv = tree.nodes.new("ShaderNodeUVMap")
    uv.uv_map = UV_LAYER
    texture.image = albedo
    for node, x in ((uv, -820), (texture, -600), (shader, -280), (output, 60)):
        node.location = (x, 220)
    tree.links.new(uv.outputs["UV"], texture.inputs["Vector"])
    tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    for socket, value in look.inputs.items():
        shader.inputs[socket].default_value = value
    material.use_backface_culling = False
    return material
