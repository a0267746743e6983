"""A head that plays in a real window with all of its expressions driven: what playback.py and drawing.py measure."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from desk import in_view, view

from blender_addon.avatar_reader import read_avatar
from blender_addon.scene.build import BuiltAvatar, build_avatar

FRAMES = 48
T = TypeVar("T")


def driven_head(path: str) -> BuiltAvatar:
    """An avatar alone in the scene, every frame with a key on each expression; no frame is dropped."""
    scene = bpy.context.scene
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    built = build_avatar(read_avatar(path), "Head")
    for number, key in enumerate(built.head.data.shape_keys.key_blocks[1:]):
        for frame in range(1, FRAMES + 1):
            key.value = 0.25 + 0.25 * math.sin(0.3 * frame + number)
            key.keyframe_insert("value", frame=frame)
    scene.frame_start, scene.frame_end, scene.sync_mode = 1, FRAMES, "NONE"
    scene.render.fps = 1000  # which no computer reaches
    return built


def look_at_all() -> None:
    """From the front, as near as all fits."""
    with in_view():
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_all()


def about(built: BuiltAvatar) -> str:
    """What plays, and how large it is seen."""
    mesh, (_, region) = built.head.data, view()
    keys = len(mesh.shape_keys.key_blocks) - 1
    return f"{len(mesh.vertices)} vertices, {keys} driven keys, a view of {region.width} x {region.height}"


def played(seconds: float, reading: Callable[[], T]) -> Iterator[float]:
    """Play for so long; returns the readings, one a frame."""
    shown: list[T] = []
    note = lambda *_: shown.append(reading())
    bpy.app.handlers.frame_change_post.append(note)
    with in_view():
        bpy.ops.screen.animation_play()
    yield seconds
    with in_view():
        bpy.ops.screen.animation_cancel()
    bpy.app.handlers.frame_change_post.remove(note)
    return shown


def tell(steps: Iterator[float]) -> None:
    """Go on with a story whenever Blender has been left to itself for as long as it says; Blender ends with it."""

    def step() -> float | None:
        try:
            return next(steps)
        except StopIteration:
            pass
        except Exception:
            traceback.print_exc()
            sys.stdout.flush()
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(step, first_interval=2.0)
