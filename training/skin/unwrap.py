"""Portraits -> what each shows of the skin, on 256 texels of the open head; one file a portrait, kept in a folder.

Frames: avatar frame for normals. Dims: V vertices, P covered texels, L landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from meshlam_core.assets import asset_path
from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import load_photo
from meshlam_core.frames import rotation_from_axis_angle
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.skin.model import SIDE
from meshlam_core.texture.albedo import observe
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.tracker.crop import cut_head
from meshlam_core.tracker.hair import with_hair
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.parsing import parse_person
from meshlam_core.tracker.pose import landmarks_on_crop
from meshlam_core.tracker.track import track_photo

EVERY = 50  # portraits between two reports


def unwrap_all(paths: list[Path], head: HeadModel, cache: Path, report: Callable[[str], None]) -> Iterator[Path]:
    """The files of all portraits; those that show no face are left out."""
    cache.mkdir(parents=True, exist_ok=True)
    detector, atlas = MediaPipeDetector(asset_path("face_landmarker.task")), build_atlas(head, SIDE)
    for number, path in enumerate(paths):
        kept = cache / f"{path.stem}.npz"
        if not kept.is_file():
            try:
                unwrap(path, kept, detector, head, atlas)
            except MeshlamError as problem:
                report(f"{path.name}: {problem}")
                continue
        if number % EVERY == 0:
            report(f"unwrapped {number} of {len(paths)}")
        yield kept


def unwrap(path: Path, kept: Path, detector: LandmarkDetector, head: HeadModel, atlas: Atlas) -> None:
    """One portrait, as the pipeline reads it."""
    photo = load_photo(path)
    tracked = track_photo(photo, detector, head)
    picture = cut_head(photo, tracked)
    regions = parse_person(picture.pixels, landmarks_on_crop(tracked, picture.camera), picture.alpha)
    tracked = with_hair(tracked, regions, picture.camera, head)
    with torch.inference_mode():
        seen = observe(picture.pixels, regions, tracked, picture.camera, head, atlas)
        normals = vertex_normals(seen.posed[None], torch.from_numpy(head.faces.astype(np.int64)))[0].numpy()
    np.savez(
        kept,
        allow_pickle=False,
        skin=(seen.sight.skin.numpy() * 255 + 0.5).astype(np.uint8),
        normals=(normals @ rotation_from_axis_angle(tracked.rotations[0])).astype(np.float16),
        cover=seen.cover.numpy().astype(np.float16),
        skin_colour=regions.skin_colour,
        neutral=tracked.vertices,
        expression=tracked.expression,
    )
