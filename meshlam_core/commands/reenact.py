"""`meshlam reenact`: drive an avatar with a track, one transparent PNG a frame on the clip's pixel grid."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshlam_core.avatar.io import read_avatar
from meshlam_core.commands.drive import read_performance
from meshlam_core.commands.neural import head_of, neural_options, open_repaint
from meshlam_core.errors import UsageError
from meshlam_core.files.images import read_clip
from meshlam_core.files.outputs import atomic_folder, check_output_folder
from meshlam_core.files.png import encode_png
from meshlam_core.progress import Progress

if TYPE_CHECKING:
    from meshlam_core.tracker.retarget import AvatarPose, Retargeter
    from meshlam_core.viewing.viewer import AvatarRenderer


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Render every frame of the track."""
    check_output_folder(arguments.out)
    neural = neural_options(arguments)
    progress("reading", 0.0, arguments.avatar.name)
    avatar = read_avatar(arguments.avatar)
    from meshlam_core.pipeline import choose_device, prefer_rasteriser
    from meshlam_core.tracker.retarget import Retargeter, avatar_rig
    from meshlam_core.viewing.viewer import AvatarRenderer

    head = head_of(avatar, arguments.head)
    rig = avatar_rig(avatar, head)
    track, fitted = read_performance(arguments.track, avatar, rig, head)
    device = choose_device(arguments.device)
    prefer_rasteriser(arguments.rasteriser, device)
    repaint = open_repaint(avatar, neural, device)
    renderer = AvatarRenderer(avatar, device, repaint=repaint)
    laid = Retargeter.of(track, rig, len(avatar.joints), fitted, same_person=arguments.onto is not None)
    hull = AvatarRenderer(replace(avatar, strands=None))  # poses are found with it
    poses = laid.poses() if arguments.onto is None else poses_onto(arguments.onto, laid, hull)
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


def poses_onto(
    clip: Path,
    laid: Retargeter,
    renderer: AvatarRenderer,  # on the CPU
) -> Iterator[AvatarPose]:
    """The pose in every frame of a track, corrected by the frames of the clip it was made of.

    UsageError where the clip has other frames than the track.
    """
    from meshlam_core.viewing.express import onto_frame

    pictures = read_clip(clip)
    for frame, pose in zip(laid.track.frames, laid.poses(), strict=True):
        picture = next(pictures, None)
        if picture is None or picture.pixels.shape[1::-1] != tuple(laid.track.size):
            seen = (
                "it ends earlier" if picture is None else "its frames are {} x {}".format(*picture.pixels.shape[1::-1])
            )
            width, height = laid.track.size
            wanted = f"the clip of the track, {len(laid.track.frames)} frames of {width} x {height}"
            raise UsageError(f"--onto: expected {wanted}; {clip.name} is another, as {seen}.", "Track this clip first.")
        yield onto_frame(laid, renderer, frame, pose, picture.pixels) if frame.found else pose


def show(result: dict[str, Any]) -> str:
    """One line."""
    width, height = result["size"]
    missing = result["frames"] - result["found"]
    bridged = f" ({missing} without a face, bridged)" if missing else ""
    return f"{result['out']}: {result['frames']} frames of {width} x {height}{bridged}"
