from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meshlam_core.commands.faces import SHOWN, TILE, faces_file
from meshlam_core.commands.sessions import Sessions
from meshlam_core.errors import NoFace
from meshlam_core.progress import silent
from meshlam_core.worker.engine import CoreEngine
from meshlam_core.worker.protocol import Faces, FacesFields


def test_every_face_of_a_group_is_told_from_left_to_right_with_a_picture(group_file, tmp_path):
    job = Faces("a", str(group_file), str(tmp_path / "faces.png"), FacesFields(device="cpu"))
    told = CoreEngine().run(job, silent)
    centres = [(box[0] + box[2]) / 2 for box in told["boxes"]]
    assert len(centres) == 3
    assert centres == sorted(centres)
    with Image.open(group_file) as picture:
        assert tuple(told["size"]) == picture.size
        pixels = np.asarray(picture)
    with Image.open(told["shown"]) as shown:  # the same picture, not larger than a screen needs
        assert max(shown.size) == min(SHOWN, max(told["size"]))
        assert shown.width / shown.height == pytest.approx(pixels.shape[1] / pixels.shape[0], rel=0.01)
        np.testing.assert_allclose(np.asarray(shown).mean((0, 1)), pixels.mean((0, 1)), atol=2)
    strip = np.asarray(Image.open(told["out"]))
    assert strip.shape == (TILE, 3 * TILE, 3)
    x0, y0, x1, y1 = map(round, told["boxes"][1])
    face = pixels[y0:y1, x0:x1].reshape(-1, 3).mean(0)
    middle = strip[TILE // 4 : -TILE // 4, TILE + TILE // 4 : 2 * TILE - TILE // 4].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(middle, face, atol=12)


def test_a_photo_without_a_face_says_so_and_writes_nothing(tmp_path):
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "wall.png")
    out: Path = tmp_path / "faces.png"
    with pytest.raises(NoFace, match="No face was found"):
        faces_file(tmp_path / "wall.png", out, "cpu", Sessions(), silent)
    assert [path.name for path in tmp_path.iterdir()] == ["wall.png"]
