"""`meshlam export`: an avatar as Gaussians. What needs Blender (GLB, FBX, USD) is exported by the add-on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from meshlam_core.avatar.io import read_avatar
from meshlam_core.errors import UsageError
from meshlam_core.files.outputs import check_output_file
from meshlam_core.progress import Progress


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Write the Gaussians and tell where they are."""
    out: Path = arguments.out
    if out.suffix.lower() != ".ply":
        raise UsageError(
            f"Expected an output name that ends in .ply, got {out.name}.", f"Try {out.with_suffix('.ply')}."
        )
    check_output_file(out)
    progress("reading", 0.0, arguments.avatar.name)
    avatar = read_avatar(arguments.avatar)
    progress("covering", 0.2, f"{arguments.gaussians} Gaussians")
    from meshlam_core.pipeline import choose_device
    from meshlam_core.viewing.gaussian_ply import write_gaussians
    from meshlam_core.viewing.gaussians import cover
    from meshlam_core.viewing.viewer import AvatarRenderer, neutral_pose, photo_pose, upright

    pose = upright((photo_pose if arguments.pose == "photo" else neutral_pose)(avatar, dict(arguments.set)))
    renderer = AvatarRenderer(avatar, choose_device(arguments.device))
    gaussians = cover(renderer.mesh, renderer.posed(pose), arguments.gaussians, renderer.folded(pose.expression))
    progress("writing", 0.9, out.name)
    write_gaussians(gaussians, out, arguments.axes, str(avatar.provenance.get("head_licence", "")))
    return {
        "out": str(out),
        "gaussians": arguments.gaussians,
        "pose": arguments.pose,
        "axes": arguments.axes,
        "bytes": out.stat().st_size,
    }


def show(result: dict[str, Any]) -> str:
    """One line."""
    return f"{result['out']}: {result['gaussians']} Gaussians, {result['axes']}, {result['bytes'] / 1e6:.1f} MB"
