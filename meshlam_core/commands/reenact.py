"""`meshlam reenact`: drive an avatar with a track, one transparent PNG a frame on the clip's pixel grid."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from meshlam_core.avatar_io import read_avatar
from meshlam_core.errors import UsageError
from meshlam_core.outputs import atomic_folder, check_output_folder
from meshlam_core.png import encode_png
from meshlam_core.progress import Progress


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Render every frame of the track."""
    check_output_folder(arguments.out)
    progress("reading", 0.0, arguments.avatar.name)
    avatar = read_avatar(arguments.avatar)
    from meshlam_core.head.io import load_head
    from meshlam_core.pipeline import choose_device
    from meshlam_core.tracker.retarget import avatar_rig, retarget
    from meshlam_core.tracker.track_io import read_track
    from meshlam_core.viewer import AvatarRenderer

    track = read_track(arguments.track)
    head = load_head(None if arguments.head == "open" else Path(arguments.head))
    if head.blendshape_kind != avatar.blendshape_kind:
        hint = "Name the head model it was made with: --head PATH."
        raise UsageError(f"The avatar was not made with the head model {head.name!r}.", hint)
    renderer = AvatarRenderer(avatar, choose_device(arguments.device))
    poses = retarget(track, avatar_rig(avatar, head), len(avatar.joints))
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
    }


def show(result: dict[str, Any]) -> str:
    """One line."""
    width, height = result["size"]
    missing = result["frames"] - result["found"]
    bridged = f" ({missing} without a face, bridged)" if missing else ""
    return f"{result['out']}: {result['frames']} frames of {width} x {height}{bridged}"
