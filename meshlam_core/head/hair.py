"""Hair as a hull: the bald head's own vertices, moved out to where the hair ends.

    hull = bald head + hidden ears laid flat + growth * direction

Every vertex that hair can move (scalp, ears, nape, the neck's sides, the skin next to the hair line) has one number,
its growth >= 0, and one fixed ray. A hairstyle is a vector of growths and, for each ear, how far it is hidden.
Rays of neighbours lead apart, so no growth folds the mesh. An ear that is seen keeps its shape and does not grow;
a hidden one is spread over its own root and then grows like scalp.

Frame: avatar frame (see frames.py), metres, neutral head. Pose and expression come after the hull.
Dims:  V head vertices, Q vertices that hair moves, M modes, E vertices of both ears with the skin around their roots,
       R vertices around those.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.files.npz import check_rows, checked_array, read_npz, readable, write_npz
from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

HAIR_BASIS = Path(__file__).resolve().parent.parent / "data" / "hair_basis.npz"
FORMAT = "meshlam-hair"
VERSION = 1
_ARRAYS: dict[str, tuple[str, type[np.generic], type[np.generic]]] = {  # shape, in memory, in the file
    "indices": ("Q", np.int32, np.int32),
    "directions": ("Q 3", np.float32, np.float32),
    "ear": ("Q", np.int8, np.int8),
    "reach": ("Q", np.float32, np.float16),
    "fade": ("Q", np.float32, np.float16),
    "mirror": ("Q", np.int32, np.int32),
    "mean": ("Q", np.float32, np.float16),
    "modes": ("M Q", np.float32, np.float16),
    "variance_kept": ("M", np.float32, np.float32),
    "patch": ("E", np.int32, np.int32),
    "patch_side": ("E", np.int8, np.int8),
    "around": ("R", np.int32, np.int32),
    "around_weights": ("E R", np.float32, np.float16),
    "bend": ("E 3", np.float32, np.float32),
}


@dataclass(frozen=True)
class HairModel:
    """Where hair can move a head, and how hairstyles vary. Immutable; one instance serves every head of the model."""

    indices: I32  # [Q] the head's vertices that hair moves, rising
    directions: F32  # [Q, 3] unit, along which each grows
    ear: NDArray[np.int8]  # [Q] 1: part of the left ear (+X), -1: of the right one, 0: neither
    reach: F32  # [Q] m, longest growth
    fade: F32  # [Q] 0..1; below 1 on the skin next to the hair line and at the neck, contained in reach
    mirror: I32  # [Q] row of the mirrored vertex
    mean: F32  # [Q] m, mean growth
    modes: F32  # [M, Q] m, growth at one standard deviation, strongest first
    variance_kept: F32  # [M] share of the styles' variance that this and all modes before it hold
    patch: I32  # [E] the head's vertices that an ear takes along when it is laid flat
    patch_side: NDArray[np.int8]  # [E] 1 left, -1 right
    around: I32  # [R] the head's vertices that hold the flat ears
    around_weights: F32  # [E, R] rows sum to 1: flat ear = weights @ head[around] + bend
    bend: F32  # [E, 3] m

    def growth(
        self,
        coefficients: NDArray[np.floating],  # [M] standard deviations
    ) -> F32:  # [Q] m
        """The growths of a point in the space of hairstyles, within what is possible."""
        grown = self.mean + np.tensordot(coefficients, self.modes[: len(coefficients)], axes=1)
        return np.asarray(grown.clip(0, self.reach), np.float32)

    def ear_displacement(
        self,
        bald: NDArray[np.floating],  # [V, 3] m
    ) -> NDArray[np.floating]:  # [E, 3] m
        """What lays both ears of a head wholly flat."""
        return np.asarray(self.around_weights @ bald[self.around] + self.bend - bald[self.patch])

    def growing(
        self,
        hidden_ears: tuple[float, float],  # left, right; 0 seen, 1 hidden
    ) -> F32:  # [Q] 0..1
        """The part of its growth that each vertex follows: an ear grows as far as it is hidden."""
        left, right = hidden_ears
        return np.where(self.ear > 0, left, np.where(self.ear < 0, right, 1.0)).astype(np.float32)

    def hull(
        self,
        bald: NDArray[np.floating],  # [V, 3] m, neutral head of any identity
        growth: NDArray[np.floating],  # [Q] m; taken as 0..reach
        hidden_ears: tuple[float, float] = (0.0, 0.0),  # left, right; 0 seen, 1 hidden, between while undecided
    ) -> F32:  # [V, 3] m
        """The head with its hair's outer surface. Without growth and with both ears seen it is the bald head."""
        left, right = hidden_ears
        result = np.array(bald, np.float32)
        hidden = np.where(self.patch_side > 0, left, right)
        result[self.patch] += hidden[:, None] * self.ear_displacement(bald)
        grown = self.growing(hidden_ears) * np.clip(growth, 0, self.reach)
        result[self.indices] += grown[:, None] * self.directions
        return result


def load_hair_model(
    head: HeadModel,
    path: Path | None = None,
) -> HairModel | None:
    """The hair of a head model, or None where there is none for it (FLAME): such heads stay bald."""
    path = HAIR_BASIS if path is None else path
    if not path.is_file():
        return None
    with readable(f"The hair basis {path}", "Run `meshlam assets verify`."):
        header, arrays = read_npz(path)
        made_for = (str(header["format"]), int(header["version"]), str(header["head"]), str(header["topology"]))
    if made_for[:2] != (FORMAT, VERSION):
        raise AssetError(f"Expected a {FORMAT} file of version {VERSION}, got {path}.")
    if made_for[2] != head.name:
        return None
    if made_for[3] != topology(head):
        raise AssetError(
            f"The hair basis {path} belongs to another topology of the head {head.name}.",
            "Rebuild it with `python -m training.hairstyles.build`.",
        )
    return _checked(arrays, len(head.template), str(path))


def save_hair_model(
    hair: HairModel,
    head: HeadModel,
    path: Path,
    metadata: Mapping[str, Any],
) -> None:
    """Write the npz with fixed time stamps and order, so that equal models give equal bytes."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "head": head.name,
        "topology": topology(head),
        "licence": "CC0-1.0",
        "metadata": dict(metadata),
    }
    arrays: dict[str, NDArray[Any]] = {"json": np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)}
    for name, (_, _, stored) in _ARRAYS.items():
        arrays[name] = getattr(hair, name).astype(stored)
    write_npz(path, arrays)


def topology(head: HeadModel) -> str:
    """A fingerprint of the triangles and the parts' borders that a hair basis is made for."""
    digest = hashlib.sha256(np.ascontiguousarray(head.faces, np.int32).tobytes())
    digest.update(np.ascontiguousarray(head.part, np.uint8).tobytes())
    return digest.hexdigest()


def _checked(arrays: Mapping[str, NDArray[Any]], vertices: int, label: str) -> HairModel:
    """Every array in its runtime type, with its shape and values checked."""
    sizes: dict[str, int] = {"3": 3}
    result: dict[str, NDArray[Any]] = {}
    for name, (shape, kind, _) in _ARRAYS.items():
        result[name] = checked_array(arrays, name, shape, kind, sizes, f"The hair basis {label}")
    limits = {"indices": vertices, "patch": vertices, "around": vertices, "mirror": sizes["Q"]}
    check_rows(result, limits, f"The hair basis {label}")
    return HairModel(**result)
