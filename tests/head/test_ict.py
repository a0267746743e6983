"""ICT-FaceKit's folder: what is read of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from meshlam_core.errors import UnreadableInput
from meshlam_core.head.convert import convert
from meshlam_core.head.ict import LAST, is_ict, read_ict
from meshlam_core.head.model import HeadModel
from tests.head_models import ict_stand_in


@pytest.fixture(scope="module")
def folder(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    keys = ("jawOpen", "browInnerUp", "eyeBlinkLeft")
    return ict_stand_in(head, tmp_path_factory.mktemp("ict") / "FaceXModel", keys, identities=2)


def test_centimetres_are_told_by_the_eyes_and_halves_of_keys_are_joined(folder: Path, head: HeadModel) -> None:
    assert is_ict(folder)
    found = read_ict(folder, "MIT")
    assert found.names == ("browInnerUp", "eyeBlinkLeft", "jawOpen")
    assert len(found.foreign.template) == LAST + 1
    assert np.ptp(found.foreign.template[:, 1]) == pytest.approx(np.ptp(head.template[:, 1]), abs=0.001)
    brow = head.blendshapes[head.blendshape_names.index("browInnerUp")]
    assert np.abs(found.shapes[0]).max() == pytest.approx(np.abs(brow).max(), abs=1e-5)
    eyes = found.foreign.regressor[3:] @ found.foreign.template
    assert eyes[0, 0] > 0.02 > -0.02 > eyes[1, 0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("generic_neutral_mesh.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "expected 26719 vertices, got 3"),
        ("jawOpen.obj", "v 0 0 nonsense\n", r"jawOpen\.obj cannot be read as an OBJ file"),
        ("identity000.obj", "v 0 0 0\nf 1 2 3\n", r"identity000\.obj: expected 26719 vertices, got 1"),
    ],
)
def test_a_wrong_file_is_named(name: str, content: str, message: str, folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / name).unlink()
    (tmp_path / name).write_text(content)
    with pytest.raises(UnreadableInput, match=message):
        read_ict(tmp_path, "MIT")


def test_another_folder_is_no_head_model(tmp_path: Path, head: HeadModel) -> None:
    with pytest.raises(UnreadableInput, match="ICT-FaceKit's FaceXModel was expected"):
        convert(tmp_path, head, "ict")
