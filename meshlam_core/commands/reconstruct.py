"""`meshlam reconstruct`: a photo becomes an avatar file."""

from __future__ import annotations

import argparse
from typing import Any

from meshlam_core.commands.sessions import Sessions, reconstruct_file
from meshlam_core.outputs import check_output_file
from meshlam_core.progress import Progress

NOT_REFINED = "  not refined: head and texture are the tracker's, the network did not run"


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Reconstruct and report."""
    check_output_file(arguments.out)
    progress("starting", 0.0, "loading the models")
    from meshlam_core.pipeline import ReconstructOptions

    options = ReconstructOptions(
        preset=arguments.preset,
        head=arguments.head,
        face=arguments.face,
        texture_size=arguments.texture_size,
        device=arguments.device,
        seed=arguments.seed,
        weights=arguments.weights,
        backbone=arguments.backbone,
    )
    return reconstruct_file(arguments.photo, arguments.out, options, Sessions(), progress)


def show(result: dict[str, Any]) -> str:
    """A few lines for people."""
    timings = result["timings"]
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in timings.items() if name != "total")
    lines = [
        f"{result['avatar']}: {result['vertices']} vertices, {result['faces']} triangles",
        f"  refined by the network ({result['weights']})" if result["refined"] else NOT_REFINED,
        f"  landmark error {result['landmark_error']:.2%} of the face height",
        f"  {timings['total']:.2f} s on {result['device']} ({stages})",
    ]
    return "\n".join(lines + [f"  warning: {text}" for text in result["warnings"]])
