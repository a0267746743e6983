"""Make meshlam_core/data/seen_motion.npz.

    python -m training.expressions [--data ../shared/data] [--people 60] [--pictures 60] [--out FILE]

People out of portraits are drawn in random expressions and tracked as frames of a clip, by the geometry alone; then
the motion of the detected landmarks, in the head's own axes, is regressed on the keys that made it. Left and right are
taken together. The 80 held-out portraits take no part (training/splits.py).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from meshlam_core.errors import MeshlamError
from meshlam_core.files.npz import write_npz
from meshlam_core.pipeline import ReconstructOptions, Session
from meshlam_core.tracker.fit import head_fitter
from meshlam_core.tracker.seen_motion import SEEN_MOTION
from training.bench.tracker import DATA, spread
from training.expressions.motion import Motion, moved_landmarks
from training.expressions.people import draw_person
from training.splits import held_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--pictures", type=int, default=60, help="of each person")
    parser.add_argument("--out", type=Path, default=SEEN_MOTION)
    arguments = parser.parse_args()
    session = Session.open(ReconstructOptions(weights="none"))
    fitter, motion = head_fitter(session.head), Motion()
    photos = [path for path in sorted((arguments.data / "portraits").glob("*.jpg")) if not held_out(path.name)]
    for number, path in enumerate(spread(photos, arguments.people)):
        try:
            seen = draw_person(path, session, arguments.pictures, number)
        except MeshlamError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        motion.add(*moved_landmarks(fitter, seen.detections), seen.truth)
        found, explained = motion.solve()
        write_npz(arguments.out, {"motion": found.astype(np.float16)})
        print(f"{number + 1} {path.name}: explained {explained:.3f}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
