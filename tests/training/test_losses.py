from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from meshlam_core.frames import Camera
from meshlam_core.model.loop import Step
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.render import View, animate, look
from meshlam_core.model.state import State
from meshlam_core.nets.mobilenet import MobileNet
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_preset
from training.losses import (
    FeatureDistance,
    LossWeights,
    image_loss,
    laplacian_loss,
    normal_loss,
    region_loss,
    region_losses,
    step_loss,
    surface_normal_loss,
    thinned,
    total_loss,
    vertex_loss,
)
from training.synthetic.waves import SyntheticSettings, make_sample
from training.views import Sample, view_normals

SETTINGS = SyntheticSettings(image_size=64, texture_size=32)
ALL = LossWeights(vertex=1.0, texture=1.0)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample(TINY_HEAD, TINY_RIG, 2, SETTINGS, 0)


def perfect(sample: Sample) -> Step:
    network = MeshLAM(tiny_preset())
    step, _ = network.encode(sample.photo, TINY_RIG)
    assert sample.vertices is not None
    assert sample.texture is not None
    return Step(TINY_RIG, replace(step.state, vertices=sample.vertices, texture=sample.texture))


def front(shift: float = 0.0) -> View:
    vertices = torch.from_numpy(TINY_HEAD.template)[None] + torch.tensor([shift, -0.17, -0.7])
    return look(vertices, TINY_RIG, (Camera(140.0, (32.0, 32.0), (64, 64)),))


def test_the_truth_costs_nothing(sample: Sample) -> None:
    step = perfect(sample)
    steady = replace(sample, photo=replace(sample.photo, vertices=step.state.vertices))
    terms = step_loss(step, steady, ALL)
    for name, value in vars(terms).items():
        floor = 0.011 if name == "vertex" else 1e-6  # the distance is rounded off at 0.01 mm
        assert value <= floor, name


def test_every_term_sees_its_own_fault(sample: Sample) -> None:
    step = perfect(sample)
    random = torch.Generator().manual_seed(0)
    noisy = step.state.vertices + 0.01 * torch.randn(step.state.vertices.shape, generator=random)
    moved = step_loss(replace(step, state=replace(step.state, vertices=noisy)), sample, ALL)
    for name in ("image", "mask", "normal", "part", "laplacian", "vertex"):
        assert getattr(moved, name) > 1e-5, name
    painted = step_loss(replace(step, state=replace(step.state, texture=1 - step.state.texture)), sample, ALL)
    assert painted.image > 0.005
    assert painted.texture > 0.005
    assert painted.mask == step_loss(step, sample, ALL).mask


def test_later_steps_count_more(sample: Sample) -> None:
    step = perfect(sample)
    weights = LossWeights(image=0, mask=0, normal=0, part=0, laplacian=0, vertex=1, decay=0.8)
    wrong = replace(step, state=replace(step.state, vertices=step.state.vertices + 0.003))
    one = float(step_loss(wrong, sample, weights).vertex)
    assert float(total_loss([wrong, wrong, wrong], sample, weights)) == pytest.approx(one * (0.64 + 0.8 + 1), rel=1e-5)


def test_image_loss_is_the_mean_square_inside_the_mask() -> None:
    drawn, target, mask = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    target[..., 2:] = 9.0
    assert float(image_loss(drawn, target, mask)) == pytest.approx(0.25)


def test_normals_a_right_angle_apart_cost_one() -> None:
    a, b = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    a[:, 0], b[:, 1] = 1, 1
    b[..., 0] = 0  # not known there
    assert float(normal_loss(a, b)) == pytest.approx(1.0)


