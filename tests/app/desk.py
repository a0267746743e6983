"""The window of the real program, with the display's own mouse: buttons found and clicked, pictures taken.

It needs xdotool and ImageMagick. A button is found by what *Copy Python Command* says of it. What yields is one step
after the other; the number is how long Blender is left to itself, in seconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import first_use

ROW = 12  # pixels from one place where a button is looked for to the next
HOVER = 0.3  # s that Blender takes at most to see what is under the mouse
SEES = 3  # times that a button is looked for until Blender sees the mouse on it: a busy machine draws late
Places = dict[str, tuple[int, int]]  # of buttons on the display, by operator
Box = tuple[int, int, int, int]  # left, top, width, height in pixels of the display


def module(name: str) -> Any:
    """A module of the add-on."""
    return sys.modules[f"{first_use.MODULE}.{name}"]


def sidebar() -> tuple[Any, Any]:
    """(area, region) of the 3D view's sidebar."""
    area = next(area for area in window().screen.areas if area.type == "VIEW_3D")
    return area, next(region for region in area.regions if region.type == "UI")


def view() -> tuple[Any, Any]:
    """(area, region) of the 3D view itself."""
    area, _ = sidebar()
    return area, next(region for region in area.regions if region.type == "WINDOW")


def in_view() -> Any:
    """What operators see that are called from the 3D view."""
    area, region = view()
    return bpy.context.temp_override(window=window(), area=area, region=region)


def window() -> Any:
    return bpy.context.window_manager.windows[0]


def find_buttons(places: Places) -> Iterator[float]:
    """Go down the sidebar and note where the button of each operator is."""
    places.clear()
    # a busy Blender sees the mouse late: what it saw last must not be taken for what is at the top
    _, region = view()
    mouse("mousemove", str(region.x + 40), str(window().height - region.y - 40))
    yield from until(lambda: not operator_here(), "Blender sees that the mouse is on no button")
    _, region = sidebar()
    x = region.x + region.width // 2
    for y in range(region.y + region.height - ROW, region.y, -ROW):
        mouse("mousemove", str(x), str(window().height - y))
        yield HOVER
        operator = operator_here()
        if operator:
            places.setdefault(operator, (x, window().height - y))


def click(places: Places, operator: str) -> Iterator[float]:
    """Click the button of an operator, once Blender sees the mouse on it."""
    for _ in range(SEES):
        assert operator in places, f"There is no button of {operator} in the sidebar, only {', '.join(places)}."
        mouse("mousemove", *map(str, places[operator]))
        yield HOVER
        if operator_here() == operator:
            break
        yield from find_buttons(places)
    yield from click_at(*places[operator])


def click_at(x: int, y: int) -> Iterator[float]:
    """Click a place of the display."""
    mouse("mousemove", str(x), str(y))
    yield HOVER
    mouse("click", "1")
    yield HOVER


def mouse(*words: str) -> None:
    """Move or click the display's own mouse."""
    subprocess.run(["xdotool", *words], check=True)


def operator_here() -> str:
    """The operator of the button under the mouse; empty where there is none."""
    return command_here().removeprefix("bpy.ops.").partition("(")[0]


def command_here() -> str:
    """The Python call behind the button under the mouse; empty where there is none."""
    area, region = sidebar()
    bpy.context.window_manager.clipboard = ""
    with bpy.context.temp_override(window=window(), area=area, region=region):
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
    return str(bpy.context.window_manager.clipboard)


def until(test: Callable[[], Any], what: str, seconds: float = 120.0) -> Iterator[float]:
    """Wait until a test holds."""
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, f"Waited in vain: {what}."
        yield 0.1


def still(seconds: float = 240.0) -> Iterator[float]:
    """Wait until the window shows the same for some seconds: shaders are compiled, samples are taken."""
    end, seen = time.monotonic() + seconds, [b""]
    while len(seen) < 3 or len(set(seen[-3:])) > 1:
        assert time.monotonic() < end, f"The window still changes after {seconds:.0f} s."
        yield 2.0
        seen.append(subprocess.run(["import", "-window", "root", "rgb:-"], check=True, capture_output=True).stdout)


def picture(path: Path, box: Box | None = None) -> None:
    """What the display shows, all of it or a box."""
    path.parent.mkdir(exist_ok=True)
    left, top, width, height = box or (0, 0, window().width, window().height)
    crop = ["-crop", f"{width}x{height}+{left}+{top}", "+repage"]
    subprocess.run(["import", "-window", "root", *crop, "-quality", "85", str(path)], check=True)
