"""Files of distributed head models as tables of arrays: pickles through the restricted reader, or npz.

The files are the user's (https://flame.is.tue.mpg.de); none is shipped.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import AssetError, UnreadableInput
from meshlam_core.files.npz import check_members
from meshlam_core.head.array_pickle import RefusedPickle, read_array_pickle

Array = NDArray[Any]

MOST_BYTES = 1 << 30


def read_table(path: Path, what: str = "a FLAME model") -> dict[str, Array]:
    """The file's arrays by name, sparse and chumpy ones dense. `what` the file was taken for stands in messages."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UnreadableInput(f"{path.name} cannot be read as {what}: it has {size / 2**30:.1f} GiB, at most 1.")
        if zipfile.is_zipfile(path):
            return _read_npz(path)
        content = read_array_pickle(path.read_bytes())
    except FileNotFoundError as error:
        raise AssetError(f"The file {path} is missing; {what} was expected.", "Give the path of your copy.") from error
    except (RefusedPickle, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UnreadableInput(f"{path.name} cannot be read as {what}: {str(error).rstrip('.')}.") from error
    return {name: value for name, value in content.items() if isinstance(value, np.ndarray)}


def _read_npz(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as packed:
        if sum(member.file_size for member in packed.infolist()) > MOST_BYTES:
            raise ValueError("it unpacks to more than 1 GiB")
    check_members(path)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return {name: value for name, value in arrays.items() if value.dtype.kind in "fiubU"}
