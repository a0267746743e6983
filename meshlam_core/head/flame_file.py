"""Read FLAME's model file without trusting it: a pickle that may only build arrays, or an npz of the same names.

The file is the user's (https://flame.is.tue.mpg.de); none is shipped. FLAME's pickles hold numpy arrays, one scipy
sparse matrix and, in older releases, chumpy arrays. The unpickler knows these and nothing else, and builds the last
two as plain records, so that neither scipy nor chumpy is needed.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import AssetError, UnreadableInput

Array = NDArray[Any]


class _Record:
    """Stands in for an object whose state is a dictionary; it runs no code of the original class."""

    def __init__(self, *_arguments: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.state = state


class _SparseRecord(_Record):
    """A scipy csc or csr matrix."""

    by_column = True

    def dense(self) -> Array:
        data, indices, indptr = (np.asarray(self.state[key]) for key in ("data", "indices", "indptr"))
        rows, columns = (int(n) for n in self.state["_shape"])
        major = columns if self.by_column else rows
        if rows * columns > 10_000_000 or len(indptr) != major + 1:
            raise ValueError("its sparse matrix is too large or inconsistent")
        result = np.zeros((rows, columns))
        outer = np.repeat(np.arange(major), np.diff(indptr))
        result[(indices, outer) if self.by_column else (outer, indices)] = data
        return result


class _CsrRecord(_SparseRecord):
    by_column = False


def _rebuilt(kind: Any, _base: Any, _state: Any) -> Any:
    """copy_reg._reconstructor of old pickles, for records only."""
    if not (isinstance(kind, type) and issubclass(kind, _Record)):
        raise pickle.UnpicklingError("only arrays may be rebuilt")
    return kind()


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """_codecs.encode as numpy's pickles use it for raw bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"unexpected encoding {encoding}")
    return text.encode("latin1")


_NUMPY_REBUILD = np.ndarray(0).__reduce__()[0]  # numpy's own array rebuilder, wherever this version keeps it
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _NUMPY_REBUILD,
    ("numpy._core.multiarray", "_reconstruct"): _NUMPY_REBUILD,
    ("numpy.core.multiarray", "scalar"): _NUMPY_SCALAR,
    ("numpy._core.multiarray", "scalar"): _NUMPY_SCALAR,
    ("_codecs", "encode"): _encoded,
    ("copy_reg", "_reconstructor"): _rebuilt,
    ("copyreg", "_reconstructor"): _rebuilt,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("scipy.sparse.csc", "csc_matrix"): _SparseRecord,
    ("scipy.sparse._csc", "csc_matrix"): _SparseRecord,
    ("scipy.sparse._csc", "csc_array"): _SparseRecord,
    ("scipy.sparse.csr", "csr_matrix"): _CsrRecord,
    ("scipy.sparse._csr", "csr_matrix"): _CsrRecord,
    ("scipy.sparse._csr", "csr_array"): _CsrRecord,
    ("chumpy.ch", "Ch"): _Record,
}


class _ArraysOnly(pickle.Unpickler):
    """Refuses every name that is not in the list above."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no head model needs") from None


def read_flame_arrays(path: Path) -> dict[str, Array]:
    """The file's arrays by name; sparse and chumpy ones as plain dense arrays."""
    try:
        if zipfile.is_zipfile(path):
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        with path.open("rb") as stream:
            content = _ArraysOnly(stream, encoding="latin1").load()
    except FileNotFoundError as error:
        raise AssetError(f"The head model {path} is missing.", "Give the path of FLAME's .pkl or .npz file.") from error
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise UnreadableInput(f"{path.name} cannot be read as a FLAME model: {error}.") from error
    if not isinstance(content, dict):
        raise UnreadableInput(f"{path.name} cannot be read as a FLAME model: expected a table of arrays.")
    try:
        return {str(name): plain for name, value in content.items() if (plain := _plain(value)) is not None}
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise UnreadableInput(f"{path.name} cannot be read as a FLAME model: {error}.") from error


def _plain(value: Any) -> Array | None:
    """An array of numbers, or None for whatever else the file holds."""
    if isinstance(value, _SparseRecord):
        return value.dense()
    if isinstance(value, _Record):
        value = value.state.get("x")
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return value
    return None
