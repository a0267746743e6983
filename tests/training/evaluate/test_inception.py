from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.evaluate.inception import VARIABLE, Inception


class MeanColour(torch.nn.Module):
    """Stands for the network: the same call, three features."""

    def forward(self, picture: torch.Tensor, return_features: bool = True) -> torch.Tensor:
        return picture.float().mean((2, 3))


def test_a_picture_is_handed_to_the_network_as_it_expects_it() -> None:
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[..., 1] = 8
    assert Inception(MeanColour())(picture).tolist() == [0, 8, 0]


def test_without_the_file_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Inception.open() is None
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing.pt"))
    assert Inception.open() is None
