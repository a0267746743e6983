"""Drawn heads as the network gets them, and as it is asked to show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from meshlam_core.errors import UsageError
from meshlam_core.model.loop import Step
from meshlam_core.model.state import State
from tests.model.tiny import TINY_HEAD, TINY_RIG
from training.losses import LossWeights, step_loss
from training.pictures.draw import Drawer, first_whole
from training.pictures.held_out import render
from training.synthetic.waves import SyntheticSettings, make_sample
from training.synthetic.world import BACKGROUND, CLOTHES, GLASSES, OTHER
from training.views import Sample, joined

SIZE = 96


@pytest.fixture(scope="module")
def drawer(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Drawer:
    return Drawer(shared_data, tmp_path_factory.mktemp("cache"), None, 2, 3, SIZE, 0, held_out=True)


@pytest.fixture(scope="module")
def batch(drawer: Drawer) -> Sample:
    return drawer(4)


def truth_of(sample: Sample) -> State:
    assert sample.vertices is not None
    assert sample.texture is not None
    blank = torch.zeros(len(sample.photo), 1, 1, 1)
    return State(sample.vertices, sample.texture, blank, blank, blank)


def test_a_step_always_gets_the_same_batch_and_the_next_one_another(drawer: Drawer, batch: Sample) -> None:
    learnt = replace(drawer, held_out=False)
    again, other = drawer(4), learnt(4)
    assert all(torch.equal(a, b) for a, b in zip(batch.tensors(), again.tensors(), strict=True))
    assert not torch.equal(batch.photo.image, other.photo.image)
    assert len(batch.photo) == 2
    assert len(batch.targets.image) == len(batch.targets.cameras) == 6


def test_the_true_head_costs_nothing_and_the_start_does(drawer: Drawer, batch: Sample) -> None:
    weights = LossWeights(vertex=1.0, texture=1.0)
    right = step_loss(Step(drawer.rig, truth_of(batch)), batch, weights)
    start = replace(truth_of(batch), vertices=batch.photo.vertices, texture=batch.photo.texture)
    wrong = step_loss(Step(drawer.rig, start), batch, weights)
    assert float(right.mask) == float(right.part) == float(right.texture) == 0
    assert float(right.image) < min(1e-3, 0.1 * float(wrong.image))  # how much that is follows from the photo's light
    assert float(wrong.texture) > 1e-3
    assert float(right.normal) < 1e-3 < float(wrong.normal)
    assert float(right.vertex) < 0.02 < float(wrong.vertex)
    assert float(wrong.mask) > 0.01


def test_the_first_view_is_the_photos_and_the_second_shows_the_back(drawer: Drawer, batch: Sample) -> None:
    sample = drawer.engine.sample((1, 8))  # the batch's first head
    head = ~np.isin(sample.label, (BACKGROUND, CLOTHES, GLASSES, OTHER))
    target = torch.nn.functional.interpolate(batch.targets.mask[:1], size=head.shape)[0, 0].numpy() > 0.5
    width, height = sample.shot.filled
    both = (head & target)[:height, :width].sum() / (head | target)[:height, :width].sum()
    assert both > 0.75
    nose = drawer.rig.template[:, 2].argmax()
    turned = render(batch, drawer.rig, batch.photo.vertices, batch.photo.texture)[1]
    assert turned.shape == batch.targets.mask.shape
    for i, view in enumerate(batch.targets.rotations[:, 0]):
        turn = torch.linalg.matrix_exp(torch.cross(view.expand(3, 3), torch.eye(3), dim=1).T)
        towards = float((turn @ (drawer.rig.template[nose] * torch.tensor([0.0, 0.0, 1.0])))[2])
        assert (towards < 0) == (i % 3 == 1)
    rim = batch.targets.mask[[1, 2, 4, 5]]
    assert float(rim[..., 0].sum() + rim[..., -1].sum() + rim[..., 0, :].sum()) == 0  # the whole head is shown


def test_targets_have_the_photos_colours(drawer: Drawer, batch: Sample) -> None:
    grey = next(number for number in range(40) if drawer.engine.sample((1, number)).grade.tint is not None)
    batch = joined([batch, drawer.draw((1, grey))])
    small = torch.nn.functional.interpolate(batch.photo.image, size=SIZE, mode="area")
    shown = batch.targets.mask[::3] * torch.nn.functional.interpolate(batch.photo.mask, size=SIZE)
    ours, theirs = ((image * shown).sum((2, 3)) / shown.sum((2, 3)) for image in (batch.targets.image[::3], small))
    assert (ours - theirs).abs().max() < 0.08
    spread = batch.targets.image.amax(1) - batch.targets.image.amin(1)
    assert float(spread[-3:].max()) < 0.15 < float(spread[:-3].max())


def test_the_views_to_learn_from_come_in_any_order(drawer: Drawer) -> None:
    learnt = replace(drawer, held_out=False, batch=1)
    from_behind = [int(learnt(step).targets.rotations[:, 0].norm(dim=-1).argmax()) for step in range(6)]
    assert len(set(from_behind)) > 1


def broken(*bad: tuple[int, ...]) -> Callable[[tuple[int, ...]], Sample]:
    """Samples that cannot be drawn (odd tries) or are not finite (even ones)."""
    whole = make_sample(TINY_HEAD, TINY_RIG, 1, SyntheticSettings(image_size=32, texture_size=16), 0)

    def draw(seed: tuple[int, ...]) -> Sample:
        if seed not in bad:
            return whole
        if len(seed) > 1:
            return replace(whole, vertices=whole.photo.vertices * torch.nan)
        raise OSError("image file is truncated")

    return draw


def test_a_broken_sample_is_reported_and_another_one_takes_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(first_whole(broken((3,), (3, 1)), 3).photo) == 1
    told = capsys.readouterr().err
    assert "sample 3, try 0, is left out: OSError: image file is truncated" in told
    assert "sample 3, try 1, is left out: ValueError: it has values that are not finite" in told


def test_when_every_sample_is_broken_the_run_ends_and_says_why() -> None:
    with pytest.raises(UsageError, match=r"samples in a row were broken, the last one: .*not finite"):
        first_whole(broken((3,), *((3, i) for i in range(1, 20))), 3)