def test_the_silhouette_pulls_the_head_towards_the_target_from_either_side() -> None:
    view, right, left = front(), front(0.01), front(-0.01)
    head = thinned(view.mask)
    for other, sign in ((right, 1.0), (left, -1.0)):
        projected = view.projected.clone().requires_grad_()
        loss = region_loss(replace(view, projected=projected), TINY_RIG, head, thinned(other.mask)).sum()
        loss.backward()
        assert projected.grad is not None
        assert sign * float(projected.grad[..., 0].sum()) < 0  # going downhill moves it there
    far = region_loss(view, TINY_RIG, head, thinned(front(0.03).mask))
    near = region_loss(view, TINY_RIG, head, thinned(right.mask))
    assert far > 2 * near > 0
    assert region_loss(view, TINY_RIG, head, head) == 0
    nothing = torch.zeros_like(head)
    assert region_loss(view, TINY_RIG, head, nothing) == 0


def test_downhill_of_the_region_losses_is_downhill_when_the_head_is_drawn_anew(sample: Sample) -> None:
    """Barycentrics that follow the vertices describe a pixel's centre, which stays: they would undo the gradient."""
    targets = sample.targets

    def loss(vertices: torch.Tensor) -> torch.Tensor:
        posed = animate(vertices.repeat_interleave(targets.views, 0), TINY_RIG, targets)
        return torch.stack(region_losses(look(posed, TINY_RIG, targets.cameras), TINY_RIG, targets, True, True)).sum()

    vertices = (sample.photo.vertices + torch.tensor([0.01, 0.0, 0.0])).requires_grad_()
    before = loss(vertices)
    (gradient,) = torch.autograd.grad(before, vertices)
    after = loss((vertices - 0.004 * gradient / gradient.abs().max()).detach())
    assert after < 0.95 * before


def test_normals_compared_in_one_walk_cost_and_teach_what_they_do_step_by_step(sample: Sample) -> None:
    found = []
    for function in (surface_normal_loss, lambda view, rig, target: normal_loss(view_normals(view, rig), target)):
        vertices = (sample.photo.vertices + torch.tensor([0.0, 0.004, 0.0])).requires_grad_()
        posed = animate(vertices.repeat_interleave(sample.targets.views, 0), TINY_RIG, sample.targets)
        loss = function(look(posed, TINY_RIG, sample.targets.cameras), TINY_RIG, sample.targets.normals)
        found.append((loss.detach(), *torch.autograd.grad(loss, vertices)))
    (ours, our_gradient), (theirs, their_gradient) = found
    assert theirs > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-3, atol=1e-4 * float(their_gradient.abs().max()))


def test_moving_the_whole_head_bends_nothing_and_a_spike_does() -> None:
    offset = torch.full((1, len(TINY_HEAD.template), 3), 0.01)
    assert float(laplacian_loss(offset, TINY_RIG)) == pytest.approx(0, abs=1e-8)
    offset[0, 40, 2] += 0.001
    neighbours = (TINY_RIG.faces == 40).any(1)
    ring = len(TINY_RIG.faces[neighbours].unique()) - 1
    expected = (1 + ring * (1 / ring) ** 2) / offset.shape[1]  # every neighbour here has as many of its own
    assert float(laplacian_loss(offset, TINY_RIG)) == pytest.approx(expected, rel=0.2)


def test_vertex_loss_is_in_millimetres() -> None:
    a = torch.zeros(1, 4, 3)
    assert float(vertex_loss(a + torch.tensor([0.003, 0, 0.004]), a)) == pytest.approx(5, rel=1e-4)


def test_the_perceptual_distance_is_zero_for_equal_images_and_grows_with_blur() -> None:
    torch.manual_seed(0)
    distance = FeatureDistance(MobileNet())
    image = torch.rand(1, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    assert distance(image, image) == 0
    assert distance(image, blurred) > distance(image, 0.9 * image + 0.1 * blurred) > 0
    assert not any(p.requires_grad for p in distance.parameters())


def test_gradients_of_the_total_reach_vertices_and_texture(sample: Sample) -> None:
    step = perfect(sample)
    state: State = replace(
        step.state,
        vertices=(step.state.vertices + 0.002).requires_grad_(),
        texture=(0.5 * step.state.texture).requires_grad_(),
    )
    total_loss([Step(TINY_RIG, state)], sample, LossWeights()).backward()
    for value in (state.vertices, state.texture):
        assert value.grad is not None
        assert bool(value.grad.any())
        assert bool(value.grad.isfinite().all())
