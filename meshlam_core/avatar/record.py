"""Avatar: the result of a reconstruction, and its file (.meshlam, see AVATAR_FORMAT.md).

Frames and units: frames.py. Dims: V vertices, F triangles, U texture vertices, K blendshapes, J joints,
R raw shapes, P parameters, N identity coefficients, S vertices of strands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class PhotoFit:
    """What puts the avatar onto its photo. Pixels are those of the upright photo (EXIF applied)."""

    focal: float  # px
    centre: F32  # [2] px, (x, y)
    size: I32  # [2] px, (width, height)
    rotations: F32  # [J, 3] axis-angle, rad; the root's turns the whole head
    translation: F32  # [3] m, view frame: added after skinning
    expression: F32  # [K]
    crop: F32  # [4] px, (x0, y0, x1, y1) of photo.png inside the photo; may reach outside it


TRUST = ("seen", "mirrored", "model", "network")  # where a texel's colour can come from
FOLD_STEP = 1 / 64  # of the logarithm that a step of a fold's picture means; 128 means no change


@dataclass(frozen=True)
class Fold:
    """What some keys do to the texture, beside moving the skin: the lines of a smile."""

    name: str
    keys: tuple[str, ...]  # blendshapes; the mean of their coefficients drives it
    at: float  # that mean at which the picture holds; elsewhere it counts in proportion
    picture: U8  # [h, w, 3] coded logarithm of the factor on linear colours, in the texture's layout

    @property
    def logarithm(self) -> F32:  # [h, w, 3]
        """The picture decoded."""
        return (self.picture.astype(np.float32) - 128) * np.float32(FOLD_STEP)


@dataclass(frozen=True)
class Glasses:
    """A frame that the head wears: a mesh of its own, of one colour."""

    vertices: F32  # [G, 3] m, avatar frame, rest pose
    faces: I32  # [T, 3] counter-clockwise seen from outside
    colour: F32  # [3] sRGB 0..1
    joint: str  # the one that it moves with, as a whole


@dataclass(frozen=True)
class Strands:
    """Loose strands of hair over the hull: narrow ribbons that taper to a tip.

    Each vertex goes where the spot of the head's surface goes that it is anchored to.
    """

    vertices: F32  # [S, 3] m, avatar frame, neutral head
    faces: I32  # [W, 3] ribbons have no inside: they are seen from both sides
    uvs: F32  # [S, 2] on the head's own textures
    anchor: I32  # [S] triangle of the head
    bary: F32  # [S, 3] where on it


@dataclass(frozen=True)
class Avatar:
    """A rigged, textured head: everything a Blender scene or a game engine needs."""

    vertices: F32  # [V, 3] neutral head, m
    faces: I32  # [F, 3]
    uvs: F32  # [U, 2]
    uv_faces: I32  # [F, 3]
    part: U8  # [V] index into parts
    parts: tuple[str, ...]
    joints: F32  # [J, 3] m
    joint_names: tuple[str, ...]
    joint_parents: tuple[int, ...]
    weights: F32  # [V, J]
    blendshapes: F32  # [K, V, 3]
    blendshape_names: tuple[str, ...]
    blendshape_ranges: F32  # [K, 2]
    blendshape_kind: str
    photo: PhotoFit
    albedo: U8  # [H, W, 3] sRGB
    albedo_seen: U8  # [H, W] 255 where the photo was seen, 0 where filled
    photo_image: U8  # [h, w, 3] sRGB, the crop used
    thumbnail: U8  # [256, 256, 4] sRGB and alpha
    pose_correctives: F32 | None = None  # [36, V, 3]
    hair: F32 | None = None  # [V, 3] m, the hull's displacement: vertices - hair is the bald head
    uncertainty: F32 | None = None  # [V] m, one standard deviation of each vertex's position
    albedo_photo: U8 | None = None  # [H, W, 3] sRGB, with the photo's light, where albedo is without it
    light: F32 | None = None  # [9, 3] spherical harmonics of the photo's light
    raw_shapes: F32 | None = None  # [R, V, 3] the head model's own directions, beside the blendshapes
    raw_names: tuple[str, ...] = ()  # [R]
    key_parameters: F32 | None = None  # [K, P] the head model's parameters that each blendshape is made of
    parameter_names: tuple[str, ...] = ()  # [P]
    identity: F32 | None = None  # [N] the head model's identity coefficients
    outline: U8 | None = None  # [h, w, 4] sRGB and share: the head's outline in the photo, for views like the photo's
    trust: U8 | None = None  # [H, W, 4] where each texel comes from: shares of TRUST, together 255
    normal: U8 | None = None  # [H', W', 3] fine normals, tangent space, +Y up
    orm: U8 | None = None  # [H', W', 3] ambient occlusion, roughness, metallic
    folds: tuple[Fold, ...] = ()  # what expressions add to the textures
    glasses: Glasses | None = None
    strands: Strands | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
