"""The photo camera: through it the avatar in its photo pose lies exactly on the photo.

The file's convention: x_view = skin(x) + translation, and the camera sits at the view frame's origin looking along -Z.
Blender keeps the head where it is and puts the camera at -translation instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

import bpy

from ..avatar_reader import AvatarFile
from ..axes import blender_from_avatar
from .material import pack_image

SENSOR_WIDTH = 36.0  # mm


@dataclass(frozen=True)
class Lens:
    """A pinhole camera in Blender's terms, for a picture of `width` x `height` pixels."""

    focal_length: float  # mm, for a sensor of SENSOR_WIDTH fitted horizontally
    shift_x: float  # in picture widths
    shift_y: float  # in picture widths, too: the horizontal fit makes the width the unit
    width: int  # px
    height: int  # px
    pixel_aspect_y: float  # height of a pixel over its width


def photo_lens(avatar: AvatarFile) -> Lens:
    """The lens for photo.png, which is the region `photo_crop` of the photo, possibly at another size."""
    x0, y0, x1, y1 = (float(edge) for edge in avatar.photo_crop)
    width, height = avatar.photo.width, avatar.photo.height
    scale_x, scale_y = width / (x1 - x0), height / (y1 - y0)  # pixels of photo.png per pixel of the photo
    centre_x = (float(avatar.photo_centre[0]) - x0) * scale_x
    centre_y = (float(avatar.photo_centre[1]) - y0) * scale_y
    # Blender's pixels may be oblong: sizes along y are measured in pixel widths
    aspect = scale_x / scale_y
    return Lens(
        focal_length=avatar.photo_focal * scale_x / width * SENSOR_WIDTH,
        shift_x=(width / 2 - centre_x) / width,
        shift_y=(centre_y - height / 2) * aspect / width,
        width=width,
        height=height,
        pixel_aspect_y=aspect,
    )


def build_camera(avatar: AvatarFile, rig: Any, name: str, unit: float = 1.0) -> Any:
    """The camera object with the photo as its background, parented to the rig so that both move together."""
    camera = new_camera(rig, name, unit)
    camera.data.passepartout_alpha = 0.9
    aim_camera(camera, avatar)
    return camera


def new_camera(rig: Any, name: str, unit: float) -> Any:
    """A camera that goes with the rig and looks at its face, with room for a picture behind it."""
    data = bpy.data.cameras.new(name)
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_WIDTH
    data.clip_start, data.clip_end = 0.01 * unit, 100.0 * unit  # a scaled parent does not scale them
    data.show_background_images = True
    background = data.background_images.new()
    background.frame_method = "STRETCH"
    background.display_depth = "BACK"
    background.alpha = 1.0
    camera = bpy.data.objects.new(name, data)
    camera.parent = rig
    camera.rotation_euler = (pi / 2, 0.0, 0.0)  # look along Blender's +Y, that is the avatar's -Z
    camera.hide_select = False
    camera.data.display_size = 0.05
    return camera


def aim_camera(camera: Any, avatar: AvatarFile) -> None:
    """Give a photo camera the lens, the place and the picture of this avatar's photo."""
    set_lens(camera, photo_lens(avatar))
    camera.location = blender_from_avatar(-avatar.photo_translation.astype(float))
    if len(camera.data.background_images):
        camera.data.background_images[0].image = pack_image(avatar.photo, f"{camera.name} Image")


def set_lens(camera: Any, lens: Lens) -> None:
    """Give a camera a lens, and let it remember the pixels of its picture for `fit_render_to_photo`."""
    camera.data.lens = lens.focal_length
    camera.data.shift_x, camera.data.shift_y = lens.shift_x, lens.shift_y
    camera["meshlam_resolution"] = [lens.width, lens.height]
    camera["meshlam_pixel_aspect_y"] = lens.pixel_aspect_y


def fit_render_to_photo(scene: Any, camera: Any) -> None:
    """Make `camera` the scene's camera and give renderings the photo's own pixel grid."""
    render = scene.render
    scene.camera = camera
    width, height = camera["meshlam_resolution"]
    render.resolution_x, render.resolution_y, render.resolution_percentage = int(width), int(height), 100
    aspect = float(camera["meshlam_pixel_aspect_y"])
    # Blender takes aspects from 1 upwards, so the longer side carries the ratio
    render.pixel_aspect_x, render.pixel_aspect_y = (1.0, aspect) if aspect >= 1 else (1.0 / aspect, 1.0)


@dataclass(frozen=True)
class RenderFrame:
    """What fit_render_to_photo changes in a scene, so that it can be put back."""

    camera: str
    resolution: tuple[int, int, int]
    aspect: tuple[float, float]


def render_frame(scene: Any) -> RenderFrame:
    """The scene's camera and render size as they are now."""
    render = scene.render
    return RenderFrame(
        camera=scene.camera.name if scene.camera is not None else "",
        resolution=(render.resolution_x, render.resolution_y, render.resolution_percentage),
        aspect=(render.pixel_aspect_x, render.pixel_aspect_y),
    )


def restore_render_frame(scene: Any, frame: RenderFrame) -> None:
    """Undo fit_render_to_photo."""
    render = scene.render
    scene.camera = bpy.data.objects.get(frame.camera)
    render.resolution_x, render.resolution_y, render.resolution_percentage = frame.resolution
    render.pixel_aspect_x, render.pixel_aspect_y = frame.aspect
