"""Whether eyes and lips of a reenacted clip do what they do in the clip.

    python -m training.bench.reenact [--clips FOLDER] [--every N]

The avatar of the first frame is driven with the clip. In every N-th frame the same detector looks at the frame and at
the rendering. `gaze` is the distance of the iris' centre, in the axes that run through the eye's corners, in percent of
the eye's width, while the eyes are open; `opening` the difference of the gap between the inner lips, `corners` the
distance of the mouth's inner corners, both in percent of the face height; `keys` the mean change of the 52
coefficients that the detector reads, `brows` and `squint` the signed one of browDown and eyeSquint. Medians over the
frames; 95 % of the gaze, too.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from meshlam_core.arkit import ARKIT_INDEX
from meshlam_core.commands.track import track_source
from meshlam_core.files.images import read_clip
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.points import LEFT_EYE, LEFT_IRIS, LIPS_INNER, RIGHT_EYE, RIGHT_IRIS
from meshlam_core.progress import silent
from meshlam_core.tracker.landmarks import choose_face, face_span
from meshlam_core.tracker.retarget import avatar_rig, retarget, tracking_rig
from meshlam_core.tracker.types import Detection
from meshlam_core.viewing.viewer import AvatarRenderer
from training.bench.clips import CLIPS, GREY
from training.bench.markdown import print_head, print_row

F64 = NDArray[np.float64]

BROWS, SQUINT, BLINK = (
    [ARKIT_INDEX[f"{name}{side}"] for side in ("Left", "Right")] for name in ("browDown", "eyeSquint", "eyeBlink")
)
SHUT = 0.5  # eyeBlink from which no iris is seen


@dataclass(frozen=True)
class Frame:
    """One frame beside its rendering; percent where not said otherwise."""

    gaze: float  # of the eye's width, mean of both eyes; nan where they are shut
    opening: float  # of the face height
    corners: float
    keys: float  # mean over the coefficients, 0..1
    brows: float  # signed
    squint: float


def gaze_of(landmarks: NDArray[np.floating]) -> F64:  # [2, 2] right and left eye: along and across its corners
    """Where the irises stand between the corners of the eyes, in eye widths."""
    found = []
    for ring, iris in ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS)):
        outer, inner = landmarks[ring[0], :2].astype(float), landmarks[ring[len(ring) // 2], :2].astype(float)
        axis = inner - outer
        off = landmarks[iris, :2] - (outer + inner) / 2
        found.append([off @ axis, off[0] * axis[1] - off[1] * axis[0]] / (axis @ axis))
    return np.array(found)


def beside(wanted: Detection, got: Detection) -> Frame:
    """A frame's face beside the rendered one."""
    a, b = wanted.landmarks, got.landmarks
    height = face_span(a)
    half = len(LIPS_INNER) // 2
    upper, lower = LIPS_INNER[half + half // 2], LIPS_INNER[half // 2]
    gap = [float(np.linalg.norm(p[upper, :2] - p[lower, :2])) for p in (a, b)]
    corners = np.linalg.norm((a - b)[LIPS_INNER[[0, half]], :2], axis=1).mean()
    change = got.coefficients - wanted.coefficients
    shut = wanted.coefficients[BLINK].mean() > SHUT
    return Frame(
        gaze=np.nan if shut else 100 * float(np.linalg.norm(gaze_of(a) - gaze_of(b), axis=1).mean()),
        opening=100 * abs(gap[0] - gap[1]) / height,
        corners=100 * float(corners) / height,
        keys=float(np.abs(change).mean()),
        brows=float(change[BROWS].mean()),
        squint=float(change[SQUINT].mean()),
    )


def measure(clip: Path, session: Session, every: int, sheet: Path | None = None) -> list[Frame]:
    """Every N-th frame of a clip beside its rendering."""
    track = track_source(clip, session, "largest", silent)
    frames = [frame.pixels for frame in read_clip(clip)]
    with tempfile.TemporaryDirectory() as scratch:
        first = Path(scratch) / "first.png"
        Image.fromarray(frames[0]).save(first)
        avatar = reconstruct(first, ReconstructOptions(), session).avatar
    renderer, rig = AvatarRenderer(avatar), avatar_rig(avatar, session.head)
    measured = []
    for index, pose in enumerate(retarget(track, rig, len(avatar.joints), tracking_rig(session.head))):
        if index % every or not pose.found:
            continue
        drawn = renderer.draw_pose(pose.expression, pose.rotations, pose.translation, pose.camera)
        alpha = drawn[..., 3:].astype(np.float32) / 255
        picture = (drawn[..., :3] * alpha + GREY * (1 - alpha) + 0.5).astype(np.uint8)
        seen = [session.detector.detect(pixels, every=False) for pixels in (frames[index], picture)]
        if all(seen):
            pair = [
                session.detector.refine(pixels, choose_face(found))
                for pixels, found in zip((frames[index], picture), seen, strict=True)
            ]
            measured.append(beside(*pair))
        if sheet is not None:
            Image.fromarray(np.concatenate([frames[index], picture], axis=1)).save(
                sheet / f"{clip.stem}-{index:04d}.png"
            )
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--sheet", type=Path, default=None, help="a folder for the frames beside their renderings")
    arguments = parser.parse_args()
    if arguments.sheet:
        arguments.sheet.mkdir(parents=True, exist_ok=True)
    session = Session.open(ReconstructOptions())
    print_head("clip", "gaze", "95 %", "opening", "corners", "keys", "brows", "squint")
    for clip in sorted(arguments.clips.glob("*.mp4")):
        found = measure(clip, session, arguments.every, arguments.sheet)
        middle = {name: float(np.nanmedian([getattr(one, name) for one in found])) for name in Frame.__annotations__}
        most = float(np.nanpercentile([one.gaze for one in found], 95))
        print_row(
            clip.stem, f"{middle['gaze']:.1f} %", f"{most:.1f} %", f"{middle['opening']:.2f} %",
            f"{middle['corners']:.2f} %", f"{middle['keys']:.3f}",
            f"{middle['brows']:+.2f}", f"{middle['squint']:+.2f}",
        )  # fmt: skip
    print_row("wanted", "at most 4 %", "", "at most 2 %", "at most 2 %", "", "", "")


if __name__ == "__main__":
    main()
