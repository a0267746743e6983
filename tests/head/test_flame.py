"""FLAME's files and FLAME's function, on a stand-in of exactly its layout."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from meshlam_core.errors import AssetError, UnreadableInput
from meshlam_core.head.flame import flame_of, read_flame, read_layout, read_masks
from meshlam_core.head.flame_file import read_table
from meshlam_core.head.io import load_head
from meshlam_core.head.parametric import Parametric

F64 = NDArray[np.float64]


@pytest.fixture(scope="module")
def table(flame_file: Path) -> dict[str, Any]:
    return dict(read_table(flame_file))


@pytest.fixture(scope="module")
def flame(table: dict[str, Any]) -> Parametric:
    return flame_of(table, "flame.pkl")


def test_a_pickle_with_chumpy_and_scipy_objects_has_flames_counts(flame: Parametric) -> None:
    assert (len(flame.template), len(flame.faces)) == (5023, 9976)
    assert (len(flame.shapes), len(flame.expressions), len(flame.correctives)) == (300, 100, 36)


def test_an_npz_of_the_same_names_gives_the_same_arrays(
    table: dict[str, Any], flame: Parametric, tmp_path: Path
) -> None:
    np.savez(tmp_path / "flame.npz", **table)
    other = read_flame(tmp_path / "flame.npz")
    for name, array in vars(flame).items():
        np.testing.assert_array_equal(getattr(other, name), array)


def slow_flame(table: dict[str, Any], betas: F64, rotations: F64, translation: F64) -> F64:
    """FLAME's equations one vertex at a time, with 4x4 matrices, in the layout of its own file."""
    shaped = table["v_template"] + table["shapedirs"][:, :, :300] @ betas[:300]
    joints = table["J_regressor"] @ shaped
    expressed = shaped + table["shapedirs"][:, :, 300:] @ betas[300:]
    turns = []
    for x, y, z in rotations:
        angle = np.sqrt(x * x + y * y + z * z)
        k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) / angle
        turns.append(np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k)
    feature = np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])
    posed = expressed + table["posedirs"] @ feature
    world: list[F64] = []
    for joint, parent in enumerate((-1, 0, 1, 1, 1)):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if joint else 0)
        world.append(world[parent] @ local if joint else local)
    result = np.zeros_like(posed)
    for vertex, position in enumerate(posed):
        for joint in range(5):
            x = world[joint] @ np.append(position - joints[joint], 1.0)
            result[vertex] += table["weights"][vertex, joint] * x[:3]
    return result + translation


def test_the_forward_function_agrees_with_a_slow_reference_to_a_billionth(
    table: dict[str, Any], flame: Parametric
) -> None:
    rng = np.random.default_rng(3)
    betas, rotations, translation = rng.normal(size=400), rng.normal(0, 0.4, (5, 3)), rng.normal(size=3)
    fast = flame.vertices(betas[:300], betas[300:], rotations, translation)
    np.testing.assert_allclose(fast, slow_flame(table, betas, rotations, translation), atol=1e-9)


def test_a_quarter_turn_of_the_jaw_moves_a_chin_and_its_corrective_as_computed_by_hand() -> None:
    # one vertex 8 cm before the jaw's joint, bound to it; its corrective answers to the jaw's R[1, 2] - 0 = -1
    correctives = np.zeros((36, 1, 3))
    correctives[9 + 5, 0, 0] = 0.01
    tiny = Parametric(
        template=np.array([[0.0, 0.0, 0.08]]),
        faces=np.zeros((1, 3), np.int64),
        shapes=np.zeros((1, 1, 3)),
        expressions=np.zeros((1, 1, 3)),
        correctives=correctives,
        regressor=np.zeros((5, 1)),
        weights=np.array([[0, 0, 1.0, 0, 0]]),
    )
    rotations = np.zeros((5, 3))
    rotations[2, 0] = np.pi / 2
    np.testing.assert_allclose(tiny.vertices(np.zeros(1), np.zeros(1), rotations), [[-0.01, -0.08, 0]], atol=1e-12)


