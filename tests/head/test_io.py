"""Reading and writing head models: what was written comes back, what is damaged is named."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshlam_core.errors import AssetError
from meshlam_core.head.io import head_from_arrays, head_metadata, load_head, save_head
from meshlam_core.head.model import HeadModel


@pytest.fixture
def small_arrays() -> dict[str, Any]:
    """A head of four vertices, as the arrays of its file."""
    header = {
        "format": "meshlam-head", "version": 1, "name": "tiny", "licence": "CC0-1.0", "parts": ["face"],
        "blendshape_names": ["jawOpen"], "blendshape_kind": "arkit", "joint_names": ["root", "neck"],
        "joint_parents": [-1, 0], "metadata": {},
    }  # fmt: skip
    return {
        "json": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "template": np.eye(4, 3, dtype=np.float32),
        "faces": np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        "uvs": np.eye(4, 2, dtype=np.float32),
        "uv_faces": np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        "part": np.zeros(4, np.uint8),
        "identity_basis": np.zeros((3, 4, 3), np.float16),
        "blendshapes": np.zeros((1, 4, 3), np.float16),
        "blendshape_ranges": np.array([[0, 1]], np.float32),
        "joint_regressor": np.full((2, 4), 0.25, np.float32),
        "weights": np.full((4, 2), 0.5, np.float32),
        "landmark_faces": np.array([1], np.int32),
        "landmark_bary": np.array([[0.5, 0.25, 0.25]], np.float32),
        "landmark_weight": np.ones(1, np.float32),
        "mirror": np.arange(4, dtype=np.int32),
    }


def changed_header(arrays: dict[str, Any], **changes: Any) -> dict[str, Any]:
    header = {**json.loads(arrays["json"].tobytes()), **changes}
    return {**arrays, "json": np.frombuffer(json.dumps(header).encode(), np.uint8)}


def test_a_saved_head_comes_back_the_same(head: HeadModel, tmp_path: Path) -> None:
    save_head(head, tmp_path / "copy.npz", {"note": "kept"})
    again = load_head(tmp_path / "copy.npz")
    for name, value in vars(head).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
            assert getattr(again, name).dtype == value.dtype
        else:
            assert getattr(again, name) == value, name
    assert head_metadata(tmp_path / "copy.npz") == {"note": "kept"}


def test_saving_twice_gives_the_same_bytes(small_arrays: dict[str, Any], tmp_path: Path) -> None:
    head = head_from_arrays(small_arrays, "tiny")
    for name in ("one.npz", "two.npz"):
        save_head(head, tmp_path / name, {"b": 1, "a": 2})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_loaded_head_cannot_be_changed_by_accident(head: HeadModel) -> None:
    with pytest.raises(ValueError, match="read-only"):
        head.template[0, 0] = 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("template", np.zeros((4, 2), np.float32), r"expected template as 4x3 \(V 3\), got \(4, 2\)"),
        ("weights", np.full((3, 2), 0.5, np.float32), r"expected weights as 4x2"),
        ("weights", np.full((4, 2), 0.3, np.float32), "rows of weights do not sum to 1"),
        ("joint_regressor", np.zeros((2, 4), np.float32), "rows of joint_regressor do not sum to 1"),
        ("faces", np.array([[0, 1, 2], [0, 2, 4]], np.int32), "faces points outside its 4 entries"),
        ("uv_faces", np.array([[0, 1, 2], [0, 2, -1]], np.int32), "uv_faces points outside its 4 entries"),
        ("landmark_faces", np.array([2], np.int32), "landmark_faces points outside its 2 entries"),
        ("part", np.ones(4, np.uint8), "part points outside its 1 names"),
        ("identity_basis", np.full((3, 4, 3), np.nan, np.float16), "identity_basis has values that are not finite"),
        ("template", np.zeros((4, 3), np.int32), "expected template as float32, got int32"),
        ("mirror", None, "lacks the array mirror"),
        ("json", None, "has no header"),
        ("json", np.frombuffer(b"\xff{", np.uint8), "unreadable header"),
    ],
)
def test_a_damaged_array_is_named(small_arrays: dict[str, Any], name: str, value: Any, message: str) -> None:
    small_arrays[name] = value
    if value is None:
        del small_arrays[name]
    with pytest.raises(AssetError, match=message):
        head_from_arrays(small_arrays, "tiny.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "Expected a meshlam-head file of version 1"),
        ({"joint_parents": [0, -1]}, "wrong joint parents"),
        ({"joint_parents": [-1]}, "wrong joint parents"),
        ({"blendshape_names": []}, "blendshapes as 0xVx3|blendshapes as 0x4x3"),
    ],
)
def test_a_damaged_header_is_named(small_arrays: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssetError, match=message):
        head_from_arrays(changed_header(small_arrays, **changes), "tiny.npz")


def test_a_missing_truncated_or_foreign_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="is missing"):
        load_head(tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(AssetError, match="not a readable npz"):
        load_head(tmp_path / "text.npz")
    save_head(load_head(), tmp_path / "whole.npz", {})
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-2000])
    with pytest.raises(AssetError, match="not a readable npz"):
        load_head(tmp_path / "cut.npz")


def test_a_file_with_python_objects_inside_is_refused(small_arrays: dict[str, Any], tmp_path: Path) -> None:
    small_arrays["template"] = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "objects.npz", **small_arrays)
    with pytest.raises(AssetError, match="not a readable npz"):
        load_head(tmp_path / "objects.npz")
