"""`meshlam record`: what a camera shows, as a clip to be tracked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from meshlam_core.files.outputs import check_output_file
from meshlam_core.progress import Progress


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Record and report."""
    return record_file(arguments.out, arguments.camera, arguments.seconds, progress)


def record_file(out: Path, camera: str, seconds: float, progress: Progress) -> dict[str, Any]:
    """Camera -> clip."""
    check_output_file(out)
    from meshlam_core.files.camera import record_clip

    made = record_clip(camera, out, seconds, progress)
    gone = f"The camera stopped after {made.duration:.1f} s; what it had shown until then is kept."
    return {
        "out": str(out),
        "camera": camera,
        "size": list(made.size),
        "frames": made.frames,
        "duration": round(made.duration, 3),
        "warnings": [] if made.whole else [gone],
    }


def show(result: dict[str, Any]) -> str:
    """A few lines for people."""
    width, height = result["size"]
    lines = [f"{result['out']}: {result['frames']} frames of {width} x {height}, {result['duration']:.1f} s"]
    return "\n".join([*lines, *(f"  {warning}" for warning in result["warnings"])])
