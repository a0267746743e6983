"""Read a pickle of arrays without trusting it: nothing of the file is called, imported or executed.

Head models are distributed as pickles of numpy arrays, scipy sparse matrices and chumpy arrays (which Python 2 wrote).
Two locks stand before them. First the opcodes are listed: only those that build plain data pass, every length must
lie inside the file, memo numbers may not ask for more memory than the file has opcodes, and tuples may not repeat each
other until none could look at all of them (a dictionary that hashes its names would). Then the unpickler runs
with a table of the few known names, and each of them is a record of this module that keeps what it is given. Arrays
are made of the records afterwards, with shape, type and length checked against the bytes that are there.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_OPCODES = 5_000_000
MOST_NUMBERS = 500_000_000  # of one array, however sparse
MOST_BYTES = 1 << 30  # of all arrays together: a file can name the same bytes again and again
MOST_IN_TUPLE = 100_000  # entries, tuples within it counted as often as they stand there
NEWEST_PROTOCOL = 5
_DTYPE = re.compile(r"[fiub][1248]\Z")
_PLAIN_DATA = """
    PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8
    BYTEARRAY8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS
    GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE NEWOBJ BUILD
"""  # opcodes


class RefusedPickle(ValueError):
    """The file holds something else than arrays; the message says what, as the end of a sentence."""


def read_array_pickle(data: bytes) -> dict[str, Array | str]:
    """The arrays and texts of a pickled table by name; what else it holds is left out. RefusedPickle says why not."""
    _check_opcodes(data)
    try:
        content = _RecordsOnly(data).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise RefusedPickle(str(error)) from error
    if not isinstance(content, dict):
        raise RefusedPickle(f"expected a table of arrays, got {type(content).__name__}")
    found: dict[str, Array | str] = {}
    total = 0
    for name, value in content.items():
        if not isinstance(name, str):
            continue
        try:
            plain = _plain(value)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            raise RefusedPickle(f"its entry {name[:40]!r} is no array: {error}") from error
        if isinstance(plain, np.ndarray):
            total += plain.nbytes
        if total > MOST_BYTES:
            raise RefusedPickle("its arrays are larger than 1 GiB together")
        if plain is not None:
            found[name] = plain
    return found


def _check_opcodes(data: bytes) -> None:
    """The first lock: plain data, whole, and no number that would make the unpickler reserve memory."""
    allowed = set(_PLAIN_DATA.split())
    memo = count = 0
    last = ""
    tuples = _TupleSizes()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            count, last = count + 1, opcode.name
            if last not in allowed:
                raise RefusedPickle(f"it uses {last}, which no table of arrays needs")
            if last == "PROTO" and int(argument or 0) > NEWEST_PROTOCOL:
                raise RefusedPickle(f"expected a pickle protocol up to {NEWEST_PROTOCOL}, got {argument}")
            if last in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo = max(memo, int(argument or 0))
            if tuples.after(opcode, argument) > MOST_IN_TUPLE:
                raise RefusedPickle("it nests the same tuples in each other, as no table of arrays does")
            if count > MOST_OPCODES:
                raise RefusedPickle(f"it has more than {MOST_OPCODES} entries")
    except RefusedPickle:
        raise
    except (ValueError, OverflowError, UnicodeError) as error:
        raise RefusedPickle(f"it is no whole pickle ({str(error)[:90]})") from error
    if last != "STOP":
        raise RefusedPickle("it is no whole pickle (its end is missing)")
    if memo > count:
        raise RefusedPickle(f"it remembers entry {memo} of {count}")


class _TupleSizes:
    """How many entries tuples have, all the way down; whatever else the unpickler's stack holds counts as one."""

    def __init__(self) -> None:
        self.stack: list[int] = []
        self.memo: dict[int, int] = {}

    def after(self, opcode: pickletools.OpcodeInfo, argument: Any) -> int:
        """What is on top after one more opcode."""
        name, stack = opcode.name, self.stack
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else int(argument)] = stack[-1] if stack else 1
            return 1
        if name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo.get(int(argument), 1))
            return 1
        taken = 0
        if pickletools.markobject in opcode.stack_before:
            while stack and (top := stack.pop()) != _MARK:
                taken += top
            fixed = opcode.stack_before.index(pickletools.markobject)
        else:
            fixed = len(opcode.stack_before)
        for _ in range(min(fixed, len(stack))):
            taken += stack.pop()
        if name == "MARK":
            stack.append(_MARK)
        else:
            stack += [1 + taken if "TUPLE" in name else 1] * len(opcode.stack_after)
        return stack[-1] if stack else 1


_MARK = 0  # on that stack


class _Record:
    """Stands in for an object of the file and keeps its state."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _TypeRecord(_Record):
    """numpy.dtype."""

    def dtype(self) -> np.dtype[Any]:
        code = self.arguments[0] if self.arguments else None
        if not (isinstance(code, str) and _DTYPE.match(code)):
            raise ValueError(f"expected numbers, got the type {_shown(code)[:20]!r}")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        return np.dtype((order if order in ("<", ">") else "=") + code)


class _ArrayRecord(_Record):
    """numpy.ndarray, rebuilt from its state or from a buffer."""

    def array(self) -> Array:
        if not (isinstance(self.state, tuple) and len(self.state) == 5):
            raise ValueError("an array without content")
        _, shape, kind, fortran, raw = self.state
        return array_of(raw, kind, shape, "F" if fortran else "C")


class _BufferRecord(_Record):
    """An array of pickle protocol 5."""

    def array(self) -> Array:
        raw, kind, shape, order = self.arguments
        return array_of(raw, kind, shape, "F" if order == "F" else "C")


class _ScalarRecord(_Record):
    """A number of numpy's."""

    def array(self) -> Array:
        kind, raw = self.arguments
        return array_of(raw, kind, (), "C")


