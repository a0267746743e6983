from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.model.network import MeshLAM
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_preset
from training.losses import LossWeights, PaperStage
from training.synthetic.waves import SyntheticSettings, make_sample
from training.train import Reporter
from training.trainer import PATIENCE, StepReport, Trainer, TrainingSettings
from training.views import Sample

SHOWN = SyntheticSettings(image_size=64, texture_size=32)
LOSSES = LossWeights(vertex=0.3)
FAST = TrainingSettings(steps=4, learning_rate=3e-3, warm_up=1, checkpoint_every=2, mean_decay=0.9)
BATCHES = {seed: make_sample(TINY_HEAD, TINY_RIG, 2, SHOWN, seed) for seed in range(2)}


def batches(step: int) -> Sample:
    return BATCHES[step % 2]


def trainer(
    settings: TrainingSettings = FAST, seed: int = 0, drawn: Callable[[int], Sample] = batches
) -> Trainer[Sample]:
    network = MeshLAM(tiny_preset(deformation="part_aware"), seed=seed)  # the paper's losses with the paper's clip
    return Trainer(network, PaperStage(drawn, TINY_RIG, LOSSES), settings)


def parameters(made: Trainer[Sample]) -> list[torch.Tensor]:
    return [p.detach().clone() for p in (*made.parameters.values(), *made.mean.values())]


def test_the_rate_warms_up_and_then_falls_along_a_cosine() -> None:
    settings = TrainingSettings(steps=1000, warm_up=100, learning_rate=2e-4, floor=0.0)
    assert settings.rate(0) == pytest.approx(2e-6)
    assert settings.rate(99) == pytest.approx(2e-4)
    assert settings.rate(550) == pytest.approx(1e-4)
    assert settings.rate(1000) == pytest.approx(0, abs=1e-12)
    assert math.isclose(settings.rate(325), 2e-4 * (0.5 + 0.5 * math.cos(math.pi / 4)))


def test_with_a_budget_the_cosine_ends_with_the_time() -> None:
    settings = TrainingSettings(steps=10**6, warm_up=0, learning_rate=1e-3, floor=0.0, budget=600.0, paced=True)
    assert settings.rate(500, 0.0) == pytest.approx(1e-3, rel=1e-3)
    assert settings.rate(500, 300.0) == pytest.approx(5e-4, rel=1e-3)
    assert settings.rate(500, 600.0) == pytest.approx(0, abs=1e-9)


def test_training_lowers_the_loss_and_leaves_the_backbone_frozen() -> None:
    made = trainer(TrainingSettings(steps=12, learning_rate=1e-2, warm_up=2), drawn=lambda step: BATCHES[0])
    backbone = {n: p.clone() for n, p in made.network.backbone.named_parameters()}
    reports: list[StepReport] = []
    assert made.run(on_step=reports.append)
    assert len(reports) == made.step == 12
    assert reports[-1].loss < 0.95 * reports[0].loss
    assert all(torch.equal(p, backbone[n]) for n, p in made.network.backbone.named_parameters())


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    straight = trainer()
    straight.run()
    first = trainer(
        TrainingSettings(steps=4, learning_rate=3e-3, warm_up=1, checkpoint_every=2, mean_decay=0.9, budget=0)
    )
    path = tmp_path / "run.safetensors"
    assert not first.run(path)
    second = trainer(seed=5)
    second.resume(path)
    assert second.step == first.step == 1
    assert second.spent == first.spent > 0
    assert second.run(path)
    for ours, theirs in zip(parameters(second), parameters(straight), strict=True):
        assert torch.equal(ours, theirs)
    assert not list(tmp_path.glob("*.part"))


def test_batches_that_are_accumulated_give_the_step_of_their_mean() -> None:
    one = trainer(TrainingSettings(steps=1, learning_rate=1e-3, warm_up=0, clip_norm=1e9))
    two = trainer(TrainingSettings(steps=1, learning_rate=1e-3, warm_up=0, clip_norm=1e9, accumulate=2))
    both = Trainer(one.network, one.stage, one.settings)
    losses = [both.stage.loss(both.network, batches(i)) / 2 for i in range(2)]
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    wanted = {n: p.grad.clone() for n, p in both.parameters.items() if p.grad is not None}
    two.train_step()
    for name, gradient in wanted.items():
        found = two.parameters[name].grad
        assert found is not None
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-7)


