from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.state import make_rig
from tests.model.tiny import TINY_HEAD, TINY_RIG, awake, changed, tiny_network, tiny_photo, tiny_preset
from tests.tolerance import features_on_the_way, round_off

VERTEX_TOLERANCE = 2e-4  # m, bfloat16 against float32
COLOUR_TOLERANCE = 0.02  # of 0..1

ABLATIONS = {
    "no texture map": {"texture_update": "vertex_colours"},
    "no GRU": {"geometry_update": "direct", "texture_update": "passthrough"},
    "no unwrapping": {"reprojection": "none"},
    "no part-aware deformation": {"deformation": "free"},
    "one iteration": {"iterations": 1},
    "three iterations": {"iterations": 3},
}


def far_from_seen(seen: torch.Tensor, texels: int) -> torch.Tensor:  # [1, D, D] -> [D, D] bool
    """Texels that no seen one is near: the loop's coarser texels blend across the border."""
    return torch.nn.functional.max_pool2d(seen[None], 2 * texels + 1, 1, texels)[0, 0] == 0


def test_before_training_the_tracker_head_comes_back() -> None:
    network = MeshLAM(tiny_preset()).eval()
    photo = tiny_photo()
    result = network.reconstruct(photo, TINY_RIG, 64)[0]
    assert torch.equal(result.vertices, photo.vertices[0])
    hidden = far_from_seen(result.seen, 4)
    torch.testing.assert_close(result.texture[:, hidden], photo.texture[0][:, hidden])


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    photo = tiny_photo()
    first, again, other = (tiny_network(seed=seed).reconstruct(photo, TINY_RIG, 64)[0] for seed in (5, 5, 6))
    assert torch.equal(first.vertices, again.vertices)
    assert torch.equal(first.texture, again.texture)
    assert not torch.equal(first.vertices, other.vertices)


def test_making_a_network_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    MeshLAM(tiny_preset())
    assert torch.equal(torch.rand(3), expected)


def test_bfloat16_agrees_with_float32() -> None:
    network, photo = awake(MeshLAM(tiny_preset()).eval(), scale=0.03), tiny_photo()  # moves like a trained one
    exact = network.reconstruct(photo, TINY_RIG, 64)[0]
    fast = network.reconstruct(photo, TINY_RIG, 64, precision="bfloat16")[0]
    assert fast.vertices.dtype == torch.float32
    assert not torch.equal(fast.vertices, exact.vertices)
    moved = (exact.vertices - photo.vertices[0]).norm(dim=-1).max()
    assert (fast.vertices - exact.vertices).norm(dim=-1).max() < min(VERTEX_TOLERANCE, 0.2 * float(moved))
    assert (fast.texture - exact.texture).abs().mean() < COLOUR_TOLERANCE


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="float32, bfloat16, got 'float8'"):
        tiny_network().reconstruct(tiny_photo(), TINY_RIG, 64, precision="float8")


def test_a_batch_gives_what_its_photos_give_alone_each_with_its_own_topology() -> None:
    network = tiny_network(correction="topology").double()
    rig, photo = make_rig(TINY_HEAD, 400).to("cpu", torch.float64), tiny_photo(2).to("cpu", torch.float64)
    stretched = photo.vertices.clone()
    stretched[1, :, 1] *= 1.4
    photo = replace(photo, vertices=stretched)
    together = network.reconstruct(photo, rig, 64)
    allowed = round_off(*features_on_the_way(network, photo, rig), layers=100)
    assert len(together[0].vertices) != len(together[1].vertices)
    for i, result in enumerate(together):
        alone = network.reconstruct(photo.one(i), rig, 64)[0]
        assert torch.equal(result.rig.faces, alone.rig.faces)
        torch.testing.assert_close(result.vertices, alone.vertices, **allowed)
        torch.testing.assert_close(result.texture, alone.texture, **allowed)


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_of_the_paper_runs_and_learns(name: str) -> None:
    network = tiny_network(**ABLATIONS[name])
    full, photo = tiny_network(), tiny_photo()
    steps = network(photo, TINY_RIG)
    assert len(steps) == network.preset.iterations
    (steps[-1].state.texture.sum() + steps[-1].state.vertices.sum()).backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
    final, reference = steps[-1].state, full(photo, TINY_RIG)[-1].state
    assert not (torch.equal(final.texture, reference.texture) and torch.equal(final.vertices, reference.vertices))
    result = network.reconstruct(photo, TINY_RIG, 64)[0]
    assert bool(torch.isfinite(result.texture).all())


