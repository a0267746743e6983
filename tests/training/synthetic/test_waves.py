from __future__ import annotations

import torch

from meshlam_core.model.parsing_head import CLASSES
from meshlam_core.model.render import animate, look, shade
from tests.model.tiny import TINY_HEAD, TINY_RIG
from training.synthetic.waves import SyntheticSettings, make_sample
from training.views import UNKNOWN

SETTINGS = SyntheticSettings(image_size=64, texture_size=64, views=2)


def test_the_same_seed_gives_the_same_heads() -> None:
    first, again, other = (make_sample(TINY_HEAD, TINY_RIG, 2, SETTINGS, seed) for seed in (1, 1, 2))
    assert torch.equal(first.photo.image, again.photo.image)
    assert torch.equal(first.targets.image, again.targets.image)
    assert not torch.equal(first.photo.image, other.photo.image)
    assert not torch.equal(first.photo.image[0], first.photo.image[1])


def test_photos_and_targets_show_the_true_head() -> None:
    sample = make_sample(TINY_HEAD, TINY_RIG, 2, SETTINGS, 3)
    assert sample.vertices is not None
    assert sample.texture is not None
    for views, repeat in ((sample.photo, 1), (sample.targets, 2)):
        vertices = sample.vertices.repeat_interleave(repeat, 0)
        view = look(animate(vertices, TINY_RIG, views), TINY_RIG, views.cameras)
        drawn = shade(view, TINY_RIG, sample.texture.repeat_interleave(repeat, 0))
        torch.testing.assert_close(drawn, views.image * views.mask)
        assert 0.1 < float(views.mask.mean()) < 0.8
    assert len(sample.targets.image) == 4


def test_the_whole_head_is_in_the_picture() -> None:
    sample = make_sample(TINY_HEAD, TINY_RIG, 4, SETTINGS, 4)
    border = torch.cat([sample.photo.mask[..., i, :] for i in (0, -1)] + [sample.photo.mask[..., i] for i in (0, -1)])
    assert not border.any()


def test_the_tracker_is_wrong_only_where_the_network_may_move_vertices() -> None:
    sample = make_sample(TINY_HEAD, TINY_RIG, 2, SETTINGS, 5)
    assert sample.vertices is not None
    offset = (sample.vertices - sample.photo.vertices).norm(dim=-1)
    assert not offset[:, TINY_RIG.limits == 0].any()
    assert offset[:, TINY_RIG.limits > 0].mean() > 1e-3
    assert bool((offset <= 2 * TINY_RIG.limits).all())  # two steps can get there


def test_classes_and_normals_are_known_on_the_head_alone() -> None:
    targets = make_sample(TINY_HEAD, TINY_RIG, 1, SETTINGS, 6).targets
    head = targets.mask[:, 0] > 0
    assert bool((targets.classes[~head] == CLASSES.index("background")).all())
    assert {CLASSES.index("skin"), CLASSES.index("hair")} <= set(targets.classes[head].tolist())
    assert set(targets.classes[head].tolist()) <= {1, 2, 3, UNKNOWN}
    lengths = targets.normals.norm(dim=1)
    torch.testing.assert_close(lengths[head], torch.ones(int(head.sum())))
    assert targets.normals[:, 2][head].mean() > 0.3  # towards the camera
    assert not lengths[~head].any()
