"""Materials: one Principled BSDF a surface, fed by the one packed albedo texture; lashes by a picture of strands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bpy

from .. import compat
from ..avatar_reader import AvatarFile, PngImage
from .lashes import PICTURE, lash_picture
from .layers import ALBEDO, ORM, add_lit
from .mesh import UV_LAYER
from .parts import EYES, HAIR, LASHES, MOUTH, SKIN, SURFACES, TEETH

_FLESH = (1.0, 0.35, 0.2)  # relative scattering distances of red, green, blue in skin


@dataclass(frozen=True)
class Look:
    """Inputs of the Principled BSDF by name; what is not named keeps Blender's default."""

    inputs: dict[str, Any] = field(default_factory=dict)


# The albedo carries some of the photo's light, so highlights stay modest. The eyes get a clear coat as their cornea and
# its tears, and mirror nowhere else: what lies behind is in water, and a second mirror would veil iris and pupil.
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
    EYES: Look({"Specular IOR Level": 0.0, "Coat Weight": 1.0, "Coat Roughness": 0.02, "Coat IOR": 1.376}),
    TEETH: Look({"Roughness": 0.22, "Subsurface Weight": 0.1, "Subsurface Scale": 0.002}),
    MOUTH: Look({"Roughness": 0.3, "Subsurface Weight": 0.15, "Subsurface Radius": _FLESH, "Subsurface Scale": 0.003}),
    LASHES: Look({"Roughness": 0.7, "Specular IOR Level": 0.1}),
    # strands reflect along a band across them; the texture's V runs down the head, as hair does
    HAIR: Look({"Roughness": 0.45, "Specular IOR Level": 0.25, "Anisotropic": 0.7}),
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


@dataclass(frozen=True)
class _Maps:
    """The images that every surface shares."""

    albedo: Any
    normal: Any  # or None
    orm: Any  # or None
    lit: Any  # the albedo with the photo's light, or None


def build_materials(avatar: AvatarFile, name: str, unit: float = 1.0) -> list[Any]:
    """One material for each of SURFACES, in that order; `unit` is how many of the scene's units make a metre."""
    maps = _Maps(
        albedo=pack_image(avatar.albedo, f"{name} Albedo"),
        normal=pack_image(avatar.normal, f"{name} Normal", "Non-Color") if avatar.normal is not None else None,
        orm=pack_image(avatar.orm, f"{name} ORM", "Non-Color") if avatar.orm is not None else None,
        lit=pack_image(avatar.albedo_photo, f"{name} Albedo Lit") if avatar.albedo_photo is not None else None,
    )
    seen = pack_image(avatar.albedo_seen, f"{name} Seen", "Non-Color")
    materials = [_material(f"{name} {surface}", maps, LOOKS[surface], unit) for surface in SURFACES]
    strands = lash_picture(avatar, f"{name} Lashes", maps.albedo)
    if strands is not None:
        _wear_strands(materials[SURFACES.index(LASHES)], strands, LOOKS[LASHES])
    # Not linked to the shader: an artist can look at it to tell what the photo showed from what was filled in
    note = compat.node_tree(materials[SURFACES.index(SKIN)]).nodes.new("ShaderNodeTexImage")
    note.image, note.label, note.location = seen, "White: seen in the photo", (-600, -420)
    return materials


def _material(name: str, maps: _Maps, look: Look, unit: float) -> Any:
    material = bpy.data.materials.new(name)
    tree = compat.node_tree(material)
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    uv = tree.nodes.new("ShaderNodeUVMap")
    uv.uv_map = UV_LAYER
    texture = _texture(tree, uv, maps.albedo, 220)
    texture.label = ALBEDO
    for node, x in ((uv, -820), (shader, -280), (output, 60)):
        node.location = (x, 220)
    tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    if maps.lit is not None:
        add_lit(tree, texture, maps.lit)
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    for socket, value in look.inputs.items():
        shader.inputs[socket].default_value = value
    shader.inputs["Subsurface Scale"].default_value *= unit
    if maps.normal is not None:
        bump = tree.nodes.new("ShaderNodeNormalMap")
        bump.uv_map, bump.location = UV_LAYER, (-460, -120)
        tree.links.new(_texture(tree, uv, maps.normal, -120).outputs["Color"], bump.inputs["Color"])
        tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
        if "Coat Weight" in look.inputs:
            tree.links.new(bump.outputs["Normal"], shader.inputs["Coat Normal"])  # the cornea's, in the map
    if maps.orm is not None:
        split = tree.nodes.new("ShaderNodeSeparateColor")
        split.location = (-460, 60)
        packed = _texture(tree, uv, maps.orm, 60)
        packed.label = ORM
        tree.links.new(packed.outputs["Color"], split.inputs["Color"])
        tree.links.new(split.outputs["Green"], shader.inputs["Roughness"])
        tree.links.new(split.outputs["Blue"], shader.inputs["Metallic"])
    if "Anisotropic" in look.inputs:
        tangent = tree.nodes.new("ShaderNodeTangent")
        tangent.direction_type, tangent.uv_map, tangent.location = "UV_MAP", UV_LAYER, (-460, -260)
        tree.links.new(tangent.outputs["Tangent"], shader.inputs["Tangent"])
    material.use_backface_culling = False
    return material


def _wear_strands(material: Any, image: Any, look: Look) -> None:
    """Colour and alpha from the picture of strands, without the maps, which are those of the albedo's layout."""
    tree = compat.node_tree(material)
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    uv = next(node for node in tree.nodes if node.type == "UVMAP")
    for node in list(tree.nodes):
        if node not in (shader, uv) and node.type != "OUTPUT_MATERIAL":
            tree.nodes.remove(node)
    texture = _texture(tree, uv, image, 220)
    texture.label, texture.extension = PICTURE, "EXTEND"
    tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    tree.links.new(texture.outputs["Alpha"], shader.inputs["Alpha"])


def _texture(tree: Any, uv: Any, image: Any, height: float) -> Any:
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image, node.location = image, (-680, height)
    tree.links.new(uv.outputs["UV"], node.inputs["Vector"])
    return node
