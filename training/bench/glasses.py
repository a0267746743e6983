"""Who is told to wear glasses by the frame's form (tracker/glasses.py), among all portraits and the 24 of hires.

Run: python -m training.bench.glasses [--data ../shared/data] [--limit N]

Who wears glasses was seen by looking: of the portraits that nothing was trained on and of hires all of them
(parts.WEARERS), of the others those who do, or may, with rimless and hardly visible ones among them
(training/parser/glasses.txt). Nothing of this is trained on anybody; the score from which glasses are told was chosen
on these pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import load_photo
from meshlam_core.pipeline import ReconstructOptions, Session
from meshlam_core.tracker.crop import cut_head
from meshlam_core.tracker.glasses import TOLD, frame_score
from meshlam_core.tracker.neutral import at_rest
from meshlam_core.tracker.pose import landmarks_on_crop
from meshlam_core.tracker.track import track_photo
from training.bench.machine import describe_machine
from training.bench.markdown import print_head, print_row
from training.bench.parts import WEARERS
from training.parser.portraits import GLASSES
from training.splits import held_out


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--limit", type=int, default=1000, help="portraits of each kind")
    chosen = options.parse_args()
    session = Session.open(ReconstructOptions(weights="none", device="cpu"))
    portraits = sorted((chosen.data / "portraits").glob("*.jpg"))
    kinds = {
        "portraits": [path for path in portraits if not held_out(path.name)],
        "held-out portraits": [path for path in portraits if held_out(path.name)],
        "hires": sorted((chosen.data / "hires").glob("*.jpg")),
    }
    wearers = WEARERS | set(GLASSES.read_text().split())
    print(f"{describe_machine()}\n")
    print_head(
        "", "pictures", "wear glasses", "of these told", "told of others", "highest of others", "median of wearers"
    )
    for title, paths in kinds.items():
        scores = {path.stem: score for path in paths[: chosen.limit] if (score := score_of(path, session)) is not None}
        worn = np.array([score for name, score in scores.items() if name in wearers])
        bare = {name: score for name, score in scores.items() if name not in wearers}
        told = [name for name, score in bare.items() if score >= TOLD]
        counts = [len(scores), len(worn), int((worn >= TOLD).sum()), len(told)]
        print_row(title, *map(str, counts), f"{max(bare.values(), default=0):.2f}", f"{np.median(worn):.2f}")
        if told:
            print(f"<!-- told of others: {', '.join(told)} -->")


def score_of(path: Path, session: Session) -> float | None:
    """Of the largest face; None where there is no face."""
    try:
        photo = load_photo(path)
        tracked = at_rest(track_photo(photo, session.detector, session.head, "largest"), session.head)
    except MeshlamError:
        return None
    picture = cut_head(photo, tracked)
    landmarks = landmarks_on_crop(tracked, picture.camera)
    return frame_score(picture.pixels, tracked, landmarks, picture.camera, session.head)


if __name__ == "__main__":
    main()