def test_without_unwrapping_the_texture_owes_nothing_to_the_trackers() -> None:
    network = tiny_network(reprojection="none")
    photo = tiny_photo()
    first = network(photo, TINY_RIG)[-1].state.texture
    assert torch.equal(network(replace(photo, texture=1 - photo.texture), TINY_RIG)[-1].state.texture, first)


@pytest.mark.parametrize("name", ["image", "vertices", "texture", "rotations"])
def test_numbers_that_are_not_finite_are_refused_by_name(name: str) -> None:
    photo = tiny_photo()
    broken = getattr(photo, name).clone()
    broken.view(-1)[3] = float("nan")
    with pytest.raises(UsageError, match=f"{name}: expected finite numbers"):
        tiny_network().reconstruct(replace(photo, **{name: broken}), TINY_RIG, 64)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        ("fusion.fuse.weight", "vertex features before the first step"),
        ("texture_branch.to_colour.bias", "texture before the first step"),
        ("geometry_update.cell.bias_hh", "geometry hidden after step 1"),
        ("texture_update.to_texture.bias", "texture after step 1"),
    ],
)
def test_a_weight_that_is_not_a_number_is_noticed_where_it_first_shows(layer: str, named: str) -> None:
    network = tiny_network()
    with torch.no_grad():
        dict(network.named_parameters())[layer].view(-1)[0] = float("nan")
    with pytest.raises(UsageError, match=f"{named}: expected finite numbers, got NaN or infinity"):
        network.reconstruct(tiny_photo(), TINY_RIG, 64)


def test_tensors_and_cameras_that_do_not_fit_are_refused() -> None:
    network, photo = tiny_network(), tiny_photo()
    with pytest.raises(ValueError, match=r"vertices: expected \[B V 3\] with .*V=\d+"):
        network.reconstruct(replace(photo, vertices=photo.vertices[:, 1:]), TINY_RIG, 64)
    with pytest.raises(UsageError, match="cameras: expected 1 of 64x64 px"):
        network.reconstruct(replace(photo, cameras=(photo.cameras[0].scaled(2),)), TINY_RIG, 64)


def test_a_head_without_texture_coordinates_or_parts_is_refused() -> None:
    with pytest.raises(AssetError, match="expected texture coordinates for its"):
        make_rig(changed(TINY_HEAD, uvs=TINY_HEAD.uvs[:0]))
    with pytest.raises(AssetError, match="expected a part for each"):
        make_rig(changed(TINY_HEAD, part=TINY_HEAD.part[:0]))


def test_the_paper_preset_asks_for_its_backbone() -> None:
    with pytest.raises(UsageError, match="needs its dinov2 backbone"):
        MeshLAM(tiny_preset(backbone="dinov2"))


def test_parsing_gives_a_logit_for_each_class_and_pixel() -> None:
    network = tiny_network()
    assert network.parse(torch.rand(2, 3, 100, 100)).shape == (2, 6, 16, 16)


def test_the_full_size_texture_carries_the_photo_where_trusted() -> None:
    """A fine stripe pattern, lost at the loop's 32 texels, is back in the 256-texel texture."""
    network = awake(MeshLAM(tiny_preset()).eval(), scale=0.0)
    photo = tiny_photo(size=256)
    stripes = (torch.arange(256) // 4 % 2).float()[None, None, None].expand(1, 3, 256, 256)
    photo = replace(photo, image=stripes.clone(), texture=torch.full((1, 3, 256, 256), 0.5))
    result = network.reconstruct(photo, TINY_RIG, 256)[0]
    trusted = result.seen[0] > 0.85
    assert trusted.float().mean() > 0.05
    assert (result.texture[0, trusted] - 0.5).abs().mean() > 0.25
    assert (result.texture[0, far_from_seen(result.seen, 16)] - 0.5).abs().max() < 1e-6
