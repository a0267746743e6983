"""What a run shows, read back from its files; and what it says where TensorBoard is missing."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from training import board
from training.board import FOLDER, Board
from training.train import Looks, Reporter
from training.trainer import StepReport, TrainingSettings


class Heads:
    """Held-out heads of a grey that says how often they were drawn."""

    unit = "mm"

    def __init__(self) -> None:
        self.drawn = 0

    def start(self) -> dict[str, float]:
        return {"face": 2.0}

    def measure(self, network: object) -> dict[str, float]:
        return {"face": 1.5, "ears": math.nan}

    def sheet(self, network: object) -> np.ndarray:
        self.drawn += 1
        return np.full((8, 12, 3), 10 * self.drawn, np.uint8)


def events(run: Path):  # type: ignore[no-untyped-def]  # TensorBoard has no types
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(run / FOLDER))
    found.Reload()
    return found


def test_a_run_shows_its_scalars_and_a_sheet_every_few_minutes(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from training.geometry.curve import Curve

    page = Board.open(tmp_path)
    assert page is not None
    settings = TrainingSettings(steps=10, budget=6000)
    report = Reporter(settings, 4, tmp_path / "log.csv", page)
    report.shown = -1e9
    trainer = SimpleNamespace(spent=0.0, step=0, network=None, averaged=nullcontext)
    look = Looks(trainer, Heads(), Curve(tmp_path / "curve.csv"), report, 4, 1.0, 2.0)  # type: ignore[arg-type]
    for step in range(1, 5):
        trainer.spent, trainer.step = 70.0 * step, step
        look(StepReport(step, 8.0 / step, 1e-3, 3.0, 1.0, trainer.spent))
    page.close()
    found = events(tmp_path)
    assert {"run/loss", "run/rate", "run/samples a second", "run/share of time waiting"} <= set(found.Tags()["scalars"])
    (waiting,) = found.Scalars("run/share of time waiting")
    assert (waiting.step, waiting.value) == (4, pytest.approx(0.25))
    assert [event.step for event in found.Scalars("held out/face")] == [4, 8, 12, 16]  # every minute
    assert "held out/ears" not in found.Tags()["scalars"]  # nobody knows them
    sheets = found.Images("held out")
    assert [event.step for event in sheets] == [8, 16]  # every other minute
    assert (sheets[0].width, sheets[0].height) == (12, 8)


def test_a_run_that_goes_on_hides_what_was_shown_beyond_its_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for first, values in ((0, range(1, 6)), (3, range(4, 6))):
        page = Board.open(tmp_path, first)
        assert page is not None
        for samples in values:
            page.scalars("run", {"loss": float(first)}, samples)
        page.close()
    assert [(event.step, event.value) for event in events(tmp_path).Scalars("run/loss")] == [
        (1, 0.0), (2, 0.0), (3, 0.0), (4, 3.0), (5, 3.0),
    ]  # fmt: skip


def test_without_tensorboard_a_run_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(board, "find_spec", lambda name: None)
    assert Board.open(tmp_path) is None
    assert "pip install tensorboard" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
