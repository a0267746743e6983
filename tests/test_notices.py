from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshlam_core import assets

ROOT = Path(__file__).resolve().parent.parent
NOTICES = (ROOT / "THIRD_PARTY_NOTICES.md").read_text("utf-8")


def test_every_shipped_data_file_is_in_the_notices() -> None:
    shipped = [path for path in (ROOT / "meshlam_core" / "data").iterdir() if path.suffix in (".npz", ".safetensors")]
    for path in shipped:
        assert f"`meshlam_core/data/{path.name}`" in NOTICES


@pytest.mark.parametrize("name", assets.names_of(["runtime", "paper", "build"]))
def test_every_downloadable_file_is_in_the_notices_with_its_hash(name: str) -> None:
    asset = assets.find_asset(name)
    row = next(line for line in NOTICES.splitlines() if line.startswith(f"| `{asset.file}` |"))
    assert asset.sha256 in row


def test_every_required_package_is_in_the_notices() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    block = project.split("dependencies = [")[1].split("]")[0]
    for name in re.findall(r'"([\w-]+)', block):
        assert re.search(rf"\b{re.escape(name)}\b", NOTICES), name
