"""`meshlam reenact`: drive an avatar with a track, one transparent PNG a frame on the clip's pixel grid."""

from __future__ import annotations

import argparse
from typing import Any

from meshlam_core.avatar.io import read_avatar
from meshlam_core.commands.drive import read_performance
from meshlam_core.commands.neural import head_of, neural_options, open_repaint
from meshlam_core.files.outputs import atomic_folder, check_output_folder
from meshlam_core.files.png import encode_png
from meshlam_core.progress import Progress


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Render every frame of the track."""
    check_output_folder(arguments.out)
    neural = neural_options(arguments)
    progress("reading", 0.0, arguments.avatar.name)
    avatar = read_avatar(arguments.avatar)
    from meshlam_core.pipeline import choose_device, prefer_rasteriser
    from meshlam_core.tracker.retarget import avatar_rig, retarget
    from meshlam_core.viewing.viewer import AvatarRenderer

    head = head_of(avatar, arguments.head)
    rig = avatar_rig(avatar, head)
    track, fitted = read_performance(arguments.track, avatar, rig, head)
    device = choose_device(arguments.device)
    prefer_rasteriser(arguments.rasteriser, device)
    repaint = open_repaint(avatar, neural, device)
    renderer = AvatarRenderer(avatar, device, repaint=repaint)
    poses = retarget(track, rig, len(avatar.joints), fitted)
    with atomic_folder(arguments.out) as folder:
        for index, pose in enumerate(poses):
            progress("rendering", 0.05 + 0.95 * index / len(track.frames), f"frame {index + 1} of {len(track.frames)}")
            picture = renderer.draw_pose(pose.expression, pose.rotations, pose.translation, pose.camera)
            (folder / f"{index:05d}.png").write_bytes(encode_png(picture))
    return {
        "out": str(arguments.out),
        "frames": len(track.frames),
        "found": sum(frame.found for frame in track.frames),
        "size": list(track.size),
        "neural": arguments.neural,
    }


def show(result: dict[str, Any]) -> str:
    """One line."""
    width, height = result["size"]
    missing = result["frames"] - result["found"]
    bridged = f" ({missing} without a face, bridged)" if missing else ""
    return f"{result['out']}: {result['frames']} frames of {width} x {height}{bridged}"
