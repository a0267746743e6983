"""npz files of models: equal arrays give equal bytes, and what is read is checked before it is used."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.files.outputs import write_file

EPOCH = (1980, 1, 1, 0, 0, 0)  # the time stamp of every member


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]], packed: bool = True) -> None:
    """Write the arrays in their order, with fixed time stamps, whole or not at all."""
    content = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(content, "w", method, compresslevel=9) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name + ".npy", EPOCH), member.getvalue(), method, 9)
    write_file(path, content.getvalue())


@contextmanager
def readable(label: str, advice: str) -> Iterator[None]:
    """What goes wrong while a file of ours is opened and its header taken apart, as an AssetError in one sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise AssetError(f"{label} is not readable: {error}.", advice) from error


def check_members(path: Path) -> None:
    """ValueError where an array claims more numbers than its bytes hold: memory would be taken for them."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as stream:
                old = np.lib.format.read_magic(stream) == (1, 0)
                read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
                shape, _, kind = read(stream)
            if math.prod(shape) * kind.itemsize > member.file_size:
                raise ValueError(f"{member.filename} claims the shape {shape}, more than its bytes hold")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file; to be called within `readable`."""
    # a stream of our own: np.load leaves a damaged file open
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_npz(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:  # header, arrays
    """The header out of the member `json`, and all other arrays; to be called within `readable`."""
    arrays = read_arrays(path)
    return json.loads(arrays.pop("json").tobytes()), arrays


def checked_array(
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    shape: str,  # a letter or a number for each dimension, as in "V 3"
    kind: type[np.generic],
    sizes: dict[str, int],  # of the letters; grows by those first met here
    label: str,  # the file, as in "The head model a.npz"
) -> NDArray[Any]:
    """One array in its runtime type and read-only; AssetError where it is missing, misshapen or not finite."""
    if name not in arrays:
        raise AssetError(f"{label} lacks the array {name}.")
    array, letters = arrays[name], shape.split()
    if array.ndim != len(letters) or any(
        sizes.setdefault(letter, size) != size for letter, size in zip(letters, array.shape, strict=True)
    ):
        wanted = "x".join(str(sizes.get(letter, letter)) for letter in letters)
        raise AssetError(f"{label}: expected {name} as {wanted} ({shape}), got {array.shape}.")
    if np.issubdtype(kind, np.floating) != np.issubdtype(array.dtype, np.floating):
        raise AssetError(f"{label}: expected {name} as {np.dtype(kind)}, got {array.dtype}.")
    result = array.astype(kind)
    if not np.isfinite(result).all():
        raise AssetError(f"{label}: {name} has values that are not finite.")
    result.setflags(write=False)
    return result


def check_rows(
    arrays: Mapping[str, NDArray[Any]],
    limits: Mapping[str, int],  # by name, the number of entries that an array of indices points into
    label: str,
) -> None:
    """AssetError where an index points outside of what it indexes."""
    for name, limit in limits.items():
        array = arrays[name]
        if array.size and (array.min() < 0 or array.max() >= limit):
            raise AssetError(f"{label}: {name} points outside its {limit} entries.")
