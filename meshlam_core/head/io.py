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

from meshlam_core.assets import home
from meshlam_core.errors import AssetError
from meshlam_core.files.npz import check_members, check_rows, checked_array, write_npz
from meshlam_core.head.convert import LICENCES, UNCONFIRMED, Converted, convert, digest_of, likely_licence, model_kind
from meshlam_core.head.correspondence import Correspondence
from meshlam_core.head.model import OPEN_HEAD, HeadModel, RawKeys

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
_OPTIONAL: dict[str, tuple[str, dict[str, tuple[str, type[np.generic], type[np.generic]]]]] = {
    "place_": (  # prefix: field of HeadModel; array: shape, in memory, in the file
        "correspondence",
        {
            "laid": ("O 3", np.float32, np.float32),
            "on_open": ("V 3", np.int32, np.int32),
            "on_open_bary": ("V 3", np.float32, np.float32),
            "on_model": ("O 3", np.int32, np.int32),
            "on_model_bary": ("O 3", np.float32, np.float32),
        },
    ),
    "raw_": (
        "raw",
        {"shapes": ("R V 3", np.float32, np.float32), "parameters": ("K P", np.float32, np.float32)},
    ),
}
EXACT = "exact."  # before the names of a distributed file's own arrays
CONVERSION = 3  # counts up when kept conversions have to be made again
_READ = {"json", "pose_correctives", *_ARRAYS, *(p + name for p, (_, shapes) in _OPTIONAL.items() for name in shapes)}


def load_head(path: Path | None = None) -> HeadModel:
    """The open head, or the head model of the given file: one of ours, or a distributed one (converted once, kept)."""
    path = OPEN_HEAD if path is None else Path(path)
    if path.suffix != ".pkl" and not path.is_dir():
        try:
            if path != OPEN_HEAD:
                check_members(path)
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                ours = "json" in archive.files
                arrays = {name: archive[name] for name in archive.files if name in _READ} if ours else {}
        except FileNotFoundError as error:
            raise AssetError(f"The head model {path} is missing.", "Run `meshlam assets verify`.") from error
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise AssetError(f"The head model {path} is not a readable npz file: {error}.") from error
        if ours:
            return head_from_arrays(arrays, str(path))
    return load_head(_kept_conversion(path))


def _kept_conversion(path: Path) -> Path:
    """Where the conversion of a distributed model is kept; made where it is not there yet."""
    if not path.exists():
        raise AssetError(f"The head model {path} is missing.", "Give the path of your copy.")
    kept = home() / "heads" / f"{digest_of(path)[:16]}-{CONVERSION}.npz"
    if not kept.is_file():
        licence = LICENCES[likely_licence(path, model_kind(path))].text + UNCONFIRMED
        converted = convert(path, load_head(), licence)
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_converted(converted, kept)
    return kept


def save_converted(converted: Converted, path: Path) -> None:
    """Write a converted model, with the arrays of the file it was made of."""
    exact = {EXACT + name: array for name, array in converted.exact.items()}
    save_head(converted.head, path, converted.metadata, exact)


def exact_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """What the distributed file of a converted model had; empty for the open head."""
    with np.load(path, allow_pickle=False) as archive:
        return {name.removeprefix(EXACT): archive[name] for name in archive.files if name.startswith(EXACT)}


def head_metadata(path: Path | None = None) -> dict[str, Any]:
    """What the builder recorded about itself: variance kept, embedding spread, sources, ..."""
    with np.load(OPEN_HEAD if path is None else path, allow_pickle=False) as archive:
        return dict(_decode(archive["json"], str(path)))


def save_head(
    head: HeadModel,
    path: Path,
    metadata: Mapping[str, Any],
    exact: Mapping[str, NDArray[Any]] | None = None,  # more arrays to keep as they are
) -> None:
    """Write the npz with fixed time stamps and order, so that equal heads give equal bytes."""
    text = {name: getattr(head, name) for name in _TEXT_FIELDS}
    if head.correspondence is not None:
        text["shares_layout"] = head.correspondence.shares_layout
    if head.raw is not None:
        text |= {"raw_names": head.raw.names, "raw_parameter_names": head.raw.parameter_names}
    header = {"format": FORMAT, "version": VERSION, **text, "metadata": dict(metadata)}
    arrays: dict[str, NDArray[Any]] = {
        "json": np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    }
    for name, (_, kind) in _ARRAYS.items():
        arrays[name] = getattr(head, name).astype(np.float16 if name in HALF_PRECISION else kind)
    if head.pose_correctives is not None:
        arrays["pose_correctives"] = head.pose_correctives.astype(np.float32)
    for prefix, (record, shapes) in _OPTIONAL.items():
        values = getattr(head, record)
        if values is not None:
            arrays |= {prefix + name: getattr(values, name).astype(stored) for name, (_, _, stored) in shapes.items()}
    # a converted model is large and read often: it is stored as it is
    write_npz(path, arrays | dict(exact or {}), packed=head.correspondence is None)


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
        correspondence=_correspondence(arrays, header, sizes, label),
        raw=_raw_keys(arrays, header, sizes, label),
        **checked,
    )


def _correspondence(
    arrays: Mapping[str, NDArray[Any]], header: dict[str, Any], sizes: dict[str, int], label: str
) -> Correspondence | None:
    found = _optional("place_", arrays, sizes, label)
    if found is None:
        return None
    limits = {"on_open": sizes["O"], "on_model": sizes["V"]}
    check_rows(found, limits, f"The head model {label}")
    return Correspondence(**found, shares_layout=bool(header.get("shares_layout", False)))


def _raw_keys(
    arrays: Mapping[str, NDArray[Any]], header: dict[str, Any], sizes: dict[str, int], label: str
) -> RawKeys | None:
    names, parameters = tuple(header.get("raw_names", ())), tuple(header.get("raw_parameter_names", ()))
    found = _optional("raw_", arrays, {**sizes, "R": len(names), "P": len(parameters)}, label)
    return None if found is None else RawKeys(names=names, parameter_names=parameters, **found)


def _optional(
    prefix: str, arrays: Mapping[str, NDArray[Any]], sizes: dict[str, int], label: str
) -> dict[str, NDArray[Any]] | None:
    """The arrays of an optional record, or None where the file has none of them."""
    shapes = _OPTIONAL[prefix][1]
    if not any(prefix + name in arrays for name in shapes):
        return None
    return {
        name: checked_array(arrays, prefix + name, shape, kind, sizes, f"The head model {label}")
        for name, (shape, kind, _) in shapes.items()
    }


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
