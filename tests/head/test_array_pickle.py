"""Pickles of arrays are read without trusting them: what would run code or eat memory is refused by name."""

from __future__ import annotations

import os
import pickle  # the tests write what the restricted reader must cope with
import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from meshlam_core.head.array_pickle import RefusedPickle, read_array_pickle


class Calls:
    """Pickles as a call of something."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def table(value: Any, protocol: int = 2) -> bytes:
    return pickle.dumps({"v_template": value}, protocol=protocol)


def by_hand(opcodes: bytes) -> bytes:
    """A table whose one entry these opcodes build."""
    return b"\x80\x02}U\nv_template" + opcodes + b"s."


def doubled(opcodes: bytes, last: bytes | None = None) -> bytes:
    """Sixty rounds of building something of two of what the round before has built."""
    numbers = [bytes([i]) for i in range(61)]
    return b"".join(opcodes % (a, a, b if last is None else last) for a, b in pairwise(numbers))


TOUCH = "__import__('pathlib').Path('harm').write_text('x')"
ATTACKS = {
    "os.system": (table(Calls(os.system, "touch harm")), "asks for posix.system|asks for nt.system"),
    "eval": (table(Calls(eval, TOUCH)), "asks for __builtin__.eval"),
    "exec of protocol 4": (table(Calls(exec, TOUCH), 4), "asks for builtins.exec"),
    "getattr": (table(Calls(getattr, "", "format")), "asks for __builtin__"),
    "numpy's own loader": (table(Calls(np.load, "x.npy", None, True)), r"asks for numpy\.load"),
    "nested in a list": (table([1, [Calls(eval, TOUCH)]]), "asks for __builtin__.eval"),
    "nested in an array": (table(np.array([Calls(eval, TOUCH)], object)), "asks for __builtin__.eval"),
    "as a name": (pickle.dumps({Calls(eval, "'v_template'"): 1}, 2), "asks for __builtin__.eval"),
    "a dotted name": (
        by_hand(b"\x8c\x15numpy.core.multiarray\x8c\x1c_reconstruct.__globals__.get\x93"),
        "asks for numpy.core.multiarray._reconstruct.",
    ),
    "a chumpy that is os": (by_hand(b"cchumpy.ch.os\nsystem;x\n"), "asks for chumpy.ch.os.system;x"),
    "the old INST opcode": (by_hand(b"(S'touch harm'\nios\nsystem\n"), "it uses INST"),
    "the old OBJ opcode": (by_hand(b"(cos\nsystem\nS'touch harm'\no"), "it uses OBJ"),
    "an extension code": (by_hand(b"\x82\x01"), "it uses EXT1"),
    "a persistent id": (by_hand(b"Pharm\n"), "it uses PERSID"),
    "state for a known function": (
        by_hand(b"c_codecs\nencode\nN}U\x0c__defaults__U\x05utf-8s\x86b"),
        "changes a function",
    ),
    "a call of a text": (by_hand(b"U\x02osU\x06system\x85R"), "cannot be read|not callable"),
    "memo far away": (by_hand(b"Nr\xff\xff\xff\x7f"), "it remembers entry 2147483647"),
    "a length beyond the file": (by_hand(b"\x8e" + struct.pack("<Q", 1 << 60) + b"x"), "no whole pickle"),
    "a name of tuples that double": (
        b"\x80\x02}K\x01q\x00" + doubled(b"h%bh%b\x86q%b") + b"Ns.",
        "nests the same tuples",
    ),
    "the same after marks": (b"\x80\x02}(K\x01q\x00" + doubled(b"0(h%bh%btq%b") + b"Nu.", "nests the same tuples"),
    "the same by memoize": (
        b"\x80\x04}K\x01\x94" + doubled(b"h%bh%b\x86\x94%b", b"") + b"Ns.",
        "nests the same tuples",
    ),
    "bytes of lists that double": (
        by_hand(b"c_codecs\nencode\n]q\x00" + doubled(b"0](h%bh%beq%b") + b"\x85R"),
        "expected the bytes of numbers, got list",
    ),
    "a shape of lists that double": (
        by_hand(
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01]q\x00"
            + doubled(b"0](h%bh%beq%b")
            + b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R\x89U\x08aaaaaaaatb"
        ),
        "a wrong shape list",
    ),
    "a chumpy that is itself": (by_hand(b"cchumpy.ch\nCh\n)\x81q\x00}U\x01xh\x00sb"), "is no array: maximum recursion"),
    "a text beyond the file": (by_hand(b"T\xff\xff\xff\x7fx"), "no whole pickle"),
}


@pytest.mark.parametrize(("attack", "message"), ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_refused_by_name_and_nothing_runs(
    attack: bytes, message: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedPickle, match=message):
        read_array_pickle(attack)
    assert not list(tmp_path.iterdir())
    good = read_array_pickle(pickle.dumps({"a": np.arange(3.0)}, 2))  # and the reader still works after it
    np.testing.assert_array_equal(good["a"], [0, 1, 2])


def test_an_array_larger_than_its_bytes_is_refused_before_it_is_made() -> None:
    honest = pickle.dumps({"v_template": np.zeros(3)}, protocol=2)
    claims = honest.replace(b"K\x03\x85", b"\x8a\x06\x00\x00\x00\x00\x00\x10\x85")
    assert claims != honest
    with pytest.raises(RefusedPickle, match="its entry 'v_template' is no array: a wrong shape"):
        read_array_pickle(claims)


def test_the_same_bytes_named_again_and_again_are_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshlam_core.head.array_pickle.MOST_BYTES", 5000)
    array = np.zeros(100)
    assert len(read_array_pickle(pickle.dumps({str(i): array for i in range(6)}, 2))) == 6
    with pytest.raises(RefusedPickle, match="its arrays are larger than 1 GiB together"):
        read_array_pickle(pickle.dumps({str(i): array for i in range(7)}, 2))
    text = b"U\xc8" + b"a" * 200 + b"q\x00"
    with pytest.raises(RefusedPickle, match="unpacks to more than 1 GiB"):
        read_array_pickle(by_hand(b"](" + text + b"c_codecs\nencode\nq\x01" + b"h\x01h\x00\x85R" * 30 + b"e"))


def test_arrays_of_objects_are_no_numbers() -> None:
    with pytest.raises(RefusedPickle, match="'v_template' is no array: expected the bytes of numbers, got list"):
        read_array_pickle(table(np.array([None, "a"], object)))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_come_back_equal(protocol: int) -> None:
    given = {
        "float": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big endian": np.arange(4, dtype=">i4"),
        "empty": np.zeros((0, 3), np.float32),
        "number": np.float64(2.5),
    }
    found = read_array_pickle(pickle.dumps({**given, "style": "lbs"}, protocol))
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array)
    assert found["style"] == "lbs"


def test_sparse_matrices_come_back_dense() -> None:
    dense = np.array([[0, 2.0, 0], [1, 0, 3]])
    found = read_array_pickle(pickle.dumps({"csc": sp.csc_matrix(dense), "csr": sp.csr_matrix(dense)}, 2))
    np.testing.assert_array_equal(found["csc"], dense)
    np.testing.assert_array_equal(found["csr"], dense)


def test_a_sparse_matrix_that_points_outside_itself_is_refused() -> None:
    matrix = sp.csc_matrix(np.eye(3))
    matrix.indices[1] = 2_000_000
    with pytest.raises(RefusedPickle, match="inconsistent sparse matrix 3x3"):
        read_array_pickle(pickle.dumps({"J_regressor": matrix}, 2))


def test_what_chumpy_would_compute_is_refused() -> None:
    raw = b"\x80\x02}U\nv_templatecchumpy.reordering\nSelect\n)\x81}U\x01aK\x01sbs."
    with pytest.raises(RefusedPickle, match="chumpy would compute it"):
        read_array_pickle(raw)


def test_a_newer_protocol_and_a_cut_file_say_so() -> None:
    whole = table(np.zeros(100))
    with pytest.raises(RefusedPickle, match="expected a pickle protocol up to 5, got 255"):
        read_array_pickle(b"\x80\xff" + whole[2:])
    for length in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        with pytest.raises(RefusedPickle, match="no whole pickle"):
            read_array_pickle(whole[:length])
