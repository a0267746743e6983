"""The camera that a clip was tracked with, with the clip behind the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..axes import blender_from_avatar
from ..scene.build import metre
from ..scene.camera import SENSOR_WIDTH, Lens, new_camera, set_lens
from ..scene.found import CLIP_CAMERA, RIG, BuiltAvatar, link_beside
from .keyframes import reference_place
from .motion import Motion


def clip_lens(motion: Motion) -> Lens:
    """The lens for pictures of the clip's size."""
    width, height = motion.size
    return Lens(
        focal_length=motion.focal / width * SENSOR_WIDTH,
        shift_x=(width / 2 - motion.centre[0]) / width,
        shift_y=(motion.centre[1] - height / 2) / width,
        width=width,
        height=height,
        pixel_aspect_y=1.0,
    )


def show_clip(built: BuiltAvatar, motion: Motion, clip: Path | None, start: int, skipped: int) -> Any:
    """Make the head's clip camera, or aim the one that is there.

    `clip` is put behind the head from the scene's frame `start`, without its first `skipped` frames.
    """
    camera = built.clip_camera
    if camera is None:
        name = f"{built.rig.name.removesuffix(' Rig')} Clip"
        camera = new_camera(built.rig, name, metre(bpy.context.scene))
        link_beside(camera, built.rig)
        camera[RIG], built.rig[CLIP_CAMERA] = built.rig, camera
    set_lens(camera, clip_lens(motion))
    camera.location = blender_from_avatar(-reference_place(motion))
    background = camera.data.background_images[0]
    background.image = _movie(clip) if clip is not None else None
    if background.image is not None:
        user = background.image_user
        user.frame_start, user.frame_offset, user.use_auto_refresh = start, skipped, True
        user.frame_duration = len(motion.times)
    return camera


def _movie(clip: Path) -> Any:
    image = bpy.data.images.load(str(clip), check_existing=True)
    image.source = "MOVIE"
    return image
