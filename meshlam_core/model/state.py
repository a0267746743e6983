"""What flows through the network: the rig, the photo, the state of the loop and what one look at the photo shows.

Frames and units: frames.py; colours are sRGB in 0..1; textures and photos are channel-first, row 0 at the top.
Dims: B batch, V vertices, F triangles, U texture vertices, K blendshapes, J joints, C token channels, E error channels,
      H photo, S texture, G latent grid, D full texture, h hidden.
All samples of a batch share one rig. Topology correction gives each head its own, so it runs on a batch of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.frames import Camera
from meshlam_core.head.hair import HairModel
from meshlam_core.head.model import HeadModel
from meshlam_core.model.borders import FIELDS
from meshlam_core.model.part_clip import part_limits, with_hair
from meshlam_core.model.topology import epsilon_for
from meshlam_core.raster.build_uv_map import build_uv_map
from meshlam_core.raster.shapes import check_shape
from meshlam_core.raster.uv_map import UvMap


@dataclass(frozen=True)
class Rig:
    """A mesh and all that its vertices carry."""

    faces: Tensor  # [F, 3] int64
    uvs: Tensor  # [U, 2]
    uv_faces: Tensor  # [F, 3] int64
    part: Tensor  # [V] int64
    limits: Tensor  # [V] m, how far a vertex may move in one step
    template: Tensor  # [V, 3] m, the head model's undeformed head V_0
    weights: Tensor  # [V, J] rows sum to 1
    blendshapes: Tensor  # [K, V, 3] m
    parents: tuple[int, ...]
    parts: tuple[str, ...]
    max_edge: float  # m, longer edges are split
    pose_correctives: Tensor | None = None  # [9 (J - 1), V, 3] m, FLAME only
    hair: Tensor | None = None  # [V] 0..1, how far hair can move each vertex; None: as its part says
    hair_rays: Tensor | None = None  # [V, 3] along which it does, unit; zero where it does not
    maps: dict[int, UvMap] = field(default_factory=dict, compare=False, repr=False)

    def uv_map(self, size: int) -> UvMap:
        """The surface point of each texel of a texture of this size; made once."""
        if size not in self.maps:
            uv_map = build_uv_map(self.uvs.detach().cpu().float(), self.uv_faces.cpu(), size)
            self.maps[size] = uv_map.to(self.faces.device)
        return self.maps[size]

    def paintable(self, size: int) -> Tensor:  # [1, 1, size, size] 0..1
        """Which texels may take the photo's colours: all but those of parts that never move.

        [ours] A photo shows lashes and glints where eyeballs and lids lie, and the tracker's texture has dealt with
        them (METHOD.md 5.5); geometry that stays gives no reason to project it anew.
        """
        moves = (self.limits > 0).to(self.limits.dtype)[None, :, None]
        uv_map = self.uv_map(size)
        return uv_map.spread(moves, self.faces).clamp(0, 1).permute(0, 3, 1, 2)

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Rig:
        """The same rig elsewhere. `dtype` is that of positions and weights."""
        moved: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, Tensor):
                moved[entry.name] = value.to(device, dtype if value.is_floating_point() else value.dtype)
        return replace(self, **moved, maps={size: uv_map.to(device) for size, uv_map in self.maps.items()})


def make_rig(
    head: HeadModel,
    target_vertices: int = 0,  # 0 makes no limit for edges
    hair: HairModel | None = None,
) -> Rig:
    """The rig of a head model; refuses one without texture coordinates or parts.

    The longest edge allowed is set so that splitting the template ends near `target_vertices`.
    """
    if len(head.uvs) == 0 or len(head.uv_faces) != len(head.faces):
        raise AssetError(
            f"The head model {head.name}: expected texture coordinates for its {len(head.faces)} triangles, "
            f"got {len(head.uvs)} coordinates and {len(head.uv_faces)} triangles.",
            "Use a head model with a UV layout.",
        )
    if not head.parts or len(head.part) != len(head.template):
        raise AssetError(
            f"The head model {head.name}: expected a part for each of its {len(head.template)} vertices, "
            f"got {len(head.part)} labels of {len(head.parts)} parts.",
            "Use a head model with parts.",
        )
    limits = part_limits(head.part, head.parts, head.faces)
    share, rays = torch.zeros(len(head.template)), torch.zeros(len(head.template), 3)
    if hair is not None:
        at = _tensor(hair.indices).long()
        share[at], rays[at] = _tensor(hair.fade), _tensor(hair.directions)
    return Rig(
        faces=_tensor(head.faces).long(),
        uvs=_tensor(head.uvs),
        uv_faces=_tensor(head.uv_faces).long(),
        part=_tensor(head.part).long(),
        limits=limits if hair is None else with_hair(limits, share),
        template=_tensor(head.template),
        weights=_tensor(head.weights),
        blendshapes=_tensor(head.blendshapes),
        parents=head.joint_parents,
        parts=head.parts,
        max_edge=epsilon_for(head.template, head.faces, target_vertices) if target_vertices else math.inf,
        pose_correctives=None if head.pose_correctives is None else _tensor(head.pose_correctives),
        hair=None if hair is None else share,
        hair_rays=None if hair is None else rays,
    )


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.array(array))  # a copy: head models are read-only


def resize(
    image: Tensor,  # [B, C, H, H]
    size: int,
) -> Tensor:  # [B, C, size, size]
    """Average down or interpolate up."""
    side = image.shape[-1]
    if side == size:
        return image
    if side % size == 0:
        return functional.avg_pool2d(image, side // size)  # many times faster than the adaptive kind
    if side > size:
        return functional.adaptive_avg_pool2d(image, size)
    return functional.interpolate(image, size=(size, size), mode="bilinear", align_corners=False)


def is_finite(values: Tensor) -> bool:
    """Whether no entry is NaN or infinite. One sum answers it for all sane tensors."""
    return bool(values.sum(dtype=torch.float64).isfinite()) or bool(values.isfinite().all())


@dataclass(frozen=True)
class Photo:
    """Square crops of photos with what the tracker found in them: the network's input."""

    image: Tensor  # [B, 3, H, H]
    mask: Tensor  # [B, 1, H, H] 0..1, the person; ones where it is not known
    cameras: tuple[Camera, ...]  # B, of the crops
    rotations: Tensor  # [B, J, 3] axis-angle, rad
    translation: Tensor  # [B, 3] m, view frame
    expression: Tensor  # [B, K]
    vertices: Tensor  # [B, V, 3] m, the tracker's neutral heads M_0
    joints: Tensor  # [B, J, 3] m, their rest joints; deformation leaves them where they are
    texture: Tensor  # [B, 3, D, D] the tracker's texture
    borders: Tensor | None = None  # [B, FIELDS, R, R] of the masks of hair and person: borders.py; None: not known

    def __len__(self) -> int:
        return len(self.image)

    def one(self, index: int) -> Photo:
        """A batch of one."""
        values: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        cut = {name: value[index : index + 1] for name, value in values.items() if value is not None}
        return Photo(**cut)

    def resized(self, size: int) -> Photo:
        """The same view at another resolution. Shrinking averages."""
        side = self.image.shape[-1]
        if side == size:
            return self
        both = torch.cat([self.image, self.mask], 1)
        both = resize(both, size)
        cameras = tuple(camera.scaled(size / side) for camera in self.cameras)
        return replace(self, image=both[:, :3], mask=both[:, 3:], cameras=cameras)

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Photo:
        """The same batch elsewhere."""
        values: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        moved: dict[str, Any] = {name: v.to(device, dtype) for name, v in values.items() if torch.is_tensor(v)}
        return replace(self, **moved)

    def check(self, rig: Rig) -> None:
        """Refuse wrong shapes and values that are not finite, before any computation."""
        sizes = check_shape("image", self.image, "B 3 H H")
        known = {"B": sizes["B"], "V": len(rig.template), "K": len(rig.blendshapes), "J": len(rig.parents)}
        patterns = {"rotations": "B J 3", "translation": "B 3", "expression": "B K", "vertices": "B V 3"}
        patterns |= {"joints": "B J 3", "texture": "B 3 D D"}
        check_shape("mask", self.mask, "B 1 H H", B=sizes["B"], H=sizes["H"])
        for name, pattern in patterns.items():
            check_shape(name, getattr(self, name), pattern, **known)
        if len(self.cameras) != sizes["B"] or any(camera.size != (sizes["H"],) * 2 for camera in self.cameras):
            raise UsageError(
                f"cameras: expected {sizes['B']} of {sizes['H']}x{sizes['H']} px, "
                f"got {[camera.size for camera in self.cameras]}."
            )
        if self.borders is not None:
            check_shape("borders", self.borders, "B C R R", B=sizes["B"], C=FIELDS)
            patterns["borders"] = "B C R R"
        for name in ("image", "mask", *patterns):
            if not is_finite(getattr(self, name)):
                raise UsageError(f"{name}: expected finite numbers, got NaN or infinity.")


