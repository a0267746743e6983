"""The paper's peers learn, come back from their file, and draw Gaussians as the reference does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from meshlam_core.errors import AssetError
from meshlam_core.frames import Camera
from meshlam_core.model.config import PEERS
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.weights import save_weights
from meshlam_core.viewing.gaussians import Gaussians, rotation_of
from tests.model.tiny import TINY_HEAD, TINY_RIG, awake, tiny_photo, tiny_preset
from training.evaluate import splatter
from training.losses import LossWeights
from training.peers import KINDS, NOTE, PeerPainter, PeerStage, begin_from, make_peer, open_peer
from training.splat import splat
from training.synthetic.waves import SyntheticSettings, make_sample
from training.trainer import StepReport, Trainer, TrainingSettings

SAMPLE = make_sample(TINY_HEAD, TINY_RIG, 1, SyntheticSettings(image_size=48, texture_size=32, views=2), 0)


def test_gaussians_with_gradients_look_like_the_reference() -> None:
    rng = np.random.default_rng(0)
    count = 60
    turns = rng.normal(size=(count, 4))
    known = Gaussians(
        (rng.uniform(-0.2, 0.2, (count, 3)) - [0, 0, 1]).astype(np.float32),
        np.zeros((count, 3), np.float32),
        rng.random((count, 3)).astype(np.float32),
        rng.uniform(0.2, 1, count).astype(np.float32),
        rng.uniform(0.005, 0.05, (count, 3)).astype(np.float32),
        (turns / np.linalg.norm(turns, axis=1, keepdims=True)).astype(np.float32),
        np.zeros(count, np.int32),
        np.zeros((count, 3), np.float32),
    )
    camera = Camera(60.0, (21.0, 16.0), (40, 33))
    axes = torch.from_numpy(rotation_of(known.rotations) * known.scales[:, None]).float()
    given = [torch.from_numpy(array) for array in (known.centres, known.opacity, known.colours)]
    drawn = splat(given[0], axes, given[1], given[2], camera).permute(1, 2, 0).numpy()
    wanted = splatter.splat(known, camera).astype(np.float32) / 255
    assert wanted[..., 3].max() > 0.9
    np.testing.assert_allclose(drawn[..., 3], wanted[..., 3], atol=0.51 / 255)
    np.testing.assert_allclose(drawn[..., :3], wanted[..., :3] * wanted[..., 3:], atol=1.1 / 255)


def test_the_gradient_of_the_splats_is_that_of_small_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = (0.1 * torch.randn(5, 3, generator=generator) - torch.tensor([0, 0, 1.0])).double().requires_grad_()
    axes = (0.06 * torch.randn(5, 3, 3, generator=generator)).double().requires_grad_()
    colours = torch.rand(5, 3, generator=generator).double().requires_grad_()
    opacity = torch.full((5,), 0.7, dtype=torch.double, requires_grad=True)
    camera, weights = Camera(12.0, (6.0, 6.0), (12, 12)), torch.rand(4, 12, 12, generator=generator).double()

    def total(*given: torch.Tensor) -> torch.Tensor:
        return (splat(*given, camera) * weights).sum()

    given = (centres, axes, opacity, colours)
    total(*given).backward()
    for values in given:
        assert values.grad is not None
        at = values.grad.abs().flatten().argmax()
        step = torch.zeros_like(values).flatten()
        step[at] = 1e-6
        away = [[v.detach() + s * step.view(v.shape) if v is values else v.detach() for v in given] for s in (1, -1)]
        slope = float(total(*away[0]) - total(*away[1])) / 2e-6
        assert slope == pytest.approx(float(values.grad.flatten()[at]), rel=0.02)


@pytest.mark.parametrize("name", list(PEERS))
def test_a_peer_learns_and_its_file_draws_the_same_pictures(name: str, tmp_path: Path) -> None:
    peer = make_peer(name, tiny_preset())
    stage = PeerStage(lambda step: SAMPLE, TINY_RIG, LossWeights(image=50.0, laplacian=0.01, vertex=0.02))
    made = Trainer(peer, stage, TrainingSettings(steps=20, learning_rate=3e-3, warm_up=2))
    reports: list[StepReport] = []
    made.run(on_step=reports.append)
    assert reports[-1].loss < 0.85 * reports[0].loss
    path = tmp_path / f"{name}.safetensors"
    save_weights(peer, peer.preset, TINY_HEAD, path, "CC0-1.0", {NOTE: name})
    again, found = open_peer(path, TINY_HEAD)
    assert again == name
    photo = tiny_photo()
    pictures = []
    for one in (peer.eval(), found):
        painter = PeerPainter(one, photo, TINY_RIG)
        pose = (photo.expression[0].numpy(), photo.rotations[0].numpy(), photo.translation[0].numpy())
        pictures.append(painter.draw_pose(*pose, Camera(110.0, (27.0, 25.0), (53, 50))))
    assert pictures[0].shape == (50, 53, 4)
    assert 0.1 < (pictures[0][..., 3] > 127).mean() < 0.9
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1


def test_peers_are_one_shot_but_for_the_gaussians_on_the_refined_mesh() -> None:
    steps = {name: len(make_peer(name, tiny_preset())(tiny_photo(), TINY_RIG)) for name in KINDS}
    assert steps == {"rome": 1, "lam": 1, "lam_on_mesh": 2}


def test_gaussians_on_the_refined_mesh_begin_with_our_weights(tmp_path: Path) -> None:
    ours, path = awake(MeshLAM(tiny_preset(), seed=3)).eval(), tmp_path / "small.safetensors"
    save_weights(ours, tiny_preset(), TINY_HEAD, path, "CC0-1.0")
    peer = make_peer("lam_on_mesh", tiny_preset()).eval()
    begin_from(peer, path)
    refined = [one(tiny_photo(), TINY_RIG)[-1].state.vertices for one in (ours, peer)]
    assert (refined[0] - tiny_photo().vertices).abs().max() > 1e-4
    assert torch.equal(*refined)


def test_weights_of_our_own_are_no_peers(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_weights(MeshLAM(tiny_preset()), tiny_preset(), TINY_HEAD, path, "CC0-1.0")
    with pytest.raises(AssetError, match="expected those of rome, lam, lam_on_mesh"):
        open_peer(path, TINY_HEAD)
