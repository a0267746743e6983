"""What a training step compares with: views of the person other than the source photo, with what is known of them.

Frames and units: frames.py; colours sRGB 0..1.
Dims: B heads, N views a head, M = B * N views (head by head), J joints, K blendshapes, H image side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from meshlam_core.frames import Camera
from meshlam_core.model.parsing_head import CLASSES
from meshlam_core.model.render import View
from meshlam_core.model.state import Photo, Rig
from meshlam_core.raster.interpolate import interpolate
from meshlam_core.raster.normals import vertex_normals

UNKNOWN = 255  # a pixel whose class nobody knows


@dataclass(frozen=True)
class TargetViews:
    """Frames of the clip, or synthetic renderings, with their tracking."""

    image: Tensor  # [M, 3, H, H]
    mask: Tensor  # [M, 1, H, H] 0..1, the head
    normals: Tensor  # [M, 3, H, H] unit, view frame; zero where not known
    classes: Tensor  # [M, H, H] uint8 index into parsing_head.CLASSES, UNKNOWN where not known
    cameras: tuple[Camera, ...]  # M
    rotations: Tensor  # [M, J, 3] rad
    translation: Tensor  # [M, 3] m
    expression: Tensor  # [M, K]
    joints: Tensor  # [M, J, 3] m
    views: int  # N

    def to(self, device: torch.device | str) -> TargetViews:
        """The same views elsewhere."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if torch.is_tensor(value)}
        return replace(self, **moved)


Batch = TypeVar("Batch", Photo, TargetViews)


@dataclass(frozen=True)
class Sample:
    """A batch: sources, targets and, for synthetic heads, the truth."""

    photo: Photo
    targets: TargetViews
    vertices: Tensor | None  # [B, V, 3] m, true neutral heads
    texture: Tensor | None  # [B, 3, D, D], true textures

    def take(self, heads: Sequence[int]) -> Sample:
        """Some of the heads."""
        rows = [head * self.targets.views + i for head in heads for i in range(self.targets.views)]
        return Sample(
            _rows(self.photo, heads),
            _rows(self.targets, rows),
            None if self.vertices is None else self.vertices[list(heads)],
            None if self.texture is None else self.texture[list(heads)],
        )

    def shuffled(self, rng: np.random.Generator) -> Sample:
        """The views of each head in another order."""
        views = self.targets.views
        rows = [head * views + i for head in range(len(self.photo)) for i in rng.permutation(views).tolist()]
        return replace(self, targets=_rows(self.targets, rows))

    def tensors(self) -> list[Tensor]:
        """All of them."""
        values = (*vars(self.photo).values(), *vars(self.targets).values(), self.vertices, self.texture)
        return [value for value in values if torch.is_tensor(value)]


def joined(samples: Sequence[Sample]) -> Sample:
    """One batch of several with as many views of each head."""

    def truth(name: str) -> Tensor | None:
        values = [getattr(sample, name) for sample in samples]
        return None if any(value is None for value in values) else torch.cat(values)

    photos, targets = [sample.photo for sample in samples], [sample.targets for sample in samples]
    return Sample(_together(photos), _together(targets), truth("vertices"), truth("texture"))


def _together(batches: Sequence[Batch]) -> Batch:
    names = [name for name, value in vars(batches[0]).items() if torch.is_tensor(value)]
    changes: dict[str, Any] = {name: torch.cat([getattr(batch, name) for batch in batches]) for name in names}
    changes["cameras"] = tuple(camera for batch in batches for camera in batch.cameras)
    return replace(batches[0], **changes)


def _rows(batch: Batch, rows: Sequence[int]) -> Batch:
    changes: dict[str, Any] = {name: value[list(rows)] for name, value in vars(batch).items() if torch.is_tensor(value)}
    changes["cameras"] = tuple(batch.cameras[row] for row in rows)
    return replace(batch, **changes)


def view_normals(view: View, rig: Rig) -> Tensor:  # [M, 3, H, H] unit, view frame; zero beside the head
    """Smooth normals of the visible surface."""
    normals = interpolate(vertex_normals(view.vertices, rig.faces), rig.faces, view.fragments, view.bary)
    return torch.nn.functional.normalize(normals, dim=-1, eps=1e-6).permute(0, 3, 1, 2) * view.mask


def face_classes(rig: Rig) -> Tensor:  # [F] uint8 index into CLASSES, UNKNOWN for what parsers don't tell apart
    """The class of each triangle, from the parts of its corners; a triangle between two classes is unknown."""
    table = []
    for name in rig.parts:
        kind = "hair" if name in ("scalp", "hair") else "neck" if name == "neck" else "skin"
        table.append(CLASSES.index(kind))
    corners = torch.tensor(table, dtype=torch.uint8, device=rig.faces.device)[rig.part[rig.faces]]
    uniform = (corners == corners[:, :1]).all(1)
    return torch.where(uniform, corners[:, 0], torch.full_like(corners[:, 0], UNKNOWN))


def view_classes(
    face: Tensor,  # [M, h, h] int32 the triangle that each pixel shows, -1 beside the head
    classes: Tensor,  # [F] uint8 of the triangles
) -> Tensor:  # [M, h, h] uint8
    """The class that each pixel shows; background beside the head."""
    shown = classes.index_select(0, face.clamp_min(0).flatten()).view(face.shape)
    return shown * (face >= 0)
