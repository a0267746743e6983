"""What bounds drawing while a head plays: the frame time in a real window, with one thing after the other taken away.

    BLENDER --factory-startup --window-geometry 0 0 WIDTH HEIGHT --python tests/app/drawing.py -- AVATAR [SHADING]

Run it from the repository, once for each size; it needs a screen, or Xvfb. Each line is the
time from one frame to the next while all expressions are driven and no frame is dropped: by the clock, the median; what
Blender takes of the processor's cores, which other programs disturb less, and its ratio to that of the empty scene.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))

from desk import view, window
from playing import FRAMES, about, driven_head, look_at_all, played, tell

SECONDS = 3.0
ROUNDS = 2
EDITORS = [f"use_play_{name}_editors" for name in ("animation", "properties", "image", "sequence", "node", "clip")]
SHADERS = 60.0  # s that a processor may take to compile them all


@dataclass(frozen=True)
class Took:
    """ms from one frame to the next: by the clock, and of all cores' time that Blender had."""

    passed: float
    worked: float

    @staticmethod
    def of(shown: list[tuple[float, float]]) -> Took:
        passed = [after[0] - before[0] for before, after in pairwise(shown)]
        return Took(1000 * statistics.median(passed), 1000 * (shown[-1][1] - shown[0][1]) / len(passed))


@contextmanager
def put(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    """Attributes of data as given, for a while."""
    before = [(item, name, getattr(item, name)) for item, name, _ in changes]
    for item, name, value in changes:
        setattr(item, name, value)
    try:
        yield
    finally:
        for item, name, value in reversed(before):
            setattr(item, name, value)


@contextmanager
def mesh_without(head: Any, change: Callable[[Any], None]) -> Iterator[None]:
    """A copy of the head's mesh, changed."""
    whole = head.data
    head.data = whole.copy()
    change(head.data)
    try:
        yield
    finally:
        spare, head.data = head.data, whole
        bpy.data.meshes.remove(spare)


def without_attributes(mesh: Any) -> None:
    for name in [item.name for item in mesh.attributes if not item.is_required and not item.is_internal]:
        if name not in ("material_index", "UVMap"):
            mesh.attributes.remove(mesh.attributes[name])


def without_uvs(mesh: Any) -> None:
    for layer in list(mesh.uv_layers):
        mesh.uv_layers.remove(layer)


def one_material(mesh: Any) -> None:
    while len(mesh.materials) > 1:
        mesh.materials.pop(index=len(mesh.materials) - 1)


def flat(mesh: Any) -> None:
    mesh.shade_flat()


def still(mesh: Any) -> None:
    mesh.shape_keys.animation_data_clear()


def plain_grey(mesh: Any) -> None:
    grey = bpy.data.materials.new("Grey")
    grey.use_nodes = True
    for index in range(len(mesh.materials)):
        mesh.materials[index] = grey


def variants(built: Any, space: Any, cube: Any) -> list[tuple[str, AbstractContextManager[Any]]]:
    head = built.head
    screen = window().screen
    shading, overlay, system = space.shading, space.overlay, bpy.context.preferences.system
    rest = [item for item in bpy.context.scene.objects if item not in (head, cube)]
    hide = [(item, "hide_viewport", True) for item in bpy.context.scene.objects if item is not cube]
    found = [
        ("empty scene", put(*hide)),
        ("a moving cube", put(*hide, (cube, "hide_viewport", False))),
        ("the head", nullcontext()),
        ("the head, not moving", mesh_without(head, still)),
        ("without overlays", put((overlay, "show_overlays", False))),
        ("without rig, camera and target", put(*[(item, "hide_viewport", True) for item in rest])),
        ("without redrawing other editors", put(*[(screen, name, False) for name in EDITORS])),
        ("without antialiasing", put((system, "viewport_aa", "OFF"))),
        ("without other attributes", mesh_without(head, without_attributes)),
        ("without UV map", mesh_without(head, without_uvs)),
        ("one material", mesh_without(head, one_material)),
        ("flat", mesh_without(head, flat)),
    ]
    if shading.type == "SOLID":
        found += [
            ("without outline", put((shading, "show_object_outline", False))),
            ("with cavity and shadow", put((shading, "show_cavity", True), (shading, "show_shadows", True))),
            ("in texture colours", put((shading, "color_type", "TEXTURE"))),
        ]
    else:
        found += [
            ("grey materials", mesh_without(head, plain_grey)),
            ("without the world's light", put((shading, "studiolight_intensity", 0.0))),
        ]
    bare = (
        (overlay, "show_overlays", False),
        (system, "viewport_aa", "OFF"),
        *[(item, "hide_viewport", True) for item in rest],
    )
    return [*found, ("without all of these", put(*bare))]


def story(path: str, kind: str) -> Iterator[float]:
    """One step after the other; what is yielded is how long Blender is left to itself, in seconds."""
    built = driven_head(path)
    bpy.ops.mesh.primitive_cube_add(size=0.2)
    cube = bpy.context.object
    cube.hide_viewport = True
    for frame in (1, FRAMES):
        cube.rotation_euler.z = 0.1 * frame
        cube.keyframe_insert("rotation_euler", frame=frame)
    look_at_all()
    space = view()[0].spaces.active
    space.shading.type = kind
    yield 2.0 if kind == "SOLID" else SHADERS
    print(f"Blender {bpy.app.version_string}, {kind.title()}: {about(built)}", flush=True)
    took: dict[str, list[Took]] = {}
    for _ in range(ROUNDS):
        for title, taken in variants(built, space, cube):
            with taken:
                yield 1.0
                shown = yield from played(SECONDS, lambda: (time.perf_counter(), time.process_time()))
            took.setdefault(title, []).append(Took.of(shown))
    empty = statistics.median(item.worked for item in took["empty scene"])
    for title, rounds in took.items():
        passed, worked = (statistics.median(getattr(item, name) for item in rounds) for name in ("passed", "worked"))
        print(f"{title:32} {passed:6.1f} ms, {worked:6.1f} ms of the processor, {worked / empty:5.2f}", flush=True)


arguments = sys.argv[sys.argv.index("--") + 1 :]
tell(story(arguments[0], arguments[1] if len(arguments) > 1 else "SOLID"))
