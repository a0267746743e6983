"""`meshlam export`: an avatar as Gaussians. What needs Blender (GLB, FBX, USD) is exported by the add-on."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshlam_core.avatar.io import read_avatar
from meshlam_core.errors import UsageError
from meshlam_core.files.outputs import check_output_file
from meshlam_core.progress import Progress

if TYPE_CHECKING:
    from meshlam_core.viewing.gaussians import Gaussians


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Write the Gaussians and tell where they are."""
    out: Path = arguments.out
    if out.suffix.lower() != ".ply":
        raise UsageError(
            f"Expected an output name that ends in .ply, got {out.name}.", f"Try {out.with_suffix('.ply')}."
        )
    check_output_file(out)
    progress("reading", 0.0, arguments.avatar.name)
    gaussians, licence = (_of_surfaces if arguments.avatar.suffix.lower() == ".npz" else _of_avatar)(
        arguments, progress
    )
    progress("writing", 0.9, out.name)
    from meshlam_core.viewing.gaussian_ply import write_gaussians

    write_gaussians(gaussians, out, arguments.axes, licence)
    return {
        "out": str(out),
        "gaussians": arguments.gaussians,
        "axes": arguments.axes,
        "bytes": out.stat().st_size,
    }


def _of_avatar(arguments: argparse.Namespace, progress: Progress) -> tuple[Gaussians, str]:
    """The Gaussians of an avatar, and its head model's licence."""
    avatar = read_avatar(arguments.avatar)
    progress("covering", 0.2, f"{arguments.gaussians} Gaussians")
    from meshlam_core.pipeline import choose_device
    from meshlam_core.viewing.gaussians import cover
    from meshlam_core.viewing.viewer import AvatarRenderer, neutral_pose, photo_pose, upright

    pose = upright((photo_pose if arguments.pose == "photo" else neutral_pose)(avatar, dict(arguments.set)))
    renderer = AvatarRenderer(replace(avatar, strands=None), choose_device(arguments.device))
    gaussians = cover(renderer.mesh, renderer.posed(pose), arguments.gaussians, renderer.folded(pose.expression))
    return gaussians, str(avatar.provenance.get("head_licence", ""))


def _of_surfaces(arguments: argparse.Namespace, progress: Progress) -> tuple[Gaussians, str]:
    """The Gaussians of what the add-on hands over, which is posed there."""
    if arguments.set or arguments.pose != "neutral":
        raise UsageError("--set and --pose belong to an avatar; surfaces have no expressions.", "Leave them out.")
    from meshlam_core.pipeline import choose_device
    from meshlam_core.viewing.surfaces import cover_surfaces, read_surfaces

    arrays = read_surfaces(arguments.avatar)
    progress("covering", 0.2, f"{arguments.gaussians} Gaussians")
    return cover_surfaces(arrays, arguments.gaussians, choose_device(arguments.device)), arguments.licence


def show(result: dict[str, Any]) -> str:
    """One line."""
    return f"{result['out']}: {result['gaussians']} Gaussians, {result['axes']}, {result['bytes'] / 1e6:.1f} MB"
