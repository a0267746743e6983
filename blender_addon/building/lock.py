"""Writes backend/requirements.json: for each kind of computer the exact wheels of a backend, with sizes and hashes.

    python -m blender_addon.building.lock        (or `make lock`, which brings the resolver uv)

What is wanted is read from pyproject.toml, the versions from constraints.txt, the rest from the package index. Wheels
that it does not have are listed in official_wheels.toml.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from blender_addon.backend.requirements import TABLE

ROOT = Path(__file__).resolve().parents[2]
_CUDA_ONLY = ("nvidia-", "cuda-", "triton")  # what torch asks for on Linux only for CUDA


@dataclass(frozen=True)
class System:
    """A kind of computer, in our words and in the resolver's."""

    name: str
    platform: str
    device: str  # which the index' own torch is for
    pythons: tuple[str, ...] = ("3.11", "3.13")  # of Blender 4.2 to 5.0, and of 5.1 and later


SYSTEMS = (
    # the Blender of a Linux distribution runs the system's Python
    System("linux-x86_64", "x86_64-unknown-linux-gnu", "cuda", ("3.11", "3.13", "3.14")),
    System("windows-x86_64", "x86_64-pc-windows-msvc", "cpu"),
    System("macos-arm64", "aarch64-apple-darwin", "apple"),
)
_MACOS_VERSION = "14.0"  # what the pinned torch and PyAV are built for


def main() -> int:
    official = tomllib.loads(Path(__file__).with_name("official_wheels.toml").read_text(encoding="utf-8"))
    files: dict[str, dict[str, Any]] = {}
    targets: dict[str, list[str]] = {}
    for system in SYSTEMS:
        for python in system.pythons:
            found = _resolve(system, python)
            place = f"{system.name}-cp{python.replace('.', '')}"
            files |= found
            targets[f"{place}-{system.device}"] = sorted(found)
            for name, wheel in official.items():
                if wheel["target"].startswith(f"{place}-"):
                    files[name] = {"name": "torch"} | {key: wheel[key] for key in ("version", "sha256", "size", "url")}
                    targets[wheel["target"]] = sorted([name, *_without_torch(found)])
    used = {name for names in targets.values() for name in names}
    lines = [f"  {json.dumps(name)}: {json.dumps(files[name])}" for name in sorted(used)]
    lists = [f"  {json.dumps(target)}: {json.dumps(targets[target], indent=3)}" for target in sorted(targets)]
    text = '{\n "files": {\n' + ",\n".join(lines) + '\n },\n "targets": {\n' + ",\n".join(lists) + "\n }\n}\n"
    TABLE.write_text(text, encoding="utf-8")
    for target, names in sorted(targets.items()):
        print(f"{target:28} {len(names):3} wheels {sum(files[name]['size'] for name in names) / 1e6:7.0f} MB")
    return 0


def _resolve(system: System, python: str) -> dict[str, dict[str, Any]]:
    """The wheels for one system and Python, by file name."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pylock.found.toml"
        command = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "compile",
            str(ROOT / "pyproject.toml"),
            "--format",
            "pylock.toml",
        ]
        command += ["--constraints", str(_versions(Path(folder))), "--only-binary", ":all:", "--no-config", "--quiet"]
        command += ["--python-platform", system.platform, "--python-version", python, "--output-file", str(out)]
        environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": _MACOS_VERSION}
        subprocess.run(command, check=True, env=environment)
        packages = tomllib.loads(out.read_text(encoding="utf-8"))["packages"]
    found = {}
    for package in packages:
        wheel = max(package["wheels"], key=lambda wheel: _fitness(wheel["url"]))
        name = unquote(wheel["url"].rsplit("/", 1)[1])
        facts = {"name": package["name"], "version": package["version"]}
        found[name] = facts | {"sha256": wheel["hashes"]["sha256"], "size": wheel["size"]}
    return found


def _versions(folder: Path) -> Path:
    """constraints.txt in the resolver's words: no extras."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    path = folder / "constraints.txt"
    path.write_text("\n".join(re.sub(r"\[.*?\]", "", line) for line in lines), encoding="utf-8")
    return path


def _fitness(url: str) -> tuple[bool, int]:
    """How well one of several wheels for a system fits: made for it, and for its newest version."""
    newest = max((int(number) for number in re.findall(r"macosx_(\d+)", url)), default=0)
    return not url.endswith("-any.whl"), newest


def _without_torch(found: dict[str, dict[str, Any]]) -> list[str]:
    """Everything but the index' torch and what only that one needs."""
    return [
        name for name, wheel in found.items() if wheel["name"] != "torch" and not wheel["name"].startswith(_CUDA_ONLY)
    ]


if __name__ == "__main__":
    sys.exit(main())
