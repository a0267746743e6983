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
OTHER = 0.5  # of parts that have no name here
HAIR = 0.45
OILY = 0.1  # by which forehead and nose are glossier than cheeks
MIDDLE = (0.012, 0.04)  # m from the middle of the face to the side, between which that ends
MATT_PORE = 0.6  # roughness a unit of the logarithm that a pore is darker
RELIEF = 0.35e-3  # m of depth a unit of the logarithm that a pore or a line is darker than what is around it
AROUND = 2.5e-3  # m, radius of what is around
DARK = 0.03  # coded, below which a colour is noise
DEEPEST = 0.25  # of the logarithm: darker is a brow or a mole, and no deeper
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
    rough = rough + cover * (HAIR - rough)
    openness = openness + cover * (1 - openness)
    smooth = atlas.at_texels(torch.stack([openness, rough], 1))
    hair = atlas.at_texels(cover[:, None])[:, 0]
    texel = _texel(model, atlas)
    height = torch.zeros(texture.shape[:2])
    if atlas.uv_map.size >= SMALLEST:
        height = _height(texture, 1 - hair, texel, atlas)
    pore = height.view(-1)[atlas.places.long()]
    orm = torch.stack([smooth[:, 0], smooth[:, 1] - MATT_PORE * pore.clamp_max(0), torch.zeros(len(hair))], 1)
    packed = torch.zeros(atlas.uv_map.size**2, 3, dtype=torch.uint8)
    packed[atlas.places.long()] = (orm * 255 + 0.5).clamp(0, 255).to(torch.uint8)
    packed[atlas.empty] = packed[atlas.lender]
    return SurfaceMaps(packed.view(*texture.shape).numpy(), _normals(height, texel))


def _height(texture: U8, bare: Tensor, texel: float, atlas: Atlas) -> Tensor:  # [S, S]
    """The logarithm of each texel's brightness beside its surroundings', on skin; 0 elsewhere."""
    size = atlas.uv_map.size
    valid = torch.zeros(size * size)
    # shares are extrapolated in the islands' margin
    calm = bare.clamp(0, 1) * (1 - atlas.lids).clamp(0, 1) * (1 - atlas.cavity).clamp(0, 1)
    valid[atlas.places.long()] = atlas.skin * calm
    valid = valid.view(size, size)
    light = luminance(torch.from_numpy(texture).float() / 255).clamp_min(DARK).log()
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


def _normals(height: Tensor, texel: float) -> U8:  # [S, S, 3]
    slope = RELIEF / (2 * texel)
    padded = functional.pad(height[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) * slope
    up = (padded[:-2, 1:-1] - padded[2:, 1:-1]) * slope
    normal = functional.normalize(torch.stack([-across, -up, torch.ones_like(across)], -1), dim=-1)
    return np.asarray((normal * 127 + 128.5).clamp(0, 255).to(torch.uint8).numpy())
