from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meshlam_core.errors import AssetError
from meshlam_core.head.model import HeadModel
from meshlam_core.skin import model as module
from meshlam_core.skin.harmonics import basis
from meshlam_core.skin.model import SkinModel, load_skin_model, save_skin_model


@pytest.fixture(scope="module")
def shipped(head: HeadModel) -> SkinModel:
    found = load_skin_model(head)
    assert found is not None
    return found


def test_the_shipped_model_comes_back_from_its_file(shipped: SkinModel, head: HeadModel, tmp_path: Path) -> None:
    path, again = tmp_path / "skin.npz", tmp_path / "again.npz"
    save_skin_model(shipped, head, path, {"note": 1})
    save_skin_model(shipped, head, again, {"note": 1})
    assert path.read_bytes() == again.read_bytes()
    assert path.stat().st_size < 5e6
    back = module._load(module.layout_hash(head), path)
    assert back is not None
    np.testing.assert_array_equal(back.texel_basis, shipped.texel_basis)
    np.testing.assert_allclose(back.texel_mean, shipped.texel_mean, atol=module.MEAN_STEP)
    np.testing.assert_array_equal(back.basis, shipped.basis)


def test_a_scalp_is_skin_and_no_shaved_hair(shipped: SkinModel, head: HeadModel) -> None:
    """The complete skins have it painted on, half as bright as a forehead: on bald people it would be rust."""
    scalp, face = (head.part == head.parts.index(name) for name in ("scalp", "face"))
    high = face & (head.template[:, 1] > np.quantile(head.template[face, 1], 0.8)) & (shipped.normals[:, 2] > 0.8)
    brightness = np.exp(shipped.mean.mean(axis=1) / module.GAMMA)
    assert np.median(brightness[scalp]) > 0.75 * np.median(brightness[high])


def test_a_head_with_another_layout_has_no_skin(head: HeadModel) -> None:
    assert load_skin_model(replace(head, uvs=head.uvs * np.float32(0.5))) is None


def test_a_damaged_file_is_named(head: HeadModel, tmp_path: Path) -> None:
    path = tmp_path / "skin.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(AssetError, match=r"skin\.npz is not readable"):
        module._load(module.layout_hash(head), path)


def test_vertices_and_texels_of_a_person_agree(shipped: SkinModel, head: HeadModel) -> None:
    person = np.zeros(len(shipped.basis))
    person[0] = 1.5
    picture = shipped.texture_of(person)
    cheek = np.flatnonzero((head.part == head.parts.index("face")) & (shipped.normals[:, 2] > 0.5))
    corner = np.zeros(len(head.template), np.intp)
    corner[head.faces] = head.uv_faces
    column, row = (head.uvs[corner[cheek]] * [1, -1] * module.SIDE + [0, module.SIDE]).astype(int).T
    off = picture[row, column] - shipped.vertices_of(person)[cheek]
    assert np.median(np.abs(off)) < 0.1


def test_open_skin_receives_the_light_of_its_normal_and_folds_less(shipped: SkinModel, head: HeadModel) -> None:
    from_everywhere = shipped.transfer[:, 0] / basis(np.array([[0.0, 0.0, 1.0]]))[0, 0]
    nose = np.argmax(head.template[:, 2] * (head.part == head.parts.index("face")))
    sockets = head.part == head.parts.index("eye_sockets")
    assert from_everywhere[nose] > 0.9
    assert np.median(from_everywhere[sockets]) < 0.75


def test_both_sides_of_the_mean_face_are_alike(shipped: SkinModel, head: HeadModel) -> None:
    np.testing.assert_allclose(shipped.mean, shipped.mean[head.mirror], atol=2e-2)
