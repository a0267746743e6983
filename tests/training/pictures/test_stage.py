"""Stage T by its command, and step by step; the network is a tiny one, the head the real one."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image

from meshlam_core.head.model import HeadModel
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.weights import read_info, save_weights, start_from
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_preset
from training import train
from training.losses import LossWeights, OneView, PaperStage
from training.lpips import Lpips
from training.pictures.ahead import Ahead
from training.pictures.draw import Drawer
from training.rigs import training_rig, without_lashes
from training.synthetic.waves import SyntheticSettings, make_sample
from training.trainer import StepReport, Trainer, TrainingSettings
from training.views import Sample

VIEWS = 2


@pytest.fixture(scope="module")
def lpips(shared_data: Path) -> Lpips:
    return Lpips.open(shared_data / "teachers" / "lpips_alexnet.npz")  # VGG's little sister


@pytest.fixture(scope="module")
def drawer(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Drawer:
    return Drawer(shared_data, tmp_path_factory.mktemp("cache"), None, 1, VIEWS, 64, 0)


def trainer(drawer: Drawer, head: HeadModel, lpips: Lpips, settings: TrainingSettings, same: bool) -> Trainer[Sample]:
    first = drawer(0)
    stage = PaperStage(
        (lambda step: first) if same else drawer,
        without_lashes(training_rig(head), head),
        LossWeights(perceptual=1.0),
        OneView(lpips, VIEWS),
    )
    return Trainer(MeshLAM(tiny_preset()), stage, settings)


def test_a_few_steps_lower_the_papers_losses(drawer: Drawer, head: HeadModel, lpips: Lpips) -> None:
    made = trainer(drawer, head, lpips, TrainingSettings(steps=12, learning_rate=5e-3, warm_up=2), True)
    reports: list[StepReport] = []
    made.run(on_step=reports.append)
    assert reports[-1].loss < 0.93 * reports[0].loss


def test_a_resumed_run_on_drawn_heads_ends_with_the_same_bits(
    drawer: Drawer, head: HeadModel, lpips: Lpips, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=3, warm_up=1, mean_decay=0.9)
    straight = trainer(drawer, head, lpips, settings, False)
    straight.run()
    ended = trainer(drawer, head, lpips, TrainingSettings(steps=3, warm_up=1, mean_decay=0.9, budget=0), False)
    ended.run(tmp_path / "run.safetensors")
    resumed = trainer(drawer, head, lpips, settings, False)
    resumed.resume(tmp_path / "run.safetensors")
    assert resumed.step == 1
    resumed.run()
    for ours, theirs in zip(resumed.parameters.values(), straight.parameters.values(), strict=True):
        assert torch.equal(ours, theirs)


def test_perceptual_is_only_the_first_view_of_each_head(lpips: Lpips) -> None:
    image = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    other = image.clone()
    other[1::2] = 0
    assert float(OneView(lpips, 2)(image, other)) == 0
    assert float(OneView(lpips, 2)(image, other.flip(0))) > 0.1


def small_batch(step: int) -> Sample:
    return make_sample(TINY_HEAD, TINY_RIG, 1, SyntheticSettings(image_size=32, texture_size=16), step)


def test_batches_that_other_processes_make_ahead_are_those_that_one_would_make_oneself() -> None:
    ahead = Ahead(small_batch, workers=1, stride=2)
    for step in (1, 3, 5, 11):  # 11: a run that is gone on with elsewhere
        for ours, theirs in zip(ahead(step).tensors(), small_batch(step).tensors(), strict=True):
            assert torch.equal(ours, theirs)


def test_the_command_learns_from_weights_of_stage_g_and_leaves_weights_curve_and_sheet(
    shared_data: Path, head: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "preset", lambda name: tiny_preset(correction="topology"))
    data = ["--data", str(shared_data), "--cache", str(tmp_path / "cache")]
    sizes = ["--size", "64", "--views", "3", "--batch", "1", "--workers", "0", "--check", "1", "--minutes", "5"]
    small = ["--lpips", str(shared_data / "teachers" / "lpips_alexnet.npz")]
    start, out = tmp_path / "start.safetensors", tmp_path / "run"
    begun = tiny_preset(correction="topology")
    save_weights(MeshLAM(begun, seed=5), begun, head, start, "CC0-1.0", {"stage": "geometry"})
    train.main(["--stage", "T", "--steps", "2", "--start", str(start), "--out", str(out), *data, *sizes, *small])
    info = read_info(out / "small.safetensors")
    assert info.notes["stage"] == "pictures"
    assert info.notes["samples"] == 2
    assert info.notes["held_out"]["colour back"] > 0
    learnt, before = MeshLAM(begun), MeshLAM(begun, seed=5)
    start_from(learnt, begun, out / "small.safetensors")
    for ours, theirs in zip(learnt.shape_branch.parameters(), before.shape_branch.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)  # two small steps from the start, not from scratch
    with (out / "curve.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["samples"] for row in rows] == ["0", "0", "2"]  # V_0, the weights that were begun with, the result
    assert float(rows[0]["colour photo"]) > 0
    with Image.open(out / "sheet.jpg") as sheet:
        assert sheet.size == (3 * 64 + 3 * 64, 3 * 64)
