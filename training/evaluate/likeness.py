"""How alike a rendering and its picture are to the eye, to a landmark detector and to a face recognition network.

Every picture is the head window at 512 px (truth.py). What is compared is the head region; everything else is grey in
both pictures, and what the mesh does not reach is black. For landmarks and identity the rendering stands on grey, so
that nothing of the photo helps the detector; where it finds no face on it, the distance of the landmarks counts as one
face height and the likeness as 0.

On a black ground LPIPS is half as large again (tracker alone: 0.18 instead of 0.12): the dark border of a missing head
of hair counts for more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.evaluate.identity import FaceIdentity
from training.evaluate.inception import Inception
from training.evaluate.truth import HeadTruth, Judges
from training.lpips import Lpips
from training.metrics import cosine, face_height, landmark_distance, ssim

GREY = 128

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Critics:
    """The networks that compare a rendering with its picture. None: nobody knows, nan in the scores."""

    lpips: Lpips | None
    identity: FaceIdentity | None
    inception: Inception | None = None


@dataclass(frozen=True)
class Likeness:
    """How well one picture is repeated."""

    ssim: float  # over the head region
    ssim_window: float  # over the whole window with all but the head region grey, which raises it
    lpips: float  # AlexNet, of the whole window with all but the head region grey
    akd: float  # px of the window's 512: mean distance of 68 landmarks
    csim: float  # cosine of dlib's descriptors
    found: bool  # whether the detector finds a face on the rendering
    features: tuple[F64, F64] | None = None  # of rendering and picture, for the Frechet distance of many


def liken(
    rendering: U8,  # [H, W, 4]
    truth: HeadTruth,
    judges: Judges,
    critics: Critics,
) -> Likeness:
    """Compare a rendering with the picture."""
    region = truth.head[..., None]
    drawn = np.where(region, on_black(rendering), GREY).astype(np.uint8)
    wanted = np.where(region, truth.picture, GREY).astype(np.uint8)
    akd, csim, found = _faces(rendering, truth, judges, critics.identity)
    return Likeness(
        ssim=ssim(drawn, wanted, truth.head),
        ssim_window=ssim(drawn, wanted, np.ones_like(truth.head)),
        lpips=_lpips(critics.lpips, drawn, wanted),
        akd=akd,
        csim=csim,
        found=found,
        features=(critics.inception(drawn), critics.inception(wanted)) if critics.inception else None,
    )


def on_black(rendering: U8) -> U8:  # [H, W, 4] -> [H, W, 3]
    """Colours times alpha."""
    alpha = rendering[..., 3:].astype(np.float32) / 255
    return np.asarray(rendering[..., :3] * alpha + 0.5, np.uint8)


def _faces(rendering: U8, truth: HeadTruth, judges: Judges, identity: FaceIdentity | None) -> tuple[float, float, bool]:
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
