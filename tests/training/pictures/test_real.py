"""Stage R: which photographs are read, what is asked of them, and the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from meshlam_core.errors import UsageError
from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.model.loop import Step
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.parsing_head import CLASSES
from meshlam_core.model.render import animate, look
from meshlam_core.model.state import Photo, Rig, State
from meshlam_core.model.weights import read_info, save_weights
from meshlam_core.points import CHIN
from meshlam_core.raster.project import project
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_preset
from training import train
from training.losses import LossWeights
from training.pictures import portraits
from training.pictures.portraits import Portraits
from training.pictures.real import Hidden, RealStage, RealWeights, outline_losses, real_terms
from training.rigs import training_rig, without_lashes
from training.splits import held_out
from training.synthetic.waves import SyntheticSettings, make_sample
from training.trainer import StepReport, Trainer, TrainingSettings
from training.views import UNKNOWN, Sample

SIZE = 96


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two portraits, one that is damaged, and many that are held out."""
    found = tmp_path_factory.mktemp("data") / "portraits"
    found.mkdir()
    whole = sorted((shared_data / "portraits").glob("*.jpg"))
    learnt = [path for path in whole if not held_out(path.name)]
    for path in (*learnt[:2], *(path for path in whole if held_out(path.name))):
        (found / path.name).symlink_to(path)
    (found / learnt[2].name).write_bytes(learnt[2].read_bytes()[:900])
    return found


@pytest.fixture(scope="module")
def rig(head: HeadModel) -> Rig:
    return without_lashes(training_rig(head), head)


def no_perceptual(image: Tensor, target: Tensor) -> Tensor:
    return image.new_zeros(())


def test_held_out_portraits_are_never_opened_and_damaged_ones_are_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened, load = [], portraits.load_photo

    def recorded(path: Path) -> object:
        opened.append(path.name)
        return load(path)

    monkeypatch.setattr(portraits, "load_photo", recorded)
    source = Portraits(folder, None, 2, SIZE, 0)
    batches = [source(step) for step in range(4)]
    assert all(len(batch.photo) == len(batch.targets.image) == 2 for batch in batches)
    assert len(set(opened)) == 3  # both whole ones and the damaged one
    assert not any(map(held_out, opened))
    damaged = next(path.name for path in folder.iterdir() if not path.is_symlink())
    assert f"is left out: ValueError: {damaged}: " in capsys.readouterr().err
    again = source(2)
    assert all(torch.equal(a, b) for a, b in zip(again.tensors(), batches[2].tensors(), strict=True))


def test_a_portrait_shows_hair_above_skin_and_nothing_is_known_of_the_neck(
    folder: Path, head: HeadModel, rig: Rig
) -> None:
    sample = Portraits(folder, None, 1, SIZE, 0)(1)
    classes = sample.targets.classes[0].numpy()
    rows = {name: np.nonzero(classes == CLASSES.index(name))[0] for name in ("hair", "skin", "background")}
    assert 0 < np.median(rows["hair"]) < np.median(rows["skin"])
    assert len(rows["background"]) > 0.2 * classes.size
    assert set(np.unique(classes)) == {*map(CLASSES.index, rows), UNKNOWN}
    posed = project(animate(sample.photo.vertices, rig, sample.targets), sample.targets.cameras)
    chin = float(head.landmarks(posed[0].numpy())[CHIN, 1])
    assert chin - 3 < rows["skin"].max() < chin + 3
    assert (classes[-1] == UNKNOWN).mean() > 0.5  # shoulders
    assert sample.vertices is None
    assert sample.texture is None


def test_hair_that_the_mask_shows_and_the_head_does_not_costs(folder: Path, rig: Rig) -> None:
    sample = Portraits(folder, None, 1, SIZE, 0)(1)

    def hair(vertices: Tensor) -> float:
        view = look(animate(vertices, rig, sample.targets), rig, sample.targets.cameras)
        return float(outline_losses(view, rig, sample.targets)[1])

    start = sample.photo.vertices
    low = torch.where((rig.limits > 0.03)[:, None] & (start > start.mean(1)), start - torch.tensor([0, 0.03, 0]), start)
    assert hair(start) < 0.2 * hair(low)


def test_where_there_are_no_portraits_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"portraits .* in {tmp_path}, found none"):
        Portraits(tmp_path, None, 1, SIZE, 0)(0)


def clip(views: int = 3) -> Sample:
    """A rendered clip: its first frame is the source, the others are to be shown."""
    shown = SyntheticSettings(image_size=64, texture_size=32, views=views, offset=3.0)
    sample = make_sample(TINY_HEAD, TINY_RIG, 1, shown, 0)
    return replace(sample, targets=replace(sample.targets, normals=torch.zeros_like(sample.targets.normals)))


def state_of(vertices: Tensor, texture: Tensor) -> State:
    blank = torch.zeros(len(vertices), 1, 1, 1)
    return State(vertices, texture, blank, blank, blank)


