"""The photo view of an avatar beside its photo.

A pixel that the mesh does not reach is black in the rendering (a half-covered one half so): it counts as an error.
On dark hair that error is small, so the head region is to be read together with `hair covered`, which has no colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from meshlam_core.avatar.record import Avatar
from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import load_photo
from meshlam_core.frames import Camera
from meshlam_core.pipeline import Failure, ReconstructOptions, Session, reconstruct_many
from meshlam_core.viewing.viewer import AvatarRenderer, photo_camera
from training.evaluate.likeness import Critics, Likeness, liken, on_black
from training.evaluate.mesh import MeshFaults, mesh_faults
from training.evaluate.truth import HeadTruth, Judges, find_truth
from training.metrics import overlap, psnr, share_covered

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


class Painter(Protocol):
    """A head that can be drawn in any pose."""

    def draw_pose(self, expression: F32, rotations: F32, translation: F32, camera: Camera) -> U8:
        """[H, W, 4] sRGB and alpha of a head with [K], [J, 3] rad and [3] m, as AvatarRenderer.draw_pose."""


Paint = Callable[[Avatar, Path, Session], Painter]  # of an avatar and its photo


@dataclass(frozen=True)
class PhotoScores:
    """How well one photo is repeated."""

    head: float  # dB, head region: hair joined with the face outline
    hair: float  # share of the hair that the mesh covers; nan without hair
    silhouette: float  # intersection over union with the person, above the chin
    outline: float  # dB, inside the face outline
    undressed: float  # the silhouette where no clothes are


@dataclass(frozen=True)
class PhotoResult:
    """One photo: its scores, and what they were made of. A failed photo has the scores of an empty rendering."""

    path: Path
    scores: PhotoScores | None  # None: nobody knows the truth, because no face was found
    failure: str  # "" where an avatar was made
    truth: HeadTruth | None = None
    rendering: U8 | None = None  # [H, W, 4]
    avatar: Avatar | None = None
    faults: MeshFaults | None = None
    likeness: Likeness | None = None  # where critics were asked


def measure_photo(
    path: Path,
    options: ReconstructOptions,
    session: Session,
    judges: Judges,
    critics: Critics | None = None,
    paint: Paint | None = None,  # how the avatar is drawn; None: as a mesh
) -> PhotoResult:
    """Reconstruct a photo and compare."""
    (made,) = reconstruct_many([path], options, session)
    avatar = None if isinstance(made, Failure) else made.avatar
    failure = str(made.error) if isinstance(made, Failure) else ""
    faults = mesh_faults(avatar) if avatar else None
    truth = _truth(path, judges)
    if truth is None:
        return PhotoResult(path, None, failure or "the judges found no face", avatar=avatar, faults=faults)
    rendering = np.zeros((*truth.hair.shape, 4), np.uint8)
    if avatar:
        try:
            rendering = photo_view(avatar, truth, paint(avatar, path, session) if paint else None)
        except (MeshlamError, ValueError) as error:  # a peer may refuse what the pipeline takes
            failure = str(error)
    likeness = liken(rendering, truth, judges, critics) if critics else None
    return PhotoResult(path, compare(rendering, truth), failure, truth, rendering, avatar, faults, likeness)


def _truth(path: Path, judges: Judges) -> HeadTruth | None:
    try:
        photo = load_photo(path)
    except MeshlamError:
        return None  # that it cannot be read is the reconstruction's failure already
    return find_truth(photo.pixels, judges, photo.scale)


def photo_view(avatar: Avatar, truth: HeadTruth, painter: Painter | None = None) -> U8:  # [H, W, 4]
    """The avatar as the photo's camera sees it, on the window's picture."""
    photo, camera = avatar.photo, truth.window.camera(photo_camera(avatar))
    painter = painter or AvatarRenderer(avatar)
    return painter.draw_pose(photo.expression, photo.rotations, photo.translation, camera)


def compare(
    rendering: U8,  # [H, W, 4]
    truth: HeadTruth,
) -> PhotoScores:
    """The scores of a rendering."""
    picture, covered = on_black(rendering), rendering[..., 3] > 127
    bare = truth.above_chin & ~truth.clothes
    return PhotoScores(
        head=psnr(picture, truth.picture, truth.head),
        hair=share_covered(truth.hair, covered),
        silhouette=overlap(covered & truth.above_chin, truth.person & truth.above_chin),
        outline=psnr(picture, truth.picture, truth.outline),
        undressed=overlap(covered & bare, truth.person & bare),
    )
