from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.lpips import Lpips


def ramps() -> tuple[torch.Tensor, torch.Tensor]:  # [1, 3, 96, 128] each
    """Two smooth pictures and, on the second, a grid."""
    y, x = torch.meshgrid(torch.arange(96) / 96, torch.arange(128) / 128, indexing="ij")
    first = torch.stack([x, y, (x + y) / 2])[None]
    grid = ((torch.arange(128)[None] % 16 < 8) ^ (torch.arange(96)[:, None] % 16 < 8)).float()
    return first, (0.7 * first + 0.3 * grid).clamp(0, 1)


def stand_in() -> Lpips:
    """AlexNet's layout with random filters and positive heads: distances of the same kind, not of the same size."""
    rng = np.random.default_rng(0)
    kernels = [(64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3)]
    arrays = {}
    for index, (out, into, side) in enumerate(kernels):
        spread = np.sqrt(2 / (into * side * side))
        filters = rng.normal(0, spread, (out, into, side, side))
        arrays |= {f"conv{index}.weight": filters, f"conv{index}.bias": np.zeros(out)}
        arrays[f"linear{index}"] = rng.uniform(0, 1, out)
    return Lpips({name: torch.from_numpy(values.astype(np.float32)) for name, values in arrays.items()})


def weights(shared_data: Path, name: str) -> Path:
    return shared_data / "teachers" / name


@pytest.mark.parametrize(("name", "reference"), [("lpips_alexnet.npz", 0.580673), ("lpips_vgg16.npz", 0.608538)])
def test_distances_are_those_of_the_reference(shared_data: Path, name: str, reference: float) -> None:
    """The numbers come from the authors' package lpips 0.1.4 with the same convolutions."""
    network = Lpips.open(weights(shared_data, name))
    with torch.inference_mode():
        assert float(network(*ramps())) == pytest.approx(reference, abs=2e-5)


def test_a_picture_is_no_distance_from_itself_and_the_order_does_not_matter() -> None:
    network = stand_in()
    first, second = ramps()
    with torch.inference_mode():
        both = network(torch.cat([first, first, second]), torch.cat([first, second, first]))
    assert float(both[0]) == 0
    assert float(both[1]) == pytest.approx(float(both[2]), rel=1e-5)


def test_the_gradient_is_finite_even_where_pictures_agree() -> None:
    network = stand_in()
    first, second = ramps()
    moved = torch.cat([first, second]).requires_grad_()
    network(moved, torch.cat([first, first])).sum().backward()
    assert moved.grad is not None
    assert bool(moved.grad.isfinite().all())
    assert float(moved.grad[1].abs().max()) > 0


def test_other_networks_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", **{"conv0.weight": np.zeros((4, 3, 3, 3)), "linear0": np.zeros(4)})
    with pytest.raises(ValueError, match=r"expected 5 \(AlexNet\) or 13 \(VGG16\) convolutions, got 1"):
        Lpips.open(tmp_path / "other.npz")
