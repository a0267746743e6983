"""Read and write a HeadModel as a plain npz: no pickle, every array checked on reading.

Frame and units: frames.py; dims: model.py. Large arrays are stored as float16 and handed out as float32.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.files.npz import check_rows, checked_array, write_npz
from meshlam_core.head.flame import flame_from_arrays, is_flame, load_flame
from meshlam_core.head.model import OPEN_HEAD, HeadModel

FORMAT = "meshlam-head"
VERSION = 1
HALF_PRECISION = ("identity_basis", "blendshapes")
_TEXT_FIELDS = ("name", "licence", "parts", "blendshape_names", "blendshape_kind", "joint_names", "joint_parents")
_ARRAYS: dict[str, tuple[str, type[np.generic]]] = {
    "template": ("V 3", np.float32),
    "faces": ("F 3", np.int32),
    "uvs": ("U 2", np.float32),
    "uv_faces": ("F 3", np.int32),
    "part": ("V", np.uint8),
    "identity_basis": ("N V 3", np.float32),
    "blendshapes": ("K V 3", np.float32),
    "blendshape_ranges": ("K 2", np.float32),
    "joint_regressor": ("J V", np.float32),
    "weights": ("V J", np.float32),
    "landmark_faces": ("L", np.int32),
    "landmark_bary": ("L 3", np.float32),
    "landmark_weight": ("L", np.float32),
    "mirror": ("V", np.int32),
}


def load_head(path: Path | None = None) -> HeadModel:
    """The open head, or the head model of the given file: one of ours, or FLAME's .pkl or .npz."""
    path = OPEN_HEAD if path is None else Path(path)
    if path.suffix == ".pkl":
        return load_flame(path, embedded_by=load_head())
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise AssetError(f"The head model {path} is missing.", "Run `meshlam assets verify`.") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise AssetError(f"The head model {path} is not a readable npz file: {error}.") from error
    if is_flame(list(arrays)):
        return flame_from_arrays(arrays, path.name, embedded_by=load_head())
    return head_from_arrays(arrays, str(path))


def head_metadata(path: Path | None = None) -> dict[str, Any]:
    """What the builder recorded about itself: variance kept, embedding spread, sources, ..."""
    with np.load(OPEN_HEAD if path is None else path, allow_pickle=False) as archive:
        return dict(_decode(archive["json"], str(path)))


def save_head(
    head: HeadModel,
    path: Path,
    metadata: Mapping[str, Any],
) -> None:
    """Write the npz with fixed time stamps and order, so that equal heads give equal bytes."""
    text = {name: getattr(head, name) for name in _TEXT_FIELDS}
    header = {"format": FORMAT, "version": VERSION, **text, "metadata": dict(metadata)}
    arrays: dict[str, NDArray[Any]] = {
        "json": np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    }
    for name, (_, kind) in _ARRAYS.items():
        arrays[name] = getattr(head, name).astype(np.float16 if name in HALF_PRECISION else kind)
    if head.pose_correctives is not None:
        arrays["pose_correctives"] = head.pose_correctives.astype(np.float32)
    write_npz(path, arrays)


def head_from_arrays(arrays: Mapping[str, NDArray[Any]], label: str) -> HeadModel:
    """Build and check a HeadModel; `label` names the file in messages."""
    if "json" not in arrays:
        raise AssetError(f"The head model {label} has no header.", "Rebuild it or verify the assets.")
    header = _header(arrays["json"], label)
    sizes: dict[str, int] = {
        "K": len(header["blendshape_names"]),
        "J": len(header["joint_names"]),
        "3": 3,
        "2": 2,
    }
    checked: dict[str, NDArray[Any]] = {}
    for name, (shape, kind) in _ARRAYS.items():
        checked[name] = checked_array(arrays, name, shape, kind, sizes, f"The head model {label}")
    correctives = None
    if "pose_correctives" in arrays:
        sizes["36"] = 36
        correctives = checked_array(arrays, "pose_correctives", "36 V 3", np.float32, sizes, f"The head model {label}")
    _check_indices(checked, sizes, len(header["parts"]), label)
    parents = tuple(int(p) for p in header["joint_parents"])
    if len(parents) != sizes["J"] or parents[0] != -1 or any(not 0 <= p < i for i, p in enumerate(parents) if i):
        raise AssetError(f"The head model {label} has wrong joint parents {parents}.")
    return HeadModel(
        name=str(header["name"]),
        licence=str(header["licence"]),
        parts=tuple(header["parts"]),
        blendshape_names=tuple(header["blendshape_names"]),
        blendshape_kind=str(header["blendshape_kind"]),
        joint_names=tuple(header["joint_names"]),
        joint_parents=parents,
        pose_correctives=correctives,
        **checked,
    )


def _decode(raw: NDArray[Any], label: str) -> dict[str, Any]:
    return dict(_header(raw, label)["metadata"])


def _header(raw: NDArray[Any], label: str) -> dict[str, Any]:
    """The JSON header, with its format and version checked."""
    try:
        header = json.loads(raw.astype(np.uint8).tobytes())
    except (ValueError, UnicodeDecodeError) as error:
        raise AssetError(f"The head model {label} has an unreadable header.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("version") != VERSION:
        raise AssetError(f"Expected a {FORMAT} file of version {VERSION}, got {label}.")
    missing = [name for name in (*_TEXT_FIELDS, "metadata") if name not in header]
    if missing:
        raise AssetError(f"The head model {label} lacks {', '.join(missing)} in its header.")
    return header


def _check_indices(arrays: Mapping[str, NDArray[Any]], sizes: Mapping[str, int], parts: int, label: str) -> None:
    """Indices must point into what they index; weights and regressor rows must sum to one."""
    limits = {"faces": "V", "uv_faces": "U", "landmark_faces": "F", "mirror": "V"}
    check_rows(arrays, {name: sizes[letter] for name, letter in limits.items()}, f"The head model {label}")
    if arrays["part"].size and arrays["part"].max() >= parts:
        raise AssetError(f"The head model {label}: part points outside its {parts} names.")
    for name in ("weights", "joint_regressor", "landmark_bary"):
        if np.abs(arrays[name].sum(axis=-1) - 1).max(initial=0) > 1e-3:
            raise AssetError(f"The head model {label}: the rows of {name} do not sum to 1.")
