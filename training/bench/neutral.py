"""The neutral face made from a smiling frame of a clip, beside a frame of the same clip at rest.

    python -m training.bench.neutral [--clips FOLDER] [--pictures FOLDER]

The avatar of the clip's broadest smile is laid onto the frame whose mouth is most at rest: by its landmarks outside of
the mouth, with the mouth's keys at 0. The mouth's landmarks, found in both by the same detector, are compared relative
to the face height (rms), and the pixels in a box around the mouth by PSNR. The column `own` is the avatar made from the
resting frame itself, treated in the same way: about what a perfect neutral would get.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.avatar.record import Avatar
from meshlam_core.files.images import read_clip, write_png
from meshlam_core.frames import axis_angle_from_rotation
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.points import LIPS_INNER, LIPS_OUTER
from meshlam_core.tracker.fit import head_fitter
from meshlam_core.tracker.landmarks import LandmarkDetector
from meshlam_core.tracker.problem import Face
from meshlam_core.tracker.retarget import avatar_rig
from meshlam_core.tracker.solver import Prior, solve
from meshlam_core.tracker.types import Detection
from meshlam_core.viewing.viewer import AvatarRenderer, photo_camera
from training.metrics import face_height, psnr

U8 = NDArray[np.uint8]

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "clips"
SMILE = 0.3  # mouthSmile, mean of both sides, from which a clip has a smile
EVERY = 5  # frames between two that are looked at
LIPS = np.concatenate([LIPS_OUTER, LIPS_INNER])
BOX = 0.4  # of the mouth's width, by which the box is larger than the lips, all around
HELD = 1e-5  # spread of a key that is not to move
MOUTH = ("mouth", "jaw", "cheek", "nose")
SIDES = [ARKIT_NAMES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]
MOVES_MOUTH = [index for index, name in enumerate(ARKIT_NAMES) if name.startswith(MOUTH)]


@dataclass(frozen=True)
class Pair:
    """Two frames of a clip."""

    smile: U8  # [H, W, 3]
    rest: U8  # [H, W, 3]
    resting: Detection  # in the latter


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--pictures", type=Path, help="folder for rest, neutral and smile side by side")
    arguments = parser.parse_args()
    session = Session.open(ReconstructOptions(keep="glasses"))
    print("| clip | mouth's landmarks, of the face height | own | PSNR of the mouth's box | own |\n|" + " --- |" * 5)
    rows = []
    for clip in sorted(arguments.clips.glob("*.mp4")):
        pair = find_pair(clip, session.detector)
        if pair is None:
            continue
        made, own = (avatar_of(frame, session) for frame in (pair.smile, pair.rest))
        picture, ideal = (laid_on(avatar, pair, session) for avatar in (made, own))
        row = (*compare(picture, pair, session.detector), *compare(ideal, pair, session.detector))
        rows.append(row)
        print(f"| {clip.stem} | {row[0]:.2%} | {row[2]:.2%} | {row[1]:.1f} dB | {row[3]:.1f} dB |", flush=True)
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            write_png(
                arguments.pictures / f"{clip.stem}.png", np.concatenate([pair.smile, picture, pair.rest, ideal], 1)
            )
    middle = np.median(rows, axis=0)
    print(f"| median | {middle[0]:.2%} | {middle[2]:.2%} | {middle[1]:.1f} dB | {middle[3]:.1f} dB |")


def find_pair(clip: Path, detector: LandmarkDetector) -> Pair | None:
    """The broadest smile and the calmest mouth; None for a clip without a smile."""
    best: dict[str, tuple[float, U8, Detection]] = {}
    for number, frame in enumerate(read_clip(clip)):
        if number % EVERY:
            continue
        for detection in detector.detect(frame.pixels)[:1]:
            smile = float(detection.coefficients[SIDES].mean())
            calm = -float(detection.coefficients[MOVES_MOUTH].sum())
            for name, value in (("smile", smile), ("calm", calm)):
                if name not in best or value > best[name][0]:
                    best[name] = (value, frame.pixels, detection)
    if not best or best["smile"][0] < SMILE:
        return None
    return Pair(best["smile"][1], best["calm"][1], best["calm"][2])


def avatar_of(frame: U8, session: Session) -> Avatar:
    """The avatar as it is made by default."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "frame.png"
        write_png(path, frame)
        return reconstruct(path, ReconstructOptions(keep="glasses"), session).avatar


def laid_on(avatar: Avatar, pair: Pair, session: Session) -> U8:  # [H, W, 3]
    """The avatar with its mouth at rest over the resting frame."""
    fitter = head_fitter(session.head)
    rig = avatar_rig(avatar, session.head)
    detection = pair.resting
    camera = replace(photo_camera(avatar), size=(pair.rest.shape[1], pair.rest.shape[0]))
    centre = np.array(camera.centre)
    calm = np.array([name.startswith(MOUTH) for name in rig.names])
    expression = np.where(calm, 0, fitter.expression_of(detection))
    start = replace(fitter.start(detection, centre), identity=np.empty(0), expression=expression)
    away = start.translation * np.array([1, 1, camera.focal / np.exp(start.log_focal)])
    start = replace(start, translation=away, log_focal=float(np.log(camera.focal)))
    heard = np.ones(len(rig.trust))
    # what a mouth moves, by how far: the cheeks beside it a little, the lips wholly
    reach = np.linalg.norm(rig.basis[:, np.flatnonzero(calm)], axis=0).max(axis=0)
    heard *= np.sqrt(np.clip(rig.trust, 0.02, 1)) * np.exp(-((reach / 0.004) ** 2))
    W = np.zeros((2, 2, len(heard)))
    W[0, 0] = W[1, 1] = heard / (0.005 * face_height(detection.landmarks))
    prior = Prior(np.inf, expression, np.where(calm, HELD, 0.1))
    targets = detection.landmarks[:, :2].T.astype(np.float64)
    face: Face = solve(lambda _: (rig, W), start, targets, centre, prior, 10, 6.0, fix_focal=True).face
    rotations = np.zeros((len(avatar.joints), 3), np.float32)
    rotations[0] = axis_angle_from_rotation(face.rotation)
    drawn = AvatarRenderer(avatar).draw_pose(
        face.expression.astype(np.float32), rotations, face.translation.astype(np.float32), camera
    )
    alpha = drawn[..., 3:].astype(np.float32) / 255
    return np.asarray(drawn[..., :3] * alpha + pair.rest * (1 - alpha) + 0.5, np.uint8)


def compare(picture: U8, pair: Pair, detector: LandmarkDetector) -> tuple[float, float]:
    """Distance of the mouth's landmarks, of the face height, and dB in its box."""
    wanted = pair.resting.landmarks[LIPS, :2]
    found = detector.detect(picture)
    gap = found[0].landmarks[LIPS, :2] - wanted if found else np.full(wanted.shape, np.inf)
    low, high = wanted.min(axis=0), wanted.max(axis=0)
    margin = BOX * (high[0] - low[0])
    (x0, y0), (x1, y1) = (low - margin).astype(int), (high + margin).astype(int) + 1
    box = np.zeros(picture.shape[:2], bool)
    box[max(0, y0) : y1, max(0, x0) : x1] = True
    return float(np.sqrt((gap**2).sum(axis=1).mean())) / face_height(pair.resting.landmarks), psnr(
        picture, pair.rest, box
    )


if __name__ == "__main__":
    main()
