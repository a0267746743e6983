"""Other head models against the open one. Run: python -m training.bench.head_models HEAD.npz ...

Each photo is fitted and reconstructed with every model in turn, so that a slow minute of the machine falls on all.
The converted files are the user's; `python -m tests.head_models DIR` makes stand-ins.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meshlam_core.assets import asset_path
from meshlam_core.files.images import load_photo
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.tracker.fit import head_fitter
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.track import find_face
from training.bench.tracker import DATA, spread


@dataclass
class Row:
    """One head model."""

    name: str
    head: HeadModel
    load_s: float
    errors: list[float] = field(default_factory=list)  # of the face height
    fit_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)


def measure(names: list[str], limit: int, whole: int) -> list[Row]:
    """The open head first."""
    rows = [opened(name) for name in ("open", *names)]
    detector = MediaPipeDetector(asset_path("face_landmarker.task"))
    paths = [path for kind in ("portraits", "hires") for path in spread(sorted((DATA / kind).glob("*.jpg")), limit)]
    for path in paths:
        photo = load_photo(path)
        detection = find_face(photo, detector)
        for row in rows:
            fitter = head_fitter(row.head)
            began = time.perf_counter()
            row.errors.append(fitter.fit(detection, photo.native_size, photo.focal_35mm).landmark_error)
            row.fit_s.append(time.perf_counter() - began)
    sessions = [Session.open(ReconstructOptions(head=row.name)) for row in rows]
    for number, path in enumerate(spread(sorted((DATA / "hires").glob("*.jpg")), whole + 1)):
        for row, session in zip(rows, sessions, strict=True):
            began = time.perf_counter()
            reconstruct(path, ReconstructOptions(head=row.name), session)
            if number:  # the first one warms up
                row.whole_s.append(time.perf_counter() - began)
    return rows


def opened(name: str) -> Row:
    path = None if name == "open" else Path(name)
    load_head(path)
    began = time.perf_counter()
    head = load_head(path)
    return Row(name, head, time.perf_counter() - began)


def markdown(rows: list[Row]) -> str:
    lines = [
        "| head | vertices | loading | landmark error, median | 95 % | fit | reconstruction | to the open head's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        whole = np.array(row.whole_s) / np.array(rows[0].whole_s)
        error, error_95 = (100 * np.quantile(row.errors, share) for share in (0.5, 0.95))
        lines.append(
            f"| {Path(row.name).stem} | {len(row.head.template)} | {row.load_s:.2f} s |"
            f" {error:.2f} % | {error_95:.2f} % | {1000 * np.median(row.fit_s):.0f} ms |"
            f" {np.median(row.whole_s):.2f} s | {np.median(whole):.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("heads", nargs="+", help="converted head models")
    parser.add_argument("--limit", type=int, default=24, help="photos of each folder")
    parser.add_argument("--whole", type=int, default=7, help="reconstructions of each")
    arguments = parser.parse_args()
    print(markdown(measure(arguments.heads, arguments.limit, arguments.whole)))


if __name__ == "__main__":
    main()