class _SparseRecord(_Record):
    """A scipy csc matrix."""

    by_column = True

    def array(self) -> Array:
        data, indices, indptr = (_number_array(self.state[key]) for key in ("data", "indices", "indptr"))
        rows, columns = (int(n) for n in self.state["_shape"])
        major, minor = (columns, rows) if self.by_column else (rows, columns)
        steps = np.diff(indptr)
        fits = len(indptr) == major + 1 and len(data) == len(indices) == int(steps.sum()) and (steps >= 0).all()
        inside = not len(indices) or (indices.min() >= 0 and indices.max() < minor)
        if not (fits and inside and 0 < rows * columns <= MOST_NUMBERS // 10):
            raise ValueError(f"an inconsistent sparse matrix {rows}x{columns}")
        result = np.zeros((rows, columns))
        outer = np.repeat(np.arange(major), steps)
        np.add.at(result, (indices, outer) if self.by_column else (outer, indices), data)
        return result


class _RowSparseRecord(_SparseRecord):
    """A scipy csr matrix."""

    by_column = False


class _ChumpyRecord(_Record):
    """chumpy's array; what chumpy would compute from others is refused."""

    def array(self) -> Array:
        if not (isinstance(self.state, dict) and "x" in self.state):
            raise ValueError("chumpy would compute it; expected a stored array")
        return _number_array(self.state["x"])


class _Function:
    """A known function of pickles. It has no attributes that a file could replace."""

    __slots__ = ("_call",)
    _call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


def _rebuilt(kind: Any, *_arguments: Any) -> Any:
    """copy_reg._reconstructor and numpy's _reconstruct, for records only."""
    if not (isinstance(kind, type) and issubclass(kind, _Record)):
        raise pickle.UnpicklingError("it rebuilds something else than an array")
    return kind()


def _shown(value: Any) -> str:
    """A value in a message; of nested ones only the kind, since a file can nest more than fits into memory."""
    numbers = isinstance(value, tuple) and len(value) <= 8 and all(type(item) is int for item in value)
    return str(value)[:60] if numbers or isinstance(value, str | int) else type(value).__name__


def array_of(raw: Any, kind: Any, shape: Any, order: str) -> Array:
    """An array of the bytes that are there: the shape must fit them."""
    if not isinstance(kind, _TypeRecord):
        raise ValueError("an array without a type")
    content = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(content, bytes | bytearray):
        raise ValueError(f"expected the bytes of numbers, got {type(raw).__name__}")
    dtype = kind.dtype()
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if len(sizes) > 8 or not all(isinstance(size, int) and 0 <= size <= MOST_NUMBERS for size in sizes):
        raise ValueError(f"a wrong shape {_shown(shape)}")
    if math.prod(sizes) * dtype.itemsize != len(content):
        raise ValueError(f"{len(content)} bytes for the shape {_shown(shape)} of {dtype}")
    return np.frombuffer(content, dtype).reshape(sizes, order="F" if order == "F" else "C")


_REBUILD, _SCALAR, _BUFFER = _Function(_rebuilt), _ScalarRecord, _BufferRecord
_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ArrayRecord,
    ("numpy", "dtype"): _TypeRecord,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _REBUILD for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _BUFFER for core in ("core", "_core")},
    **{(name, "_reconstructor"): _REBUILD for name in ("copy_reg", "copyreg")},
    **{(name, "bytes"): _Function(lambda: b"") for name in ("__builtin__", "builtins")},  # of empty arrays
    **{(name, "object"): _Record for name in ("__builtin__", "builtins")},
    **{(f"scipy.sparse.{name}", "csc_matrix"): _SparseRecord for name in ("csc", "_csc")},
    **{(f"scipy.sparse.{name}", "csr_matrix"): _RowSparseRecord for name in ("csr", "_csr")},
    ("scipy.sparse._csc", "csc_array"): _SparseRecord,
    ("scipy.sparse._csr", "csr_array"): _RowSparseRecord,
    ("chumpy.ch", "Ch"): _ChumpyRecord,
}


class _RecordsOnly(pickle.Unpickler):
    """The second lock: a name that is not in the table is refused."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._left = MOST_BYTES

    def encoded(self, text: Any, _encoding: Any = "latin1") -> bytes:
        """_codecs.encode as Python 3 writes raw bytes for Python 2."""
        if not isinstance(text, str):
            raise pickle.UnpicklingError(f"expected the bytes of numbers, got {type(text).__name__}")
        self._left -= len(text)
        if self._left < 0:
            raise pickle.UnpicklingError("it unpacks to more than 1 GiB")
        return text.encode("latin1")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _Function(self.encoded)
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module.startswith("chumpy.") and module.replace(".", "").isidentifier() and name.isidentifier():
            return _ChumpyRecord  # the file may hold what no reader looks at
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no head model needs")


def _number_array(value: Any) -> Array:
    found = _plain(value)
    if not isinstance(found, np.ndarray):
        raise ValueError(f"expected numbers, got {type(value).__name__}")
    return found


def _plain(value: Any) -> Array | str | None:
    """An array of numbers or a text, or None for whatever else the file holds."""
    if isinstance(value, _ArrayRecord | _BufferRecord | _ScalarRecord | _SparseRecord | _ChumpyRecord):
        return value.array()
    if isinstance(value, list) and value and all(type(number) in (int, float) for number in value):
        return np.array(value)
    return value if isinstance(value, str) else None