def test_the_running_mean_lags_behind_and_is_looked_at_without_being_kept() -> None:
    made = trainer()
    made.run()
    name = "geometry_update.to_displacement.weight"
    last = made.parameters[name].detach().clone()
    with made.averaged() as network:
        assert not torch.equal(dict(network.named_parameters())[name], last)
        assert torch.equal(dict(network.named_parameters())[name], made.mean[name])
    assert torch.equal(made.parameters[name], last)


def test_a_checkpoint_of_another_preset_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    trainer().save(path)
    other = Trainer(MeshLAM(tiny_preset(iterations=1)), PaperStage(batches, TINY_RIG, LOSSES), FAST)
    with pytest.raises(AssetError, match="expected preset"):
        other.resume(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(AssetError, match="not a whole safetensors file"):
        trainer().resume(path)


def test_a_full_disk_leaves_the_last_checkpoint_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.safetensors"
    made = trainer()
    made.save(path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.trainer.os.fsync", full)
    assert made.run(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))
    assert "could not be written" in capsys.readouterr().err


def test_a_step_without_a_finite_loss_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    bad = {0: BATCHES[0], 1: Sample(BATCHES[1].photo, BATCHES[1].targets, BATCHES[1].vertices * math.nan, None)}  # type: ignore[operator]
    made = trainer(TrainingSettings(steps=2, learning_rate=1e-3, warm_up=0), drawn=lambda step: bad[step])
    made.train_step()
    before = parameters(made)
    assert math.isnan(made.train_step().loss)
    assert all(torch.equal(a, b) for a, b in zip(before, parameters(made), strict=True))
    assert "the step is left out" in capsys.readouterr().err


def test_a_loss_that_stays_not_finite_ends_the_run() -> None:
    made = trainer(TrainingSettings(steps=PATIENCE + 3))
    with torch.no_grad():
        next(iter(made.network.fusion.parameters())).fill_(float("nan"))
    with pytest.raises(UsageError, match=f"{PATIENCE} steps in a row had no finite loss"):
        made.run()


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(UsageError, match="expected positive"):
        TrainingSettings(steps=0)
    with pytest.raises(UsageError, match="needs a budget"):
        TrainingSettings(paced=True)


def test_a_step_in_bfloat16_goes_where_one_in_float32_goes() -> None:
    settings = {"steps": 12, "learning_rate": 1e-2, "warm_up": 2}
    losses = {}
    for precision in ("float32", "bfloat16"):
        made = trainer(TrainingSettings(**settings, precision=precision), drawn=lambda step: BATCHES[0])  # type: ignore[arg-type]
        reports: list[StepReport] = []
        made.run(on_step=reports.append)
        losses[precision] = [report.loss for report in reports]
        assert all(parameter.dtype == torch.float32 for parameter in made.parameters.values())
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"][-1] < 0.95 * losses["bfloat16"][0]
    assert losses["bfloat16"][-1] == pytest.approx(losses["float32"][-1], rel=0.1)


def test_the_progress_tells_when_the_run_will_end_and_how_long_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.train.time.monotonic", lambda: 1000.0)
    monkeypatch.setattr("training.train.time.time", lambda: 0.0)
    monkeypatch.setattr("training.train.time.localtime", time.gmtime)
    report = Reporter(TrainingSettings(steps=10**6, budget=3600.0, paced=True), 2, tmp_path / "log.csv")
    report(StepReport(100, 1.5, 1e-3, 0.9, 0.1, 900.0))  # a quarter of the hour is over
    told = capsys.readouterr().err
    assert "25.0 %" in told
    assert "waiting 10 %" in told
    assert "end 00:45" in told
    header, row = (tmp_path / "log.csv").read_text().splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["waiting"] == "0.100"


def test_a_run_that_was_killed_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    code = f"""
from pathlib import Path
from tests.training.test_trainer import TrainingSettings, trainer
trainer(TrainingSettings(steps=10**6, warm_up=1, checkpoint_every=1)).run(Path({str(path)!r}))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not path.is_file() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.2)  # in the midst of a step, or of the next checkpoint
    run.kill()
    run.wait()
    made = trainer(TrainingSettings(steps=10**6, warm_up=1))
    made.resume(path)
    assert made.step >= 1
    assert math.isfinite(made.train_step().loss)
