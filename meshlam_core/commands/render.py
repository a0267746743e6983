"""`meshlam render`: a view of an avatar as a PNG with transparency."""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshlam_core.avatar.io import read_avatar
from meshlam_core.commands.neural import NeuralOptions, neural_options, open_repaint
from meshlam_core.errors import UsageError
from meshlam_core.files.outputs import atomic_folder, check_output_file, check_output_folder, write_file
from meshlam_core.files.png import encode_png
from meshlam_core.progress import Progress

if TYPE_CHECKING:
    from meshlam_core.avatar.record import Avatar
    from meshlam_core.viewing.viewer import U8, AvatarRenderer

TURNTABLE_FRAMES = 36
TURNTABLE_MILLISECONDS = 80  # per frame


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Render and tell where the picture is."""
    return render_file(
        arguments.avatar,
        arguments.out,
        arguments.view,
        arguments.size,
        dict(arguments.set),
        arguments.pose,
        arguments.device,
        progress,
        neural_options(arguments),
        arguments.rasteriser,
    )


def render_file(
    source: Path,
    out: Path,
    view: str,
    size: int | str,
    settings: Mapping[str, float],
    pose: str | None,
    device: str,
    progress: Progress,
    neural: NeuralOptions | None = None,
    rasteriser: str = "auto",
) -> dict[str, Any]:
    """Avatar file -> PNG, or the PNGs of a turntable in a folder."""
    if not (size == "native" or (isinstance(size, int) and 16 <= size <= 4096)):
        raise UsageError(f"Expected a size of 16 to 4096 pixels or native, got {size!r}.")
    into_folder = view == "turntable" and (out.is_dir() or out.suffix.lower() != ".png")
    (check_output_folder if into_folder else check_output_file)(out)
    progress("reading", 0.0, source.name)
    avatar = read_avatar(source)
    progress("rendering", 0.1, view)
    from meshlam_core.pipeline import choose_device, prefer_rasteriser
    from meshlam_core.viewing.viewer import AvatarRenderer, render_avatar, with_settings

    with_settings(avatar, avatar.photo.expression, settings)  # a wrong name is told before the work
    device = choose_device(device)
    prefer_rasteriser(rasteriser, device)
    renderer = AvatarRenderer(avatar, device, repaint=open_repaint(avatar, neural, device))
    if view == "turntable":
        pixels = int(avatar.photo.size.max()) if isinstance(size, str) else size
        pictures = _turntable(avatar, renderer, settings, pose, pixels, progress)
        if into_folder:
            with atomic_folder(out) as folder:
                for index, picture in enumerate(pictures):
                    (folder / f"{index:03d}.png").write_bytes(encode_png(picture))
        else:
            write_file(out, _animation(pictures))
    else:
        pictures = [render_avatar(avatar, view, size, settings, pose, renderer=renderer)]
        write_file(out, encode_png(pictures[0]))
    height, width = pictures[0].shape[:2]
    return {
        "out": str(out),
        "view": view,
        "size": [width, height],
        "frames": len(pictures),
        "device": device,
        "neural": neural is not None,
    }


def _turntable(
    avatar: Avatar,
    renderer: AvatarRenderer,
    settings: Mapping[str, float],
    pose: str | None,
    size: int,
    progress: Progress,
) -> list[U8]:
    from meshlam_core.viewing.viewer import neutral_pose, photo_pose, render_yaw

    bent = (photo_pose if pose == "photo" else neutral_pose)(avatar, settings)
    pictures = []
    for index in range(TURNTABLE_FRAMES):
        progress("rendering", 0.1 + 0.85 * index / TURNTABLE_FRAMES, f"{index + 1} of {TURNTABLE_FRAMES}")
        pictures.append(render_yaw(renderer, bent, 360 * index / TURNTABLE_FRAMES, size))
    return pictures


def _animation(pictures: list[U8]) -> bytes:
    from PIL import Image

    frames = [Image.fromarray(picture) for picture in pictures]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "PNG", save_all=True, append_images=frames[1:], duration=TURNTABLE_MILLISECONDS, loop=0, disposal=1
    )
    return buffer.getvalue()


def show(result: dict[str, Any]) -> str:
    """One line."""
    width, height = result["size"]
    frames = f", {result['frames']} frames" if result["frames"] > 1 else ""
    return f"{result['out']}: {result['view']}, {width} x {height}{frames}"
