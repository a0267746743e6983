from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.model import files
from meshlam_core.model.config import preset
from meshlam_core.model.files import bundled_renderer
from meshlam_core.model.neural import PortraitRenderer
from meshlam_core.model.weights import save_weights
from tests.model.tiny import TINY_HEAD, changed

RANDOM = np.random.default_rng(0)
RGBA = RANDOM.integers(0, 256, (37, 50, 4)).astype(np.uint8)
RGBA[..., 3] = 255
NORMALS = np.zeros((37, 50, 3), np.float32)
PORTRAIT = RANDOM.integers(0, 256, (40, 30, 3)).astype(np.uint8)


def test_before_training_any_size_of_rendering_comes_back() -> None:
    assert np.array_equal(PortraitRenderer().eval().repaint(RGBA, NORMALS, PORTRAIT), RGBA)


def test_saved_weights_repaint_the_same_and_belong_to_their_head(tmp_path: Path) -> None:
    path = tmp_path / "renderer.safetensors"
    trained = PortraitRenderer(seed=3).eval()
    torch.nn.init.normal_(trained.renderer.to_image.weight)
    save_weights(trained, preset("small"), TINY_HEAD, path, "CC0-1.0")
    picture = PortraitRenderer.open(path, TINY_HEAD).repaint(RGBA, NORMALS, PORTRAIT)
    assert np.array_equal(picture, trained.repaint(RGBA, NORMALS, PORTRAIT))
    assert not np.array_equal(picture, RGBA)
    with pytest.raises(AssetError, match="belong to the head model tiny"):
        PortraitRenderer.open(path, changed(TINY_HEAD, name="other"))


def test_pictures_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(UsageError, match=r"expected \[H, W, 4\] and \[H, W, 3\], got \(37, 50, 3\)"):
        PortraitRenderer().repaint(RGBA[..., :3], NORMALS, PORTRAIT)


def test_without_weights_there_is_no_neural_renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DATA", tmp_path)
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path))
    assert bundled_renderer() is None
