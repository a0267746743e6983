"""`meshlam assets`: list, fetch or verify the downloadable files."""

from __future__ import annotations

import argparse
from typing import Any

from meshlam_core import assets
from meshlam_core.errors import AssetError
from meshlam_core.progress import Progress

GROUPS = {
    "runtime": "",
    "paper": "only for the preset paper",
    "face-alignment": "only for --landmarks face-alignment",
    "build": "only to rebuild the head model",
}


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do what is asked; verify answers with exit code 4 when a file is missing or damaged."""
    names = assets.names_of(arguments.names or ["runtime"])
    if arguments.action == "list" and not arguments.names:
        names = assets.names_of(GROUPS)
    elif arguments.all:
        names = assets.names_of(["runtime", "build"])
    states: tuple[assets.AssetState, ...]
    if arguments.action == "fetch":
        states = assets.fetch(names, progress, allow_network=not arguments.offline)
    else:
        states = assets.verify(names)
    bad = any(found.state != "ok" for found in states) and arguments.action == "verify"
    return {
        "home": str(assets.home()),
        "assets": [_describe(found) for found in states],
        "exit_code": AssetError.exit_code if bad else 0,
    }


def _describe(found: assets.AssetState) -> dict[str, Any]:
    asset = found.asset
    return {
        "name": asset.name,
        "state": found.state,
        "path": str(found.path),
        "size": asset.size,
        "sha256": asset.sha256,
        "licence": asset.licence,
        "purpose": asset.purpose,
        "group": asset.group,
        "sources": [str(source) for source in asset.sources],
    }


def show(result: dict[str, Any]) -> str:
    """A table."""
    lines = [f"in {result['home']}"]
    for asset in result["assets"]:
        name, size, licence = f"{asset['name']:<20}", f"{asset['size'] / 1e6:6.1f} MB", asset["licence"]
        use = GROUPS[asset["group"]]
        lines.append(f"  {asset['state']:<8} {name} {size}  {licence}{f' ({use})' if use else ''}")
        lines.append(f"           {asset['purpose']}")
    if any(asset["state"] != "ok" and asset["group"] == "runtime" for asset in result["assets"]):
        lines.append("Run `meshlam assets fetch` to get what is missing.")
    return "\n".join(lines)
