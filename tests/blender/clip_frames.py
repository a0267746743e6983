r"""Where a driven head lies in a clip's frames, as Blender shows it through the clip's camera.

    PYTHONPATH=. MESHLAM_BACKEND=$PWD/.venv/bin/python BPY/bin/python tests/blender/clip_frames.py \
      [--head AVATAR] OUT CLIP...

Each clip's first frame is reconstructed (or AVATAR taken, another person's head), the clip drives the head, and five
of its frames, evenly over its length, are rendered with Cycles (16 samples on the processor) in the photo's own light.
Printed by clip_distance.py for each clip: the distance of the head's vertices that carry the 68 points, and of the 68
points in the rendering, from those in the clip's frame, found by the same detector; OUT/CLIP/beside.png shows the
frames above their renderings.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np

import blender_addon
from blender_addon import state
from blender_addon.avatar_reader import read_avatar
from blender_addon.backend.locate import default_data_folder
from blender_addon.scene.build import build_avatar
from blender_addon.scene.found import active_avatar

PICTURES, SAMPLES = 5, 16


def pixels_at(frame: int, head: Any, camera: Any) -> np.ndarray:  # [V, 2]
    """Where the scene's camera sees the head's vertices."""
    scene = bpy.context.scene
    scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    mesh, size = head.evaluated_get(graph), np.array([scene.render.resolution_x, scene.render.resolution_y])
    points = np.ones((len(mesh.data.vertices), 4), np.float32)
    local = np.empty(len(points) * 3, np.float32)
    mesh.data.vertices.foreach_get("co", local)
    points[:, :3] = local.reshape(-1, 3)
    view = camera.calc_matrix_camera(graph, x=int(size[0]), y=int(size[1])) @ camera.matrix_world.inverted()
    seen = points @ np.array(view @ mesh.matrix_world).T
    return (seen[:, :2] / seen[:, 3:] * [0.5, -0.5] + 0.5) * size


def render(path: Path) -> None:
    """The scene's frame through its camera."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", SAMPLES
    scene.cycles.use_denoising = False
    scene.view_settings.view_transform = "Standard"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def reconstruct_first(backend: str, clip: Path, photo: Path) -> None:
    """The head of the clip's first frame, which is kept as `photo`."""
    words = "import sys, cv2; cv2.imwrite(sys.argv[2], cv2.VideoCapture(sys.argv[1]).read()[1])"
    subprocess.run([backend, "-c", words, str(clip), str(photo)], check=True)
    bpy.context.scene.meshlam.photo = str(photo)
    assert bpy.ops.meshlam.reconstruct() == {"FINISHED"}


def measure(backend: str, clip: Path, head: Path | None, folder: Path) -> str:
    """One clip's lines."""
    folder.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    if head is None:
        reconstruct_first(backend, clip, folder / "first.png")
    else:
        bpy.context.view_layer.objects.active = build_avatar(read_avatar(head), head.stem).head
    scene.meshlam_clip.clip = str(clip)
    assert bpy.ops.meshlam.drive_from_clip() == {"FINISHED"}
    built = active_avatar(bpy.context)
    assert built is not None
    assert bpy.ops.meshlam.toggle_clip_camera() == {"FINISHED"}
    assert bpy.ops.meshlam.toggle_photo_light() == {"FINISHED"}
    frames = [round(frame) for frame in np.linspace(0, scene.frame_end - 1, PICTURES)]
    pixels = []
    for frame in frames:
        pixels.append(pixels_at(1 + frame, built.head, built.clip_camera))
        render(folder / f"{frame}.png")
    np.savez(folder / "points.npz", frames=frames, pixels=np.array(pixels))
    script, avatar = Path(__file__).with_name("clip_distance.py"), built.rig["meshlam_source"]
    command = [backend, str(script), str(clip), avatar, str(folder / "points.npz"), str(folder)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--head", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("clips", type=Path, nargs="+")
    chosen = parser.parse_args()
    head = chosen.head.resolve() if chosen.head else None
    blender_addon.register()
    with tempfile.TemporaryDirectory() as data:  # where heads and tracks are kept
        (Path(data) / "assets").symlink_to(default_data_folder() / "assets", target_is_directory=True)
        os.environ["MESHLAM_HOME"] = data
        for clip in chosen.clips:
            folder = (chosen.out / clip.stem).resolve()
            print(clip.name, measure(os.environ["MESHLAM_BACKEND"], clip.resolve(), head, folder), flush=True)
        state.session.close()


if __name__ == "__main__":
    main()
