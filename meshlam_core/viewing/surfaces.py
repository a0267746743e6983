"""Textured triangles from elsewhere, to be covered with Gaussians: how the add-on hands over a head as it stands there.

An npz file of the arrays vertices [V, 3] float32 (m, avatar frame), faces [F, 3] int32, uvs [F, 3, 2] float32 (a corner
each), image [F] int32 (the number of a picture), and image_0, image_1, ... [h, w, 3] uint8 sRGB.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.errors import UnreadableInput
from meshlam_core.files.npz import read_arrays
from meshlam_core.head.surface import triangle_areas
from meshlam_core.raster.render import MeshRenderer
from meshlam_core.viewing.gaussians import Gaussians, cover

_SHAPES: dict[str, tuple[tuple[int, ...], Any]] = {
    "vertices": ((3,), np.float32),
    "faces": ((3,), np.int32),
    "uvs": ((3, 2), np.float32),
    "image": ((), np.int32),
}


def read_surfaces(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file, checked; UnreadableInput says in one sentence what is wrong with it."""
    try:
        arrays = read_arrays(path)
    except Exception as error:  # whatever zip and numpy find
        raise UnreadableInput(
            f"{path.name} is no file of surfaces: {error}.", "Export it again from Blender."
        ) from error
    for name, (shape, kind) in _SHAPES.items():
        array = arrays.get(name)
        if array is None or array.shape[1:] != shape or array.dtype != kind or not len(array):
            got = "nothing" if array is None else f"{array.shape} {array.dtype}"
            raise UnreadableInput(f"{path.name}: expected {name} as rows of {shape} {kind.__name__}, got {got}.")
    pictures = [arrays.get(f"image_{number}") for number in range(int(arrays["image"].max()) + 1)]
    usable = all(p is not None and p.ndim == 3 and p.shape[2] == 3 and p.dtype == np.uint8 and p.size for p in pictures)
    rows = len(arrays["faces"]) == len(arrays["uvs"]) == len(arrays["image"]) and arrays["image"].min() >= 0
    inside = arrays["faces"].min() >= 0 and arrays["faces"].max() < len(arrays["vertices"])
    finite = all(np.isfinite(arrays[name]).all() for name in ("vertices", "uvs"))
    if not (usable and rows and inside and finite):
        raise UnreadableInput(f"{path.name}: its triangles, corners and pictures do not fit together.")
    return arrays


def cover_surfaces(arrays: dict[str, NDArray[Any]], count: int, device: str = "cpu") -> Gaussians:
    """`count` Gaussians, shared out among the pictures by the area that shows them; bound to the file's triangles."""
    vertices = torch.from_numpy(arrays["vertices"]).to(device)
    area = triangle_areas(arrays["vertices"].astype(np.float64)[arrays["faces"]])
    along = np.cumsum(np.bincount(arrays["image"], area))
    shares = np.diff(np.rint(count * along / along[-1]).astype(int), prepend=0)
    parts = []
    for number, share in enumerate(shares):
        if share == 0:
            continue
        own = np.flatnonzero(arrays["image"] == number)
        faces, uvs = (torch.from_numpy(arrays[name][own]).to(device) for name in ("faces", "uvs"))
        uv_faces = torch.arange(3 * len(own), device=device).reshape(-1, 3)
        light = torch.ones(len(vertices), device=device)
        mesh = MeshRenderer(faces, uvs.reshape(-1, 2), uv_faces, arrays[f"image_{number}"], light)
        part = cover(mesh, vertices, int(share))
        part.triangles[:] = own[part.triangles]
        parts.append(part)
    return Gaussians(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Gaussians)})
