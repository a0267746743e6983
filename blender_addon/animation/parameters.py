"""Sequences of a head model's own parameters, as trackers of FLAME write them (.npz). Knows no Blender.

Arrays by name, T frames: expr [T, E], neck_pose, jaw_pose [T, 3], eyes_pose [T, 6] (left, right), rotation,
translation [T, 3], shape [N]; other programs' names for the same are known, and an array of one frame holds for all.
Rotations are axis-angles in radians relative to the parent joint, in the avatar frame's axes; translation in metres.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

MAX_UNPACKED = 1 << 28  # bytes
NAMES = {  # ours, and what other programs write
    "expression": ("expr", "expression", "exp", "expression_params"),
    "neck": ("neck_pose", "neck"),
    "jaw": ("jaw_pose", "jaw"),
    "eyes": ("eyes_pose", "eyes", "eye_pose"),
    "rotation": ("rotation", "global_orient", "global_pose", "rot"),
    "translation": ("translation", "transl", "trans"),
    "shape": ("shape", "betas", "shape_params"),
}
WIDTHS = {"neck": 3, "jaw": 3, "eyes": 6, "rotation": 3, "translation": 3}


class ParameterError(ValueError):
    """A file that cannot be used; one sentence for the user."""


@dataclass(frozen=True)
class Parameters:
    """What a head model does, frame by frame."""

    expression: F64  # [T, E]
    neck: F64  # [T, 3] rad
    jaw: F64  # [T, 3] rad
    eyes: F64  # [T, 6] rad, left and right
    rotation: F64  # [T, 3] rad, of the whole head
    translation: F64  # [T, 3] m
    shape: F64  # [N] of the person; empty where the file has none

    def __len__(self) -> int:
        return len(self.expression)


def read_parameters(path: Path) -> Parameters:
    """A sequence, or ParameterError with one sentence that says what is wrong."""
    arrays = _arrays(path)
    found = {ours: next((arrays[name] for name in names if name in arrays), None) for ours, names in NAMES.items()}
    if found["expression"] is None:
        known = ", ".join(sorted(arrays)[:5]) or "no arrays"
        raise ParameterError(f"{path.name} holds no expr, the expressions of a head model; it has {known}.")
    counts = {len(_rows(array)) for name, array in found.items() if array is not None and name != "shape"} - {1}
    if len(counts) > 1:
        raise ParameterError(f"{path.name}: its arrays have different numbers of frames: {sorted(counts)}.")
    frames = counts.pop() if counts else 1
    channels = {}
    for name in ("expression", *WIDTHS):
        array = found[name]
        rows = np.zeros((1, WIDTHS[name])) if array is None else _rows(array)
        if name in WIDTHS and rows.shape[1] != WIDTHS[name]:
            raise ParameterError(
                f"{path.name}: expected {name} as {WIDTHS[name]} numbers a frame, got {rows.shape[1]}."
            )
        channels[name] = np.broadcast_to(rows, (frames, rows.shape[1])).copy()
    shape = found["shape"]
    return Parameters(**channels, shape=np.zeros(0) if shape is None else _rows(shape)[0])


def write_parameters(path: Path, parameters: Parameters, rate: float) -> None:
    """The sequence under the first names, whole or not at all; `rate` in frames a second."""
    values = {NAMES[name][0]: getattr(parameters, name).astype(np.float32) for name in NAMES}
    packed = io.BytesIO()
    np.savez(packed, fps=np.float32(rate), **values)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(packed.getvalue())
    part.replace(path)


def _arrays(path: Path) -> dict[str, F64]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
                raise ParameterError(f"{path.name} would unpack to more than 256 MiB.")
        with np.load(path, allow_pickle=False) as archive:
            wanted = {name for names in NAMES.values() for name in names}
            arrays = {name: archive[name] for name in archive.files if name in wanted}
    except ParameterError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ParameterError(f"{path.name} is not a readable npz file ({error}).") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not array.size or not np.isfinite(array).all():
            raise ParameterError(f"{path.name}: expected {name} as finite numbers, got {array.dtype} {array.shape}.")
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def _rows(array: F64) -> F64:  # [E], [T, E] or [T, 1, E] -> [T, E]
    return array.reshape(1, -1) if array.ndim < 2 else array.reshape(len(array), -1)
