"""How fast a real window plays back a head all of whose expressions are driven, and what bounds it.

    BLENDER --factory-startup --window-geometry 0 0 1280 900 --python tests/app/playback.py -- AVATAR

Run it from the repository; it needs a screen, or Xvfb. Every frame of 2 s has a key on each expression, all are played
and none is dropped, at a rate that no computer reaches. Printed for Solid and Material view: frames a second while it
plays for 10 s (in Material view after the shaders are ready), the time to work a frame out without drawing it, and the
time to draw the window when nothing has changed (medians).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))

from desk import in_view, view
from playing import about, driven_head, look_at_all, played, tell

SECONDS = 10.0
ROUNDS = 20
SHADERS = 90.0  # s that a processor may take to compile them all


def story(path: str) -> Iterator[float]:
    """One step after the other; what is yielded is how long Blender is left to itself, in seconds."""
    scene, built = bpy.context.scene, driven_head(path)
    look_at_all()
    print(f"Blender {bpy.app.version_string}: {about(built)}")
    area, _ = view()
    for shading in ("SOLID", "MATERIAL"):
        area.spaces.active.shading.type = shading
        area.tag_redraw()
        yield SHADERS if shading == "MATERIAL" else 2.0
        worked = [_timed(lambda frame=frame: scene.frame_set(frame)) for frame in range(1, ROUNDS + 1)]
        yield 1.0
        with in_view():
            drawn = [_timed(lambda: bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)) for _ in range(ROUNDS)]
        shown = yield from played(SECONDS, time.perf_counter)
        rate = (len(shown) - 1) / (shown[-1] - shown[0])
        print(f"{shading.title()}: {rate:.1f} frames a second ({1000 / rate:.0f} ms a frame);", end=" ")
        print(f"worked out {statistics.median(worked):.1f} ms, drawn {statistics.median(drawn):.0f} ms", flush=True)


def _timed(what: Any) -> float:  # ms
    start = time.perf_counter()
    what()
    return 1000 * (time.perf_counter() - start)


tell(story(sys.argv[sys.argv.index("--") + 1]))
