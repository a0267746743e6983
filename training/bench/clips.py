"""The avatar of frame 0 reenacted on its own clip. Tracking speed: training.bench.tracker.

    python -m training.bench.clips [--clips FOLDER] [--every N]

For every N-th frame the rendering is compared with the frame: PSNR inside the face outline, and the distance of the
68 classic landmarks, found in both by the same detector, relative to the face height. Rows give the clip's median.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from meshlam_core.commands.track import track_source
from meshlam_core.files.images import read_clip
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.points import CLASSIC_68
from meshlam_core.progress import silent
from meshlam_core.tracker.retarget import avatar_rig, retarget, tracking_rig
from meshlam_core.viewing.viewer import AvatarRenderer
from training.metrics import face_height, face_outline_mask, psnr

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "clips"
GREY = 128


def measure(clip: Path, session: Session, every: int) -> tuple[float, float]:
    """Median PSNR in dB, median landmark distance in face heights."""
    track = track_source(clip, session, "largest", silent)
    frames = [frame.pixels for frame in read_clip(clip)]
    with tempfile.TemporaryDirectory() as scratch:
        first = Path(scratch) / "first.png"
        Image.fromarray(frames[0]).save(first)
        avatar = reconstruct(first, ReconstructOptions(keep="glasses"), session).avatar
    renderer = AvatarRenderer(avatar)
    poses = retarget(track, avatar_rig(avatar, session.head), len(avatar.joints), tracking_rig(session.head))
    quality, distance = [], []
    for index, (pose, frame) in enumerate(zip(poses, frames, strict=True)):
        if index % every:
            continue
        drawn = renderer.draw_pose(pose.expression, pose.rotations, pose.translation, pose.camera)
        alpha = drawn[..., 3:].astype(np.float32) / 255
        picture = (drawn[..., :3] * alpha + GREY * (1 - alpha) + 0.5).astype(np.uint8)
        wanted, got = session.detector.detect(frame), session.detector.detect(picture)
        if not wanted:
            continue
        face = max(wanted, key=lambda found: found.box[2] - found.box[0])
        mask = face_outline_mask(face.landmarks, (frame.shape[1], frame.shape[0]))
        quality.append(psnr(picture, frame, mask))
        if not got:
            distance.append(1.0)
            continue
        points = max(got, key=lambda found: found.box[2] - found.box[0]).landmarks[list(CLASSIC_68), :2]
        gap = np.linalg.norm(points - face.landmarks[list(CLASSIC_68), :2], axis=1).mean()
        distance.append(float(gap) / face_height(face.landmarks))
    return statistics.median(quality), statistics.median(distance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--every", type=int, default=5)
    arguments = parser.parse_args()
    session = Session.open(ReconstructOptions(keep="glasses"))
    print("| clip | PSNR in the face outline | 68 landmarks, of the face height |")
    print("|---|---|---|")
    for clip in sorted(arguments.clips.glob("*.mp4")):
        quality, distance = measure(clip, session, arguments.every)
        print(f"| {clip.stem} | {quality:.1f} dB | {distance:.2%} |", flush=True)
    print("| wanted | at least 22 dB | at most 2 % |")


if __name__ == "__main__":
    main()
