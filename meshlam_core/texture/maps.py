"""The maps beside the colours that engines light a head by: occlusion, roughness and metal in one, and fine normals.

Textures are those of the atlas, [S, S]; normals are in tangent space, +X along u and +Y along v (upwards), as glTF and
Blender have them, coded as 128 + 127 n. Dims: V vertices, P covered texels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.head.model import HeadModel
from meshlam_core.skin.model import load_skin_model
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.mathematics import luminance, smooth_step

U8 = NDArray[np.uint8]

# as lit surfaces are measured, from matt 1 to mirror 0; skin is glossier where it is oily
ROUGHNESS = {
    "face": 0.5,
    "scalp": 0.5,
    "neck": 0.6,
    "ears": 0.52,
    "eyelids": 0.45,
    "lips": 0.38,
    "nostrils": 0.6,
    "eyeball_left": 0.1,
    "eyeball_right": 0.1,
    "eye_sockets": 0.3,
    "teeth_upper": 0.2,
    "teeth_lower": 0.2,
    "tongue": 0.3,
    "mouth_interior": 0.3,
    "lashes": 0.7,
}
GLOSSIEST = 0.1
OTHER = 0.5  # of parts that have no name here
HAIR = 0.45
OILY = 0.1  # by which forehead and nose are glossier than cheeks
MIDDLE = (0.012, 0.04)  # m from the middle of the face to the side, between which that ends
MATT_PORE = 0.6  # roughness a unit of the logarithm that a pore is darker
RELIEF = 0.35e-3  # m of depth a unit of the logarithm that a pore or a line is darker than what is around it
STRANDS = 0.4e-3  # the same of hair: what is dark lies between strands
AROUND = 2.5e-3  # m, radius of what is around
DARK = 0.03  # coded, below which a colour is noise
DEEPEST = 0.25  # of the logarithm: darker is a brow or a mole, and no deeper
WET = 0.12  # roughness of the lids' edge, where the tears stand
# the cornea's radius of curvature beside that of its edge, 7.8 and 5.9 mm (Gullstrand's eye), and where that edge lies
CORNEA, LIMBUS = 7.8 / 5.9, 22.4  # degrees seen from the eyeball's centre, where the head model's iris ends
SOFT = 0.06  # of the limbus' radius: how far the cornea's edge is rounded
SMALLEST = 512  # texels, side from which a texture has pores


@dataclass(frozen=True)
class SurfaceMaps:
    """What a texture's surface is like."""

    orm: U8  # [S, S, 3] occlusion, roughness, metallic
    normal: U8  # [S, S, 3]


def surface_maps(
    texture: U8,  # [S, S, 3] sRGB, of the face at rest
    cover: Tensor,  # [V] how far each vertex is hair and no skin
    model: HeadModel,
    atlas: Atlas,
) -> SurfaceMaps:
    """Occlusion from the head's own folds, roughness by part, pores and lines from the texture."""
    skin = load_skin_model(model)
    openness = torch.ones(len(cover)) if skin is None else torch.from_numpy(skin.openness.copy())
    rough = torch.tensor([ROUGHNESS.get(name, OTHER) for name in model.parts])[atlas.vertex_part]
    aside = torch.from_numpy(np.abs(model.template[:, 0]))
    oily = atlas.share("face") * (1 - smooth_step(aside, *MIDDLE))
    rough = rough - OILY * oily
    rough[_lid_edge(model)] = WET
    rough = rough + cover * (HAIR - rough)
    openness = openness + cover * (1 - openness)
    smooth = atlas.at_texels(torch.stack([openness, rough], 1))
    hair = atlas.at_texels(cover[:, None])[:, 0]
    texel = _texel(model, atlas)
    height, strands = torch.zeros(2, *texture.shape[:2])
    if atlas.uv_map.size >= SMALLEST:
        bare = (1 - hair).clamp(0, 1) * (1 - atlas.lids).clamp(0, 1) * (1 - atlas.cavity).clamp(0, 1)
        light = luminance(torch.from_numpy(texture).float() / 255).clamp_min(DARK).log()
        height = _height(light, atlas.skin * bare, texel, atlas)
        strands = _height(light, atlas.skin * hair.clamp(0, 1), texel, atlas)
    pore = height.view(-1)[atlas.places.long()]
    rough = smooth[:, 1].clamp_min(GLOSSIEST) - MATT_PORE * pore.clamp_max(0)  # the margin is extrapolated
    orm = torch.stack([smooth[:, 0], rough, torch.zeros(len(hair))], 1)
    packed = torch.zeros(atlas.uv_map.size**2, 3, dtype=torch.uint8)
    packed[atlas.places.long()] = (orm * 255 + 0.5).clamp(0, 255).to(torch.uint8)
    packed[atlas.empty] = packed[atlas.lender]
    relief = (RELIEF * height + STRANDS * strands) / texel + _corneas(atlas)
    return SurfaceMaps(packed.view(*texture.shape).numpy(), _normals(relief))


