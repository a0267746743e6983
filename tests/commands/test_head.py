"""`meshlam head`: converts with a confirmed licence, tells what is in a model, compares; refuses by exit code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshlam_core.cli import main
from meshlam_core.head.convert import Converted
from meshlam_core.head.io import load_head


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_licence_must_be_confirmed_and_fit_the_model(
    flame_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "flame.npz"
    code, told = run(capsys, "head", "convert", flame_file, "-o", out)
    assert code == 2
    assert "seems to be under: CC-BY-4.0 (FLAME 2023 Open)" in told["error"]["message"]
    assert "--licence flame-open" in told["error"]["hint"]
    assert not out.exists()


def test_converting_writes_a_file_that_tells_its_licence_and_its_keys(
    flame_file: Path,
    flame_converted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from meshlam_core.head import convert as module
    from meshlam_core.head.io import head_metadata

    done = Converted(load_head(flame_converted), {}, head_metadata(flame_converted))
    monkeypatch.setattr(module, "convert", lambda path, source, licence, options: done)  # seconds, and tested elsewhere
    out = tmp_path / "flame.npz"
    code, told = run(capsys, "head", "convert", flame_file, "-o", out, "--licence", "flame-open")
    assert code == 0
    assert told["licence"] == "CC-BY-4.0 (FLAME 2023 Open)"
    assert told["bytes"] == out.stat().st_size
    assert main(["head", "info", str(out)]) == 0
    text = capsys.readouterr().out
    assert "licence: CC-BY-4.0 (FLAME 2023 Open)" in text
    assert "tongueOut" in text
    assert "texture layout: that of the open head" in text


def test_comparing_names_parts_and_keys_in_millimetres(
    flame_converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = run(capsys, "head", "compare", "open", flame_converted)
    assert code == 0
    assert told["scale"] == pytest.approx(1 / 1.05, abs=0.02)
    assert told["parts_mm"]["face"] < 3
    first, second, apart = told["keys_mm"]["jawOpen"]
    assert apart < 0.3 * first
    assert second == pytest.approx(first, rel=0.2)
    code, same = run(capsys, "head", "compare", "open", "open")
    assert set(same["parts_mm"].values()) == {0.0}


class Harm:
    def __reduce__(self) -> Any:
        return (eval, ("__import__('pathlib').Path('harm').write_text('x')",))


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (pickle.dumps({"v_template": Harm()}, 2), 3, "asks for __builtin__.eval, which no head model needs"),
        (b"not a pickle at all", 3, "it is no whole pickle"),
        (pickle.dumps({"v_template": np.zeros((3, 3)), "shapedirs": np.zeros((3, 3, 400))}, 2), 3, "it lacks J_reg"),
        (pickle.dumps({"weights": np.zeros(3)}, 2), 3, "is no head model that is known here: it has weights"),
        (None, 4, "is missing"),
    ],
    ids=["harmful", "noise", "half", "another table", "missing"],
)
def test_a_wrong_file_is_refused_with_its_exit_code_and_nothing_is_written(
    content: bytes | None,
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "flame.pkl"
    if content is not None:
        model.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    found, told = run(capsys, "head", "convert", model, "-o", tmp_path / "out.npz", "--licence", "flame")
    assert found == code
    assert message in told["error"]["message"]
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_converted_model_is_an_asset_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "head.npz").write_bytes(b"PK\x03\x04 cut")
    code, told = run(capsys, "head", "info", tmp_path / "head.npz")
    assert code == 4
    assert "is not a readable npz file" in told["error"]["message"]
