"""FLAME files: a stand-in of the same format loads, a harmful or damaged one is refused."""

from __future__ import annotations

import pickle  # the tests write what the restricted reader must cope with
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from meshlam_core.errors import AssetError, UnreadableInput
from meshlam_core.head.flame import flame_from_arrays, load_flame
from meshlam_core.head.flame_file import read_flame_arrays
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel


@pytest.fixture(scope="module")
def open_head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def stand_in(open_head: HeadModel) -> dict[str, Any]:
    """The open head in FLAME's format: other topology order, other place, 400 directions."""
    rng = np.random.default_rng(7)
    count = len(open_head.template)
    order = rng.permutation(count)
    place = np.argsort(order)
    directions = np.zeros((count, 3, 400))
    directions[:, :, :40] = np.moveaxis(open_head.identity_basis[:40], 0, 2)[order]
    directions[:, :, 300:352] = np.moveaxis(open_head.blendshapes, 0, 2)[order]
    return {
        "v_template": 1.05
        * open_head.shaped(rng.normal(0, 0.4, len(open_head.identity_basis)).astype(np.float32))[order]
        + [0, 0.1, 0.03],
        "f": place[open_head.faces].astype(np.uint32),
        "shapedirs": directions,
        "posedirs": rng.normal(0, 1e-4, (count, 3, 36)),
        "J_regressor": sp.csc_matrix(open_head.joint_regressor[:, order].astype(np.float64)),
        "weights": open_head.weights[order].astype(np.float64),
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "bs_style": "lbs",
    }


@pytest.fixture(scope="module")
def flame_pickle(stand_in: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flame") / "flame2023_Open.pkl"
    path.write_bytes(pickle.dumps(stand_in, protocol=2))
    return path


def test_a_pickle_of_flames_format_becomes_a_head_model_with_its_root_at_the_origin(flame_pickle: Path) -> None:
    head = load_flame(flame_pickle, identity_modes=30, expression_modes=20)
    assert (len(head.identity_basis), len(head.blendshapes), len(head.joint_names)) == (30, 20, 5)
    assert head.blendshape_kind == "flame"
    assert head.licence.startswith("CC-BY-4.0")
    np.testing.assert_array_equal(head.blendshape_ranges, np.tile([-3, 3], (20, 1)))
    assert head.pose_correctives is not None
    assert head.pose_correctives.shape == (36, len(head.template), 3)
    for seed in range(3):
        shape = head.shaped(np.random.default_rng(seed).normal(size=30).astype(np.float32))
        assert np.abs(head.joints(shape)[0]).max() < 1e-6
    assert (head.weights > 0).sum(axis=1).max() <= 4
    np.testing.assert_allclose(head.weights.sum(axis=1), 1, atol=1e-6)


def test_an_npz_of_the_same_names_gives_the_same_head(
    flame_pickle: Path, stand_in: dict[str, Any], tmp_path: Path
) -> None:
    arrays = {name: value for name, value in stand_in.items() if isinstance(value, np.ndarray)}
    arrays["J_regressor"] = stand_in["J_regressor"].toarray()
    np.savez(tmp_path / "flame.npz", allow_pickle=False, **arrays)
    one, two = load_flame(flame_pickle), load_flame(tmp_path / "flame.npz")
    np.testing.assert_array_equal(one.template, two.template)
    np.testing.assert_array_equal(one.joint_regressor, two.joint_regressor)
    assert two.licence.startswith("FLAME, non-commercial")


def test_the_open_heads_landmarks_land_on_the_same_places(
    flame_pickle: Path, open_head: HeadModel, stand_in: dict[str, Any]
) -> None:
    head = load_flame(flame_pickle, embedded_by=open_head)
    count = len(open_head.template)
    place = np.argsort(np.random.default_rng(7).permutation(count))
    truth = open_head.landmarks(head.template[place])
    error = np.linalg.norm(head.landmarks(head.template) - truth, axis=1)
    assert np.median(error) < 0.002
    assert np.percentile(error, 95) < 0.006


def test_eyeballs_are_told_apart_and_left_is_plus_x(flame_pickle: Path) -> None:
    head = load_flame(flame_pickle)
    left = head.part == head.parts.index("eyeball_left")
    assert left.any()
    assert head.template[left, 0].mean() > 0.01


def test_the_fallback_layout_stays_inside_the_texture(flame_pickle: Path) -> None:
    head = load_flame(flame_pickle)
    assert head.uvs.min() >= 0
    assert head.uvs.max() <= 1
    assert head.uv_faces.max() == len(head.uvs) - 1


class _Harmful:
    def __reduce__(self) -> Any:
        return (eval, ("__import__('pathlib').Path('harm').write_text('x')",))


class _Sneaky:
    """Asks numpy for something callable that is not an array."""

    def __reduce__(self) -> Any:
        return (np.load, ("x.npy",))


@pytest.mark.parametrize("bomb", [_Harmful(), _Sneaky()])
def test_a_pickle_that_would_run_code_is_refused_and_nothing_runs(
    bomb: object, stand_in: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "flame.pkl"
    path.write_bytes(pickle.dumps({**stand_in, "v_template": bomb}))
    with pytest.raises(UnreadableInput, match="which no head model needs"):
        read_flame_arrays(path)
    assert not (tmp_path / "harm").exists()


def test_chumpy_arrays_of_older_releases_are_read_without_chumpy(tmp_path: Path) -> None:
    # what pickling a chumpy.ch.Ch with state {"x": [[1, 2, 3]]} under Python 2 gives: class, empty tuple, state
    array = pickle.dumps({"x": np.array([[1.0, 2.0, 3.0]])}, protocol=2)[2:-1]
    raw = (
        b"\x80\x02}U\nv_templateccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR" + array + b"bs."
    )
    (tmp_path / "old.pkl").write_bytes(raw)
    np.testing.assert_array_equal(read_flame_arrays(tmp_path / "old.pkl")["v_template"], [[1, 2, 3]])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights", None, "lacks weights"),
        ("posedirs", np.zeros((3, 3, 36)), "expected posedirs as finite numbers"),
        ("shapedirs", None, "lacks shapedirs"),
        ("v_template", np.full((10, 3), np.nan), "expected v_template"),
    ],
)
def test_a_missing_or_wrong_array_is_named(name: str, value: Any, message: str, stand_in: dict[str, Any]) -> None:
    arrays = {**stand_in, "J_regressor": stand_in["J_regressor"].toarray(), name: value}
    if value is None:
        del arrays[name]
    with pytest.raises(UnreadableInput, match=message):
        flame_from_arrays(arrays, "flame.pkl")


def test_truncated_and_missing_files_say_so(flame_pickle: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.pkl").write_bytes(flame_pickle.read_bytes()[:5000])
    with pytest.raises(UnreadableInput, match=r"cut\.pkl cannot be read"):
        load_head(tmp_path / "cut.pkl")
    with pytest.raises(AssetError, match="is missing"):
        load_flame(tmp_path / "nowhere.pkl")