def body(count: int, joints: int) -> dict[str, Any]:
    return {
        "v_template": np.zeros((count, 3)),
        "shapedirs": np.zeros((count, 3, 10)),
        "J_regressor": np.zeros((joints, count)),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": None}, r"flame\.pkl is not whole: it lacks weights"),
        ({"posedirs": np.zeros((3, 3, 36))}, "expected posedirs as finite numbers 5023x3x36, got 3x3x36"),
        ({"v_template": np.full((10, 3), np.nan)}, "expected v_template .* got 10x3 with 30 that are not finite"),
        ({"shapedirs": np.zeros((5023, 3, 100))}, "expected more than 300 shapedirs, got 100"),
        ({"f": np.full((9976, 3), 5023)}, "its triangles point outside its 5023 vertices"),
        ({"weights": np.ones((5023, 5))}, "expected weights of 0 or more that sum to 1 at each vertex"),
        ({"weights": np.tile([3.0, -2, 0, 0, 0], (5023, 1))}, "got -2 at least"),
        ({"v_template": np.zeros((5023, 3))}, "is no head in metres: expected 0.1 to 1.5 m high, got 0"),
        ({"v_template": 300 * np.eye(5023, 3)}, "is no head in metres: expected 0.1 to 1.5 m high, got 300"),
        ({"J_regressor": np.full((5, 5023), 1 / 5023)}, "expected 0.03 to 0.12 m between the eyes, got 0"),
        ({"shapedirs": np.full((5023, 3, 400), 1e200)}, "expected shapedirs that move it by 1 m at most"),
        ({"f": np.zeros((9976, 3))}, "expected triangles of its 5023 vertices, got 1 that are used"),
        ({"f": np.full((9976, 3), 0.5)}, "its triangles point outside"),
        ({"v_template": np.zeros((5023, 3), bool)}, "expected v_template as finite numbers .* of bool"),
        (body(6890, 24), "is SMPL with 6890 vertices and 24 joints; FLAME with 5 was expected"),
        (body(10475, 55), "is SMPL-X with 10475 vertices"),
    ],
)
def test_a_wrong_array_or_a_body_model_is_named(change: dict[str, Any], message: str, table: dict[str, Any]) -> None:
    changed = {name: value for name, value in {**table, **change}.items() if value is not None}
    with pytest.raises(UnreadableInput, match=message):
        flame_of(changed, "flame.pkl")


def test_cut_and_missing_files_say_so(flame_file: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.pkl").write_bytes(flame_file.read_bytes()[:5000])
    with pytest.raises(UnreadableInput, match=r"cut\.pkl cannot be read as a head model: it is no whole pickle"):
        load_head(tmp_path / "cut.pkl")
    with pytest.raises(AssetError, match="is missing"):
        load_head(tmp_path / "nowhere.pkl")


def test_an_npz_whose_header_claims_more_than_it_holds_takes_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(tmp_path / "flame.npz", "w") as archive:
        archive.writestr("v_template.npy", header.getvalue())
    with pytest.raises(UnreadableInput, match=r"v_template\.npy claims the shape .* more than its bytes hold"):
        read_flame(tmp_path / "flame.npz")
    with pytest.raises(AssetError, match=r"v_template\.npy claims the shape"):
        load_head(tmp_path / "flame.npz")


def masks_file(path: Path, **groups: Any) -> Path:
    path.write_bytes(pickle.dumps(groups, 2))
    return path


def test_masks_become_parts_and_those_of_another_model_are_refused(flame: Parametric, tmp_path: Path) -> None:
    left = np.flatnonzero(flame.weights[:, 3] > 0.5)
    good = {"face": np.arange(50), "scalp": np.arange(50, 90), "left_ear": np.array([90]), "right_ear": np.array([91])}
    found = read_masks(masks_file(tmp_path / "masks.pkl", **good, left_eyeball=left), flame)
    np.testing.assert_array_equal(found["ears"], [90, 91])
    np.testing.assert_array_equal(found["eyeball_left"], left)
    for groups, message in (
        ({**good, "neck": np.array([9382])}, "neck points outside the model's 5023 vertices; it is of another"),
        ({**good, "left_eyeball": np.arange(546)}, "its eyeball_left is not where the model's is"),
        ({"leftHand": np.arange(5)}, "expected FLAME's masks .* got leftHand"),
    ):
        with pytest.raises(UnreadableInput, match=message):
            read_masks(masks_file(tmp_path / "other.pkl", **groups), flame)


def test_a_texture_layout_comes_from_npz_or_obj_and_must_fit(flame: Parametric, tmp_path: Path) -> None:
    faces = flame.faces
    np.savez(tmp_path / "texture.npz", vt=np.random.default_rng(0).uniform(size=(5118, 2)), ft=faces)
    assert read_layout(tmp_path / "texture.npz", flame).uv_faces.shape == (9976, 3)
    np.savez(tmp_path / "other.npz", vt=np.zeros((5118, 2)), ft=faces[:100])
    with pytest.raises(UnreadableInput, match="expected the layout of 9976 triangles, got 100"):
        read_layout(tmp_path / "other.npz", flame)
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n"
    (tmp_path / "template.obj").write_text(text)
    with pytest.raises(UnreadableInput, match="expected the layout of 9976 triangles, got 2"):
        read_layout(tmp_path / "template.obj", flame)
