"""Sequences of a head model's parameters: what trackers write is read, what is wrong is said in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender_addon.animation.parameters import ParameterError, Parameters, read_parameters, write_parameters


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_the_names_of_several_trackers_mean_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    expr, jaw, eyes, turn = (
        rng.normal(size=(4, 50)),
        rng.normal(size=(4, 3)),
        rng.normal(size=(4, 6)),
        rng.normal(size=3),
    )
    one = saved(tmp_path / "one.npz", expr=expr, jaw_pose=jaw, eyes_pose=eyes, rotation=turn)
    other = saved(tmp_path / "other.npz", expression=expr[:, None], jaw=jaw, eyes=eyes, global_orient=turn[None])
    for name, values in vars(read_parameters(one)).items():
        np.testing.assert_array_equal(getattr(read_parameters(other), name), values)
    found = read_parameters(one)
    assert found.rotation.shape == (4, 3)  # one frame's turn holds for all
    assert not found.translation.any()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    given = Parameters(*(rng.normal(size=(5, width)) for width in (8, 3, 3, 6, 3, 3)), shape=rng.normal(size=10))
    write_parameters(tmp_path / "out.npz", given, 25.0)
    found = read_parameters(tmp_path / "out.npz")
    for name, values in vars(given).items():
        np.testing.assert_allclose(getattr(found, name), values, atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"jaw_pose": np.zeros((4, 3))}, "holds no expr, the expressions of a head model; it has jaw_pose"),
        ({"expr": np.zeros((4, 50)), "jaw_pose": np.zeros((3, 3))}, r"different numbers of frames: \[3, 4\]"),
        ({"expr": np.zeros((4, 50)), "eyes_pose": np.zeros((4, 3))}, "expected eyes as 6 numbers a frame, got 3"),
        ({"expr": np.full((4, 50), np.nan)}, "expected expr as finite numbers"),
        ({"expr": np.array([{}], object)}, "is not a readable npz file"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=message):
        read_parameters(saved(tmp_path / "bad.npz", **arrays))


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(ParameterError, match="is not a readable npz file"):
        read_parameters(tmp_path / "bad.npz")
    with pytest.raises(ParameterError, match="is not a readable npz file"):
        read_parameters(tmp_path / "gone.npz")
