"""The paper's protocol on a clip: frame 0 makes the avatar, the other frames drive it and are compared with it.

Frames without a face of their own have no truth: they are counted. The track's camera is taken to be that of frame 0,
the track's expression may give a little, as is foreseen for the clip's own person (tracker/retarget.py), and pose and
expression are corrected by what the frame looks like (viewing/express.py), as photometric trackers do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.avatar.record import Avatar
from meshlam_core.commands.track import track_source
from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import read_clip, write_png
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.progress import silent
from meshlam_core.tracker.retarget import AvatarPose, Retargeter, avatar_rig, tracking_rig
from meshlam_core.viewing.express import onto_frame
from meshlam_core.viewing.viewer import AvatarRenderer
from training.evaluate.likeness import Critics, Likeness, liken
from training.evaluate.photo import Paint, Painter, PhotoScores, compare
from training.evaluate.truth import HeadTruth, Judges, Window, find_truth

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class FrameScores:
    """How well one frame is repeated."""

    view: PhotoScores
    likeness: Likeness


@dataclass(frozen=True)
class ClipResult:
    """One clip."""

    path: Path
    frames: tuple[FrameScores, ...]
    faceless: int  # frames in which nobody finds a face
    failure: str = ""  # why there is no avatar


OnFrame = Callable[[int, HeadTruth, U8], None]  # number, truth and rendering [H, W, 4]


def measure_clip(
    clip: Path,
    options: ReconstructOptions,
    session: Session,
    judges: Judges,
    critics: Critics,
    every: int = 1,
    on_frame: OnFrame | None = None,  # is shown every frame that is compared
    paint: Paint | None = None,  # how the avatar is drawn; None: as a mesh
) -> ClipResult:
    """Make the avatar of frame 0 and compare it with every N-th of the other frames."""
    actor, failure = None, ""
    try:
        actor = Actor.of_clip(clip, options, session, paint)
    except (MeshlamError, ValueError) as error:
        failure = str(error)
    frames: list[FrameScores] = []
    faceless = 0
    for index, frame in _frames(clip):
        if index == 0 or index % every:
            continue
        truth = find_truth(frame, judges)
        if truth is None:
            faceless += 1
            continue
        rendering = actor.draw(index, frame, truth.window) if actor else np.zeros((*truth.hair.shape, 4), np.uint8)
        if on_frame:
            on_frame(index, truth, rendering)
        frames.append(FrameScores(compare(rendering, truth), liken(rendering, truth, judges, critics)))
    return ClipResult(clip, tuple(frames), faceless, failure)


@dataclass(frozen=True)
class Actor:
    """The avatar of a clip's first frame, and its pose in every frame."""

    avatar: Avatar
    painter: Painter
    poser: AvatarRenderer  # of the mesh: poses are found with it, whoever paints
    retargeter: Retargeter
    poses: tuple[AvatarPose, ...]  # by the landmarks alone

    @classmethod
    def of_clip(cls, clip: Path, options: ReconstructOptions, session: Session, paint: Paint | None = None) -> Actor:
        """Reconstruct frame 0 and track the clip; MeshlamError where either fails."""
        with tempfile.TemporaryDirectory() as scratch:
            first = Path(scratch) / "first.png"
            write_png(first, next(read_clip(clip)).pixels)
            avatar = reconstruct(first, options, session).avatar
            painter = paint(avatar, first, session) if paint else AvatarRenderer(avatar)
        track = track_source(clip, session, "largest", silent)
        rig = avatar_rig(avatar, session.head)
        # one camera took frame 0 and the others: another distance would show more or less of the hair behind the face
        fitted = tracking_rig(session.head)
        laid = Retargeter.of(track, rig, len(avatar.joints), fitted, same_person=True, focal=avatar.photo.focal)
        return cls(avatar, painter, AvatarRenderer(replace(avatar, strands=None)), laid, tuple(laid.poses()))

    def draw(self, frame: int, picture: U8, window: Window) -> U8:  # [H, W, 4]
        """The avatar as the clip's camera sees it in a frame [h, w, 3], on the window's picture."""
        laid = self.retargeter
        pose = onto_frame(laid, self.poser, laid.track.frames[frame], self.poses[frame], picture)
        return self.painter.draw_pose(pose.expression, pose.rotations, pose.translation, window.camera(pose.camera))


def _frames(clip: Path) -> Iterator[tuple[int, U8]]:
    """As many frames as can be read; that a clip is damaged is told by its failure."""
    try:
        for index, frame in enumerate(read_clip(clip)):
            yield index, frame.pixels
    except MeshlamError:
        return
