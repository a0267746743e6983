"""What the add-on does with the user's 3D views: close up on a new head, or through the photo camera."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from math import radians
from typing import Any

import bpy
from mathutils import Euler, Vector

from .scene.camera import RenderFrame, fit_render_to_photo, render_frame, restore_render_frame
from .scene.found import BuiltAvatar
from .scene.strands import strands_of

_FRAME_BEFORE = "meshlam_frame_before"  # on the scene while the photo camera is in use: what it replaced, JSON

_SHADING_BEFORE = "meshlam_shading_before"  # on a screen while the trust is shown: how its views were shaded, JSON
_COLOURS_BEFORE = "meshlam_colours_before"  # on the mesh, then, too: its active colours
_FLAT = {"color_type": "VERTEX", "light": "FLAT"}  # a view that shows the colours of vertices, and nothing else


def look_at(context: Any, built: BuiltAvatar) -> None:
    """Turn the current 3D view to the head, in Material Preview unless it shows a finished rendering already."""
    space = next(_spaces(context), None)
    if space is None:
        return
    aim_view(space, built.head)
    if space.shading.type in ("WIREFRAME", "SOLID"):
        space.shading.type = "MATERIAL"


def show_in_local_views(context: Any, built: BuiltAvatar) -> None:
    """A view that shows some objects alone shows the new head, too."""
    for space in _spaces(context):
        if space.local_view is not None:
            for item in (built.rig, built.head, built.camera, strands_of(built.rig)):
                if item is not None:
                    item.local_view_set(space, True)


def aim_view(space: Any, head: Any) -> None:
    """A view of the head from its front left, filling the view."""
    region = space.region_3d
    region.view_perspective = "PERSP"
    region.view_location = head.matrix_world @ (sum((Vector(corner) for corner in head.bound_box), Vector()) / 8)
    region.view_rotation = Euler((radians(86), 0.0, radians(-25))).to_quaternion()
    region.view_distance = 1.8 * max(head.dimensions) * space.lens / 50
    space.clip_start = min(space.clip_start, 0.01)


def photo_view_shown(scene: Any) -> bool:
    return _FRAME_BEFORE in scene


def show_photo_view(context: Any, camera: Any) -> None:
    """Look through the camera of a photo or a clip, with renderings on its pixels."""
    scene = context.scene
    space = next(_spaces(context), None)
    if not photo_view_shown(scene):
        before = asdict(render_frame(scene)) | {"view": _view(space) if space is not None else None}
        scene[_FRAME_BEFORE] = json.dumps(before)
    fit_render_to_photo(scene, camera)
    if space is not None:
        space.region_3d.view_perspective = "CAMERA"
        space.overlay.show_overlays = True  # background images are overlays


def hide_photo_view(context: Any) -> None:
    """Back to the camera, render size and view of before."""
    scene = context.scene
    if not photo_view_shown(scene):
        return
    stored = json.loads(scene[_FRAME_BEFORE])
    frame = RenderFrame(stored["camera"], tuple(stored["resolution"]), tuple(stored["aspect"]))
    restore_render_frame(scene, frame)
    del scene[_FRAME_BEFORE]
    for space in _spaces(context):
        if space.region_3d.view_perspective == "CAMERA":
            space.region_3d.view_perspective = "PERSP"
            if stored.get("view"):
                location, rotation, distance = stored["view"]
                region = space.region_3d
                region.view_location, region.view_rotation, region.view_distance = location, rotation, distance


def trust_shown() -> bool:
    return any(_SHADING_BEFORE in screen for screen in bpy.data.screens)


def trust_of(mesh: Any) -> str | None:
    """The attribute of a mesh that all 3D views show; None where they show none of its."""
    return str(mesh.color_attributes.active_color_name) if trust_shown() and _COLOURS_BEFORE in mesh else None


def show_trust(mesh: Any, attribute: str) -> None:
    """Let all 3D views show a colour attribute of scene/trust.py, flat; nothing else looks other than before."""
    hide_trust()
    for screen in bpy.data.screens:
        views = {}
        for index, area in enumerate(screen.areas):
            if area.type == "VIEW_3D":
                shading = area.spaces.active.shading
                before = {"type": shading.type}
                shading.type = "SOLID"  # Blender keeps light and colours for each type apart
                views[str(index)] = before | {name: getattr(shading, name) for name in _FLAT}
                for name, value in _FLAT.items():
                    setattr(shading, name, value)
        # screens are not undone, nor is their shading: what it was belongs there
        screen[_SHADING_BEFORE] = json.dumps(views)
    mesh[_COLOURS_BEFORE] = mesh.color_attributes.active_color_name
    mesh.color_attributes.active_color_name = attribute


def hide_trust() -> None:
    """Shading and active colours as they were, exactly."""
    for screen in [screen for screen in bpy.data.screens if _SHADING_BEFORE in screen]:
        for index, before in json.loads(screen[_SHADING_BEFORE]).items():
            area = screen.areas[int(index)] if int(index) < len(screen.areas) else None
            if area is not None and area.type == "VIEW_3D":
                shading = area.spaces.active.shading
                shading.type = "SOLID"
                for name in _FLAT:
                    setattr(shading, name, before[name])
                shading.type = before["type"]
        del screen[_SHADING_BEFORE]
    for mesh in [mesh for mesh in bpy.data.meshes if _COLOURS_BEFORE in mesh and mesh.is_editable]:
        mesh.color_attributes.active_color_name = mesh[_COLOURS_BEFORE]
        del mesh[_COLOURS_BEFORE]


def hide_lost_trust() -> None:
    """Undo takes the mark off the mesh, but shading is not undone: the views follow."""
    if trust_shown() and not any(_COLOURS_BEFORE in mesh for mesh in bpy.data.meshes):
        hide_trust()


def _view(space: Any) -> tuple[list[float], list[float], float]:
    """Where a 3D view stands: centre, rotation, distance."""
    region = space.region_3d
    return list(region.view_location), list(region.view_rotation), float(region.view_distance)


def _spaces(context: Any) -> Iterator[Any]:
    """The 3D views of the current screen, the one under the mouse first."""
    screen = context.screen
    areas = [area for area in screen.areas if area.type == "VIEW_3D"] if screen is not None else []
    current = getattr(context, "area", None)
    areas.sort(key=lambda area: (area != current, -area.width * area.height))
    for area in areas:
        yield area.spaces.active
