"""How fast a real window plays back a head all of whose expressions are driven, and what bounds it.

    BLENDER --factory-startup --window-geometry 0 0 1280 900 --python tests/app/playback.py -- AVATAR

Run it from the repository; it needs a screen, or Xvfb. Every frame of 2 s has a key on each expression, all are played
and none is dropped, at a rate that no computer reaches. Printed for Solid and Material view: frames a second while it
plays for 10 s (in Material view after the shaders are ready), the time to work a frame out without drawing it, and the
time to draw the window when nothing has changed (medians).
"""

from __future__ import annotations

import math
import statistics
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from blender_addon.avatar_reader import read_avatar
from blender_addon.scene.build import build_avatar

FRAMES = 48
SECONDS = 10.0
ROUNDS = 20
SHADERS = 90.0  # s that a processor may take to compile them all


def story(path: str) -> Iterator[float]:
    """One step after the other; what is yielded is how long Blender is left to itself, in seconds."""
    scene = bpy.context.scene
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    head = build_avatar(read_avatar(path), "Head").head
    keys = head.data.shape_keys.key_blocks[1:]
    for number, key in enumerate(keys):
        for frame in range(1, FRAMES + 1):
            key.value = 0.25 + 0.25 * math.sin(0.3 * frame + number)
            key.keyframe_insert("value", frame=frame)
    scene.frame_start, scene.frame_end, scene.sync_mode = 1, FRAMES, "NONE"
    scene.render.fps = 1000
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_all()
    print(f"Blender {bpy.app.version_string}: {len(head.data.vertices)} vertices, {len(keys)} driven keys,", end=" ")
    print(f"a view of {region.width} x {region.height}")
    for shading in ("SOLID", "MATERIAL"):
        area.spaces.active.shading.type = shading
        area.tag_redraw()
        yield SHADERS if shading == "MATERIAL" else 2.0
        worked = [_timed(lambda frame=frame: scene.frame_set(frame)) for frame in range(1, ROUNDS + 1)]
        yield 1.0
        with bpy.context.temp_override(window=window, area=area, region=region):
            drawn = [_timed(lambda: bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)) for _ in range(ROUNDS)]
        shown: list[float] = []
        note = lambda *_, shown=shown: shown.append(time.perf_counter())
        bpy.app.handlers.frame_change_post.append(note)
        with bpy.context.temp_override(window=window, area=area, region=region):
            bpy.ops.screen.animation_play()
        yield SECONDS
        with bpy.context.temp_override(window=window, area=area, region=region):
            bpy.ops.screen.animation_cancel()
        bpy.app.handlers.frame_change_post.remove(note)
        rate = (len(shown) - 1) / (shown[-1] - shown[0])
        print(f"{shading.title()}: {rate:.1f} frames a second ({1000 / rate:.0f} ms a frame);", end=" ")
        print(f"worked out {statistics.median(worked):.1f} ms, drawn {statistics.median(drawn):.0f} ms", flush=True)


def _timed(what: Any) -> float:  # ms
    start = time.perf_counter()
    what()
    return 1000 * (time.perf_counter() - start)


steps = story(sys.argv[sys.argv.index("--") + 1])


def step() -> float | None:
    """Goes on with the story; ends Blender with it."""
    try:
        return next(steps)
    except StopIteration:
        bpy.ops.wm.quit_blender()
    except Exception:
        traceback.print_exc()
        sys.stdout.flush()
        bpy.ops.wm.quit_blender()
    return None


bpy.app.timers.register(step, first_interval=2.0)
