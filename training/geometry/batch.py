"""Records as a batch on some vertices.

Frames and units: frames.py. Dims: B samples, n vertices, c channels and g side of the image features, R masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.model.borders import SIDE, border_fields
from meshlam_core.model.state import Photo
from training.data.record import Record
from training.geometry.subset import Subset

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class GeometryBatch:
    """What a step of stage G learns from."""

    subset: Subset
    features: Tensor  # [B, c, g, g] pooled backbone levels
    photo: Photo  # its vertices are the subset's starts; its image is not used
    normals: Tensor  # [B, n, 3] of the start in the photo, view frame
    seen: Tensor  # [B, n] 0..1
    truth: Tensor  # [B, n, 3] m

    def __len__(self) -> int:
        return len(self.features)


def make_batch(
    records: Sequence[Record],
    subset: Subset,
    joints: int,
) -> GeometryBatch:
    """Stack records on a subset of the vertices."""
    at = subset.vertices.numpy()

    def stacked(name: str, rows: bool = False) -> Tensor:
        values = [getattr(record, name)[at] if rows else getattr(record, name) for record in records]
        return torch.from_numpy(np.stack(values).astype(np.float32))

    rotations = torch.zeros(len(records), joints, 3)
    rotations[:, 0] = stacked("rotation")
    blank = torch.zeros(len(records), 1, 1, 1)
    photo = Photo(
        image=blank,
        mask=blank,
        cameras=tuple(record.camera for record in records),
        rotations=rotations,
        translation=stacked("translation"),
        expression=stacked("expression"),
        vertices=stacked("start", rows=True),
        joints=stacked("joints"),
        texture=blank,
        borders=border_fields(torch.from_numpy(np.stack([_masks(record) for record in records]))),
    )
    return GeometryBatch(
        subset,
        stacked("features"),
        photo,
        stacked("normals", rows=True) / 127,
        stacked("seen", rows=True),
        stacked("truth", rows=True),
    )


def _masks(record: Record) -> F32:  # [3, R, R]
    hair, person = (np.asarray(mask, np.float32) / np.float32(255) for mask in (record.hair, record.person))
    known = np.zeros((SIDE, SIDE), np.float32)
    known[: record.known[1], : record.known[0]] = 1
    return np.stack([hair, person, known])
