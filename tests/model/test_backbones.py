from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.model.backbone.dinov2 import load_dinov2, random_dinov2
from meshlam_core.model.backbone.interface import Fusion
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.weights import own_tensors
from meshlam_core.nets.imagenet import normalise
from meshlam_core.nets.mobilenet import MobileNet, MobileNetClassifier, convert
from tests.model.tiny import TINY_RIG, tiny_photo, tiny_preset
from tests.tolerance import features_on_the_way, round_off

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="the optional package transformers is not installed"
)
TINY_DINO = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}


def test_colours_are_normalised_as_on_imagenet() -> None:
    mean = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None].expand(1, 3, 2, 2)
    torch.testing.assert_close(normalise(mean), torch.zeros(1, 3, 2, 2))
    torch.testing.assert_close(normalise(mean + 0.229)[0, 0], torch.ones(2, 2))


def test_mobilenet_gives_four_levels_at_strides_4_to_32() -> None:
    levels = MobileNet()(torch.rand(1, 3, 64, 64))
    assert [level.shape[1:] for level in levels] == [(24, 16, 16), (32, 8, 8), (96, 4, 4), (320, 2, 2)]
    assert MobileNet().widths == (24, 32, 96, 320)


def test_mobilenet_has_the_names_and_the_size_of_the_published_network() -> None:
    network = MobileNetClassifier()
    assert sum(p.numel() for p in network.parameters()) == 3_504_872
    names = set(network.state_dict())
    assert len(names) == 314
    assert {"features.0.0.weight", "features.1.conv.1.weight", "features.2.conv.0.0.weight"} <= names
    assert {"features.17.conv.3.running_var", "features.18.1.bias", "classifier.1.bias"} <= names


def test_a_torch_checkpoint_becomes_safetensors_that_the_backbone_loads(tmp_path: Path) -> None:
    torch.manual_seed(4)
    original = MobileNetClassifier()
    torch.save(original.state_dict(), tmp_path / "net.pth")
    convert(tmp_path / "net.pth", tmp_path / "net.safetensors")
    backbone = MobileNet()
    backbone.load_imagenet(tmp_path / "net.safetensors")
    assert torch.equal(backbone.state_dict()["features.5.conv.1.0.weight"], original.features[5].conv[1][0].weight)  # type: ignore[index, union-attr]


def test_another_networks_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "net.pth")
    with pytest.raises(RuntimeError, match="Missing key"):
        convert(tmp_path / "net.pth", tmp_path / "net.safetensors")
    assert not (tmp_path / "net.safetensors").exists()
    (tmp_path / "bad.safetensors").write_bytes(b"none")
    with pytest.raises(AssetError, match="not a readable safetensors"):
        MobileNet().load_imagenet(tmp_path / "bad.safetensors")


def test_a_photo_is_seen_the_same_whatever_else_is_in_its_batch() -> None:
    torch.manual_seed(0)
    photos = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    backbone = MobileNet().double()
    allowed = round_off(*features_on_the_way(backbone, photos), layers=50)
    for together, alone in zip(backbone(photos), backbone(photos[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone, **allowed)


def test_training_leaves_the_batch_statistics_alone() -> None:
    network = MeshLAM(tiny_preset()).train()
    before = {n: b.clone() for n, b in network.backbone.named_buffers()}
    network(tiny_photo(2), TINY_RIG)
    assert all(torch.equal(b, before[n]) for n, b in network.backbone.named_buffers())


def test_fusion_keeps_the_place_of_what_it_fuses() -> None:
    torch.manual_seed(0)
    fusion = Fusion((3, 5), 4, 8)
    levels = [torch.zeros(1, 3, 16, 16), torch.zeros(1, 5, 2, 2)]
    before = fusion(fusion.pool(levels))
    levels[0][:, 0, 0, 15] = 5.0  # the top right corner
    change = (fusion(fusion.pool(levels)) - before).abs().sum(-1)[0].view(4, 4)
    assert change[0, 3] > 0
    assert change.sum() == change[0, 3]


@needs_transformers
def test_dinov2_gives_patch_tokens_of_four_depths_without_class_and_registers() -> None:
    backbone = random_dinov2(**TINY_DINO)
    image = torch.rand(2, 3, 56, 56)
    levels = backbone(image)
    assert [tuple(level.shape) for level in levels] == [(2, 16, 4, 4)] * 4
    hidden = backbone.model(pixel_values=normalise(image), output_hidden_states=True).hidden_states
    torch.testing.assert_close(levels[3][1, :, 2, 3], hidden[4][1, 5 + 2 * 4 + 3], **round_off(*hidden, layers=20))
    assert not any(p.requires_grad for p in backbone.parameters())
    with pytest.raises(UsageError, match="multiple of 14 px"):
        backbone(torch.rand(1, 3, 60, 60))


@needs_transformers
def test_a_local_dinov2_folder_loads_and_is_checked_against_its_hash(tmp_path: Path) -> None:
    original = random_dinov2(**TINY_DINO)
    original.model.save_pretrained(tmp_path)  # type: ignore[operator]
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    layers = (0, 1, 2, 3)
    loaded = load_dinov2(tmp_path, digest, layers)
    image = torch.rand(1, 3, 56, 56)
    assert torch.equal(loaded(image)[2], original(image)[2])
    with pytest.raises(AssetError, match=f"expected .* with sha256 {'0' * 64}, got {digest}"):
        load_dinov2(tmp_path, "0" * 64, layers)


@needs_transformers
@pytest.mark.parametrize("harm", ["truncated", "no json", "another size"])
def test_a_damaged_dinov2_folder_is_refused_and_not_filled_with_random_numbers(harm: str, tmp_path: Path) -> None:
    random_dinov2(**TINY_DINO).model.save_pretrained(tmp_path)  # type: ignore[operator]
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    if harm == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif harm == "no json":
        config.write_text("{")
    else:
        described = json.loads(config.read_text())
        config.write_text(json.dumps(described | {"num_hidden_layers": described["num_hidden_layers"] + 1}))
    with pytest.raises(AssetError, match=r"^DINOv2: "):
        load_dinov2(tmp_path, layers=(0, 1, 2, 3))


@needs_transformers
def test_the_network_runs_on_dinov2_and_keeps_it_out_of_its_weights() -> None:
    backbone = random_dinov2(**TINY_DINO)
    preset = tiny_preset(backbone="dinov2", backbone_size=56)
    network = MeshLAM(preset, backbone).eval()
    result = network.reconstruct(tiny_photo(), TINY_RIG, 64)[0]
    assert bool(torch.isfinite(result.texture).all())
    assert not any(name.startswith("backbone.") for name in own_tensors(network))


def test_a_missing_folder_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"expected config.json and model.safetensors in .*meshlam assets fetch paper"):
        load_dinov2(tmp_path)


def test_without_transformers_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(AssetError, match=r"needs the package transformers.*pip install"):
        random_dinov2(**TINY_DINO)
