from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.weights import load_weights, own_tensors, read_info, save_weights, topology_hash
from tests.model.tiny import TINY_HEAD, changed, rewrite, tiny_network, tiny_preset


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_weights(tiny_network(), tiny_preset(), TINY_HEAD, path, "CC0-1.0", {"steps": 3})
    return path


def load(path: Path, **changes: object) -> MeshLAM:
    network = MeshLAM(tiny_preset(), seed=9)
    load_weights(network, tiny_preset(**changes), TINY_HEAD, path)
    return network


def test_weights_come_back_bit_equal_with_what_they_say_about_themselves(saved: Path) -> None:
    loaded, original = own_tensors(load(saved)), own_tensors(tiny_network())
    assert loaded.keys() == original.keys()
    assert all(torch.equal(loaded[name], original[name]) for name in loaded)
    info = read_info(saved)
    assert (info.preset, info.head, info.licence, info.notes) == (tiny_preset(), "tiny", "CC0-1.0", {"steps": 3})
    assert not list(saved.parent.glob("*.part"))


def test_weights_of_another_preset_are_refused(saved: Path) -> None:
    with pytest.raises(AssetError, match="expected width 32 in preset small, got 16"):
        load(saved, width=32)
    with pytest.raises(AssetError, match="expected preset paper, got preset small"):
        load(saved, name="paper")


def test_weights_of_another_head_model_are_refused(saved: Path) -> None:
    network = MeshLAM(tiny_preset())
    for other in (changed(TINY_HEAD, name="other"), changed(TINY_HEAD, uvs=TINY_HEAD.uvs * 0.9)):
        assert topology_hash(other) != topology_hash(TINY_HEAD) or other.name == "other"
        with pytest.raises(AssetError, match=rf"belong to the head model tiny .* got the head model {other.name}"):
            load_weights(network, tiny_preset(), other, saved)


def test_another_shape_of_the_same_topology_is_the_same_head_model() -> None:
    assert topology_hash(changed(TINY_HEAD, template=TINY_HEAD.template * 1.1)) == topology_hash(TINY_HEAD)


def test_another_version_or_format_is_refused(saved: Path) -> None:
    rewrite(saved, version="2")
    with pytest.raises(AssetError, match="expected version 1, got 2"):
        load(saved)
    rewrite(saved, format="something")
    with pytest.raises(AssetError, match="Expected a meshlam-weights file"):
        load(saved)


@pytest.mark.parametrize("length", [4, 100, -1000])
def test_a_truncated_file_is_refused(saved: Path, length: int) -> None:
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(AssetError, match="not a whole safetensors file"):
        load(saved)


def test_one_flipped_bit_is_found(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-1001] ^= 1
    saved.write_bytes(bytes(data))
    with pytest.raises(AssetError, match="were altered: expected content"):
        load(saved)


def test_missing_extra_and_misshapen_tensors_are_named(saved: Path) -> None:
    rewrite(saved, {"surplus": torch.zeros(1)})
    with pytest.raises(AssetError, match="tensor surplus is unexpected"):
        load(saved)
    save_weights(tiny_network(), tiny_preset(), TINY_HEAD, saved, "CC0-1.0")
    rewrite(saved, {"fusion.fuse.bias": torch.zeros(3)})
    with pytest.raises(AssetError, match=r"expected fusion.fuse.bias as .*\(16,\), got .*\(3,\)"):
        load(saved)


def test_nan_is_refused_when_reading_and_when_writing(saved: Path) -> None:
    rewrite(saved, {"fusion.fuse.bias": torch.full((16,), float("nan"))})
    with pytest.raises(AssetError, match=r"got NaN or infinity in fusion\.fuse\.bias"):
        load(saved)
    broken = tiny_network()
    with torch.no_grad():
        broken.fusion.fuse.bias.fill_(float("inf"))  # type: ignore[union-attr]
    before = saved.read_bytes()
    with pytest.raises(UsageError, match=r"got NaN or infinity in fusion\.fuse\.bias"):
        save_weights(broken, tiny_preset(), TINY_HEAD, saved, "CC0-1.0")
    assert saved.read_bytes() == before


def test_a_refused_file_leaves_the_network_as_it_was(saved: Path) -> None:
    rewrite(saved, {"texture_branch.tokens": torch.full((64, 16), float("nan"))})
    network = MeshLAM(tiny_preset(), seed=9)
    before = {name: value.clone() for name, value in own_tensors(network).items()}
    with pytest.raises(AssetError):
        load_weights(network, tiny_preset(), TINY_HEAD, saved)
    assert all(torch.equal(value, before[name]) for name, value in own_tensors(network).items())


def test_a_missing_file_and_a_damaged_header_are_said(saved: Path) -> None:
    with pytest.raises(AssetError, match="are missing"):
        load(saved.with_name("none.safetensors"))
    rewrite(saved, preset=json.dumps({"name": "small"}))
    with pytest.raises(AssetError, match="damaged header"):
        load(saved)