def test_other_frames_of_a_clip_tell_the_true_head_from_the_start() -> None:
    sample = clip()
    assert sample.vertices is not None
    assert sample.texture is not None
    start = state_of(sample.photo.vertices, sample.photo.texture)
    hidden = Hidden(TINY_HEAD, TINY_RIG, sample.photo, start)
    right = real_terms(Step(TINY_RIG, state_of(sample.vertices, sample.texture)), sample, hidden, no_perceptual)
    wrong = real_terms(Step(TINY_RIG, start), sample, hidden, no_perceptual)
    assert float(right.mask) == float(right.hair) == 0
    assert float(right.image) < 1e-6
    assert min(float(wrong.mask), float(wrong.image)) > 1e-3
    assert float(wrong.shape) == float(wrong.colour) == 0 < float(right.shape)  # it stayed what was believed


def test_a_few_steps_lower_the_loss_of_a_clip_and_leave_the_teacher_as_it_was() -> None:
    sample = clip()
    sizes = tiny_preset(deformation="part_aware")
    teacher = MeshLAM(sizes, seed=1)
    before = [value.clone() for value in teacher.state_dict().values()]
    stage = RealStage(
        lambda step: (sample, sample),
        TINY_HEAD,
        TINY_RIG,
        teacher,
        (LossWeights(laplacian=0.02), no_perceptual),
        (RealWeights(laplacian=0.02, shape=0.0), no_perceptual),
    )
    made = Trainer(MeshLAM(sizes, seed=1), stage, TrainingSettings(steps=12, learning_rate=5e-3, warm_up=2))
    losses = [float(stage.loss_of_real(made.network, sample).detach())]
    reports: list[StepReport] = []
    made.run(on_step=reports.append)
    losses.append(float(stage.loss_of_real(made.network, sample).detach()))
    assert losses[1] < 0.9 * losses[0]
    assert reports[-1].loss < 0.9 * reports[0].loss
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.state_dict().values(), strict=True))


def test_what_is_hidden_is_to_look_like_the_other_side_or_as_it_was_believed(head: HeadModel, rig: Rig) -> None:
    template = rig.template[None]
    rotations = torch.zeros(1, len(rig.parents), 3)
    rotations[0, 0, 1] = 0.7  # its right side shows
    photo = Photo(
        image=torch.zeros(1, 3, 64, 64),
        mask=torch.ones(1, 1, 64, 64),
        cameras=(Camera(120.0, (32.0, 32.0), (64, 64)),),
        rotations=rotations,
        translation=torch.tensor([[0.0, 0.0, -0.8]]),
        expression=torch.zeros(1, len(rig.blendshapes)),
        vertices=template,
        joints=torch.from_numpy(head.joints(head.template))[None],
        texture=torch.zeros(1, 3, 32, 32),
    )
    grey = torch.full((1, 3, 64, 64), 0.5)
    hidden = Hidden(head, rig, photo, state_of(template, grey))
    assert float(hidden.shape(template)) < 0.05  # the template is its own mirror image
    above, side, front = (rig.limits > 0.03), template[0, :, 0], template[0, :, 2]
    right, left = above & (side < -0.05) & (front > 0), above & (side > 0.05) & (front > 0)
    back = above & (front < -0.03) & (side.abs() < 0.02)

    def pushed(*groups: Tensor) -> Tensor:
        grown = template.clone()
        for group in groups:
            grown[0, group] *= 1.1
        return grown

    assert min(float(hidden.shape(pushed(group))) for group in (right, back)) > 0.05
    assert float(hidden.shape(pushed(right, left))) < 0.6 * float(hidden.shape(pushed(right)))
    assert float(hidden.colour(grey)) == 0
    painted = grey.clone()
    painted[..., :32] = 0.9  # one side of the texture
    assert float(hidden.colour(painted)) > 1e-3


def test_the_command_needs_weights_and_learns_from_both_halves(
    shared_data: Path, head: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "preset", lambda name: tiny_preset(correction="topology"))
    given = ["--stage", "R", "--data", str(shared_data), "--out", str(tmp_path / "run"), "--minutes", "5"]
    given += ["--steps", "1", "--size", "64", "--views", "2", "--workers", "0", "--check", "0"]
    given += ["--cache", str(tmp_path), "--lpips", str(shared_data / "teachers" / "lpips_alexnet.npz")]
    with pytest.raises(UsageError, match="expected weights of stage T"):
        train.main(given)
    start, sizes = tmp_path / "start.safetensors", tiny_preset(correction="topology")
    save_weights(MeshLAM(sizes), sizes, head, start, "CC0-1.0", {"stage": "pictures"})
    with pytest.raises(UsageError, match="an even batch"):
        train.main([*given, "--start", str(start), "--batch", "3"])
    train.main([*given, "--start", str(start)])
    notes = read_info(tmp_path / "run" / "small.safetensors").notes
    assert (notes["stage"], notes["samples"]) == ("portraits", 2)
