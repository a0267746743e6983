from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.model.network import MeshLAM
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_preset
from training.losses import LossWeights
from training.synthetic.waves import SyntheticSettings, make_sample
from training.trainer import StepReport, Trainer, TrainingSettings
from training.views import Sample

SHOWN = SyntheticSettings(image_size=64, texture_size=32)
LOSSES = LossWeights(vertex=0.3)
FAST = TrainingSettings(steps=4, learning_rate=3e-3, warm_up=1, checkpoint_every=2, losses=LOSSES)
BATCHES = {seed: make_sample(TINY_HEAD, TINY_RIG, 2, SHOWN, seed) for seed in range(2)}


def batches(step: int) -> Sample:
    return BATCHES[step % 2]


def trainer(settings: TrainingSettings = FAST, seed: int = 0) -> Trainer:
    return Trainer(MeshLAM(tiny_preset(), seed=seed), TINY_RIG, settings)


def parameters(made: Trainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in made.parameters.values()]


def test_the_rate_warms_up_and_then_falls_along_a_cosine() -> None:
    settings = TrainingSettings(steps=1000, warm_up=100, learning_rate=2e-4, floor=0.0)
    assert settings.rate(0) == pytest.approx(2e-6)
    assert settings.rate(99) == pytest.approx(2e-4)
    assert settings.rate(550) == pytest.approx(1e-4)
    assert settings.rate(1000) == pytest.approx(0, abs=1e-12)
    assert math.isclose(settings.rate(325), 2e-4 * (0.5 + 0.5 * math.cos(math.pi / 4)))


def test_training_lowers_the_loss_and_leaves_the_backbone_frozen() -> None:
    made = trainer(TrainingSettings(steps=12, learning_rate=1e-2, warm_up=2, losses=LOSSES))
    backbone = {n: p.clone() for n, p in made.network.backbone.named_parameters()}
    reports: list[StepReport] = []
    assert made.run(lambda step: BATCHES[0], on_step=reports.append)
    assert len(reports) == made.step == 12
    assert reports[-1].loss < 0.95 * reports[0].loss
    assert all(torch.equal(p, backbone[n]) for n, p in made.network.backbone.named_parameters())


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    straight = trainer()
    straight.run(batches)
    first = trainer(
        TrainingSettings(steps=4, learning_rate=3e-3, warm_up=1, checkpoint_every=2, budget=0, losses=LOSSES)
    )
    path = tmp_path / "run.safetensors"
    assert not first.run(batches, path)
    second = trainer(seed=5)
    second.resume(path)
    assert second.step == first.step == 1
    assert second.run(batches, path)
    for ours, theirs in zip(parameters(second), parameters(straight), strict=True):
        assert torch.equal(ours, theirs)
    assert not list(tmp_path.glob("*.part"))


def test_a_checkpoint_of_another_preset_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    trainer().save(path)
    other = Trainer(MeshLAM(tiny_preset(iterations=1)), TINY_RIG, FAST)
    with pytest.raises(AssetError, match="expected preset"):
        other.resume(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(AssetError, match="not a whole safetensors file"):
        trainer().resume(path)


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    made = trainer()
    with torch.no_grad():
        next(iter(made.network.fusion.parameters())).fill_(float("nan"))
    with pytest.raises(UsageError, match="the loss of step 0 is nan"):
        made.run(batches)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(UsageError, match="expected positive"):
        TrainingSettings(steps=0)
