"""The paper's protocol on a clip: frame 0 makes the avatar, the other frames drive it and are compared with it.

Every picture is the frame's head window at 512 px (truth.py). What is compared is the head region; everything else is
grey in both pictures, and what the mesh does not reach is black. For landmarks and identity the rendering stands on
grey, so that nothing of the frame helps the detector; where it finds no face on it, the distance of the landmarks
counts as one face height and the likeness as 0. Frames without a face of their own have no truth: they are counted.

On a black ground LPIPS is half as large again (tracker alone: 0.18 instead of 0.12): the dark border of a missing head
of hair counts for more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.avatar.record import Avatar
from meshlam_core.commands.track import track_source
from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import read_clip, write_png
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.progress import silent
from meshlam_core.tracker.retarget import AvatarPose, avatar_rig, retarget
from meshlam_core.viewing.viewer import AvatarRenderer
from training.evaluate.identity import FaceIdentity
from training.evaluate.photo import PhotoScores, compare, on_black
from training.evaluate.truth import HeadTruth, Judges, Window, find_truth
from training.lpips import Lpips
from training.metrics import cosine, face_height, landmark_distance, ssim

GREY = 128

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Critics:
    """The networks that compare a rendering with its frame."""

    lpips: Lpips | None  # None: nan in the scores
    identity: FaceIdentity | None


@dataclass(frozen=True)
class FrameScores:
    """How well one frame is repeated."""

    view: PhotoScores
    ssim: float  # over the head region
    ssim_window: float  # over the whole window with all but the head region grey, which raises it
    lpips: float  # AlexNet, of the whole window with all but the head region grey
    akd: float  # px of the window's 512: mean distance of 68 landmarks
    csim: float  # cosine of dlib's descriptors


@dataclass(frozen=True)
class ClipResult:
    """One clip."""

    path: Path
    frames: tuple[FrameScores, ...]
    faceless: int  # frames in which nobody finds a face
    lost: int  # renderings on which the detector finds no face
    failure: str = ""  # why there is no avatar


def measure_clip(
    clip: Path, options: ReconstructOptions, session: Session, judges: Judges, critics: Critics, every: int = 1
) -> ClipResult:
    """Make the avatar of frame 0 and compare it with every N-th of the other frames."""
    actor, failure = None, ""
    try:
        actor = Actor.of_clip(clip, options, session)
    except MeshlamError as error:
        failure = str(error)
    frames: list[FrameScores] = []
    faceless = lost = 0
    for index, frame in _frames(clip):
        if index == 0 or index % every:
            continue
        truth = find_truth(frame, judges)
        if truth is None:
            faceless += 1
            continue
        rendering = actor.draw(index, truth.window) if actor else np.zeros((*truth.hair.shape, 4), np.uint8)
        scores, found = compare_frame(rendering, truth, judges, critics)
        frames.append(scores)
        lost += not found
    return ClipResult(clip, tuple(frames), faceless, lost, failure)


@dataclass(frozen=True)
class Actor:
    """The avatar of a clip's first frame, and its pose in every frame."""

    avatar: Avatar
    renderer: AvatarRenderer
    poses: tuple[AvatarPose, ...]

    @classmethod
    def of_clip(cls, clip: Path, options: ReconstructOptions, session: Session) -> Actor:
        """Reconstruct frame 0 and track the clip; MeshlamError where either fails."""
        with tempfile.TemporaryDirectory() as scratch:
            first = Path(scratch) / "first.png"
            write_png(first, next(read_clip(clip)).pixels)
            avatar = reconstruct(first, options, session).avatar
        track = track_source(clip, session, "largest", silent)
        poses = tuple(retarget(track, avatar_rig(avatar, session.head), len(avatar.joints)))
        return cls(avatar, AvatarRenderer(avatar), poses)

    def draw(self, frame: int, window: Window) -> U8:  # [H, W, 4]
        """The avatar as the clip's camera sees it in a frame, on the window's picture."""
        pose = self.poses[frame]
        return self.renderer.draw_pose(pose.expression, pose.rotations, pose.translation, window.camera(pose.camera))


def compare_frame(
    rendering: U8,  # [H, W, 4]
    truth: HeadTruth,
    judges: Judges,
    critics: Critics,
) -> tuple[FrameScores, bool]:  # whether the rendering shows a face
    """The scores of one rendering."""
    drawn = np.where(truth.head[..., None], on_black(rendering), GREY).astype(np.uint8)
    wanted = np.where(truth.head[..., None], truth.picture, GREY).astype(np.uint8)
    akd, csim, found = _likeness(rendering, truth, judges, critics.identity)
    scores = FrameScores(
        view=compare(rendering, truth),
        ssim=ssim(drawn, wanted, truth.head),
        ssim_window=ssim(drawn, wanted, np.ones_like(truth.head)),
        lpips=_lpips(critics.lpips, drawn, wanted),
        akd=akd,
        csim=csim,
    )
    return scores, found


def _likeness(
    rendering: U8, truth: HeadTruth, judges: Judges, identity: FaceIdentity | None
) -> tuple[float, float, bool]:
    """Distance of the landmarks, likeness, and whether there is a face on the rendering."""
    alpha = rendering[..., 3:].astype(np.float32) / 255
    on_grey = (rendering[..., :3] * alpha + GREY * (1 - alpha) + 0.5).astype(np.uint8)
    # both are looked for on the same grid, so that the detector makes the same mistakes
    wanted, got = _largest(judges, truth.picture), _largest(judges, on_grey)
    wanted = truth.landmarks if wanted is None else wanted
    if got is None:
        return face_height(wanted), 0.0 if identity else float("nan"), False
    likeness = float("nan")
    if identity:
        likeness = cosine(identity(on_grey, got), identity(truth.picture, wanted))
    return landmark_distance(got, wanted), likeness, True


def _largest(judges: Judges, picture: U8) -> NDArray[np.float32] | None:  # [L, 3] px
    faces = judges.detector.detect(picture, every=False)
    return max((face.landmarks for face in faces), key=face_height, default=None)


def _lpips(network: Lpips | None, drawn: U8, wanted: U8) -> float:
    if network is None:
        return float("nan")
    pair = torch.from_numpy(np.stack([drawn, wanted])).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return float(network(pair[:1], pair[1:]))


def _frames(clip: Path) -> Iterator[tuple[int, U8]]:
    """As many frames as can be read; that a clip is damaged is told by its failure."""
    try:
        for index, frame in enumerate(read_clip(clip)):
            yield index, frame.pixels
    except MeshlamError:
        return
