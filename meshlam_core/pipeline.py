"""photo -> avatar: the data flow of the whole project on one page.

    photo -> landmarks -> fitted head (tracker) -> masks and crop -> albedo (texture) -> avatar

Frames and units: frames.py.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import meshlam_core
from meshlam_core.assets import asset_path
from meshlam_core.avatar import Avatar, PhotoFit
from meshlam_core.errors import DeviceError, UsageError
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.images import Photo, load_photo
from meshlam_core.progress import Progress, silent
from meshlam_core.tracker.crop import HeadPicture, cut_head
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.types import TrackedFace

if TYPE_CHECKING:
    from meshlam_core.texture.albedo import Texture

PRESETS = ("small", "paper")
MAX_TEXTURE = 4096  # px
IMPLAUSIBLE = 0.5  # plausibility below which the user is warned
ROUGH_FIT = 0.025  # landmark error above which the user is warned
TURNED = np.radians(40)  # yaw from which half of the face is a guess

# where each stage ends, as a fraction of the whole job
STAGES = {"reading": 0.05, "tracking": 0.35, "masks": 0.5, "texture": 0.85, "preview": 0.95}


@dataclass(frozen=True)
class ReconstructOptions:
    """What the user may choose."""

    preset: str = "small"
    head: str = "open"  # or the path of a FLAME file
    face: int | str = "largest"  # or 1 for the leftmost face, 2 for the next ...
    texture_size: int = 1024
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"preset: expected one of {', '.join(PRESETS)}, got {self.preset!r}.")
        size = self.texture_size
        if not (isinstance(size, int) and 64 <= size <= MAX_TEXTURE and size & (size - 1) == 0):
            raise UsageError(f"texture_size: expected a power of two from 64 to {MAX_TEXTURE}, got {size!r}.")


@dataclass(frozen=True)
class Session:
    """Everything that stays warm between photos."""

    detector: LandmarkDetector
    head: HeadModel
    device: str

    @classmethod
    def open(cls, options: ReconstructOptions) -> Session:
        """Load the networks and the head model. AssetError when a file is missing, DeviceError for a wrong device."""
        device = choose_device(options.device)
        detector = MediaPipeDetector(asset_path("face_landmarker.task"))
        asset_path("selfie_segmentation.tflite")  # missing assets are reported before any work
        return cls(detector, load_head(None if options.head == "open" else Path(options.head)), device)


@dataclass(frozen=True)
class Reconstruction:
    """An avatar and the report that `reconstruct --json` prints."""

    avatar: Avatar
    report: dict[str, Any]


def reconstruct(
    path: Path, options: ReconstructOptions, session: Session, progress: Progress = silent
) -> Reconstruction:
    """One photo to one avatar. InputError says what is wrong with a photo that cannot be used."""
    from meshlam_core.texture.albedo import bake_albedo, landmarks_on_crop
    from meshlam_core.tracker.parsing import parse_person
    from meshlam_core.tracker.track import track_photo
    from meshlam_core.viewer import render_thumbnail

    clock = _Clock(progress)
    head = session.head
    with clock.stage("reading"):
        photo = load_photo(path)
    with clock.stage("tracking"):
        tracked = track_photo(photo, session.detector, head, options.face)
    with clock.stage("masks"):
        picture = cut_head(photo, tracked)
        regions = parse_person(picture.pixels, landmarks_on_crop(tracked, picture.camera), picture.alpha)
    with clock.stage("texture"):
        texture = bake_albedo(picture.pixels, regions, tracked, picture.camera, head, options.texture_size)
    with clock.stage("preview"):
        avatar = render_thumbnail(_assemble(tracked, head, picture, texture))
    return _report(avatar, photo, tracked, options, session, clock)


def choose_device(wanted: str) -> str:
    """`auto` is the GPU when there is one; anything else must be there."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if wanted not in there:
        raise UsageError(f"device: expected auto, cpu, cuda or mps, got {wanted!r}.")
    if not there[wanted]:
        raise DeviceError(f"The device {wanted} is not available here.", "Use --device auto or cpu.")
    return wanted


@dataclass
class _Clock:
    """Times the stages and reports them."""

    progress: Progress
    timings: dict[str, float] = field(default_factory=dict)
    done: float = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.progress(name, self.done, "")
        start = time.perf_counter()
        yield
        self.timings[name] = round(time.perf_counter() - start, 4)
        self.done = STAGES[name]


def _assemble(tracked: TrackedFace, head: HeadModel, picture: HeadPicture, texture: Texture) -> Avatar:
    photo = PhotoFit(
        focal=float(tracked.camera.focal),
        centre=np.array(tracked.camera.centre, np.float32),
        size=np.array(tracked.camera.size, np.int32),
        rotations=tracked.rotations.astype(np.float32),
        translation=tracked.translation.astype(np.float32),
        expression=tracked.expression.astype(np.float32),
        crop=np.array(picture.crop.box, np.float32),
    )
    return Avatar(
        vertices=tracked.vertices,
        faces=head.faces,
        uvs=head.uvs,
        uv_faces=head.uv_faces,
        part=head.part,
        parts=head.parts,
        joints=head.joints(tracked.vertices),
        joint_names=head.joint_names,
        joint_parents=head.joint_parents,
        weights=head.weights,
        blendshapes=head.blendshapes,
        blendshape_names=head.blendshape_names,
        blendshape_ranges=head.blendshape_ranges,
        blendshape_kind=head.blendshape_kind,
        photo=photo,
        albedo=texture.albedo,
        albedo_seen=texture.seen,
        photo_image=picture.pixels,
        thumbnail=np.zeros((256, 256, 4), np.uint8),
        pose_correctives=head.pose_correctives,
    )


def _warnings(tracked: TrackedFace) -> list[str]:
    warnings = []
    if tracked.plausibility < IMPLAUSIBLE:
        warnings.append("This hardly looks like a human face: the head is a guess. Use a portrait of a person.")
    elif tracked.landmark_error > ROUGH_FIT:
        warnings.append("The head fits this face only roughly. A sharper photo from the front helps.")
    if abs(tracked.rotations[0, 1]) > TURNED:
        warnings.append("The face is turned far to the side: its hidden half is mirrored from the other one.")
    return warnings


def _report(
    avatar: Avatar,
    photo: Photo,
    tracked: TrackedFace,
    options: ReconstructOptions,
    session: Session,
    clock: _Clock,
) -> Reconstruction:
    timings = clock.timings | {"total": round(sum(clock.timings.values()), 4)}
    warnings = _warnings(tracked)
    provenance = {
        "photo": photo.path.name,
        "photo_sha256": photo.sha256,
        "head": session.head.name,
        "head_licence": session.head.licence,
        "weights": None,  # the tracker's result: no network refined it
        "preset": options.preset,
        "versions": {
            "meshlam": meshlam_core.__version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("torch", "numpy", "warp-lang")},
        },
        "seed": options.seed,
        "landmark_error": round(tracked.landmark_error, 5),
        "plausibility": round(tracked.plausibility, 3),
        "timings": timings,
        "warnings": warnings,
    }
    report = {
        "device": session.device,
        "preset": options.preset,
        "refined": False,
        "vertices": len(avatar.vertices),
        "faces": len(avatar.faces),
        "landmark_error": round(tracked.landmark_error, 5),
        "plausibility": round(tracked.plausibility, 3),
        "timings": timings,
        "warnings": warnings,
    }
    return Reconstruction(replace(avatar, provenance=provenance), report)