def _lid_edge(model: HeadModel) -> Tensor:  # [E] int64
    """The vertices of the lids' inner edge, along the eye."""
    numbers = [model.parts.index(name) if name in model.parts else -1 for name in ("eyelids", "eye_sockets")]
    of_lid, of_socket = (model.part[model.faces] == number for number in numbers)
    both = of_lid.any(1) & of_socket.any(1)
    return torch.from_numpy(np.unique(model.faces[both][of_lid[both]]).astype(np.int64))


def _corneas(atlas: Atlas) -> Tensor:  # [S, S] texels
    """How high the corneas stand above the eyeballs, as their normals show it; the mesh has plain balls."""
    height = torch.zeros(atlas.uv_map.size**2)
    for eye in atlas.eyes.values():
        radius = float(np.linalg.norm(eye.arms, axis=1).mean())
        edge = radius * np.sin(np.radians(LIMBUS))
        inside = int((eye.theta < np.radians(LIMBUS)).sum())
        texel = np.sqrt(2 * np.pi * radius**2 * (1 - np.cos(np.radians(LIMBUS))) / max(inside, 1))
        aside = (radius * eye.theta.clamp_max(np.pi / 2).sin()).clamp_max(0.99 * CORNEA * edge)
        cap, ball = ((bend**2 - aside**2).sqrt() - (bend**2 - edge**2) ** 0.5 for bend in (CORNEA * edge, radius))
        over = cap - ball
        rounded = (over + (over**2 + (SOFT * edge) ** 2).sqrt()) / 2
        height[atlas.places[eye.rows].long()] = (rounded / texel).float()
    return height.view(atlas.uv_map.size, -1)


def _height(
    light: Tensor,  # [S, S] logarithm of the brightness
    counts: Tensor,  # [P] 0..1 how far a covered texel is of the surface that is looked at
    texel: float,  # m
    atlas: Atlas,
) -> Tensor:  # [S, S]
    """Each texel's logarithm beside its surroundings' on the surface; 0 elsewhere."""
    size = atlas.uv_map.size
    valid = torch.zeros(size * size)
    valid[atlas.places.long()] = counts
    valid = valid.view(size, size)
    side = 2 ** round(np.log2(max(AROUND / texel, 1)))  # texels in one: as wide as the surroundings' radius
    small = functional.avg_pool2d(torch.stack([light * valid, valid])[None], side)
    small = functional.avg_pool2d(small, 3, 1, 1, count_include_pad=False)
    total, weight = functional.interpolate(small, (size, size), mode="bilinear")[0]
    height: Tensor = (light - total / weight.clamp_min(1e-6)).clamp(-DEEPEST, DEEPEST) * valid
    return height


def _texel(model: HeadModel, atlas: Atlas) -> float:  # m
    """The width of a texel on the face."""
    face = (model.part == model.parts.index("face") if "face" in model.parts else model.part >= 0)[model.faces].all(1)
    a, b, c = (model.template[model.faces[face, corner]] for corner in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()
    return float(np.sqrt(area / atlas.uv_map.scale.numpy()[face].sum()))


def _normals(
    relief: Tensor,  # [S, S] height in texels
) -> U8:  # [S, S, 3]
    padded = functional.pad(relief[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    up = (padded[:-2, 1:-1] - padded[2:, 1:-1]) / 2
    normal = functional.normalize(torch.stack([-across, -up, torch.ones_like(across)], -1), dim=-1)
    return np.asarray((normal * 127 + 128.5).clamp(0, 255).to(torch.uint8).numpy())
