"""The engine on the shared data: what it draws, and how it is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from meshlam_core.errors import UnreadableInput
from meshlam_core.frames import project, rotation_from_axis_angle
from meshlam_core.model.borders import SIDE
from meshlam_core.model.config import preset
from meshlam_core.model.network import MeshLAM
from training.data.record import make_item, picture_of, read_record
from training.data.shards import Item
from training.synthetic import open_engine
from training.synthetic.people import draw_person
from training.synthetic.sample import Engine, SyntheticPhoto
from training.synthetic.world import BACKGROUND, HAIR, LABELS


@pytest.fixture(scope="module")
def engine(shared_data: Path) -> Engine:
    return open_engine(shared_data)


@pytest.fixture(scope="module")
def samples(engine: Engine) -> list[SyntheticPhoto]:
    many = (engine.sample((9, i), portrait=True) for i in range(20))
    return [sample for sample in many if (sample.label == HAIR).mean() > 0.02][:3]  # neither bald nor in a hood


def test_a_seed_always_gives_the_same_photograph(engine: Engine, samples: list[SyntheticPhoto]) -> None:
    first, again = (engine.sample((9, 1), portrait=True) for _ in range(2))
    np.testing.assert_array_equal(again.picture, first.picture)
    np.testing.assert_array_equal(again.truth, first.truth)
    assert not np.array_equal(samples[0].picture, samples[1].picture)


def test_labels_and_true_vertices_lie_on_each_other(samples: list[SyntheticPhoto]) -> None:
    shares = []
    for sample in samples:
        assert sample.label.max() < len(LABELS)
        tracked = sample.tracked
        view = sample.truth @ rotation_from_axis_angle(tracked.rotations[0]).T + tracked.translation
        x, y = project(view, tracked.camera)[:, :2].T
        width, height = sample.shot.filled
        shown = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
        on = sample.label[y[shown].round().astype(int), x[shown].round().astype(int)] != BACKGROUND
        shares.append(on.mean())
    # an open mouth, frayed hair and the simulated tracker's errors, large in some, are not in the truth
    assert np.median(shares) > 0.93
    assert min(shares) > 0.8


def test_tracker_and_hull_fit_are_off_but_not_lost(engine: Engine, samples: list[SyntheticPhoto]) -> None:
    hair = engine.hair.model.indices
    for sample in samples:
        error = np.linalg.norm(sample.tracked.surface - sample.truth, axis=1)
        assert 0.001 < error.mean() < 0.06
        assert not np.array_equal(sample.tracked.surface[hair], sample.tracked.vertices[hair])


def test_a_sample_is_read_as_it_was_stored(engine: Engine, samples: list[SyntheticPhoto]) -> None:
    sample, rig = samples[0], engine.world.rig
    joints = engine.world.head.joints(sample.tracked.vertices)
    item = make_item("0", sample, MeshLAM(preset("small")), rig, joints)
    record = read_record(item)
    np.testing.assert_allclose(record.truth, sample.truth, atol=1.5e-4)
    np.testing.assert_allclose(record.start, sample.tracked.surface, atol=1.5e-4)
    np.testing.assert_allclose(record.hair / 255, sample.hair, atol=0.003)
    assert record.person.shape == (SIDE, SIDE)
    assert record.camera == sample.tracked.camera
    assert 0.2 < record.seen.mean() < 0.8
    assert np.abs(picture_of(item).astype(int) - sample.picture).mean() < 6
    with pytest.raises(UnreadableInput, match="The sample 0 is not whole"):
        read_record(Item("0", {**item.files, "npz": item.files["npz"][:-500]}))


def test_teeth_are_white_and_lit_where_the_mouth_is_open(engine: Engine) -> None:
    world = engine.world
    texture = draw_person(world, engine.hair, np.random.default_rng(3)).texture.reshape(-1, 3)
    assert texture[world.teeth].min() > 0.4
    assert (texture[world.teeth].mean(axis=1) > texture.mean()).all()
    part = np.array(world.head.parts)[world.head.part]
    lit = {name: world.openness.ambient[part == name].mean() for name in ("teeth_upper", "tongue", "lips")}
    assert lit["tongue"] < 0.5 * lit["teeth_upper"]
    assert lit["teeth_upper"] == pytest.approx(lit["lips"], rel=1e-3)
