"""What lives while the add-on is enabled: the one session with the worker, the previews, the scene's settings."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np

from .exif import UPRIGHT, orientation, size
from .job import Session
from .scene.before import kept_source
from .scene.found import SOURCE

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic")
IMAGE_GLOB = ";".join(f"*{suffix}" for suffix in IMAGE_SUFFIXES)

session = Session()
batch = ""  # which of how many photos of a folder is being worked on
_previews: Any = None


class MeshlamSettings(bpy.types.PropertyGroup):  # type: ignore[misc]
    """The panel's fields, saved with the scene."""

    photo: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Photo",
        description="A portrait: one face, reasonably sharp, roughly from the front",
        subtype="FILE_PATH",
    )
    face: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Face",
        description="Which face of a photo with several people; 0 takes the largest, 1 is the leftmost",
        default=0,
        min=0,
        soft_max=9,
    )
    faces: bpy.props.StringProperty(options={"HIDDEN"})  # type: ignore[valid-type]  # how many, and of which photo
    folder: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Folder", description="A folder of portraits, to make a head of each", subtype="DIR_PATH"
    )
    texture_size: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Texture",
        description="Width and height of the texture in pixels",
        items=[
            ("512", "512", "Small and fast"),
            ("1024", "1024", "Enough for most photos"),
            ("2048", "2048", "For sharp, large photos"),
            ("4096", "4096", "For very sharp, very large photos"),
        ],
        default="1024",
    )
    hair: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Hair",
        description="What becomes of the hair",
        items=[
            ("strands", "Strands", "Loose strands over the hull"),
            ("hull", "Hull", "One closed surface"),
            ("bald", "None", "The bare skull"),
        ],
        default="strands",
    )
    sway_bones: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Sway Bones",
        description="Bones for hair that hangs below the chin, to animate it or for a game engine's physics",
    )
    keep_glasses: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Keep Glasses",
        description="Leave glasses painted on the skin; otherwise the skin and the eyes behind them are completed",
    )
    glasses_mesh: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Glasses as an Object",
        description="Build the frame of glasses as an object of its own that moves with the head and can be taken off",
    )
    texture: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Light",
        description="What becomes of the light in the photo",
        items=[
            ("albedo", "Apart", "Two textures, without and with the photo's light, and a slider between them"),
            ("photo", "In the Texture", "The head looks like the photo without any lights"),
        ],
        default="albedo",
    )
    device: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Device",
        description="Where the backend computes",
        items=[
            ("auto", "Automatic", "The graphics card when the backend can use it, else the processor"),
            ("cpu", "Processor", "Always works"),
            ("cuda", "NVIDIA Graphics Card", "Needs CUDA"),
            ("mps", "Apple Graphics Card", "Needs an Apple processor"),
        ],
        default="auto",
    )
    onto_selected: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Onto the Selected Head",
        description="Turn the selected head into the new one; what you sculpted, painted, animated and added stays",
        default=False,
    )
    frame_result: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Show the New Head",
        description="When a head is done, look at it in Material Preview",
        default=True,
    )


def photo_icon(photo: str) -> int:
    """Icon of a photo's preview, 0 where there is none; made again when the file has changed."""
    path, changed = _file(photo)
    if _previews is None or not changed:
        return 0
    key = f"{path}|{changed}"
    if key not in _previews:
        _stand_upright(_previews.load(key, str(path), "IMAGE"), orientation(path))
    icon: int = _previews[key].icon_id
    return icon


def photo_size(photo: str) -> tuple[int, int]:
    """Width and height of a photo in pixels by its file's header; (0, 0) where this says nothing."""
    path, changed = _file(photo)
    return _size_of(path, changed) if changed else (0, 0)


def _file(photo: str) -> tuple[Path, int]:
    """A photo's path and when it was changed, ns; 0 where there is no such file."""
    path = Path(bpy.path.abspath(photo))
    try:
        return path, path.stat().st_mtime_ns if photo else 0
    except OSError:
        return path, 0


@lru_cache(maxsize=16)
def _size_of(path: Path, _changed: int) -> tuple[int, int]:
    return size(path)


def image_icon(image: Any) -> int:
    """Icon of an image in the file, 0 where it has no preview yet; it is made while one looks."""
    if image is None:
        return 0
    preview = image.preview_ensure()
    return int(preview.icon_id) if preview is not None else 0


def show_faces(strip: Path, count: int) -> None:
    """Make icons of the faces of a photo from a strip of square pictures."""
    image = bpy.data.images.load(str(strip))
    try:
        side = image.size[1]
        pixels = np.empty(image.size[0] * side * 4, np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    faces = pixels.reshape(side, -1, 4)
    for index in range(count if _previews is not None else 0):
        key = _face_key(index + 1)
        preview = _previews[key] if key in _previews else _previews.new(key)
        preview.image_size = (side, side)
        tile = faces[:, index * side : (index + 1) * side]
        preview.image_pixels_float.foreach_set(np.ascontiguousarray(tile).ravel())


def face_icon(face: int) -> int:
    """Icon of the photo's face of this number, 0 where there is none (after loading a file)."""
    key = _face_key(face)
    return int(_previews[key].icon_id) if _previews is not None and key in _previews else 0


def _face_key(face: int) -> str:
    return f"face|{face}"


def _stand_upright(preview: bpy.types.ImagePreview, how: int) -> None:
    """Turn a preview as its photo's EXIF orientation asks. Blender's rows run from the bottom."""
    if how == UPRIGHT:
        return
    width, height = preview.image_size
    pixels = np.array(preview.image_pixels_float, np.float32).reshape(height, width, 4)[::-1]
    mirrored, quarters = {2: (1, 0), 3: (0, 2), 4: (1, 2), 5: (1, 1), 6: (0, 3), 7: (1, 3), 8: (0, 1)}[how]
    upright = np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)
    preview.image_size = (upright.shape[1], upright.shape[0])
    preview.image_pixels_float.foreach_set(np.ascontiguousarray(upright[::-1], np.float32).ravel())


made_files: list[Path] = []  # avatar files that reconstructions wrote and no saved .blend needs yet


def remove_unused_files() -> int:
    """Remove the avatar files of heads that were undone or deleted; returns how many. Only this session's own."""
    gone = [path for path in made_files if str(path) not in _used_files()]
    for path in gone:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        made_files.remove(path)
    return len(gone)


def keep_used_files() -> None:
    """A saved .blend may need the files of its heads from now on."""
    used = _used_files()
    made_files[:] = [path for path in made_files if str(path) not in used]


def _used_files() -> set[str]:
    """The avatar files of the heads in this .blend, and of what they were before."""
    used = {str(item[SOURCE]) for item in bpy.data.objects if item.type == "ARMATURE" and SOURCE in item}
    return used | {source for item in bpy.data.objects for source in [kept_source(item)] if source}


def redraw() -> None:
    """Redraw every sidebar and the preferences, so that progress is seen; not what the views show."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if area.type == "PREFERENCES" or (area.type == "VIEW_3D" and region.type == "UI"):
                    region.tag_redraw()


def redraw_soon() -> None:
    """Redraw in a moment, when a thread will have found out what is asked for now."""
    if not bpy.app.background and not bpy.app.timers.is_registered(redraw):
        bpy.app.timers.register(redraw, first_interval=0.3)


def register() -> None:
    global _previews
    bpy.types.Scene.meshlam = bpy.props.PointerProperty(type=MeshlamSettings)
    _previews = bpy.utils.previews.new()


def unregister() -> None:
    global _previews
    session.close()
    session.forget()
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None
    del bpy.types.Scene.meshlam


CLASSES = (MeshlamSettings,)