@dataclass(frozen=True)
class State:
    """Where the loop stands after t steps."""

    vertices: Tensor  # [B, V, 3] m, neutral heads V_t
    texture: Tensor  # [B, 3, S, S] T_t
    trust: Tensor  # [B, 1, S, S] 0..1, how much of a seen texel is the photo itself
    vertex_features: Tensor  # [B, V, C] F_V
    latent: Tensor  # [B, latent width, G, G] F_a
    geometry_hidden: Tensor | None = None  # [B, V, h]; None before the first step stands for zeros
    texture_hidden: Tensor | None = None  # [B, h, G, G]; likewise
    ways: Tensor | None = None  # [B, V, 3, 3] projections onto where each vertex may go; None: anywhere

    def check(self, when: str) -> None:
        """Refuse values that are not finite, by name: they spread over the whole head in one step."""
        causes = ("vertex_features", "latent", "geometry_hidden", "texture_hidden", "trust", "texture", "vertices")
        for name in causes:  # what comes out of the others last
            value = getattr(self, name)
            if value is not None and not is_finite(value):
                named = name.replace("_", " ")
                raise UsageError(
                    f"{named} {when}: expected finite numbers, got NaN or infinity.",
                    "The network's weights are damaged or too large to compute with: fetch them again.",
                )


@dataclass(frozen=True)
class Observation:
    """The photo compared with the rendering of a state, carried to texels and vertices. Zero where nothing is seen."""

    reprojection: Tensor  # [B, 3, S, S] U_t
    texel_seen: Tensor  # [B, 1, S, S] 0..1
    texel_error: Tensor  # [B, E, G, G] F_d
    latent_seen: Tensor  # [B, 1, G, G] 0..1
    vertex_error: Tensor  # [B, V, E] F_d2v
    vertex_seen: Tensor  # [B, V, 1] 0..1
    vertex_borders: Tensor | None = None  # [B, V, BORDERS] see borders.py; where the preset looks at them
