"""`meshlam reconstruct`: a photo becomes an avatar file."""

from __future__ import annotations

import argparse
from typing import Any

from meshlam_core.commands.batch import reconstruct_files, table
from meshlam_core.commands.sessions import Sessions, reconstruct_file
from meshlam_core.files.outputs import check_output_file, check_output_folder
from meshlam_core.progress import Progress

NOT_REFINED = "  not refined: head and texture are the tracker's, the network did not run"


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Reconstruct and report."""
    several = len(arguments.photos) > 1 or arguments.photos[0].is_dir()
    (check_output_folder if several else check_output_file)(arguments.out)
    progress("starting", 0.0, "loading the models")
    from meshlam_core.pipeline import ReconstructOptions

    options = ReconstructOptions(
        preset=arguments.preset,
        head=arguments.head,
        hair=arguments.hair,
        sway_bones=arguments.sway_bones,
        keep=arguments.keep,
        texture=arguments.texture,
        face=arguments.face,
        texture_size=arguments.texture_size,
        device=arguments.device,
        seed=arguments.seed,
        weights=arguments.weights,
        backbone=arguments.backbone,
        landmarks=arguments.landmarks,
        rasteriser=arguments.rasteriser,
    )
    if several:
        return reconstruct_files(arguments.photos, arguments.out, options, Sessions(), progress, arguments.overwrite)
    return reconstruct_file(arguments.photos[0], arguments.out, options, Sessions(), progress)


def show(result: dict[str, Any]) -> str:
    """A few lines for people."""
    if "results" in result:
        return f"{table(result['results'])}\nwith pictures: {result['report']}"
    timings = result["timings"]
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in timings.items() if name != "total")
    lines = [
        f"{result['avatar']}: {result['vertices']} vertices, {result['faces']} triangles",
        f"  refined by the network ({result['weights']})" if result["refined"] else NOT_REFINED,
        f"  landmark error {result['landmark_error']:.2%} of the face height",
        f"  {timings['total']:.2f} s on {result['device']} ({stages})",
    ]
    return "\n".join(lines + [f"  warning: {text}" for text in result["warnings"]])
