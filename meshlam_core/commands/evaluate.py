"""`meshlam evaluate`: how well heads made of photos and clips repeat them; REPORT.json and REPORT.html.

The measuring itself belongs to `training`, the other half of the distribution, which a bare core lacks.
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from meshlam_core.errors import AssetError
from meshlam_core.files.outputs import check_output_file, write_file
from meshlam_core.progress import Progress

_NEEDED = ("training", "scipy", "skimage")


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Measure and write both reports."""
    page: Path = arguments.out.with_suffix(".html")
    for path in (arguments.out, page):
        check_output_file(path)
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise AssetError(
            f"Evaluating needs the packages {', '.join(_NEEDED)}, of which {', '.join(missing)} is not installed.",
            "Install the whole distribution: pip install 'meshlam[evaluate]'.",
        )
    from meshlam_core.pipeline import ReconstructOptions, choose_device
    from training.evaluate.report import html_report
    from training.evaluate.run import Work, as_json, evaluate, find_sources

    photos, clips = find_sources(arguments.sources)
    options = ReconstructOptions(
        preset=arguments.preset,
        weights=arguments.weights,
        backbone=arguments.backbone,
        device=choose_device(arguments.device),
    )
    rows = {"gaussians": arguments.gaussians, "peers": tuple(arguments.peer), "known": arguments.known}
    work = Work(photos, clips, options, arguments.every, arguments.pictures, **rows)
    evaluation = evaluate(work, arguments.teachers, progress)
    data = as_json(evaluation, work)
    write_file(arguments.out, json.dumps(data, ensure_ascii=False, indent=1).encode())
    write_file(page, html_report(evaluation).encode())
    means = {name: {kind: head[kind] for kind in ("photos", "clips")} for name, head in data["heads"].items()}
    return {"out": str(arguments.out), "page": str(page), "heads": means} | {
        name: data[name] for name in ("failures", "remarks")
    }


def show(result: dict[str, Any]) -> str:
    """A line for each kind of head."""
    lines = [f"{result['out']}, {result['page']}"]
    for name, kinds in result["heads"].items():
        for kind, means in kinds.items():
            if means:
                lines.append(f"  {name}, {kind}: {_told(means)}")
    lines += [f"  failed: {failure['source']}: {failure['reason']}" for failure in result["failures"]]
    return "\n".join([*lines, *(f"  {remark}" for remark in result["remarks"])])


def _told(means: dict[str, Any]) -> str:
    words = {"head": "head region {:.1f} dB", "hair": "hair covered {:.2f}", "silhouette": "silhouette {:.2f}",
             "outline": "face {:.1f} dB", "lpips": "LPIPS {:.3f}", "akd": "AKD {:.2f} px"}  # fmt: skip
    return ", ".join(text.format(means[name]) for name, text in words.items() if means.get(name) is not None)
